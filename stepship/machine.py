"""Step Functions as a caller sees it: start, find, read, stop and answer executions of one state machine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AwsUnavailable, StepshipError
from stepship.errors import CommandError, wrong_usage
from stepship.target import Target

RUNNING = "RUNNING"
RECENT, MOST = 20, 1000
"""Executions that a list of the newest ones has, and the most that a page may have (API Reference, ListExecutions)."""

PAGE = 100
"""Events of a page that carry the execution's state, some 20 KiB each."""

STATE_PAGES = 5
"""Pages of the newest events that a poll reads with the state: a deployment of a quarter of an hour, in one poll."""

MAX_CAUSE = 32_768
"""Characters of StopExecution's ``cause`` (Step Functions API Reference)."""


class _NameTaken(StepshipError):
    """An execution of that name ended before, or has another input; stays inside this module."""


class _NoMachine(StepshipError):
    """There is no such state machine; stays inside this module."""


class _NoExecution(StepshipError):
    """There is no such execution; stays inside this module."""


class _NotAnswerable(StepshipError):
    """The question is no longer open; stays inside this module."""


@dataclass(frozen=True)
class Listed:
    """An execution as ListExecutions shows it; ``started_at`` in unix seconds."""

    arn: str
    name: str
    status: str
    started_at: float


@dataclass(frozen=True)
class Description:
    """An execution as DescribeExecution shows it; times in unix seconds, ``ended_at`` None while it runs."""

    arn: str
    status: str
    started_at: float
    ended_at: float | None
    input: Mapping[str, Any]
    output: str | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def name(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition(":")[2]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status == RUNNING


class Caller(Gateway):
    """Whose credentials these are."""

    service: ClassVar[str] = "sts"

    @cached_property
    def arn(self) -> str:
        """ARN of the person or role."""
        return str(self.call("get_caller_identity")["Arn"])

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``."""
        return self.arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account's twelve digits."""
        return self.arn.split(":")[4]


class Machine(Gateway):
    """The state machine of an environment. Every method is one API call, or one a page.

    Parameters
    ----------
    target
        The environment.
    caller
        Tells the account, the first time that an ARN is needed.
    """

    service: ClassVar[str] = "stepfunctions"

    def __init__(self, target: Target, caller: Caller) -> None:
        self.target = target
        self.caller = caller

    @property
    def region(self) -> str:
        """The region of the client; AwsUnavailable when none is set."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 (as slow as boto3, which is loaded here too)

        try:
            return str(self.configured_client(self.service).meta.region_name)
        except BotoCoreError as error:
            raise AwsUnavailable(f"{self.service}: {error}") from error

    @property
    def caller_arn(self) -> str:
        """ARN of who calls; the region first, because STS answers without one and nothing else does."""
        return self.caller.arn if self.region else ""

    @cached_property
    def arn(self) -> str:
        """ARN of the state machine."""
        # The region first: STS answers without one, and the account alone names no machine.
        region = self.region
        return f"arn:{self.caller.partition}:states:{region}:{self.caller.account}:stateMachine:{self.target.machine}"

    def execution_arn(self, execution: str) -> str:
        """Return the ARN of an execution by its name; an ARN stays as it is.

        Raises
        ------
        CommandError
            The ARN is another machine's.
        """
        prefix = f"{self.arn.replace(':stateMachine:', ':execution:')}:"
        if not execution.startswith("arn:"):
            return prefix + execution
        if not execution.startswith(prefix):
            raise wrong_usage(f"{execution} is no execution of {self.target.machine}: correct --env, --app or the ARN")
        return execution

    def start(self, name: str, input_json: str) -> str | None:
        """Start an execution, or return the running one of this name and input; None when the name is taken.

        Raises
        ------
        CommandError
            There is no such state machine.
        """
        known = {"ExecutionAlreadyExists": _NameTaken, "StateMachineDoesNotExist": _NoMachine}
        try:
            answer = self.call("start_execution", known=known, stateMachineArn=self.arn, name=name, input=input_json)
        except _NameTaken:
            return None
        except _NoMachine:
            raise self._no_machine() from None
        return str(answer["executionArn"])

    def describe(self, arn: str) -> Description | None:
        """Describe an execution; None when Step Functions does not know it."""
        known = {"ExecutionDoesNotExist": _NoExecution, "InvalidArn": _NoExecution}
        try:
            answer = self.call("describe_execution", known=known, executionArn=arn)
        except _NoExecution:
            return None
        ended = answer.get("stopDate")
        return Description(
            arn=arn,
            status=str(answer["status"]),
            started_at=answer["startDate"].timestamp(),
            ended_at=ended.timestamp() if ended else None,
            input=parse_object(answer.get("input")),
            output=answer.get("output"),
            error=answer.get("error"),
            cause=answer.get("cause"),
        )

    def recent(self, status: str | None = None) -> tuple[Listed, ...]:
        """Return the newest executions, newest first; of those in one status all that a page takes.

        Raises
        ------
        CommandError
            There is no such state machine.
        """
        wanted = {"statusFilter": status} if status else {}
        try:
            answer = self.call(
                "list_executions",
                known={"StateMachineDoesNotExist": _NoMachine},
                stateMachineArn=self.arn,
                maxResults=MOST if status else RECENT,
                **wanted,
            )
        except _NoMachine:
            raise self._no_machine() from None
        found = (
            Listed(each["executionArn"], each["name"], each["status"], each["startDate"].timestamp())
            for each in answer["executions"]
        )
        return tuple(sorted(found, key=lambda each: (-each.started_at, each.name)))

    def events(self, arn: str, after: int) -> list[dict[str, Any]]:
        """Return the events with an id above ``after``, oldest first.

        Only the newest hundred carry the execution's state: each event has all of it, so the history of an hour
        would be tens of megabytes. A poll that finds nothing new reads one event without it.
        """
        last = self._events(arn, 1, with_state=False)["events"]
        missing = max((event["id"] for event in last), default=0) - after

        def oldest(read: Mapping[int, object]) -> float:
            return min(read, default=math.inf)  # a page may be empty and have a next one

        if missing <= 0:
            return []
        # All pages of one size: a token is good for that alone, and more may have happened since the call above.
        limit = min(missing, PAGE)
        page = self._events(arn, limit, with_state=True)
        found = {event["id"]: event for event in page["events"]}
        for _ in range(STATE_PAGES - 1):
            if not page.get("nextToken") or oldest(found) <= after + 1:
                break
            page = self._events(arn, limit, with_state=True, token=page["nextToken"])
            found.update({event["id"]: event for event in page["events"]})
        newest, following = max(found, default=0), ""
        while page.get("nextToken") and oldest(found) > after + 1:
            # A token belongs to the arguments that it was made for, so the older events are asked for from the top.
            page = self._events(arn, 10 * PAGE, with_state=False, token=following)
            for event in page["events"]:
                if event["id"] < newest:
                    found.setdefault(event["id"], event)
            following = page.get("nextToken", "")
        return [found[number] for number in sorted(found) if number > after]

    def stop(self, arn: str, error: str, cause: str) -> None:
        """Stop an execution; one that has ended stays as it is."""
        self.call("stop_execution", executionArn=arn, error=error, cause=cause[:MAX_CAUSE])

    def approve(self, token: str, answer: Mapping[str, Any]) -> bool:
        """Answer an open question with yes; False when it is no longer open."""
        return self._answer("send_task_success", taskToken=token, output=json.dumps(answer))

    def reject(self, token: str, answer: Mapping[str, Any]) -> bool:
        """Answer an open question with no; False when it is no longer open."""
        return self._answer("send_task_failure", taskToken=token, error="ApprovalRejected", cause=json.dumps(answer))

    def console_url(self, arn: str) -> str:
        """Return the address of an execution in the AWS console."""
        partition = arn.split(":")[1]
        host = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}.get(
            partition, "console.aws.amazon.com"
        )
        return f"https://{self.region}.{host}/states/home?region={self.region}#/v2/executions/details/{arn}"

    def _events(self, arn: str, limit: int, *, with_state: bool, token: str = "") -> dict[str, Any]:
        request: dict[str, Any] = {"nextToken": token} if token else {}
        return self.call(
            "get_execution_history",
            executionArn=arn,
            reverseOrder=True,
            maxResults=limit,
            includeExecutionData=with_state,
            **request,
        )

    def _answer(self, operation: str, **request: Any) -> bool:
        # The token itself was refused: the task has ended, or there never was one.
        known = dict.fromkeys(("TaskTimedOut", "TaskDoesNotExist", "InvalidToken"), _NotAnswerable)
        try:
            self.call(operation, known=known, **request)
        except _NotAnswerable:
            return False
        return True

    def _no_machine(self) -> CommandError:
        return CommandError(
            f"there is no state machine {self.target.machine} in account {self.caller.account}, {self.region}: deploy "
            "the infrastructure of this environment first, or correct --env, --app, AWS_REGION or the credentials"
        )


def parse_object(text: str | None) -> dict[str, Any]:
    """Return the object that a JSON text holds; an empty one for anything else, such as a state that was cut off."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
