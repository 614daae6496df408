"""A scenario on a terminal: states as they happen, below them the services with their tasks.

A state that has ended is printed once and scrolls up; only what changes is drawn again, so any terminal is high enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.engine.runs import Run
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.scenario.play import Scenario, ScenarioResult, Step
from statemachine.events import Event, EventKind
from stepship.views.progress import END_STATES, Progress
from stepship.views.rich_lines import OUTCOME_STYLES, end_line, panel, row_line
from stepship.views.summary import ServiceLine, about, history_rows, service_lines, totals, why

FRAME_SECONDS = 0.03
SERVICE_INDENT = "      "


class LiveView:
    """Shows a scenario while it runs.

    Parameters
    ----------
    deadline_seconds
        After so many real seconds the view stops waiting for the reader: virtual time no longer has a pace.
    """

    def __init__(self, console: Console, *, deadline_seconds: float = float("inf")) -> None:
        self.console = console
        self._deadline_at = time.monotonic() + deadline_seconds
        self._began_at = time.monotonic()
        self._progress: dict[str, Progress] = {}
        self._world: SimulatedEnvironment | None = None
        self._live: Live | None = None
        self._number, self._steps = 0, 0
        self._names = 0
        self._drawn_at = 0.0

    # --- a scenario's viewer

    def begin(self, scenario: Scenario, simulated: SimulatedEnvironment) -> None:
        """Take note of the world."""
        self._world, self._steps = simulated, len(scenario.steps)

    def phase(self, steps: Sequence[Step]) -> None:
        """Say what begins."""
        self.console.print()
        for step in steps:
            self._number += 1
            title = Text.assemble(
                (f" {self._number}/{self._steps} ", "dim"), (step.name, "bold cyan"), f"  {about(step)}"
            )
            self.console.print(title)
        self._names = max(len(step.name) for step in steps) + 1 if len(steps) > 1 else 0
        self._live = Live(self._frame(), console=self.console, auto_refresh=False, transient=False)
        self._live.start()

    def event(self, event: Event) -> None:
        """Draw what happened."""
        if event.kind == EventKind.AWS_CALL or not event.execution:
            return
        if time.monotonic() > self._deadline_at and self._world is not None:
            self._world.aws.clock.pace = 0.0
        progress = self._progress.get(event.execution)
        if progress is None:
            progress = self._progress[event.execution] = Progress(event.execution)
            if event.execution.startswith("recovery-"):
                self._print(
                    Text(f"   {event.execution}  started by EventBridge, because an execution was stopped", "bold cyan")
                )
        closed = progress.on(event)
        if closed is not None:
            self._print(row_line(closed, progress, name_width=self._names))
        if event.kind == EventKind.EXECUTION_ENDED:
            self._print(end_line(progress, name_width=self._names))
        if closed is not None or time.monotonic() - self._drawn_at > FRAME_SECONDS:
            self._draw()

    def rest(self, runs: Sequence[Run]) -> None:
        """Leave the services as they are, and explain what failed."""
        self._draw()
        self.close()
        if self._world is None:
            return
        records = self._world.records()
        for run in runs:
            found = why(run, runs, records)
            if found:
                self.console.print(Padding(panel(*found), (0, 0, 0, 3)))

    def close(self) -> None:
        """Give the terminal back; safe to call again."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def summary(self, result: ScenarioResult) -> None:
        """Show the history, and the world compared with the invariant. Call it while the world stands, or after."""
        self.console.print()
        self.console.print(Text(" At rest: the world compared with the invariant", "bold"))
        width = max(len(point.title) for point in result.examination.points)
        for point in result.examination.points:
            mark = ("✓ ", "green") if point.holds else ("✗ ", "red")
            self._print(Text.assemble("   ", mark, f"{point.title:<{width}}  ", (point.evidence, "dim")))
            for violation in point.violations:
                self.console.print(Text(f"       {violation}", "red"))
        for sentence in result.examination.person_needed:
            self.console.print(Text(f"   ! {sentence}", "yellow"))
        self.console.print()
        self.console.print(Text(" History", "bold"))
        self.console.print(Padding(_history(result), (0, 0, 0, 2)))
        for mismatch in result.mismatches:
            self.console.print(Text(f" ✗ not as expected: {mismatch}", "bold red"))
        self.console.print()
        calls = sum(sum(each["apiCalls"].values()) for each in result.document["deployments"])
        spent = time.monotonic() - self._began_at
        text = totals(len(result.runs), calls, result.document["virtualSeconds"], spent)
        self.console.print(Text(f" {text}", "dim"))

    # --- drawing

    def _print(self, line: RenderableType) -> None:
        self.console.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        if self._live is not None:
            self._live.update(self._frame(), refresh=True)

    def _frame(self) -> RenderableType:
        running = [each for each in self._progress.values() if each.row is not None]
        lines: list[RenderableType] = [row_line(each.row, each, name_width=self._names) for each in running if each.row]
        if self._world is not None:
            lines.append(_services(service_lines(self._world)))
        return Group(*lines)


def _services(lines: Sequence[ServiceLine]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=max((len(line.name) for line in lines), default=0) + len(SERVICE_INDENT))
    table.add_column(justify="right")
    table.add_column()
    for line in lines:
        table.add_row(
            Text(f"{SERVICE_INDENT}{line.name}"), Text(f"{line.running}/{line.desired}", "dim"), _versions(line)
        )
    return table


def _versions(line: ServiceLine) -> Text:
    """``v2 ▰▰▰ → v3 ▰▱▱``: filled for a task that runs, empty for one that is still to come."""
    text = Text()
    last = len(line.versions) - 1
    for index, (tag, revision, running, desired) in enumerate(line.versions):
        is_new = index == last
        style = ("green" if line.state == "COMPLETED" else "cyan") if is_new else "dim"
        if index:
            text.append(" → ", "dim")
        text.append(f"{tag} ", f"bold {style}" if is_new else style)
        text.append(f":{revision} ", "dim")
        text.append("▰" * running + "▱" * max(0, desired - running), style)
    return text


def _history(result: ScenarioResult) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("UTC", "execution", "action", "tag", "outcome"):
        table.add_column(name)
    table.add_column("lasted", justify="right")
    for at, name, action, tag, outcome, lasted in history_rows(result.records):
        style = OUTCOME_STYLES.get(END_STATES.get(outcome, ""), "bold yellow").removeprefix("bold ")
        table.add_row(at, name, action, tag, Text(outcome, style), lasted)
    return table
