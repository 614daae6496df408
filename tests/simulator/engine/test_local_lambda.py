"""Local Lambda functions: what a handler sees, and what its caller gets."""

import json
import os
from decimal import Decimal
from typing import Any

import boto3
import pytest

from simulator.engine.local_lambda import Function
from simulator.engine.machine import SimulatedAws
from simulator.faults.faults import FunctionAction, FunctionFault
from tests.simulator.engine.toys import keys, machine, put, run_machine, task


def invoke(aws: SimulatedAws, name: str, event: object = None) -> tuple[Any, str | None]:
    """Invoke through the AWS API; return payload and FunctionError."""
    response = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}))
    return json.load(response["Payload"]), response.get("FunctionError")


def test_event_and_result_travel_as_json(aws: SimulatedAws) -> None:
    aws.functions["echo"] = lambda event, _: {**event, "tuple": (1, 2), "price": Decimal("1.5"), "count": Decimal(3)}
    assert invoke(aws, "echo", {"a": 1}) == ({"a": 1, "tuple": [1, 2], "price": 1.5, "count": 3}, None)


def test_an_exception_becomes_its_class_name_message_and_stack(aws: SimulatedAws) -> None:
    class LeaseLost(Exception):
        pass

    def handler(_event: object, _context: object) -> None:
        message = "gone"
        raise LeaseLost(message)

    aws.functions["fail"] = handler
    payload, error = invoke(aws, "fail")
    assert error == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("LeaseLost", "gone")
    assert "in handler" in payload["stackTrace"][0]


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [(lambda *_: object(), "Runtime.MarshalError"), (lambda *_: exit(3), "Runtime.ExitError")],  # noqa: PLR1722 (a handler may)
)
def test_the_runtime_s_own_errors(aws: SimulatedAws, handler: Any, error_type: str) -> None:
    aws.functions["fail"] = handler
    assert invoke(aws, "fail")[0]["errorType"] == error_type


def test_the_context_says_what_lambda_says(aws: SimulatedAws) -> None:
    aws.functions["ctx"] = Function(
        lambda _, context: [
            context.function_name,
            context.memory_limit_in_mb,
            context.invoked_function_arn,
            context.aws_request_id,
            context.get_remaining_time_in_millis(),
        ],
        timeout_seconds=7,
        memory_mb=512,
    )
    assert invoke(aws, "ctx")[0] == [
        "ctx", 512, "arn:aws:lambda:us-east-1:123456789012:function:ctx", "00000000-0000-4000-8000-000000000001", 7000,
    ]  # fmt: skip


def test_each_function_has_its_own_environment_even_when_they_interleave(aws: SimulatedAws) -> None:
    seen = []

    def handler(_event: object, context: Any) -> None:
        for number in range(3):
            seen.append((context.function_name, os.environ["COLOUR"]))
            put(f"{context.function_name}-{number}")
        seen.append((context.function_name, os.environ["COLOUR"]))

    for name, colour in (("sky", "blue"), ("grass", "green")):
        aws.functions[name] = Function(handler, environment={"COLOUR": colour})
        aws.deploy_machine(name, machine(Only=task(name)))
        aws.start({}, name)
    aws.wait_for(lambda: seen)
    assert "COLOUR" not in os.environ  # not the driver's
    aws.run_until_idle()
    assert set(seen) == {("sky", "blue"), ("grass", "green")}
    assert seen != sorted(seen, reverse=True), "they should interleave"
    assert "COLOUR" not in os.environ


def test_the_function_ends_at_its_timeout_and_what_it_did_stays(aws: SimulatedAws) -> None:
    def handler(_event: object, _context: object) -> None:
        try:
            for number in range(1000):
                put(f"{number:04d}")
        except Exception:  # noqa: BLE001, S110 (a handler that swallows everything cannot survive)
            pass
        finally:
            put("after the end")

    aws.functions["slow"] = Function(handler, timeout_seconds=0.1)
    payload, error = invoke(aws, "slow")
    assert (error, payload["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "Task timed out after 0.10 seconds" in payload["errorMessage"]
    assert keys(aws) == {"0000", "0001", "0002", "0003"}  # 20 ms a call; the fifth would end at 100 ms


@pytest.mark.parametrize("after", [0, 1, 2])
def test_kill_after_some_calls(aws: SimulatedAws, after: int) -> None:
    def handler(_event: object, _context: object) -> None:
        put("a")
        put("b")

    aws.functions["f"] = handler
    aws.faults.add(FunctionFault(FunctionAction.KILL, "f", after_calls=after))
    before = aws.clock.now()
    assert invoke(aws, "f")[0]["errorType"] == "Sandbox.Timedout"
    assert keys(aws) == set("ab"[:after])
    assert aws.clock.now() - before == pytest.approx(30)
    assert invoke(aws, "f") == (None, None)
    assert keys(aws) == {"a", "b"}


def test_run_twice_returns_the_second_result(aws: SimulatedAws) -> None:
    count: list[object] = []

    def handler(event: object, _context: object) -> int:
        count.append(event)
        return len(count)

    aws.functions["f"] = handler
    aws.faults.add(FunctionFault(FunctionAction.TWICE, "f", nth=2))
    assert [invoke(aws, "f", {"n": 1})[0] for _ in range(3)] == [1, 3, 4]


@pytest.mark.parametrize("action", [FunctionAction.SERVICE_ERROR, FunctionAction.RAISE])
def test_an_error_before_the_handler_runs(aws: SimulatedAws, action: FunctionAction) -> None:
    ran: list[object] = []
    aws.functions["f"] = lambda event, _: ran.append(event)
    aws.faults.add(FunctionFault(action, "f", error="Lambda.TooManyRequestsException"))
    caught = {"ErrorEquals": ["Lambda.TooManyRequestsException"], "Next": "Caught"}
    run = run_machine(aws, machine(Only=task("f", Catch=[caught]), Caught={"Type": "Succeed"}))
    assert run.path == ["Only", "Caught"]
    assert not ran


def test_an_unknown_function_is_an_error_of_lambda(aws: SimulatedAws) -> None:
    run = run_machine(aws, machine(Only=task("missing")))
    assert (run.status, run.error) == ("FAILED", "Lambda.ResourceNotFoundException")


def test_an_event_invocation_runs_later(aws: SimulatedAws) -> None:
    aws.functions["f"] = lambda event, _: put(event["key"])
    aws.client("lambda").invoke(FunctionName="f", InvocationType="Event", Payload=b'{"key": "x"}')
    assert keys(aws) == set()
    aws.run_until_idle()
    assert keys(aws) == {"x"}


def test_a_function_can_invoke_another(aws: SimulatedAws) -> None:
    aws.functions["inner"] = lambda *_: put("inner")

    def outer(_event: object, _context: object) -> None:
        boto3.client("lambda").invoke(FunctionName="inner")
        put("outer")

    aws.functions["outer"] = outer
    invoke(aws, "outer")
    assert [(call.function, call.operation) for call in aws.calls] == [
        ("outer", "Invoke"), ("inner", "PutItem"), ("outer", "PutItem"),
    ]  # fmt: skip
