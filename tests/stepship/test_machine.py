"""The client's pages, addresses and errors, with answers of AWS that the simulation does not give."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from lambdas.aws.gateway import Answer, KnownErrors, translate
from lambdas.release.errors import AwsUnavailable, StepshipError
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine.events import EventKind
from stepship.errors import CommandError, aws_error, iam_action
from stepship.executions.history_events import to_event
from stepship.machine import Caller, Machine
from stepship.target import Target
from tests.stepship.conftest import Desk, Refuse

TARGET = Target("shop", "dev")


class History(Machine):
    """A machine with a history of so many events."""

    def __init__(self, count: int) -> None:
        super().__init__(TARGET, Caller())
        self.count = count
        self.asked: list[tuple[int, bool]] = []

    def call(self, operation: str, *, known: KnownErrors | None = None, **request: Any) -> Answer:
        assert not known
        assert operation == "get_execution_history"
        assert request["reverseOrder"]
        first, limit = int(request.get("nextToken", 0)), request["maxResults"]
        self.asked.append((limit, request["includeExecutionData"]))
        ids = list(range(self.count, 0, -1))[first : first + limit]
        page: dict[str, Any] = {"events": [{"id": each, "state": request["includeExecutionData"]} for each in ids]}
        more = {"nextToken": str(first + limit)} if first + limit < self.count else {}
        return Answer(page | more, operation)


@pytest.mark.parametrize(
    ("count", "after", "asked"),
    [
        (0, 0, [(1, False)]),
        (7, 7, [(1, False)]),
        (7, 0, [(1, False), (7, True)]),
        (1000, 990, [(1, False), (10, True)]),
        (100, 0, [(1, False), (100, True)]),
        (450, 0, [(1, False), *[(100, True)] * 5]),
        (2100, 0, [(1, False), *[(100, True)] * 5, *[(1000, False)] * 3]),
        (2100, 1500, [(1, False), *[(100, True)] * 5, (1000, False)]),
    ],
)
def test_only_new_events_are_read_and_only_the_newest_with_their_state(
    count: int, after: int, asked: list[tuple[int, bool]]
) -> None:
    machine = History(count)
    events = machine.events("arn", after)
    assert [each["id"] for each in events] == list(range(after + 1, count + 1))
    assert [each["id"] for each in events if each["state"]] == list(range(max(after, count - 500) + 1, count + 1))
    assert machine.asked == asked


class Growing(History):
    """Two events come with every look, and a page's token is good for a page of the same size alone."""

    def call(self, operation: str, *, known: KnownErrors | None = None, **request: Any) -> Answer:
        if "nextToken" in request:
            first, limit = request["nextToken"].split("/")
            assert request["maxResults"] == int(limit), "InvalidToken: Invalid pagination token"
            request["nextToken"] = first
        answer = super().call(operation, known=known, **request)
        self.count += 2
        if "nextToken" in answer:
            answer["nextToken"] = f"{int(answer['nextToken']) + 2}/{request['maxResults']}"
        return answer


def test_events_that_come_between_two_looks_do_not_break_the_pages() -> None:
    events = Growing(7).events("arn", 0)
    assert [each["id"] for each in events] == list(range(1, 10))


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (
            {"type": "LambdaFunctionTimedOut", "lambdaFunctionTimedOutEventDetails": {"error": "x"}},
            EventKind.LAMBDA_FAILED,
        ),
        ({"type": "TaskFailed", "taskFailedEventDetails": {"error": "x"}}, EventKind.LAMBDA_FAILED),
        ({"type": "ExecutionAborted"}, EventKind.EXECUTION_ENDED),
        ({"type": "ExecutionTimedOut"}, EventKind.EXECUTION_ENDED),
        ({"type": "TaskSucceeded"}, EventKind.LAMBDA_RETURNED),
        ({"type": "WaitStateEntered", "stateEnteredEventDetails": {"name": "Bake"}}, EventKind.STATE_ENTERED),
        ({"type": "LambdaFunctionScheduled"}, None),
    ],
)
def test_events_of_aws_become_those_of_the_views(event: dict[str, Any], kind: EventKind | None) -> None:
    found = to_event("e", {"id": 1, "timestamp": datetime.now(UTC), **event})
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    ("partition", "host"),
    [
        ("aws", "console.aws.amazon.com"),
        ("aws-cn", "console.amazonaws.cn"),
        ("aws-us-gov", "console.amazonaws-us-gov.com"),
    ],
)
def test_the_console_of_a_partition(simulated: SimulatedEnvironment, partition: str, host: str) -> None:
    arn = f"arn:{partition}:states:us-east-1:1:execution:m:e"
    address = f"https://us-east-1.{host}/states/home?region=us-east-1#/v2/executions/details/{arn}"
    assert Machine(TARGET, Caller()).console_url(arn) == address


def raised(cause: BotoCoreError) -> StepshipError:
    error = AwsUnavailable(f"sts:get_caller_identity: {cause}")
    error.__cause__ = cause
    return error


def refused(code: str, message: str = "said") -> StepshipError:
    response = {"Error": {"Code": code, "Message": message}}
    error = translate("stepfunctions:start_execution", response, {})
    error.__cause__ = ClientError(response, "StartExecution")
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (raised(NoRegionError()), "no AWS region: set AWS_REGION"),
        (raised(NoCredentialsError()), "no AWS credentials: set AWS_PROFILE"),
        (raised(ProfileNotFound(profile="x")), "(x) could not be found: correct AWS_PROFILE"),
        (
            raised(EndpointConnectionError(endpoint_url="http://h")),
            "check the network, AWS_REGION and AWS_ENDPOINT_URL",
        ),
        (refused("ExpiredTokenException"), "the AWS credentials have expired: renew them"),
        (refused("UnrecognizedClientException"), "AWS does not accept the credentials"),
        (refused("AccessDeniedException", "User: me"), "these credentials lack states:StartExecution: User: me"),
        (refused("ValidationException", "odd"), "stepfunctions:start_execution: ValidationException: odd"),
    ],
)
def test_what_aws_refuses_is_one_line_that_says_what_to_do(error: StepshipError, text: str) -> None:
    found = aws_error(error)
    assert text in str(found)
    assert found.exit_code == 1


def test_iam_names_an_action_in_its_own_way() -> None:
    assert iam_action("dynamodb:get_item") == "dynamodb:GetItem"
    assert iam_action("stepfunctions:list_executions") == "states:ListExecutions"


def test_a_machine_that_is_not_there_is_said_with_account_and_region(
    simulated: SimulatedEnvironment, stepship: Desk
) -> None:
    typed = stepship.type("deploy", "v1", "--env", "dev", "--app", "shop")
    assert typed.exit_code == 1
    there = "there is no state machine shop-dev-deploy in account 123456789012, us-east-1: deploy the infrastructure"
    assert typed.stderr.startswith(f"stepship: {there}")
    assert stepship.type("watch", "--env", "dev", "--app", "shop").exit_code == 1


def test_a_missing_permission_is_named(simulated: SimulatedEnvironment, stepship: Desk, refuse: Refuse) -> None:
    refuse("stepfunctions", "StartExecution", "AccessDeniedException", "User: me is not authorized")
    typed = stepship("deploy", "v1")
    assert typed.stderr == "stepship: these credentials lack states:StartExecution: User: me is not authorized\n"
    assert typed.exit_code == 1


def test_an_arn_of_another_machine_is_refused(simulated: SimulatedEnvironment) -> None:
    with pytest.raises(CommandError, match="is no execution of shop-dev-deploy"):
        Machine(TARGET, Caller()).execution_arn("arn:aws:states:us-east-1:123456789012:execution:other:e")
