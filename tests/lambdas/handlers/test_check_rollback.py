from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import World
from tests.lambdas.handlers.flow import Flow, StepError
from tests.lambdas.handlers.surroundings import DEPLOY, change_definition, deployed

HERE = "Check rollback"


@pytest.fixture
def world() -> Iterator[World]:
    with World(recovery=False, circuit_breaker=False) as world:
        deployed(world, "v0", "zero")
        yield world


def on_the_way_back(world: World, state: str) -> Flow:
    world.push("v1")
    flow = Flow(world, DEPLOY).run_to(state)
    flow.catch(StepError("KeyError", "a bug"))
    return flow.run_to(HERE)


def test_a_service_that_is_on_its_way_is_waited_for(world: World) -> None:
    flow = on_the_way_back(world, "Check rollout")
    result = flow.call()
    assert result["status"] == "inProgress"
    assert result["services"]["worker"] == {"running": 2, "desired": 2}


def test_when_a_wave_is_back_the_next_one_follows(world: World) -> None:
    flow = on_the_way_back(world, "Complete")
    while flow.call()["status"] == "inProgress":
        flow.wait(10)
    assert flow.call()["status"] == "nextWave"


def test_when_all_services_are_steady_the_way_back_is_done(world: World) -> None:
    flow = on_the_way_back(world, "Check rollout")
    flow.wait(300)
    assert flow.call()["status"] == "steady"


def test_it_looks_again_by_itself_and_reads_a_revision_of_somebody_else_once(world: World) -> None:
    flow = on_the_way_back(world, "Check rollout")
    digest = world.parameters()["/v3-backend/dev/images/api"].rsplit("@", 1)[-1]
    world.ecs_world.images.register(digest, ImageBehavior("slow"))
    before = flow.state["plan"]["services"]["worker"]["previous"]
    change_definition(world, "worker", lambda r: r.update(memory="1024"), revision=before, settle_seconds=0)
    start = len(world.aws.calls)
    assert flow.call()["status"] == "inProgress"
    calls = [call.operation for call in world.aws.calls[start:]]
    assert calls.count("DescribeTaskDefinition") == 1
    assert calls.count("DescribeServices") > 20


def test_nothing_that_moved_is_steady_at_once(world: World) -> None:
    assert on_the_way_back(world, "Register task definitions").call()["status"] == "steady"


def test_a_way_back_that_takes_too_long_ends_in_a_page(world: World) -> None:
    broken = {name: ImageBehavior("slow") for name in ("api",)}
    digest = world.parameters()["/v3-backend/dev/images/api"].rsplit("@", 1)[-1]
    flow = on_the_way_back(world, "Register task definitions")
    world.ecs_world.images.register(digest, broken["api"])
    world.aws.client("ecs").update_service(
        cluster="v3-backend-dev", service="v3-backend-dev-api", forceNewDeployment=True
    )
    flow.wait(600)
    error = flow.fails()
    assert error.error_type == "RollbackTimeout"
    assert "api: not steady after 6" in error.message
    assert "worker" not in error.message
    assert flow.run_to_end() == "RollbackFailed"


def test_a_service_that_ecs_gives_up_on_ends_in_a_page() -> None:
    with World(recovery=False, circuit_breaker=True) as world:
        deployed(world, "v0", "zero")
        digest = world.parameters()["/v3-backend/dev/images/api"].rsplit("@", 1)[-1]
        world.push("v1")
        flow = Flow(world, DEPLOY).run_to("Check rollout")
        flow.catch(StepError("KeyError", "a bug"))
        world.ecs_world.images.register(digest, ImageBehavior("crash"))
        assert flow.run_to_end() == "RollbackFailed"
        assert flow.state["report"]["errorType"] == "KeyError"
        assert any("RollbackTimeout" in line for line in flow.state["report"]["explanation"]["done"])
