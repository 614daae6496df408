from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import config
from lambdas.release.codec import decode
from lambdas.release.plan import Plan
from simulator.environment.simulated_environment import World
from tests.lambdas.handlers.flow import Flow, footprint, writes
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed

HERE = "Update image tag"
TAG = "/v3-backend/dev/compute/currentImageTag"


@pytest.fixture
def asking_world() -> Iterator[World]:
    dev = config.load("dev")
    asks = replace(dev, approval=replace(dev.approval, required=True))
    with World(settings=asks, recovery=False) as world:
        yield world


def at_tag(world: World) -> Flow:
    world.push("v1")
    return Flow(world, DEPLOY).run_to(HERE)


def redeploy(world: World, service: str) -> None:
    """Let somebody else deploy a service: another task definition runs in the end."""
    ecs, name = world.aws.client("ecs"), f"v3-backend-dev-{service}"
    old = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
    new = ecs.register_task_definition(
        family=name,
        containerDefinitions=old["containerDefinitions"],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="512",
        memory="1024",
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(cluster="v3-backend-dev", service=name, taskDefinition=new)


def test_the_tag_and_the_pinned_images_are_written(world: World) -> None:
    flow = at_tag(world)
    result = flow.call()
    assert result["parameters"] == [each["name"] for each in flow.state["plan"]["parameters"]]
    found = world.parameters()
    assert found[TAG] == "v1"
    image = flow.state["plan"]["services"]["api"]["image"]
    images = {name.rsplit("/", 1)[-1]: value for name, value in found.items() if name != TAG}
    assert images == dict.fromkeys(("api", "scheduler", "worker", "migration"), image)


def test_the_journal_is_written_before_the_first_parameter(world: World) -> None:
    flow = at_tag(world)
    start = len(world.aws.calls)
    flow.call()
    assert writes(world.aws.calls[start:])[:2] == ["UpdateItem", "PutParameter"]
    journal = world.table.read_lock().journal
    assert journal
    assert decode(Plan, json.loads(journal)) == decode(Plan, flow.state["plan"])


def test_a_parameter_that_is_right_already_is_left_alone(world: World) -> None:
    deployed(world, "v1", "one")
    before: Any = footprint(world)["parameters"]
    world.push("v2")
    flow = Flow(world, {"imageTag": "v2", "services": ["api"]}, "two").run_to(HERE)
    world.aws.client("ssm").put_parameter(Name=TAG, Value="v2", Overwrite=True)
    assert flow.call()["parameters"] == ["/v3-backend/dev/images/api", "/v3-backend/dev/images/migration"]
    after = footprint(world)["parameters"]
    assert after["/v3-backend/dev/images/worker"] == before["/v3-backend/dev/images/worker"]


def test_a_service_that_moved_while_a_person_was_asked_makes_the_plan_stale(asking_world: World) -> None:
    world = asking_world
    world.push("v1")
    flow = Flow(world, DEPLOY).run_to("Wait for approval")
    flow.answer_approval()
    redeploy(world, "worker")
    world.aws.client("ecs").delete_service(cluster="v3-backend-dev", service="v3-backend-dev-api", force=True)
    existing = footprint(world)
    error = flow.fails(HERE)
    assert error.error_type == "PlanStale"
    assert "worker" in error.message
    assert "scheduler" not in error.message
    assert footprint(world) == existing
    assert flow.run_to_end() == "Rejected"


def test_a_plan_that_a_person_said_yes_to_and_that_is_fresh_is_carried_out(asking_world: World) -> None:
    asking_world.push("v1")
    flow = Flow(asking_world, DEPLOY).run_to("Wait for approval")
    flow.answer_approval()
    assert flow.run_to_end() == "Deployed"


def test_a_rollback_puts_the_parameters_of_its_release_back(world: World) -> None:
    deployed(world, "v1", "one")
    first = world.parameters()
    deployed(world, "v2", "two")
    assert world.parameters() != first
    Flow(world, ROLLBACK, "three").run_to("Register task definitions")
    assert world.parameters() == first


def test_a_recovery_keeps_the_journal_of_the_deployment_that_it_puts_back(world: World) -> None:
    one = at_tag(world)
    one.step()
    journal = world.table.read_lock().journal
    one.stop()
    world.aws.clock.sleep(120)
    recovery = Flow(world, {**ROLLBACK, "takeover": one.arn}, "recovery").run_to(HERE)
    result = recovery.call()
    assert len(result["parameters"]) == 5
    assert world.parameters() == {}, "before the first release there were none"
    assert world.table.read_lock().journal == journal
