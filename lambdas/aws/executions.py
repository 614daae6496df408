"""Step Functions: does an execution still run, and what was it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import ApprovalRejected, StepshipError


class _NoExecution(StepshipError):
    """There is no such execution (any more); stays inside this module."""


class _NotOpen(StepshipError):
    """The question was answered, or its time is over; stays inside this module."""


@dataclass(frozen=True)
class ExecutionFacts:
    """An execution as DescribeExecution shows it; times in unix seconds, ``ended_at`` None while it runs.

    ``error`` and ``cause`` are those of one that failed.
    """

    status: str
    started_at: float
    ended_at: float | None
    request: dict[str, Any]
    error: str = ""
    cause: str = ""


class Executions(Gateway):
    """Executions by ARN."""

    service: ClassVar[str] = "stepfunctions"

    def describe(self, arn: str) -> ExecutionFacts | None:
        """Describe an execution; None when Step Functions does not know it."""
        known = {"ExecutionDoesNotExist": _NoExecution, "InvalidArn": _NoExecution}
        try:
            answer = self.call("describe_execution", known=known, executionArn=arn)
        except _NoExecution:
            return None
        try:
            request = json.loads(answer.get("input") or "{}")
        except (ValueError, RecursionError):
            request = {}
        ended = answer.get("stopDate")
        return ExecutionFacts(
            status=answer["status"],
            started_at=answer["startDate"].timestamp(),
            ended_at=ended.timestamp() if ended else None,
            request=request if isinstance(request, dict) else {},
            error=answer.get("error") or "",
            cause=answer.get("cause") or "",
        )

    def refuse(self, task_token: str, who: str, reason: str) -> bool:
        """Answer an open question for approval with no; False when it is not open any more."""
        known = {"TaskTimedOut": _NotOpen, "TaskDoesNotExist": _NotOpen, "InvalidToken": _NotOpen}
        cause = json.dumps({"rejectedBy": who, "reason": reason})
        try:
            self.call(
                "send_task_failure", known=known, taskToken=task_token, error=ApprovalRejected.__name__, cause=cause
            )
        except _NotOpen:
            return False
        return True

    def is_running(self, arn: str) -> bool:
        """Whether the execution may still take a step; PENDING_REDRIVE may not by itself."""
        facts = self.describe(arn)
        return facts is not None and facts.status == "RUNNING"
