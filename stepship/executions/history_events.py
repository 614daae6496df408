"""From the events of GetExecutionHistory to the events that the views show: simulated and real runs look the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.events import Event, EventKind

ENDS = {
    "ExecutionSucceeded": ("SUCCEEDED", "executionSucceededEventDetails"),
    "ExecutionFailed": ("FAILED", "executionFailedEventDetails"),
    "ExecutionAborted": ("ABORTED", "executionAbortedEventDetails"),
    "ExecutionTimedOut": ("TIMED_OUT", "executionTimedOutEventDetails"),
}
FAILURES = {
    "LambdaFunctionFailed": "lambdaFunctionFailedEventDetails",
    "LambdaFunctionTimedOut": "lambdaFunctionTimedOutEventDetails",
    "LambdaFunctionScheduleFailed": "lambdaFunctionScheduleFailedEventDetails",
    "TaskFailed": "taskFailedEventDetails",
    "TaskTimedOut": "taskTimedOutEventDetails",
    "TaskSubmitFailed": "taskSubmitFailedEventDetails",
}
SUCCESSES = ("LambdaFunctionSucceeded", "TaskSucceeded")


def to_event(execution: str, event: Mapping[str, Any]) -> Event | None:
    """Translate one event; None for one that no view shows.

    Parameters
    ----------
    execution
        Name of the execution.
    event
        As GetExecutionHistory gives it.
    """
    kind, at = str(event["type"]), event["timestamp"].timestamp()
    if kind == "ExecutionStarted":
        return Event(at, EventKind.EXECUTION_STARTED, execution, status="RUNNING")
    if kind.endswith("StateEntered"):
        details = event["stateEnteredEventDetails"]
        return Event(
            at, EventKind.STATE_ENTERED, execution, details["name"], detail={"input": details.get("input", "")}
        )
    if kind.endswith("StateExited"):
        details = event["stateExitedEventDetails"]
        return Event(
            at, EventKind.STATE_EXITED, execution, details["name"], detail={"output": details.get("output", "")}
        )
    if kind in SUCCESSES:
        return Event(at, EventKind.LAMBDA_RETURNED, execution)
    if kind in FAILURES:
        details = event.get(FAILURES[kind]) or {}
        return Event(
            at, EventKind.LAMBDA_FAILED, execution, error=details.get("error", kind), cause=details.get("cause", "")
        )
    if kind in ENDS:
        status, key = ENDS[kind]
        details = event.get(key) or {}
        return Event(
            at,
            EventKind.EXECUTION_ENDED,
            execution,
            status=status,
            error=details.get("error"),
            cause=details.get("cause"),
        )
    return None
