"""What an observer of a simulated world is told: one event at a time, in order, with virtual times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EventKind(StrEnum):
    """What happened."""

    EXECUTION_STARTED = "execution started"
    STATE_ENTERED = "state entered"
    STATE_EXITED = "state exited"
    EXECUTION_ENDED = "execution ended"
    LAMBDA_INVOKED = "lambda invoked"
    LAMBDA_RETURNED = "lambda returned"
    LAMBDA_FAILED = "lambda failed"
    AWS_CALL = "aws call"


@dataclass(frozen=True)
class Event:
    """One thing that happened in a simulated world.

    Attributes
    ----------
    at
        Virtual time, unix seconds.
    kind
        What happened.
    execution
        Name of the execution that it belongs to; empty for a function that something else invoked.
    state
        Name of the state that it belongs to; empty outside a state.
    function
        Name of the Lambda function, for Lambda and AWS events.
    status
        Of an execution event: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
    error
        Error name of a failed execution, function or call.
    cause
        Cause of a failed execution, message of a failed function or call.
    detail
        For an execution event the ``detail`` of the EventBridge event *Step Functions Execution Status Change*;
        for a state ``{"input"}`` or ``{"output"}`` (JSON text); for a Lambda ``{"payload"}``; for an AWS call
        ``{"service", "operation", "attempts", "faults"}``.
    """

    at: float
    kind: EventKind
    execution: str = ""
    state: str = ""
    function: str = ""
    status: str = ""
    error: str | None = None
    cause: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


Observer = Callable[[Event], None]
"""Called in the thread in which it happened, which holds the baton of the clock: it may stop executions, start
others and make AWS calls (they are not recorded as the handler's), and must not wait."""
