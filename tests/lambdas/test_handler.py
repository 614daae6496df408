from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest
from aws_lambda_powertools import Logger

import config
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json, parse_invocation
from lambdas.release.errors import LeaseLost, StepshipError, leaves
from lambdas.release.failure import STEP_PREFIX
from lambdas.release.history import Outcome, Report
from lambdas.release.results import RegisterResult
from lambdas.release.state import ExecutionState
from statemachine.steps import STEPS

SETTINGS = config.load("dev")
ARN = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:one"


@dataclass
class Context:
    """What Lambda passes in."""

    function_name: str = "v3-backend-dev-plan"
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 59_500


class SetClock:
    """A clock that stands still."""

    def now(self) -> float:
        return 1767603630.5

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing here is throttled, and {seconds} s are slept")


def event(state: Any = None, **execution: object) -> Json:
    started = {"arn": ARN, "startedAt": "2026-01-05T09:00:00.250Z", **execution}
    return {
        "execution": started,
        "step": "Plan",
        "enteredAt": "2026-01-05T09:00:20.500Z",
        "state": {} if state is None else state,
    }


def ran(step: Any, state: Any = None) -> tuple[Json, list[Json]]:
    """Run a step; returns the result and its log lines."""
    stream = io.StringIO()
    environ = {"POWERTOOLS_SERVICE_NAME": f"test-{len(SERVICES)}"}
    SERVICES.append(environ)  # powertools keeps the stream of a service's first logger
    try:
        result = Handler(step).run(event(state), Context(), Dependencies(environ, SetClock()), stream)
    except Exception as error:  # noqa: BLE001 (that is what some tests look at)
        result = {"error": error}
    return result, [json.loads(line) for line in stream.getvalue().splitlines()]


SERVICES: list[dict[str, str]] = []


def test_an_invocation_is_what_the_state_machine_sent() -> None:
    call = parse_invocation(event({"a": 1}, input={"imageTag": "v1"}), Context())
    assert call == Invocation(
        ARN, 1767603600.25, 1767603620.5, "Plan", ExecutionState({"a": 1}), {"imageTag": "v1"}, None, 59.5
    )


def test_a_payload_of_another_version_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        parse_invocation({"step": "Plan"}, Context())


def test_a_result_says_which_step_it_is_from_and_when_it_ended() -> None:
    result, lines = ran(lambda *_: RegisterResult({}, None, 2))
    assert result == {
        "step": "Plan",
        "at": 1767603630.5,
        "message": "2 new revisions",
        "taskDefinitions": {},
        "migration": None,
        "registered": 2,
        "twins": {},
        "deleted": [],
    }
    assert lines[-1]["result"] == "2 new revisions"


def test_a_report_is_the_last_word_and_stays_as_it_is() -> None:
    result, _ = ran(lambda *_: Report(Outcome.DEPLOYED, message="r-1 is live"))
    assert (result["outcome"], result["step"], result["message"]) == ("Deployed", None, "r-1 is live")
    assert "at" not in result


def test_every_line_says_which_execution_step_and_release_it_is_about() -> None:
    def step(call: Invocation, dependencies: Dependencies, logger: Logger) -> RegisterResult:
        logger.info("working", service_name="api")
        return RegisterResult({})

    _, lines = ran(step, {"plan": {"releaseId": "r-1"}})
    assert [line["message"] for line in lines] == ["working", "step done"]
    for line in lines:
        assert (line["execution"], line["step"], line["release"], line["request_id"]) == (
            ARN,
            "Plan",
            "r-1",
            "request-1",
        )


@pytest.mark.parametrize("state", [None, {}, {"plan": None}, [], "text", 7, {"plan": {}}])
def test_a_state_of_any_shape_is_logged(state: Any) -> None:
    _, lines = ran(lambda *_: RegisterResult({}), state)
    assert lines[-1].get("release") is None


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_class_and_says_its_step_first(kind: type[StepshipError]) -> None:
    def step(*_: object) -> Json:
        raise kind("why")

    result, lines = ran(step)
    assert type(result["error"]) is kind
    assert str(result["error"]) == "Plan: why"
    (line,) = lines
    assert (line["level"], line["error_type"], line["reason"]) == ("WARNING", kind.__name__, "why")
    assert "exception" not in line


def test_a_bug_is_logged_with_its_stack_and_raised_with_its_step() -> None:
    def step(call: Invocation, *_: object) -> Json:
        raise KeyError(call.step)

    result, lines = ran(step)
    assert type(result["error"]) is KeyError
    assert result["error"].args == ("Plan: 'Plan'",)
    (line,) = lines
    assert (line["level"], line["exception_name"]) == ("ERROR", "KeyError")
    assert "Traceback" in line["exception"]


def test_a_stack_shows_no_values() -> None:
    def step(*_: object) -> Json:
        password = "canary"
        raise LookupError(len(password))

    _, lines = ran(step)
    assert '"canary"' not in json.dumps(lines[0]["message"])
    assert "locals" not in lines[0]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)
def test_the_step_can_be_read_from_the_message_again(step: Any) -> None:
    match = STEP_PREFIX.match(f"{step.state}: dynamodb:get_item: Code: text\nwith lines")
    assert match is not None
    assert match.groups() == (step.state, "dynamodb:get_item: Code: text\nwith lines")


class Table:
    """Notes what is renewed."""

    def __init__(self) -> None:
        self.renewed: list[tuple[object, ...]] = []

    def renew(self, *args: object) -> None:
        self.renewed.append(args)
        if args[1] == 2:
            raise LeaseLost("somebody else")


def test_a_lease_is_renewed_beyond_the_end_of_the_function() -> None:
    table, dependencies = Table(), Dependencies({}, SetClock())
    dependencies.__dict__["releases"] = table  # where a cached property keeps its value
    call = parse_invocation(event({"lock": {"status": "held", "reason": "acquired", "token": 1}}), Context())
    call.renew_lease(dependencies, "journal")
    assert table.renewed == [(ARN, 1, 1767603630.5 + 59.5 + 5, 1767603620.5, "journal")]


def test_a_lost_lease_is_not_swallowed() -> None:
    dependencies = Dependencies({}, SetClock())
    dependencies.__dict__["releases"] = Table()
    with pytest.raises(LeaseLost):
        parse_invocation(event({"lock": {"status": "held", "reason": "acquired", "token": 2}}), Context()).renew_lease(
            dependencies
        )
