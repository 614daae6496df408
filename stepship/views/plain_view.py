"""A scenario as lines of text, one after the other: for CI logs, pipes and files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from simulator.engine.runs import Run
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.scenario.play import Scenario, ScenarioResult, Step
from statemachine.events import Event, EventKind
from stepship.views.durations import clock
from stepship.views.plain_lines import explanation, row_line
from stepship.views.progress import Progress
from stepship.views.summary import about, history_rows, service_lines, totals, why


class PlainView:
    """Writes a scenario while it runs; times are minutes and seconds of virtual time since the execution's start.

    Parameters
    ----------
    write
        Takes one line.
    """

    def __init__(self, write: Callable[[str], object] = print) -> None:
        self._write = write
        self._began_at = time.monotonic()
        self._progress: dict[str, Progress] = {}
        self._world: SimulatedEnvironment | None = None
        self._number, self._steps = 0, 0

    def begin(self, scenario: Scenario, simulated: SimulatedEnvironment) -> None:
        """Take note of the world."""
        self._world, self._steps = simulated, len(scenario.steps)

    def phase(self, steps: Sequence[Step]) -> None:
        """Say what begins."""
        self._write("")
        for step in steps:
            self._number += 1
            self._write(f"{self._number}/{self._steps} {step.name}: {about(step)}")

    def event(self, event: Event) -> None:
        """Write what has ended."""
        if event.kind == EventKind.AWS_CALL or not event.execution:
            return
        progress = self._progress.setdefault(event.execution, Progress(event.execution))
        closed = progress.on(event)
        if closed is not None:
            self._write(row_line(closed, progress))
        if event.kind == EventKind.EXECUTION_ENDED:
            self._write(f"  {clock(progress.seconds)} {progress.name}: {progress.outcome} ({progress.status})")

    def rest(self, runs: Sequence[Run]) -> None:
        """Write the services as they are, and explain what failed."""
        if self._world is None:
            return
        for line in service_lines(self._world):
            tags = " -> ".join(f"{tag} (revision {revision})" for tag, revision, _, _ in line.versions)
            self._write(f"  {line.name}: {line.running} of {line.desired} tasks run, {tags}, {line.state}")
        records = self._world.records()
        for run in runs:
            found = why(run, runs, records)
            if found:
                title, report = found
                self._write(f"  {title}")
                for text in explanation(report):
                    self._write(text)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def summary(self, result: ScenarioResult) -> None:
        """Write the history, and the world compared with the invariant."""
        self._write("")
        self._write("At rest: the world compared with the invariant")
        for point in result.examination.points:
            self._write(f"  {'ok    ' if point.holds else 'FAILED'} {point.title}: {point.evidence}")
            for violation in point.violations:
                self._write(f"         {violation}")
        for sentence in result.examination.person_needed:
            self._write(f"  ACTION NEEDED {sentence}")
        self._write("")
        self._write("History")
        for row in history_rows(result.records):
            self._write("  " + "  ".join(cell for cell in row if cell))
        for mismatch in result.mismatches:
            self._write(f"NOT AS EXPECTED {mismatch}")
        self._write("")
        calls = sum(sum(each["apiCalls"].values()) for each in result.document["deployments"])
        spent = time.monotonic() - self._began_at
        self._write(totals(len(result.runs), calls, result.document["virtualSeconds"], spent))
