from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

import config
from simulator.environment.simulated_environment import World
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import TOKEN, Flow, table_items
from tests.lambdas.handlers.surroundings import DEPLOY


@pytest.fixture
def world() -> Iterator[World]:
    dev = config.load("dev")
    asks = replace(dev, approval=replace(dev.approval, required=True, timeout_seconds=600))
    with World(settings=asks, recovery=False) as world:
        world.push("v1")
        yield world


def asked(world: World) -> Flow:
    request = {**DEPLOY, "requestedBy": "cli:ada", "reason": "a fix"}
    return Flow(world, request).run_to("Wait for approval")


def test_the_token_is_kept_until_somebody_answers(world: World) -> None:
    flow = asked(world)
    assert flow.call()["status"] == "asked"
    assert world.table.approval_token(flow.arn) == TOKEN


def test_the_question_expires_with_the_policy(world: World) -> None:
    flow = asked(world)
    flow.call()
    expires = int(table_items(world)[f"approval/{flow.arn}"]["expiresAt"]["N"])
    assert expires == pytest.approx(world.aws.clock.now() + 600, abs=1)


def test_an_event_says_who_wants_what_and_why(world: World) -> None:
    flow = asked(world)
    flow.call()
    (call,) = world.aws.calls.of("events", "PutEvents")
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


def test_the_token_is_in_neither_the_event_nor_the_result(world: World) -> None:
    result = asked(world).call()
    assert TOKEN not in json.dumps(result)
    assert TOKEN not in str(world.aws.calls.of("events", "PutEvents")[0].params)


def test_an_event_bus_that_is_down_does_not_stop_the_question(world: World) -> None:
    flow = asked(world)
    world.aws.faults.add(CallFault(CallAction.ERROR, service="events", times=10))
    assert flow.call()["status"] == "asked"
    assert world.table.approval_token(flow.arn) == TOKEN
