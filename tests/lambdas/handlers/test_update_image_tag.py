from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import config
from lambdas.release.codec import decode
from lambdas.release.plan import Plan
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, footprint, writes
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed

HERE = "Update image tag"
TAG = "/v3-backend/dev/compute/currentImageTag"


@pytest.fixture
def asking() -> Iterator[SimulatedEnvironment]:
    dev = config.load("dev")
    asks = replace(dev, approval=replace(dev.approval, required=True))
    with SimulatedEnvironment(settings=asks, recovery=False) as simulated:
        yield simulated


def at_tag(simulated: SimulatedEnvironment) -> Flow:
    simulated.push("v1")
    return Flow(simulated, DEPLOY).run_to(HERE)


def redeploy(simulated: SimulatedEnvironment, service: str) -> None:
    """Let somebody else deploy a service: another task definition runs in the end."""
    ecs, name = simulated.aws.client("ecs"), f"v3-backend-dev-{service}"
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


def test_the_tag_and_the_pinned_images_are_written(simulated: SimulatedEnvironment) -> None:
    flow = at_tag(simulated)
    result = flow.call()
    assert result["parameters"] == [each["name"] for each in flow.state["plan"]["parameters"]]
    found = simulated.parameters()
    assert found[TAG] == "v1"
    image = flow.state["plan"]["services"]["api"]["image"]
    images = {name.rsplit("/", 1)[-1]: value for name, value in found.items() if name != TAG}
    assert images == dict.fromkeys(("api", "scheduler", "worker", "migration"), image)


def test_the_journal_is_written_before_the_first_parameter(simulated: SimulatedEnvironment) -> None:
    flow = at_tag(simulated)
    start = len(simulated.aws.calls)
    flow.call()
    assert writes(simulated.aws.calls[start:])[:2] == ["UpdateItem", "PutParameter"]
    journal = simulated.table.read_lock().journal
    assert journal
    assert decode(Plan, json.loads(journal)) == decode(Plan, flow.state["plan"])


def test_a_parameter_that_is_right_already_is_left_alone(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    before: Any = footprint(simulated)["parameters"]
    simulated.push("v2")
    flow = Flow(simulated, {"imageTag": "v2", "services": ["api"]}, "two").run_to(HERE)
    simulated.aws.client("ssm").put_parameter(Name=TAG, Value="v2", Overwrite=True)
    assert flow.call()["parameters"] == ["/v3-backend/dev/images/api", "/v3-backend/dev/images/migration"]
    after = footprint(simulated)["parameters"]
    assert after["/v3-backend/dev/images/worker"] == before["/v3-backend/dev/images/worker"]


def test_a_service_that_moved_while_the_approval_was_open_makes_the_plan_stale(asking: SimulatedEnvironment) -> None:
    simulated = asking
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to("Wait for approval")
    flow.answer_approval()
    redeploy(simulated, "worker")
    simulated.aws.client("ecs").delete_service(cluster="v3-backend-dev", service="v3-backend-dev-api", force=True)
    existing = footprint(simulated)
    error = flow.fails(HERE)
    assert error.error_type == "PlanStale"
    assert "worker" in error.message
    assert "scheduler" not in error.message
    assert footprint(simulated) == existing
    assert flow.run_to_end() == "Rejected"


def test_a_plan_that_was_approved_and_that_is_fresh_is_carried_out(asking: SimulatedEnvironment) -> None:
    asking.push("v1")
    flow = Flow(asking, DEPLOY).run_to("Wait for approval")
    flow.answer_approval()
    assert flow.run_to_end() == "Deployed"


def test_a_rollback_puts_the_parameters_of_its_release_back(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    first = simulated.parameters()
    deployed(simulated, "v2", "two")
    assert simulated.parameters() != first
    Flow(simulated, ROLLBACK, "three").run_to("Register task definitions")
    assert simulated.parameters() == first


def test_a_recovery_keeps_the_journal_of_the_deployment_that_it_rolls_back(simulated: SimulatedEnvironment) -> None:
    one = at_tag(simulated)
    one.step()
    journal = simulated.table.read_lock().journal
    one.stop()
    simulated.aws.clock.sleep(120)
    recovery = Flow(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery").run_to(HERE)
    result = recovery.call()
    assert len(result["parameters"]) == 5
    assert simulated.parameters() == {}, "before the first release there were none"
    assert simulated.table.read_lock().journal == journal
