from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from statemachine.graph import BEGIN, END, check, main, mermaid, with_diagram

SOUND: dict[str, Any] = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:ask",
            "TimeoutSeconds": 75,
            "Retry": [{"ErrorEquals": ["Throttled", "Lambda.ServiceException"]}],
            "Catch": [{"ErrorEquals": ["LeaseLost"], "Next": "Bad"}, {"ErrorEquals": ["States.ALL"], "Next": "Bad"}],
            "Next": "Good?",
        },
        "Good?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.ok", "BooleanEquals": True, "Next": "Good"},
                {"Variable": "$.status", "StringEquals": "busy", "Next": "Wait"},
            ],
            "Default": "Bad",
        },
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Ask"},
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Bad"},
    },
}


def changed(state: str, **fields: Any) -> dict[str, Any]:
    """Return the sound definition with one state changed; a field that is None is deleted."""
    definition = copy.deepcopy(SOUND)
    merged = {**definition["States"].get(state, {}), **fields}
    definition["States"][state] = {key: value for key, value in merged.items() if value is not None}
    return definition


def test_a_sound_graph_has_no_problems() -> None:
    assert check(SOUND) == []


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (changed("Alone", Type="Pass", Next="Good"), "Alone: is unreachable"),
        (changed("Wait", Next="Gone"), "Wait: there is no state 'Gone' to go to"),
        (changed("Wait", Next=None), "Wait: has neither Next nor End"),
        ({**SOUND, "StartAt": "Gone"}, "StartAt: there is no state 'Gone'"),
        (
            changed("Good?", Choices=[{"Variable": "$.ok", "BooleanEquals": True, "Next": "Ask"}], Default="Wait"),
            "Ask: no end is reachable from here",
        ),
        (
            changed("Good?", Default=None),
            "Good?: a Choice without Default fails with States.NoChoiceMatched, which nothing here catches",
        ),
        (changed("Ask", TimeoutSeconds=None), "Ask: a Task without TimeoutSeconds may wait for a year"),
        (
            changed("Ask", Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["Throttled"]}]),
            "Ask: Retry 1 is States.ALL and must be the last",
        ),
        (
            changed("Ask", Catch=[{"ErrorEquals": ["LeaseLost", "States.ALL"], "Next": "Bad"}]),
            "Ask: Catch 1 names States.ALL beside others; it must stand alone",
        ),
        (changed("Ask", Retry=[{"ErrorEquals": ["Throtled"]}]), "Ask: Retry 1 names 'Throtled', which nothing raises"),
        (
            changed("Ask", Retry=[{"ErrorEquals": ["Transient"]}]),
            "Ask: Retry 1 names 'Transient', which nothing raises",
        ),
        (
            changed("Ask", Retry=[{"ErrorEquals": ["Throttled"]}, {"ErrorEquals": ["Throttled"]}]),
            "Ask: Retry 2 names 'Throttled' again, which never gets here",
        ),
    ],
)
def test_a_planted_defect_is_found(definition: dict[str, Any], problem: str) -> None:
    assert problem in check(definition)


def test_the_way_of_an_error_does_not_count_as_an_end() -> None:
    loop = changed("Good?", Choices=[{"Variable": "$.ok", "BooleanEquals": True, "Next": "Wait"}], Default="Wait")
    assert "Wait: no end is reachable from here" in check(loop)


def test_the_command_fails_with_the_list_of_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(changed("Wait", Next="Gone")))
    assert main([str(file)]) == 1
    assert "Wait: there is no state 'Gone' to go to" in capsys.readouterr().out


def test_the_command_passes_a_sound_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(SOUND))
    assert main([str(file)]) == 0
    assert "the graph is sound" in capsys.readouterr().out


def test_the_command_without_a_file_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_diagram_has_every_state_and_every_way() -> None:
    diagram = mermaid(SOUND)
    assert diagram.startswith("flowchart TD\n")
    for line in (
        "start(( )) --> s_ask",
        's_good{{"Good?"}}',
        's_good -->|"yes"| s_good_2',
        's_good -->|"busy"| s_wait',
        's_good -->|"otherwise"| s_bad',
        's_ask -.->|"LeaseLost"| s_bad',
        's_ask -.->|"any error"| s_bad',
        "class s_good_2 good",
        "class s_bad bad",
    ):
        assert f"  {line}" in diagram


def test_the_diagram_goes_between_the_markers() -> None:
    page = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    assert with_diagram(page, "new") == f"# Title\n{BEGIN}\n```mermaid\nnew\n```\n{END}\nrest\n"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        with_diagram("# Title\n", "new")
