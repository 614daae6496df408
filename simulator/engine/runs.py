"""One execution of a state machine, seen from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

NOT_STARTED = "NOT_STARTED"
RUNNING = "RUNNING"
REDRIVABLE = ("FAILED", "ABORTED", "TIMED_OUT")
REDRIVE_SECONDS = 14 * 24 * 3600.0
"""How long after its end an execution can be redriven (Developer Guide, "Redriving state machine executions")."""


@dataclass
class Consistency:
    """What Step Functions promises nothing about. Virtual seconds; DescribeExecution "is eventually consistent".

    Attributes
    ----------
    unknown_seconds
        So long after its start DescribeExecution does not know an execution.
    stale_seconds
        So long after its end it shows an execution as RUNNING, and so long after a redrive as ended.
    redrive_renews_start
        Whether ``$$.Execution.StartTime`` of a redriven execution is the moment of its redrive.
    """

    unknown_seconds: float = 1.0
    stale_seconds: float = 0.0
    redrive_renews_start: bool = False


class NotRedrivableError(RuntimeError):
    """RedriveExecution would answer ExecutionNotRedrivable."""


@dataclass
class StateVisit:
    """One stay of an execution in a state.

    Attributes
    ----------
    state
        Name of the state.
    entered_at, exited_at
        Virtual times, unix seconds. ``exited_at`` is None while it lasts, and stays None for a Fail state (as in
        AWS's history) and for the state in which an execution was stopped.
    """

    state: str
    entered_at: float
    exited_at: float | None = None


@dataclass(frozen=True)
class StopAt:
    """Stop the execution the ``nth`` time that it enters or leaves ``state``, before anything else happens."""

    state: str
    when: Literal["entered", "exited"] = "entered"
    nth: int = 1
    error: str | None = None
    cause: str | None = None


@dataclass
class Run:
    """One execution. Made by :meth:`simulator.engine.machine.SimulatedAws.start`, or by whatever calls StartExecution.

    Attributes
    ----------
    name, arn, machine_arn
        As AWS names them.
    input_json
        The execution input, as the JSON text that StartExecution got.
    status
        ``NOT_STARTED``, then as on AWS: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
    started_at, ended_at
        Virtual times, unix seconds.
    output
        The output of a succeeded execution, parsed.
    error, cause
        Of one that failed or was stopped.
    states
        Where it has been, in order.
    redrive_count, redriven_at
        How often it was redriven, and when for the last time (virtual, unix seconds).
    earlier
        What it was like at each of its ends before the last redrive, the first end first.
    resumes_at
        The state that it entered last, and that state's input as JSON: a redrive begins there.
    """

    name: str
    arn: str
    machine_arn: str
    input_json: str
    status: str = NOT_STARTED
    started_at: float | None = None
    ended_at: float | None = None
    output: Any = None
    error: str | None = None
    cause: str | None = None
    states: list[StateVisit] = field(default_factory=list)
    redrive_count: int = 0
    redriven_at: float | None = None
    earlier: list[Run] = field(default_factory=list, repr=False)
    resumes_at: tuple[str, str] | None = field(default=None, repr=False)
    _stops: list[StopAt] = field(default_factory=list)
    _stop: Callable[[Run, str | None, str | None, bool], None] | None = field(default=None, repr=False)
    _redrive: Callable[[Run], None] | None = field(default=None, repr=False)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def ended(self) -> bool:
        """Whether it has a final status."""
        return self.status not in (NOT_STARTED, RUNNING)

    @property
    def state(self) -> str:
        """Name of the state that it entered last; empty before the first."""
        return self.states[-1].state if self.states else ""

    @property
    def path(self) -> list[str]:
        """The names of the states that it entered, in order."""
        return [visit.state for visit in self.states]

    def stop(self, error: str | None = None, cause: str | None = None, *, lambda_finishes: bool = True) -> None:
        """Stop it as StopExecution does: ABORTED from now on, and not one state further. No effect once it ended.

        Parameters
        ----------
        error, cause
            Shown in the execution's description and event.
        lambda_finishes
            A function that it has invoked goes on to its end, as on AWS. False cuts it off at its next AWS call.
        """
        if self._stop is None or self.ended:
            return
        self._stop(self, error, cause, lambda_finishes)

    def redrive(self) -> None:
        """Run it again as RedriveExecution does: the same name, input and definition, from the state in which it ended.

        That state runs again with the input that it had. Retries and the execution's timeout begin anew. One that was
        stopped between two states repeats the first of them.

        Raises
        ------
        NotRedrivableError
            It has not ended, has succeeded, or ended more than 14 days ago.
        """
        if self._redrive is None or self.status not in REDRIVABLE:
            raise NotRedrivableError(f"{self.name} is {self.status}")
        self._redrive(self)

    def as_it_ended(self) -> Run:
        """Return a copy that a redrive does not change."""
        return replace(self, states=[replace(visit) for visit in self.states], earlier=list(self.earlier))

    def stop_at(self, stop: StopAt) -> None:
        """Stop it when it gets there. Visits are counted from the beginning of the execution."""
        self._stops.append(stop)

    def enter(self, state: str, at: float) -> None:
        """Take note that it entered a state."""
        self.states.append(StateVisit(state, at))

    def exit(self, at: float) -> None:
        """Take note that it left its state."""
        self.states[-1].exited_at = at

    def due_stop(self, when: Literal["entered", "exited"]) -> StopAt | None:
        """Return the stop that is due at the state change that just happened."""
        for stop in self._stops:
            if stop.state != self.state or stop.when != when:
                continue
            visits = [visit for visit in self.states if visit.state == stop.state]
            if len(visits) == stop.nth:
                return stop
        return None

    def status_change(self) -> dict[str, object]:
        """Return the ``detail`` of the EventBridge event *Step Functions Execution Status Change* for its status.

        Times are milliseconds since 1970. See
        https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
        """
        output = json.dumps(self.output) if self.status == "SUCCEEDED" else None
        return {
            "executionArn": self.arn,
            "stateMachineArn": self.machine_arn,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "name": self.name,
            "status": self.status,
            "startDate": _milliseconds(self.started_at),
            "stopDate": _milliseconds(self.ended_at),
            "input": self.input_json,
            "inputDetails": {"included": True},
            "output": output,
            "outputDetails": None if output is None else {"included": True},
            "error": self.error,
            "cause": self.cause,
            "redriveCount": self.redrive_count,
            "redriveDate": _milliseconds(self.redriven_at),
            "redriveStatus": "REDRIVABLE" if self.status in REDRIVABLE else "NOT_REDRIVABLE",
            "redriveStatusReason": None if self.status in REDRIVABLE else f"Execution is {self.status}",
        }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
