from __future__ import annotations

import pytest

from tools.benchmarks.document import assemble, kept, table
from tools.benchmarks.goals import Goal

NAMES = ("one", "two")


def test_a_section_that_did_not_run_keeps_its_text_and_its_place() -> None:
    old = assemble(NAMES, {"one": "first\n", "two": "second\n\n| a |"}, "")
    new = assemble(NAMES, {"one": "fresh"}, old)
    assert kept("one", new) == "fresh"
    assert kept("two", new) == "second\n\n| a |"
    assert new.index("fresh") < new.index("second")


def test_a_section_that_never_ran_is_left_out() -> None:
    assert "two" not in assemble(NAMES, {"one": "first"}, "")


def test_running_everything_again_changes_nothing_else() -> None:
    fresh = {"one": "first", "two": "second"}
    once = assemble(NAMES, fresh, "")
    assert assemble(NAMES, fresh, once) == once


def test_figures_stand_right() -> None:
    assert table(["tool", "s"], [["ours", "1.0"]]) == "| tool | s |\n| --- | ---: |\n| ours | 1.0 |"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (5.0, "* **overhead**: ok: 5.0 s, goal at most 5.0 s."),
        (6.25, "* **overhead**: missed by 1.2 s: 6.2 s, goal at most 5.0 s. Because."),
    ],
)
def test_a_goal_says_by_how_much_it_is_missed_and_why(value: float, line: str) -> None:
    assert Goal("overhead", 5.0, " s", "Because.", 1).verdict(value) == line
