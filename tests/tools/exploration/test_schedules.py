"""What is tried is everything, and each of it is a scenario file that stands for itself."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import yaml

from simulator.scenario.reader import read_scenario
from tools.exploration import cases
from tools.exploration.__main__ import keep, main
from tools.exploration.checkpoint import Checkpoint, Verdict
from tools.exploration.random_schedules import explore_at_random
from tools.exploration.schedules import (
    CALL_FAULTS,
    SURROUNDINGS,
    Place,
    Probe,
    Schedule,
    Surrounding,
    around,
    pairs,
    singles,
    undisturbed,
)

PROBE = Probe(
    tag="crash-ok",
    migrates=True,
    outcome="RolledBack",
    calls=(Place("Plan", 1, "ssm", "GetParameters"), Place("Deploy wave", 2, "ecs", "UpdateService")),
    functions=(Place("Plan", 1, calls=1), Place("Deploy wave", 1, calls=2)),
    visits={"Plan": 1, "Deploy wave": 2, "RolledBack": 1},
)


def faults(schedules: list[Schedule]) -> list[dict[str, object]]:
    return [dict(fault) for each in schedules for fault in each.steps[0].get("faults", ())]


def test_every_call_is_broken_in_every_way() -> None:
    of_calls = [fault for fault in faults(list(singles(PROBE))) if "call" in fault]
    assert len(of_calls) == len(PROBE.calls) * len(CALL_FAULTS)
    assert {(fault["step"], fault["operation"], fault["nth"]) for fault in of_calls} == {
        ("Plan", "GetParameters", 1),
        ("Deploy wave", "UpdateService", 2),
    }


def test_every_function_is_killed_after_each_of_its_calls_and_run_again_at_once_and_late() -> None:
    of_wave = [each for each in faults(list(singles(PROBE))) if "function" in each and each["step"] == "Deploy wave"]
    assert [each["after_calls"] for each in of_wave if each["function"] == "kill"] == [0, 1, 2]
    assert {each["function"] for each in of_wave} == {"kill", "twice", "again"}


def test_every_state_is_stopped_when_it_is_entered_and_left_the_first_and_the_last_time() -> None:
    stops = [each.steps[0]["stop"] for each in singles(PROBE) if set(each.steps[0]) == {"name", "deploy", "stop"}]
    assert [(stop["when"], stop["nth"]) for stop in stops if stop["state"] == "Deploy wave"] == [
        ("entered", 1),
        ("exited", 1),
        ("entered", 2),
        ("exited", 2),
    ]
    assert {stop["state"] for stop in stops} == set(PROBE.visits)


def test_what_ought_to_change_nothing_has_to_end_as_if_nothing_had_happened() -> None:
    by_title = {each.title: each for each in singles(PROBE)}
    assert by_title["crash-ok: Plan, ssm:GetParameters no. 1 throttled"].outcome == "RolledBack"
    assert by_title["crash-ok: Plan, ssm:GetParameters no. 1 refused"].outcome is None


def test_a_person_may_be_needed_only_where_something_outlives_every_retry() -> None:
    forgiven = {each.title.rsplit(" no. 1 ", 1)[-1] for each in singles(PROBE) if each.forgiving}
    assert {title for title in forgiven if "crash-ok" not in title} == {
        "refused for long",
        "fails for long",
        "throttled for long",
        "times out for long",
    }


def test_pairs_are_two_things_in_one_deployment_and_never_two_stops() -> None:
    generator = random.Random(1)  # noqa: S311 (which pairs, no secret)
    for schedule in islice(pairs(PROBE, generator), 200):
        step = schedule.steps[0]
        assert len(step.get("faults", ())) + ("stop" in step) >= 2
        assert " and " in schedule.title


@pytest.mark.parametrize("migrates", [True, False])
def test_every_single_is_a_scenario_file(migrates: bool) -> None:
    checkpoint = Checkpoint(migrates=migrates)
    for schedule in islice(singles(PROBE), 0, None, 7):
        if migrates or "crash-ok" in cases.tags(migrates=migrates):
            read_scenario(checkpoint.document(schedule))


@pytest.mark.parametrize("surrounding", SURROUNDINGS, ids=lambda surrounding: surrounding.title)
def test_what_goes_on_around_a_deployment_changes_neither_what_is_broken_nor_how_it_must_end(
    surrounding: Surrounding,
) -> None:
    checkpoint = Checkpoint(migrates=True)
    for schedule in (next(iter(singles(PROBE))), undisturbed("crash-ok", cases.ending("crash", "ok"), migrates=True)):
        surrounded = around(schedule, surrounding)
        assert (surrounded.deployment, surrounded.outcome) == (schedule.deployment, schedule.outcome)
        assert surrounded.ending == schedule.ending
        steps = [step.name for step in read_scenario(checkpoint.document(surrounded)).steps]
        assert len(steps) == 2 + len(surrounding.before) + len(surrounding.beside)


def test_the_same_seed_draws_the_same_schedules_and_stops_at_the_shortest_that_breaks_something() -> None:
    def attempt(schedule: Schedule) -> Verdict:
        read_scenario(Checkpoint(migrates=True).document(schedule))
        has_rollback = any("rollback" in step for step in schedule.steps)
        return Verdict(("Deployed",), ("a rollback",) if has_rollback else ())

    first, second = (explore_at_random(attempt, migrates=True, number=3, count=30) for _ in range(2))
    assert first == second
    broken, verdict = first[-1]
    assert verdict.violations == ("a rollback",)
    assert [list(step) for step in broken.steps] == [["name", "rollback"]]


def test_what_was_found_is_kept_as_a_file_that_says_how_to_run_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = next(iter(singles(PROBE)))
    another = replace(schedule, steps=(*schedule.steps, {"rollback": True}))
    for each in (schedule, another, schedule):
        keep((each, Verdict(("RolledBack",), ("api: runs nothing",))), tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "crash-ok-plan-ssm-getparameters-no-1-refused-2.yaml",
        "crash-ok-plan-ssm-getparameters-no-1-refused.yaml",
    ]
    document = yaml.safe_load(files[1].read_text(encoding="utf-8"))
    assert read_scenario(document).steps[1].faults[0].operation == "GetParameters"  # type: ignore[union-attr]
    said = capsys.readouterr().out
    assert "api: runs nothing" in said
    assert f"--replay {files[1]}" in said


def test_a_replay_takes_no_other_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--replay", "found.yaml", "--seed", "2"])
    assert (ended.value.code, "takes nothing beside it" in capsys.readouterr().err) == (2, True)
