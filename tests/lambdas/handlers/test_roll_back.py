from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import World
from tests.lambdas.handlers.flow import Flow, Json, StepError, footprint, writes
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed

HERE = "Roll back"
BUG = StepError("KeyError", "a bug")


@pytest.fixture
def world() -> Iterator[World]:
    """``v0`` is live; ECS's own circuit breaker is off, so that the way back is ours to go."""
    with World(recovery=False, circuit_breaker=False) as world:
        deployed(world, "v0", "zero")
        yield world


def current(world: World) -> Json:
    """Return what a rollback has to restore: the parameters and the task definitions that run."""
    running = {name: each[0][1] for name, each in footprint(world)["services"].items()}
    return {"parameters": world.parameters(), "running": running}


def broken_at(world: World, state: str, visit: int = 1, behavior: ImageBehavior | None = None) -> Flow:
    """Deploy ``v1`` until the state is next for the nth time, and let a bug stop it there."""
    world.push("v1", behavior or ImageBehavior())
    flow = Flow(world, DEPLOY).run_to(state)
    for _ in range(visit - 1):
        flow.step()
        flow.run_to(state)
    flow.catch(BUG)
    assert flow.at == HERE
    return flow


@pytest.mark.parametrize(
    ("state", "visit", "moved"),
    [
        ("Update image tag", 1, []),
        ("Register task definitions", 1, []),
        ("Run migration", 1, []),
        ("Run migration", 2, []),
        ("Deploy wave", 1, []),
        ("Check rollout", 1, ["api"]),
        ("Deploy wave", 2, ["api"]),
        ("Check rollout", 3, ["api", "scheduler", "worker"]),
        ("Check health", 2, ["api", "scheduler", "worker"]),
        ("Complete", 1, ["api", "scheduler", "worker"]),
    ],
)
def test_from_every_point_everything_is_put_back(world: World, state: str, visit: int, moved: list[str]) -> None:
    before = current(world)
    flow = broken_at(world, state, visit)
    assert flow.run_to_end() == "RolledBack"
    assert current(world) == before
    assert sorted(flow.state["rollback"]["services"]) == moved
    assert world.table.read_lock().holder is None


def test_the_parameters_are_put_back_before_the_services(world: World) -> None:
    flow = broken_at(world, "Complete")
    start = len(world.aws.calls)
    flow.call()
    operations = writes(world.aws.calls[start:])
    assert operations[0] == "UpdateItem"
    assert operations[1:6] == ["PutParameter"] * 5
    assert set(operations[6:]) == {"UpdateService"}


def test_the_last_wave_goes_back_first(world: World) -> None:
    flow = broken_at(world, "Complete")
    start = len(world.aws.calls)
    assert flow.run_to_end() == "RolledBack"
    updated = [str(c.params["service"]) for c in world.aws.calls[start:] if c.operation == "UpdateService"]
    assert updated == ["v3-backend-dev-scheduler", "v3-backend-dev-worker", "v3-backend-dev-api"]


def test_each_service_returns_to_the_exact_task_definition_that_it_had(world: World) -> None:
    flow = broken_at(world, "Complete")
    flow.run_to_end()
    for name, service in flow.state["plan"]["services"].items():
        assert current(world)["running"][f"v3-backend-dev-{name}"] == service["previous"]


def test_a_parameter_that_did_not_exist_is_deleted_again() -> None:
    with World(recovery=False) as world:
        flow = broken_at(world, "Register task definitions")
        assert len(world.parameters()) == 5
        assert flow.run_to_end() == "RolledBack"
        assert world.parameters() == {}


def test_a_parameter_that_is_gone_already_is_fine() -> None:
    with World(recovery=False) as world:
        flow = broken_at(world, "Register task definitions")
        world.aws.client("ssm").delete_parameter(Name=world.identity.tag_parameter)
        flow.call()
        assert world.parameters() == {}


def test_what_ecs_has_put_back_by_itself_is_not_repeated() -> None:
    with World(recovery=False, circuit_breaker=True) as world:
        deployed(world, "v0", "zero")
        world.push("v1", ImageBehavior("crash"))
        flow = Flow(world, DEPLOY).run_to("Check rollout")
        flow.wait(400)
        flow.run_to(HERE)
        start = len(world.aws.calls)
        assert flow.run_to_end() == "RolledBack"
        assert "UpdateService" not in writes(world.aws.calls[start:])
        assert flow.state["rollback"]["services"] == []


def test_a_service_that_was_deleted_does_not_keep_the_others_from_going_back(world: World) -> None:
    flow = broken_at(world, "Complete")
    world.aws.client("ecs").delete_service(cluster="v3-backend-dev", service="v3-backend-dev-worker", force=True)
    flow.wait(600)
    flow.run_to_end()
    running = current(world)["running"]
    for name in ("api", "scheduler"):
        assert running[f"v3-backend-dev-{name}"] == flow.state["plan"]["services"][name]["previous"]


def test_a_way_back_has_no_way_back(world: World) -> None:
    deployed(world, "v1", "one")
    flow = Flow(world, ROLLBACK, "two").run_to("Check rollout")
    flow.catch(BUG)
    start = len(world.aws.calls)
    error = flow.fails()
    assert error.error_type == "NothingToReturnTo"
    assert writes(world.aws.calls[start:]) == []
    assert flow.run_to_end() == "RollbackFailed"


def test_a_rollback_to_a_named_release_returns_to_what_ran_before_it(world: World) -> None:
    release = world.table.live()
    assert release is not None
    deployed(world, "v1", "one")
    before = current(world)
    flow = Flow(world, {**ROLLBACK, "releaseId": release.release_id}, "two").run_to("Check health")
    flow.catch(BUG)
    assert flow.run_to_end() == "RolledBack"
    assert current(world) == before


def test_the_time_of_the_way_back_counts_from_its_first_step(world: World) -> None:
    flow = broken_at(world, "Complete").run_to("Check rollback")
    first = flow.state["rollback"]["startedAt"]
    flow.step()
    flow.run_to(HERE)
    assert flow.call()["startedAt"] == first
