"""Faults of AWS calls: below botocore's retries, so that these run for real."""

from typing import Any

import boto3
import botocore.endpoint
import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import botocore_stubber

from simulator.engine.local_lambda import Function
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import ApiCall, CallAction
from simulator.faults.faults import CallFault
from tests.simulator.engine.toys import keys, machine, put, run_machine, simulated, task

STANDARD = Config(retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=5)


def put_in_standard_mode(key: str, *, condition: str | None = None) -> None:
    """Write an item with botocore's standard retries and a read timeout of 5 s."""
    client = boto3.client("dynamodb", config=STANDARD)
    extra = {} if condition is None else {"ConditionExpression": condition}
    client.put_item(TableName="table", Item={"id": {"S": key}}, **extra)


def call_of(aws: SimulatedAws, handler: Any = None) -> ApiCall:
    """Run one function that writes the item ``x`` and return the record of its only call."""
    aws.functions["f"] = handler or (lambda *_: put_in_standard_mode("x"))
    run_machine(aws, machine(Only=task("f")))
    (call,) = aws.calls
    return call


def test_a_call_is_recorded_with_who_made_it_and_what_it_asked_for(aws: SimulatedAws) -> None:
    call = call_of(aws)
    assert (call.service, call.operation, call.function) == ("dynamodb", "PutItem", "f")
    assert (call.execution, call.state) == ("run", "Only")
    assert (call.attempts, call.error, call.faults) == (1, None, [])
    assert call.params["Item"] == {"id": {"S": "x"}}


def test_calls_of_the_driver_are_neither_recorded_nor_hit(aws: SimulatedAws) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, times=100))
    put("x")
    assert keys(aws) == {"x"}
    assert not aws.calls


@pytest.mark.parametrize("times", [1, 2])
def test_throttling_is_retried_by_botocore_in_virtual_time(aws: SimulatedAws, times: int) -> None:
    aws.faults.add(CallFault(CallAction.THROTTLE, "dynamodb", times=times))
    call = call_of(aws)
    assert (call.attempts, call.error, call.faults) == (times + 1, None, [CallAction.THROTTLE] * times)
    assert keys(aws) == {"x"}
    assert not aws.faults.pending


def test_throttling_beyond_botocore_s_attempts_reaches_the_handler(aws: SimulatedAws) -> None:
    aws.faults.add(CallFault(CallAction.THROTTLE, "dynamodb", times=4))
    call = call_of(aws)
    assert (call.attempts, call.error) == (3, "ThrottlingException")
    assert keys(aws) == set()
    assert len(aws.faults.pending) == 1


THROTTLED: list[tuple[str, str, dict[str, str], str, int]] = [
    ("dynamodb", "list_tables", {}, "ThrottlingException", 400),
    ("ecs", "list_clusters", {}, "ThrottlingException", 400),
    ("ssm", "describe_parameters", {}, "ThrottlingException", 400),
    ("ecr", "describe_repositories", {}, "ThrottlingException", 400),
    ("stepfunctions", "list_state_machines", {}, "ThrottlingException", 400),
    ("events", "list_rules", {}, "ThrottlingException", 400),
    ("logs", "describe_log_groups", {}, "ThrottlingException", 400),
    ("cloudwatch", "describe_alarms", {}, "Throttling", 400),
    ("lambda", "list_functions", {}, "TooManyRequestsException", 429),
    ("sns", "list_topics", {}, "Throttling", 400),
    ("sts", "get_caller_identity", {}, "Throttling", 400),
    ("ec2", "describe_vpcs", {}, "RequestLimitExceeded", 503),
]


def test_each_service_has_its_own_throttling_error(aws: SimulatedAws) -> None:
    errors: list[tuple[str, str, int, str]] = []

    def handler(_event: object, _context: object) -> None:
        config = Config(retries={"total_max_attempts": 1})
        for service, operation, parameters, _, _ in THROTTLED:
            with pytest.raises(ClientError) as caught:
                getattr(boto3.client(service, config=config), operation)(**parameters)
            response = caught.value.response
            status = response["ResponseMetadata"]["HTTPStatusCode"]
            errors.append((service, response["Error"]["Code"], status, response["Error"]["Message"]))

    aws.functions["f"] = handler
    aws.faults.add(CallFault(CallAction.THROTTLE, times=100))
    assert run_machine(aws, machine(Only=task("f"))).status == "SUCCEEDED"
    assert errors == [(service, code, status, "Rate exceeded") for service, _, _, code, status in THROTTLED]


def test_an_error_of_the_service_s_own(aws: SimulatedAws) -> None:
    fault = CallFault(CallAction.ERROR, operation="PutItem", code="ConditionalCheckFailedException", http_status=400)
    aws.faults.add(fault)
    call = call_of(aws)
    assert (call.attempts, call.error) == (1, "ConditionalCheckFailedException")
    assert keys(aws) == set()


def test_an_error_500_is_retried(aws: SimulatedAws) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, operation="PutItem"))
    assert call_of(aws).attempts == 2


def test_a_lost_answer_leaves_its_effect_and_botocore_sends_again(aws: SimulatedAws) -> None:
    aws.faults.add(CallFault(CallAction.LOST, "dynamodb", "PutItem"))
    call = call_of(aws, lambda *_: put_in_standard_mode("x", condition="attribute_not_exists(id)"))
    assert keys(aws) == {"x"}, "the first attempt took effect"
    assert (call.attempts, call.error) == (2, "ConditionalCheckFailedException"), "the second saw it"


def test_an_answer_lost_for_good_reaches_the_handler_as_a_closed_connection(aws: SimulatedAws) -> None:
    aws.faults.add(CallFault(CallAction.LOST, "dynamodb", "PutItem", times=3))
    call = call_of(aws)
    assert (call.attempts, call.error) == (3, "ConnectionClosedError")
    assert keys(aws) == {"x"}


def test_a_timeout_takes_the_client_s_read_timeout_and_has_no_effect(aws: SimulatedAws) -> None:
    seen = []

    def handler(_event: object, _context: object) -> None:
        start = aws.clock.now()
        try:
            put_in_standard_mode("x")
        except ReadTimeoutError:
            seen.append(aws.clock.now() - start)

    aws.faults.add(CallFault(CallAction.TIMEOUT, times=3))
    call = call_of(aws, handler)
    assert (call.attempts, call.error) == (3, "ReadTimeoutError")
    assert 15 < seen[0] < 20, "three read timeouts of 5 s and two pauses"
    assert keys(aws) == set()


def test_a_timeout_may_outlast_the_function(aws: SimulatedAws) -> None:
    aws.faults.add(CallFault(CallAction.TIMEOUT))
    call = call_of(aws, Function(lambda *_: put_in_standard_mode("x"), timeout_seconds=3))
    assert (aws.runs[0].error, call.error) == ("Sandbox.Timedout", "Unanswered")


def test_a_fault_hits_the_nth_call_of_one_function(aws: SimulatedAws) -> None:
    errors: list[str] = []

    def handler(_event: object, context: Any) -> None:
        for number in range(3):
            try:
                put(f"{context.function_name}-{number}")
            except ClientError:
                errors.append(f"{context.function_name}-{number}")

    aws.functions.update(f=handler, g=handler)
    aws.faults.add(CallFault(CallAction.ERROR, function="g", nth=2, code="AccessDeniedException", http_status=400))
    run_machine(aws, machine(First=task("f", Next="Second"), Second=task("g")))
    assert errors == ["g-1"]
    assert keys(aws) == {"f-0", "f-1", "f-2", "g-0", "g-2"}


@pytest.fixture(scope="module")
def old_client() -> Any:
    """A client that was made before any world, by a session that does not know moto's handlers."""
    session = botocore.session.Session(include_builtin_handlers=False)
    arguments = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return session.create_client("dynamodb", config=STANDARD, **arguments)


@pytest.mark.parametrize("number", [1, 2])
def test_an_old_client_works_in_each_world(old_client: Any, number: int) -> None:
    del number
    for aws in simulated():
        aws.faults.add(CallFault(CallAction.LOST))
        call = call_of(aws, lambda *_: old_client.put_item(TableName="table", Item={"id": {"S": "x"}}))
        assert call.attempts == 2
        assert keys(aws) == {"x"}


def test_a_client_that_is_used_in_many_worlds_always_has_all_its_retries(old_client: Any) -> None:
    attempts = set()
    for _ in range(60):  # a quota of 500 is used up by 50 failed calls with 2 retries of 5 each
        for aws in simulated():
            aws.faults.add(CallFault(CallAction.THROTTLE, times=3))
            attempts.add(call_of(aws, lambda *_: old_client.list_tables()).attempts)
    assert attempts == {3}


def test_all_seams_of_botocore_are_restored() -> None:
    before = (BaseClient.__dict__["_make_api_call"], botocore.endpoint.time, type(botocore_stubber))
    for _ in simulated():
        assert type(botocore_stubber) is not BotocoreStubber
    assert (BaseClient.__dict__["_make_api_call"], botocore.endpoint.time, type(botocore_stubber)) == before
