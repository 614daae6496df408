"""The question for approval: whether it is open, what it is about, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepship.executions.follow import APPROVAL
from stepship.machine import Machine, parse_object


@dataclass(frozen=True)
class Question:
    """What an approval is asked for.

    Attributes
    ----------
    since, until
        Unix seconds.
    services
        Those that would move, in order.
    """

    execution: str
    release: str | None
    image_tag: str | None
    requested_by: str | None
    reason: str | None
    since: float
    until: float
    services: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the execution."""
        return self.execution.rpartition(":")[2]


def open_question(machine: Machine, execution: str) -> Question | None:
    """Return the question that an execution waits with; None when it does not wait for an approval."""
    entered = [each for each in machine.events(execution, 0) if "stateEnteredEventDetails" in each]
    if not entered or entered[-1]["stateEnteredEventDetails"]["name"] != APPROVAL:
        return None
    last = entered[-1]
    state = parse_object(last["stateEnteredEventDetails"].get("input"))
    plan: dict[str, Any] = state.get("plan") or {}
    request: dict[str, Any] = state.get("request") or {}
    since = last["timestamp"].timestamp()
    return Question(
        execution=execution,
        release=plan.get("releaseId"),
        image_tag=plan.get("imageTag"),
        requested_by=request.get("requestedBy"),
        reason=request.get("reason"),
        since=since,
        until=since + float((plan.get("approval") or {}).get("timeoutSeconds", 0)),
        services=tuple(name for wave in plan.get("waves") or () for name in wave),
    )
