"""The tutorial shows what its commands print: its scenarios are played, its commands are typed.

To write its output again: ``python -m tests.docs.test_tutorial``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from simulator.scenario.play import Scenario, ScenarioResult, read_scenario, run_scenario
from stepship.views.plain_view import PlainView
from tests.docs.test_cli_document import comparable, played

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "tutorial"
FIRST, ACCOUNT = FOLDER / "first-deployment.md", FOLDER / "in-an-account.md"
SCENARIO = re.compile(r"Save\s+this(?:\s+one)?\s+as\s+`(\S+\.yaml)`.*?```yaml\n(.*?)```", re.DOTALL)
OUTPUT = re.compile(r"(<!-- output: (\S+) -->\n```text\n)(.*?)```", re.DOTALL)
SECOND = re.compile(r"^2/2 .*?(?=^\n)", re.DOTALL | re.MULTILINE)
"""The second deployment, up to the empty line before the world is compared with the invariant."""


def scenarios(text: str) -> dict[str, str]:
    return dict(SCENARIO.findall(text))


def play(scenario: Scenario) -> tuple[str, ScenarioResult]:
    """Return what ``stepship simulate`` prints into a pipe, and how it ended."""
    lines: list[str] = []
    view = PlainView(lines.append)
    result = run_scenario(scenario, view)
    view.summary(result)
    return "".join(f"{line}\n" for line in lines), result


def second(printed: str) -> str:
    found = SECOND.search(printed)
    assert found
    return found[0]


def outputs(text: str, folder: Path) -> Iterator[tuple[str, str, str, ScenarioResult]]:
    """Yield the file, what the page shows, what is printed, and how it ended."""
    given = scenarios(text)
    for _, name, shown in OUTPUT.findall(text):
        file = folder / name
        file.write_text(given[name], encoding="utf-8")
        printed, result = play(read_scenario(file))
        yield name, shown, second(printed), result


def test_each_scenario_has_its_output() -> None:
    text = FIRST.read_text(encoding="utf-8")
    assert list(scenarios(text)) == [name for _, name, _ in OUTPUT.findall(text)]
    assert len(scenarios(text)) == 3
    assert set(re.findall(r"--scenario (\S+)", text)) == set(scenarios(text))


def test_the_first_page_shows_what_the_scenarios_print(tmp_path: Path) -> None:
    for name, shown, printed, result in outputs(FIRST.read_text(encoding="utf-8"), tmp_path):
        assert shown == printed, name
        assert result.is_as_expected, name


def test_the_second_page_shows_what_the_commands_print() -> None:
    for shown, printed in played(ACCOUNT.read_text(encoding="utf-8")):
        assert comparable(shown) == comparable(printed)


def test_what_the_second_page_switches_off_leaves_an_app_that_can_be_synthesised() -> None:
    from dataclasses import replace

    import config
    from stacks.cost.estimate import lines, total
    from stacks.stages import chosen, parts

    named = re.search(r"say `enabled = false` in (.*?)\. What", " ".join(ACCOUNT.read_text().split()))
    assert named
    settings = config.load("dev")
    for section in re.findall(r"`\[(\w+)\]`", named[1]):
        settings = replace(settings, **{section: replace(getattr(settings, section), enabled=False)})
    assert "api-service" in set(parts(chosen(settings)))
    assert total(lines(settings)) / 30 == pytest.approx(3, abs=0.3), "three dollars a day"


@pytest.mark.parametrize("page", [FIRST, ACCOUNT], ids=lambda page: page.stem)
def test_the_input_of_each_page_can_be_read(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        assert yaml.safe_load(block)["steps"]


if __name__ == "__main__":
    import tempfile

    written = FIRST.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as made:
        now = {name: printed for name, _, printed, _ in outputs(written, Path(made))}
    FIRST.write_text(OUTPUT.sub(lambda each: f"{each[1]}{now[each[2]]}```", written), encoding="utf-8")
    written = ACCOUNT.read_text(encoding="utf-8")
    for before, after in list(played(written)):
        written = written.replace(f"```console\n{before}```", f"```console\n{after}```", 1)
    ACCOUNT.write_text(written, encoding="utf-8")
