"""What a person sees on a terminal, without looking at colours."""

import io
import re

import pytest
from rich.console import Console

from simulator.scenario.play import FOLDER, run_scenario
from stepship.host import is_watched
from stepship.views.live_view import LiveView


def seen(name: str, *, width: int = 110) -> str:
    """Return everything that was drawn, frames that were overwritten included."""
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=width, height=24))
    result = run_scenario(FOLDER / f"{name}.yaml", view)
    view.summary(result)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


def test_a_crash_is_shown_and_explained() -> None:
    text = seen("crash-at-start")
    assert "│  └─ ✓ Check rollout \N{MULTIPLICATION SIGN}2" in text
    assert "│  └─ ✗ Check rollout " in text
    assert "worker: 2 tasks failed to start or to stay healthy" in text
    assert "└─ RolledBack" in text
    assert "Why deploy-2 was rolled back at Check rollout" in text
    assert "container v3-backend-worker exited with 3" in text
    assert "│ KeyError: 'QUEUE_URL'" in text
    assert "v1 :2 ▰▰▰ → v2 :3 ▱▱▱" in text, "old and new tasks side by side while the wave rolls out"
    assert "✓ the lock is free" in text


def test_executions_that_overlap_are_named_on_each_line() -> None:
    text = seen("two-at-once")
    assert "overtaken └─ Superseded" in text
    assert "newest    ├─ ✓ Complete" in text


def test_a_failed_rollback_is_said_to_need_a_person() -> None:
    text = seen("rollback-fails")
    assert "! deploy-2 ended as RollbackFailed: action needed" in text
    assert "✗ services and tag are those of the live release" in text


def test_no_line_is_wider_than_the_terminal() -> None:
    assert max(len(line) for part in seen("crash-at-start", width=70).splitlines() for line in part.split("\r")) <= 70


@pytest.mark.parametrize(("ci", "watched"), [("", True), ("false", True), ("true", False), ("1", False)])
def test_a_ci_job_is_not_watched(monkeypatch: pytest.MonkeyPatch, ci: str, *, watched: bool) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert is_watched(Console(force_terminal=True)) is watched
    assert not is_watched(Console(file=io.StringIO(), force_terminal=False))
