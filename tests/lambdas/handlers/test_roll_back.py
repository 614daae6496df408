from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, Json, StepError, footprint, writes
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, denied, deployed
from tests.simulator.quick import every_five_seconds

HERE = "Roll back"
BUG = StepError("KeyError", "a bug")


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    """``v0`` is live; ECS's own circuit breaker is off, so that Stepship has to roll back."""
    with SimulatedEnvironment(settings=every_five_seconds(), recovery=False, circuit_breaker=False) as simulated:
        deployed(simulated, "v0", "zero")
        yield simulated


def current(simulated: SimulatedEnvironment) -> Json:
    """Return what a rollback has to restore: the parameters and the task definitions that run."""
    running = {name: each[0][1] for name, each in footprint(simulated)["services"].items()}
    return {"parameters": simulated.parameters(), "running": running}


def broken_at(
    simulated: SimulatedEnvironment, state: str, visit: int = 1, behavior: ImageBehavior | None = None
) -> Flow:
    """Deploy ``v1`` until the state is next for the nth time, and let a bug stop it there."""
    simulated.push("v1", behavior or ImageBehavior())
    flow = Flow(simulated, DEPLOY).run_to(state)
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
def test_from_every_point_everything_is_rolled_back(
    simulated: SimulatedEnvironment, state: str, visit: int, moved: list[str]
) -> None:
    before = current(simulated)
    flow = broken_at(simulated, state, visit)
    assert flow.run_to_end() == "RolledBack"
    assert current(simulated) == before
    assert sorted(flow.state["rollback"]["services"]) == moved
    assert simulated.table.read_lock().holder is None


def test_the_parameters_are_restored_before_the_services(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Complete")
    start = len(simulated.aws.calls)
    flow.call()
    operations = writes(simulated.aws.calls[start:])
    assert operations[0] == "UpdateItem"
    assert operations[1:6] == ["PutParameter"] * 5
    assert set(operations[6:]) == {"UpdateService"}


def test_the_last_wave_goes_back_first(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Complete")
    start = len(simulated.aws.calls)
    assert flow.run_to_end() == "RolledBack"
    updated = [str(c.params["service"]) for c in simulated.aws.calls[start:] if c.operation == "UpdateService"]
    assert updated == ["v3-backend-dev-scheduler", "v3-backend-dev-worker", "v3-backend-dev-api"]


def test_each_service_returns_to_the_exact_task_definition_that_it_had(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Complete")
    flow.run_to_end()
    for name, service in flow.state["plan"]["services"].items():
        assert current(simulated)["running"][f"v3-backend-dev-{name}"] == service["previous"]


def test_a_parameter_that_did_not_exist_is_deleted_again() -> None:
    with SimulatedEnvironment(settings=every_five_seconds(), recovery=False) as simulated:
        flow = broken_at(simulated, "Register task definitions")
        assert len(simulated.parameters()) == 5
        assert flow.run_to_end() == "RolledBack"
        assert simulated.parameters() == {}


def test_a_parameter_that_is_gone_already_is_fine() -> None:
    with SimulatedEnvironment(settings=every_five_seconds(), recovery=False) as simulated:
        flow = broken_at(simulated, "Register task definitions")
        simulated.aws.client("ssm").delete_parameter(Name=simulated.identity.tag_parameter)
        flow.call()
        assert simulated.parameters() == {}


def test_what_ecs_has_rolled_back_by_itself_is_not_repeated() -> None:
    with SimulatedEnvironment(settings=every_five_seconds(), recovery=False, circuit_breaker=True) as simulated:
        deployed(simulated, "v0", "zero")
        simulated.push("v1", ImageBehavior("crash"))
        flow = Flow(simulated, DEPLOY).run_to("Check rollout")
        flow.wait(400)
        flow.run_to(HERE)
        start = len(simulated.aws.calls)
        assert flow.run_to_end() == "RolledBack"
        assert "UpdateService" not in writes(simulated.aws.calls[start:])
        assert flow.state["rollback"]["services"] == []


def test_a_service_that_was_deleted_does_not_keep_the_others_from_going_back(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Complete")
    simulated.aws.client("ecs").delete_service(cluster="v3-backend-dev", service="v3-backend-dev-worker", force=True)
    flow.wait(600)
    flow.run_to_end()
    running = current(simulated)["running"]
    for name in ("api", "scheduler"):
        assert running[f"v3-backend-dev-{name}"] == flow.state["plan"]["services"][name]["previous"]


def test_a_rollback_is_not_rolled_back_itself(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    flow = Flow(simulated, ROLLBACK, "two").run_to("Check rollout")
    flow.catch(BUG)
    start = len(simulated.aws.calls)
    error = flow.fails()
    assert error.error_type == "NothingToReturnTo"
    assert writes(simulated.aws.calls[start:]) == []
    assert flow.run_to_end() == "RollbackFailed"


def test_a_rollback_to_a_named_release_returns_to_what_ran_before_it(simulated: SimulatedEnvironment) -> None:
    release = simulated.table.live()
    assert release is not None
    deployed(simulated, "v1", "one")
    before = current(simulated)
    flow = Flow(simulated, {**ROLLBACK, "releaseId": release.release_id}, "two").run_to("Check health")
    flow.catch(BUG)
    assert flow.run_to_end() == "RolledBack"
    assert current(simulated) == before


def test_the_time_of_the_rollback_counts_from_its_first_step(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Complete").run_to("Check rollback")
    first = flow.state["rollback"]["startedAt"]
    flow.step()
    flow.run_to(HERE)
    assert flow.call()["startedAt"] == first


def migrating(simulated: SimulatedEnvironment) -> Flow:
    """Start a migration that never ends."""
    simulated.push("v1", per_service={"migration": ImageBehavior(hang=True)})
    return Flow(simulated, DEPLOY).run_to("Run migration")


def test_a_migration_that_still_runs_is_stopped_and_waited_for(simulated: SimulatedEnvironment) -> None:
    flow = migrating(simulated)
    flow.step()
    flow.run_to("Run migration")
    flow.wait(60)
    flow.catch(BUG)
    flow.run_to(HERE)
    result = flow.call(HERE)
    assert result["stoppedMigration"] == flow.state["migration"]["task"]
    assert result["message"] == "no service has moved; stopped the migration"
    assert simulated.snapshot().running_migrations == ()


def test_a_migration_of_which_nothing_was_said_is_found_by_who_started_it(simulated: SimulatedEnvironment) -> None:
    flow = migrating(simulated)
    flow.call()
    flow.catch(BUG)
    flow.run_to(HERE)
    assert flow.call(HERE)["stoppedMigration"] is not None
    assert simulated.snapshot().running_migrations == ()


def test_a_migration_that_was_not_started_is_not_looked_for(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Register task definitions")
    start = len(simulated.aws.calls)
    assert flow.call(HERE)["stoppedMigration"] is None
    assert {"ListTasks", "StopTask"}.isdisjoint(call.operation for call in simulated.aws.calls[start:])


def test_a_migration_that_has_ended_is_not_stopped(simulated: SimulatedEnvironment) -> None:
    flow = broken_at(simulated, "Deploy wave")
    start = len(simulated.aws.calls)
    assert flow.call(HERE)["stoppedMigration"] is None
    assert {"ListTasks", "StopTask"}.isdisjoint(call.operation for call in simulated.aws.calls[start:])


def test_what_can_be_put_back_is_put_back_though_the_migration_cannot_be_stopped(
    simulated: SimulatedEnvironment,
) -> None:
    before = current(simulated)
    flow = migrating(simulated)
    flow.step()
    flow.run_to("Run migration")
    flow.wait(60)
    flow.catch(BUG)
    flow.run_to(HERE)
    simulated.aws.faults.add(denied("StopTask"))
    assert flow.fails(HERE).error_type == "AccessDenied"
    assert current(simulated) == before
    simulated.aws.faults.clear()
    assert flow.call(HERE)["stoppedMigration"] is not None
