"""An execution on a terminal: the lines that the view of a scenario and the view of a real execution share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.panel import Panel
from rich.text import Text

from stepship.views.durations import duration
from stepship.views.explanation_text import explanation_lines
from stepship.views.progress import END_STATES, Mark, Progress, Row

TITLE_WIDTH = 30

MARKS = {
    Mark.RUNNING: ("●", "cyan"),
    Mark.DONE: ("✓", "green"),
    Mark.FAILED: ("✗", "red"),
    Mark.STOPPED: ("■", "yellow"),
}
OUTCOME_STYLES = {"succeeded": "bold green", "superseded": "bold blue", "failed": "bold red"}
PART_STYLES = {
    "message": ("", ""),
    "cause": ("", "bold red"),
    "evidence": ("   ", ""),
    "hint": ("   → ", "italic"),
    "heading": ("\n", "bold"),
    "log": ("   │ ", "yellow"),
    "missing": ("   ", "dim"),
    "done": ("   ✓ ", "green"),
}


def row_line(row: Row, progress: Progress, *, name_width: int) -> Text:
    """``  ├─ ✓ Deploy wave                  0 s  api``."""
    sign, style = MARKS[row.mark]
    indent = "├─ " if row.depth == 0 else "│  └─ "
    title = f"{row.title:<{TITLE_WIDTH - 3 * row.depth}}"
    line = _begin_line(progress, name_width)
    line.append(indent, "dim")
    line.append(f"{sign} ", style)
    line.append(title, "bold" if row.mark is not Mark.DONE else "")
    line.append(f"{duration(row.seconds(progress.now)):>11}  ", "dim")
    line.append(row.note, "red" if row.mark is Mark.FAILED else "dim")
    return line


def _begin_line(progress: Progress, name_width: int) -> Text:
    """Begin with the execution's name where several run at once."""
    line = Text("   ", no_wrap=True, overflow="ellipsis")
    if name_width:
        line.append(f"{progress.name:<{name_width}}", "cyan")
    return line


def end_line(progress: Progress, *, name_width: int) -> Text:
    """``  └─ Deployed                  3 min 1 s``."""
    style = OUTCOME_STYLES.get(END_STATES.get(progress.outcome, ""), "bold yellow")
    line = _begin_line(progress, name_width)
    line.append("└─ ", "dim")
    line.append(f"{progress.outcome:<{TITLE_WIDTH + 2}}", style)
    line.append(f"{duration(progress.seconds):>11}  ", "dim")
    if progress.outcome == "Stopped":
        line.append(f"{progress.status}: not one state further", "yellow")
    return line


def panel(title: str, report: Mapping[str, Any]) -> Panel:
    """Explain a failure in a frame."""
    text = Text()
    for part, line in explanation_lines(report):
        indent, style = PART_STYLES[part]
        text.append(f"{indent}{line}\n", style)
    text.rstrip()
    return Panel(text, title=title, title_align="left", border_style="red", padding=(0, 1))
