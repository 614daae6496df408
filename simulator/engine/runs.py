"""One execution of a state machine, seen from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

NOT_STARTED = "NOT_STARTED"
RUNNING = "RUNNING"


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
    _stops: list[StopAt] = field(default_factory=list)
    _stop: Callable[[Run, str | None, str | None, bool], None] | None = field(default=None, repr=False)

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
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "the simulator cannot redrive",
        }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
