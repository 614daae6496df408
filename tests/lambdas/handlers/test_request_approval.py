from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

import config
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import TOKEN, Flow, table_items
from tests.lambdas.handlers.surroundings import DEPLOY


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    dev = config.load("dev")
    asks = replace(dev, approval=replace(dev.approval, required=True, timeout_seconds=600))
    with SimulatedEnvironment(settings=asks, recovery=False) as simulated:
        simulated.push("v1")
        yield simulated


def asked(simulated: SimulatedEnvironment) -> Flow:
    request = {**DEPLOY, "requestedBy": "cli:ada", "reason": "a fix"}
    return Flow(simulated, request).run_to("Wait for approval")


def test_the_token_is_kept_until_somebody_answers(simulated: SimulatedEnvironment) -> None:
    flow = asked(simulated)
    assert flow.call()["message"].startswith("asked for approval until 2026-01-05T")
    assert simulated.table.approval_token(flow.arn) == TOKEN


def test_the_question_expires_with_the_policy(simulated: SimulatedEnvironment) -> None:
    flow = asked(simulated)
    flow.call()
    expires = int(table_items(simulated)[f"approval/{flow.arn}"]["expiresAt"]["N"])
    assert expires == pytest.approx(simulated.aws.clock.now() + 600, abs=1)


def test_an_event_says_who_wants_what_and_why(simulated: SimulatedEnvironment) -> None:
    flow = asked(simulated)
    flow.call()
    (call,) = simulated.aws.calls.of("events", "PutEvents")
    (entry,) = call.params["Entries"]
    assert (entry["Source"], entry["DetailType"]) == ("stepship", "ApprovalRequested")
    assert json.loads(entry["Detail"]) == {
        "app": "v3-backend",
        "environment": "dev",
        "execution": flow.arn,
        "release": flow.state["plan"]["releaseId"],
        "imageTag": "v1",
        "requestedBy": "cli:ada",
        "reason": "a fix",
    }


def test_the_token_is_in_neither_the_event_nor_the_result(simulated: SimulatedEnvironment) -> None:
    result = asked(simulated).call()
    assert TOKEN not in json.dumps(result)
    assert TOKEN not in str(simulated.aws.calls.of("events", "PutEvents")[0].params)


def test_an_event_bus_that_is_down_does_not_stop_the_question(simulated: SimulatedEnvironment) -> None:
    flow = asked(simulated)
    simulated.aws.faults.add(CallFault(CallAction.ERROR, service="events", times=10))
    assert flow.call()["message"].startswith("asked for approval until 2026-01-05T")
    assert simulated.table.approval_token(flow.arn) == TOKEN
