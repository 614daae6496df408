"""Step Functions: does an execution still run, and what was it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import ApprovalRejected, StepshipError


class _NoExecution(StepshipError):
    """There is no such execution (any more); stays inside this module."""


class _NameTaken(StepshipError):
    """An execution of this name has ended, or has another input; stays inside this module."""


class _NotOpen(StepshipError):
    """The question was answered, or its time is over; stays inside this module."""


@dataclass(frozen=True)
class ExecutionFacts:
    """An execution as DescribeExecution shows it; times in unix seconds, ``ended_at`` None while it runs.

    ``error`` and ``cause`` are those of one that failed, ``redrives`` says how often it was redriven.
    """

    status: str
    started_at: float
    ended_at: float | None
    request: dict[str, Any]
    error: str = ""
    cause: str = ""
    redrives: int = 0

    def was_redriven(self, entered_at: float) -> bool:
        """Whether it had ended before it entered a state (unix seconds); a redrive itself cannot be seen at once.

        A function that Lambda runs once more, late, is of a state that was entered before the end.
        """
        return self.redrives > 0 or (self.ended_at is not None and self.ended_at < entered_at)


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
            redrives=answer.get("redriveCount") or 0,
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
        """Whether Step Functions shows an execution as running; one that began a moment ago it may not know yet."""
        facts = self.describe(arn)
        return facts is not None and facts.status == "RUNNING"

    def start(self, machine: str, name: str, request: Mapping[str, Any]) -> bool:
        """Start an execution of a machine (its ARN); one of this name and input that runs already is as good.

        Returns
        -------
        bool
            False when an execution of this name has ended.
        """
        text = json.dumps(request, sort_keys=True)
        try:
            known = {"ExecutionAlreadyExists": _NameTaken}
            self.call("start_execution", known=known, stateMachineArn=machine, name=name, input=text)
        except _NameTaken:
            return False
        return True


def machine_of(execution: str) -> str:
    """Return the ARN of the state machine of an execution (its ARN)."""
    return execution.rpartition(":")[0].replace(":execution:", ":stateMachine:")
