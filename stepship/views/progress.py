"""What an execution has done so far, as rows of a tree: what the live view and the plain view both show.

A poll loop is one row (``Check rollout x4``), a decision is none, and the checks of a wave stand below their wave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lambdas.release.approval import rejection_message
from lambdas.release.codec import read_object
from lambdas.release.errors import AlreadyRecorded
from lambdas.release.history import Outcome
from lambdas.release.verdicts import is_failure
from statemachine.events import Event, EventKind
from statemachine.steps import STEPS

LOOPS = {
    "Wait for lock": "Acquire lock",
    "Wait for migration": "Run migration",
    "Wait for rollout": "Check rollout",
    "Bake": "Check health",
    "Wait for rollback": "Check rollback",
}
"""A wait, and the step whose loop it is part of."""

KEYS = {step.state: step.key for step in STEPS}
"""Each step, and where the execution's state keeps its result."""

BELOW = {"Check rollout": "Deploy wave", "Check rollback": "Roll back"}

END_STATES: Mapping[str, str] = {
    Outcome.DEPLOYED: "succeeded",
    Outcome.NOTHING_TO_DO: "succeeded",
    Outcome.PLANNED: "succeeded",
    Outcome.SUPERSEDED: "superseded",
    Outcome.REJECTED: "failed",
    Outcome.ROLLED_BACK: "failed",
    Outcome.ROLLBACK_FAILED: "failed",
}


class Mark(StrEnum):
    """How a row stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class Row:
    """A state, or a loop of states; times are virtual, unix seconds.

    Attributes
    ----------
    step
        The state that does the work.
    states
        The states that were entered, each once.
    visits
        How often the step ran.
    depth
        0, or 1 for a check that stands below its wave.
    """

    step: str
    started_at: float
    states: list[str] = field(default_factory=list)
    visits: int = 0
    ended_at: float | None = None
    mark: Mark = Mark.RUNNING
    note: str = ""
    depth: int = 0

    @property
    def title(self) -> str:
        """The step, and how often it ran if it is a loop: ``Check rollout x4``."""
        name = "Bake ⇄ Check health" if "Bake" in self.states else self.step
        return f"{name} \N{MULTIPLICATION SIGN}{self.visits}" if self.visits > 1 else name

    def seconds(self, now: float) -> float:
        """How long it has lasted."""
        return (self.ended_at if self.ended_at is not None else now) - self.started_at


@dataclass
class Progress:
    """One execution.

    Attributes
    ----------
    outcome
        Name of the end state, ``Stopped`` when it was stopped; empty while it runs.
    row
        The row that has not ended yet.
    state
        The execution's state, as the last step left it that has been seen.
    entered
        The state that it entered last, decisions left out.
    """

    name: str
    started_at: float = 0.0
    now: float = 0.0
    status: str = ""
    outcome: str = ""
    rows: list[Row] = field(default_factory=list)
    row: Row | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    entered: str = ""
    _error: str = ""

    @property
    def seconds(self) -> float:
        """How long it has lasted, in virtual time."""
        return self.now - self.started_at

    def on(self, event: Event) -> Row | None:
        """Take note of an event; returns the row that has just ended, if one has."""
        self.now = event.at
        match event.kind:
            case EventKind.EXECUTION_STARTED:
                self.started_at, self.status = event.at, "RUNNING"
            case EventKind.STATE_ENTERED:
                return self._enter(event.state, event.at)
            case EventKind.STATE_EXITED:
                self._exit(event)
            case EventKind.LAMBDA_FAILED:
                self._error = error_note(event.error, event.cause)
            case EventKind.LAMBDA_RETURNED:
                self._error = ""
            case EventKind.EXECUTION_ENDED:
                return self._end(event)
            case _:
                pass
        return None

    def _enter(self, state: str, at: float) -> Row | None:
        if state.endswith("?"):
            return None
        self.entered = state
        if state in END_STATES:
            self.outcome = state
            return self._close(at)
        step = LOOPS.get(state, state)
        if state == "Roll back" and self.row is not None and self.row.step not in ("Roll back", "Check rollback"):
            # Only a step that failed leads here, also one whose result was not read.
            self.row.mark = Mark.FAILED
        closed = None
        if self.row is None or self.row.step != step:
            closed = self._close(at)
            above = self.rows[-1].step if self.rows else ""
            self.row = Row(step, at, depth=int(BELOW.get(step) == above))
            self.rows.append(self.row)
        if state not in self.row.states:
            self.row.states.append(state)
        if state == step:
            self.row.visits += 1
        return closed

    def _exit(self, event: Event) -> None:
        row = self.row
        if row is None or event.state != row.step:
            return
        row.ended_at = event.at
        if self._error:
            row.mark, row.note = Mark.FAILED, self._error
            self._error = ""
            return
        output = _parse(str(event.detail.get("output") or "{}"))
        if not output:
            # What an earlier visit said is no longer true.
            row.note = ""
            return
        self.state = output
        result = _result(event.state, output)
        row.note = _note(result)
        row.mark = Mark.FAILED if is_failure(KEYS.get(event.state, ""), result.get("status")) else Mark.RUNNING

    def _close(self, at: float) -> Row | None:
        row, self.row = self.row, None
        if row is None:
            return None
        row.ended_at = at if row.ended_at is None else row.ended_at
        row.mark = Mark.DONE if row.mark is Mark.RUNNING else row.mark
        return row

    def _end(self, event: Event) -> Row | None:
        self.status = event.status
        if self.outcome:
            return None
        self.outcome = "Stopped"
        if self.row is not None:
            self.row.mark = Mark.STOPPED
        return self._close(event.at)


def _result(state: str, output: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a step added to the execution's state; nothing for a state that is no step."""
    if state not in KEYS:
        return {}
    result = output.get(KEYS[state]) if KEYS[state] else output
    return result if isinstance(result, Mapping) else {}


def _note(result: Mapping[str, Any]) -> str:
    """Return the sentence that a step left; why an execution failed stands at the step that failed."""
    if result.get("errorType") in (None, AlreadyRecorded.__name__):
        return str(result.get("message") or "")
    return f"recorded as {result.get('outcome')}"


def error_note(error: str | None, cause: str | None) -> str:
    """Say why a function failed: the exception's class and its message, or who rejected the approval."""
    said = read_object(cause)
    if "errorMessage" not in said:
        return f"{error}: {rejection_message(cause or '')}"
    message = str(said["errorMessage"])
    return f"{error}: {message.partition(': ')[2] or message}"


def _parse(text: str) -> dict[str, Any]:
    """Read a state's output; AWS cuts off what is too long for its history."""
    try:
        output = json.loads(text)
    except ValueError:
        return {}
    return output if isinstance(output, dict) else {}
