"""An execution as lines of text: what the view of a scenario and the view of a real execution share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepship.views.durations import clock, duration
from stepship.views.explanation_text import explanation_lines
from stepship.views.progress import Mark, Progress, Row

SIGNS = {Mark.RUNNING: "..", Mark.DONE: "ok", Mark.FAILED: "FAILED", Mark.STOPPED: "STOPPED"}
INDENTS = {
    "message": "    ",
    "cause": "    ",
    "evidence": "       ",
    "hint": "       -> ",
    "heading": "    ",
    "log": "       | ",
    "missing": "       ",
    "done": "       - ",
}


def row_line(row: Row, progress: Progress, *, with_name: bool = True) -> str:
    """``  00:41 deploy-v3: Run migration ok (40 s): succeeded``."""
    ended = (row.ended_at or progress.now) - progress.started_at
    lasted = duration(row.seconds(progress.now))
    name = f"{progress.name}: " if with_name else ""
    note = f": {row.note}" if row.note else ""
    return f"  {clock(ended)} {name}{row.title} {SIGNS[row.mark]} ({lasted}){note}"


def explanation(report: Mapping[str, Any]) -> Iterator[str]:
    """Explain a failure."""
    for part, text in explanation_lines(report):
        yield INDENTS[part] + text
