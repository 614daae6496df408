"""``docs/explanation/benchmarks.md`` holds every section, with date and machine, and a verdict on every goal."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tools.benchmarks.__main__ import SECTIONS
from tools.benchmarks.cold_start import GOAL as COLD_START
from tools.benchmarks.deploy import ASSET
from tools.benchmarks.document import kept
from tools.benchmarks.goals import Goal
from tools.benchmarks.peers.figures import CALLS, DETECTION, DOLLARS, FAILED, OVERHEAD, OVERHEAD_COLD

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "benchmarks.md").read_text(encoding="utf-8")
GOALS = (DETECTION, FAILED, CALLS, OVERHEAD, OVERHEAD_COLD, DOLLARS, ASSET, COLD_START)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_document_has_the_section_with_its_date_and_machine(name: str) -> None:
    text = kept(name, PAGE)
    assert text.startswith("## ")
    assert re.search(r"20\d\d-\d\d-\d\d", text)
    assert re.search(r"\d+ cores", text)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_section_can_be_made_again(name: str) -> None:
    assert callable(importlib.import_module(SECTIONS[name]).section)


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_each_goal_has_its_verdict(goal: Goal) -> None:
    (line,) = re.findall(rf"^\* \*\*{re.escape(goal.name)}\*\*: (.+)$", PAGE, re.MULTILINE)
    assert line.startswith("ok: ") or re.match(r"missed by [\d.]+", line)
    if line.startswith("missed"):
        assert line.endswith(goal.reason)
        assert len(goal.reason.split()) > 5, "a missed goal needs a reason"


def test_what_the_comparison_says_of_it_was_measured() -> None:
    page = ROOT / "docs" / "explanation" / "comparison.md"
    compared = " ".join(page.read_text(encoding="utf-8").split())
    assert (
        "Stepship says first that a rollout has failed, and adds less than five seconds to what ECS takes" in compared
    )
    failed = re.search(rf"{re.escape(FAILED.name)}\*\*: .*?([\d.]+){FAILED.unit}, goal", PAGE)
    assert failed
    assert float(failed[1]) < 1
    assert OVERHEAD.limit == 5
    assert f"**{OVERHEAD.name}**: ok: " in PAGE


def test_the_document_names_no_host_and_no_path() -> None:
    assert not re.search(r"127\.0\.0\.1|localhost|(?<![\w.-])/(?:[a-z]+/)+", PAGE)
