from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from hypothesis import given
from hypothesis import strategies as st

from lambdas.aws.cloudwatch import Alarms
from lambdas.aws.ecr import ImageRegistry
from lambdas.aws.ecs import ContainerService
from lambdas.aws.events import EventBus
from lambdas.aws.executions import Executions
from lambdas.aws.gateway import (
    ATTEMPTS,
    DENIED,
    PAUSE_SECONDS,
    SECONDS_FOR_A_CALL,
    THROTTLING,
    Gateway,
    TimeLimit,
    batches,
    translate,
    within,
)
from lambdas.aws.iam import Roles
from lambdas.aws.logs import ContainerLogs
from lambdas.aws.releases_table import ReleasesTable
from lambdas.aws.secrets import Secrets
from lambdas.aws.ssm import ParameterStore
from lambdas.release.errors import (
    AccessDenied,
    AwsError,
    AwsUnavailable,
    ImageNotFound,
    StepshipError,
    Throttled,
    leaves,
)
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

GATEWAYS: dict[str, tuple[Gateway, str, dict[str, Any]]] = {
    "cloudwatch": (Alarms(), "describe_alarms", {}),
    "dynamodb": (ReleasesTable("t"), "list_tables", {}),
    "ecr": (ImageRegistry(), "describe_repositories", {}),
    "ecs": (ContainerService(), "list_clusters", {}),
    "events": (EventBus(), "list_rules", {}),
    "iam": (Roles(), "list_roles", {}),
    "logs": (ContainerLogs(), "describe_log_groups", {}),
    "secretsmanager": (Secrets(), "list_secrets", {}),
    "ssm": (ParameterStore(), "describe_parameters", {}),
    "stepfunctions": (Executions(), "list_state_machines", {}),
}


class Broken(Gateway):
    """A gateway whose client raises what it is told."""

    service = "ecs"

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def client(self) -> Any:
        return self

    def describe_services(self, **_: object) -> None:
        raise self.error


def response(code: str, status: int = 400, message: str = "m") -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        *[(code, 400, "Throttled") for code in sorted(THROTTLING)],
        *[(code, 403, "AccessDenied") for code in sorted(DENIED)],
        ("RequestLimitExceeded", 503, "Throttled"),
        ("InternalServerError", 500, "AwsUnavailable"),
        ("ServiceUnavailable", 503, "AwsUnavailable"),
        ("SomethingNew", 599, "AwsUnavailable"),
        ("ValidationException", 400, "AwsError"),
        ("SomethingNew", 400, "AwsError"),
        ("", 0, "AwsError"),
    ],
)
def test_an_error_code_has_one_meaning(code: str, status: int, expected: str) -> None:
    assert type(translate("ecs:update_service", response(code, status), {})).__name__ == expected


def test_what_a_call_knows_outweighs_the_general_meaning() -> None:
    error = translate("ecr:describe_images", response("AccessDenied", 503), {"AccessDenied": ImageNotFound})
    assert type(error) is ImageNotFound


def test_the_message_names_the_call_and_says_what_aws_said() -> None:
    error = translate("ecs:update_service", response("X", message="no such thing"), {})
    assert str(error) == "ecs:update_service: X: no such thing"


def test_a_denied_call_says_where_it_is_granted() -> None:
    assert "statemachine/permissions.py" in str(translate("ecs:x", response("AccessDenied", 403), {}))


LEAVES = set(leaves())


@given(code=st.text() | st.sampled_from(sorted(THROTTLING | DENIED)), status=st.integers(0, 599), message=st.text())
def test_every_answer_becomes_a_leaf_of_the_tree(code: str, status: int, message: str) -> None:
    error = exceptions.ClientError(response(code, status, message), "DescribeServices")
    with pytest.raises(StepshipError) as raised:
        Broken(error).call("describe_services")
    assert type(raised.value) in LEAVES
    assert raised.value.__cause__ is error


@given(
    answer=st.dictionaries(
        st.sampled_from(["Error", "ResponseMetadata", "Other"]),
        st.dictionaries(st.sampled_from(["Code", "Message", "HTTPStatusCode"]), st.integers(0, 599)),
    )
)
def test_an_answer_of_any_shape_becomes_a_leaf_of_the_tree(answer: dict[str, Any]) -> None:
    assert type(translate("ecs:x", answer, {})) in LEAVES


def botocore_errors() -> list[exceptions.BotoCoreError]:
    """Make one error of every class that botocore can raise by itself."""
    kinds: list[Any] = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    made = []
    for kind in kinds:
        if issubclass(kind, exceptions.BotoCoreError):
            error = kind.__new__(kind)  # each takes arguments of its own; which class it is decides
            Exception.__init__(error, kind.fmt)
            made.append(error)
    return made


@pytest.mark.parametrize("error", botocore_errors(), ids=lambda error: type(error).__name__)
def test_no_error_of_botocore_leaves_a_gateway(error: exceptions.BotoCoreError) -> None:
    with pytest.raises(StepshipError) as raised:
        Broken(error).call("describe_services")
    assert type(raised.value) in LEAVES


def test_a_request_that_can_never_be_sent_is_not_tried_again(aws: SimulatedAws) -> None:
    with pytest.raises(AwsError, match="ecs:describe_services: Parameter validation failed"):
        ContainerService().call("describe_services", services="not a list")


@pytest.mark.parametrize("service", GATEWAYS)
def test_every_service_is_asked_again_before_it_is_given_up(aws: SimulatedAws, inside: Inside, service: str) -> None:
    gateway, operation, request = GATEWAYS[service]
    assert gateway.service == service
    aws.faults.add(CallFault(CallAction.THROTTLE, service=service, times=ATTEMPTS - 1))
    inside(lambda: gateway.call(operation, **request))
    assert aws.calls[-1].attempts == ATTEMPTS
    aws.faults.clear()

    for action, details, expected in (
        (CallAction.THROTTLE, {}, "Throttled"),
        (CallAction.ERROR, {}, "AwsUnavailable"),
        (CallAction.TIMEOUT, {}, "AwsUnavailable"),
        (CallAction.LOST, {}, "AwsUnavailable"),
        (CallAction.ERROR, {"code": "AccessDeniedException", "http_status": 400}, "AccessDenied"),
        (CallAction.ERROR, {"code": "Surprise", "http_status": 400}, "AwsError"),
    ):
        aws.faults.clear()
        aws.faults.add(CallFault(action, service=service, times=ATTEMPTS, **details))  # type: ignore[arg-type]
        with pytest.raises(StepshipError) as raised:
            inside(lambda: gateway.call(operation, **request))
        assert type(raised.value).__name__ == expected, action
        assert str(raised.value).startswith(f"{service}:{operation}: ")


def test_a_lost_connection_keeps_its_cause(aws: SimulatedAws, inside: Inside) -> None:
    aws.faults.add(CallFault(CallAction.LOST, times=ATTEMPTS))
    with pytest.raises(AwsUnavailable) as raised:
        inside(lambda: Roles().call("list_roles"))
    assert isinstance(raised.value.__cause__, exceptions.ConnectionClosedError)


class Busy(Gateway):
    """A gateway whose calls are throttled so many times, in a function with so many seconds left."""

    service = "ecs"

    def __init__(self, throttled: int, seconds_left: float) -> None:
        self.throttled, self.seconds_left, self.asked = throttled, seconds_left, 0

    @property
    def client(self) -> Any:
        return self

    def describe_services(self, **_: object) -> dict[str, Any]:
        self.asked += 1
        if self.asked <= self.throttled:
            raise exceptions.ClientError(response("ThrottlingException"), "DescribeServices")
        return {"services": []}

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= PAUSE_SECONDS
        self.seconds_left -= seconds

    def ask(self) -> dict[str, Any]:
        with within(TimeLimit(lambda: self.seconds_left, self.sleep)):
            return self.call("describe_services")


def test_a_throttled_call_waits_for_its_turn_while_the_function_has_time() -> None:
    busy = Busy(throttled=5, seconds_left=SECONDS_FOR_A_CALL + 5 * PAUSE_SECONDS)
    assert busy.ask() == {"services": []}
    assert busy.asked == 6


@pytest.mark.parametrize("throttled", [0, 1000])
def test_no_call_begins_that_the_function_would_not_survive(throttled: int) -> None:
    busy = Busy(throttled, seconds_left=60 if throttled else SECONDS_FOR_A_CALL - 1)
    with pytest.raises(Throttled, match="ecs:describe_services"):
        busy.ask()
    assert bool(busy.asked) is bool(throttled)
    assert busy.seconds_left >= SECONDS_FOR_A_CALL - 1


def test_what_is_not_throttled_is_not_waited_for() -> None:
    with within(TimeLimit(lambda: 60, lambda seconds: pytest.fail(f"slept {seconds} s"))), pytest.raises(AwsError):
        Broken(exceptions.ClientError(response("ValidationException"), "DescribeServices")).call("describe_services")


def test_a_number_of_resources_that_is_used_up_is_no_throttling() -> None:
    assert type(translate("ecs:register_task_definition", response("LimitExceededException"), {})) is AwsError


def test_a_denied_call_is_not_repeated(aws: SimulatedAws, inside: Inside) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, code="AccessDenied", http_status=403, times=9))
    with pytest.raises(AccessDenied):
        inside(lambda: Roles().call("list_roles"))
    assert aws.calls[-1].attempts == 1


def test_pages_follow_the_token_to_the_end(aws: SimulatedAws) -> None:
    for number in range(23):
        aws.client("ssm").put_parameter(Name=f"/p/{number:02}", Value="v", Type="String")
    pages = list(ParameterStore().pages("get_parameters_by_path", "NextToken", Path="/p"))
    assert [len(page["Parameters"]) for page in pages] == [10, 10, 3]


@given(items=st.lists(st.text()), size=st.integers(1, 12))
def test_batches_keep_everything_in_order_and_are_never_too_long(items: list[str], size: int) -> None:
    found = list(batches(items, size))
    assert [item for batch in found for item in batch] == items
    assert all(0 < len(batch) <= size for batch in found)
    assert len(found) == -(-len(items) // size)
