from __future__ import annotations

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, Json
from tests.lambdas.handlers.surroundings import DEPLOY, denied, deployed, put_alarm, with_alarms
from tests.simulator.quick import as_committed, few_looks

HERE = "Check health"


def at_health(simulated: SimulatedEnvironment, behavior: ImageBehavior | None = None) -> Flow:
    simulated.push("v1", behavior or ImageBehavior())
    return Flow(simulated, DEPLOY).run_to(HERE)


@as_committed
def test_a_release_bakes_until_its_time_is_over(simulated: SimulatedEnvironment) -> None:
    flow = at_health(simulated)
    assert flow.call()["status"] == "baking"
    flow.wait(simulated.settings.rollout.bake_seconds)
    result = flow.call()
    assert result["status"] == "healthy"
    assert {verdict["status"] for verdict in result["services"].values()} == {"steady"}


def test_a_healthy_release_is_watched_for_the_whole_bake_time(simulated: SimulatedEnvironment) -> None:
    flow = at_health(simulated).run_to("Complete")
    baked = flow.state["health"]["at"] - flow.state["rollout"]["at"]
    assert baked >= simulated.settings.rollout.bake_seconds


@as_committed
def test_tasks_that_die_after_the_rollout_end_the_bake_with_their_exit_code(simulated: SimulatedEnvironment) -> None:
    late = ImageBehavior("healthy", crash_after_healthy_seconds=45, exit_code=9, logs=("pool exhausted",))
    simulated.push("v1", ImageBehavior(), per_service={"scheduler": late, "worker": late})
    flow = Flow(simulated, DEPLOY).run_to("Roll back")
    health = flow.state["health"]
    assert health["status"] == "unhealthy"
    assert "had to replace" in health["services"]["worker"]["reason"]
    assert health["explanation"]["causes"][0]["cause"] == "exit-code"
    assert health["explanation"]["logLines"] == ["pool exhausted"]


def test_scaling_is_no_failure(simulated: SimulatedEnvironment) -> None:
    flow = at_health(simulated)
    simulated.aws.client("ecs").update_service(
        cluster="v3-backend-dev", service="v3-backend-dev-worker", desiredCount=6
    )
    flow.wait(120)
    assert flow.call()["status"] == "healthy"


def test_somebody_elses_deployment_ends_the_bake(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v0", "zero")
    flow = at_health(simulated)
    simulated.aws.client("ecs").update_service(
        cluster="v3-backend-dev", service="v3-backend-dev-api", taskDefinition="v3-backend-dev-api:1"
    )
    result = flow.call()
    assert result["status"] == "unhealthy"
    assert result["services"]["api"]["status"] == "superseded"


def test_an_alarm_ends_the_bake() -> None:
    with with_alarms("errors") as simulated:
        put_alarm(simulated, "errors", "OK")
        flow = at_health(simulated)
        put_alarm(simulated, "errors", "ALARM")
        result = flow.call()
    assert result["status"] == "unhealthy"
    assert result["explanation"]["causes"][0]["cause"] == "alarm"


def test_a_service_that_was_deleted_ends_the_bake(simulated: SimulatedEnvironment) -> None:
    flow = at_health(simulated)
    simulated.aws.client("ecs").delete_service(cluster="v3-backend-dev", service="v3-backend-dev-api", force=True)
    assert flow.call()["status"] == "unhealthy"


@as_committed
@pytest.mark.parametrize("operation", ["ListTasks", "GetLogEvents"])
def test_evidence_that_may_not_be_read_fails_nothing(simulated: SimulatedEnvironment, operation: str) -> None:
    late = ImageBehavior("healthy", crash_after_healthy_seconds=45, logs=("bye",))
    simulated.push("v1", ImageBehavior(), per_service={"scheduler": late, "worker": late})
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    simulated.aws.faults.add(denied(operation))
    flow.run_to("Roll back")
    assert any("AccessDenied" in line for line in flow.state["health"]["explanation"]["missing"])


def test_a_look_costs_one_call_and_one_for_all_alarms(simulated: SimulatedEnvironment) -> None:
    flow = at_health(simulated)
    start = len(simulated.aws.calls)
    flow.call()
    assert [call.operation for call in simulated.aws.calls[start:]] == ["DescribeServices", "DescribeAlarms"]


def look(simulated: SimulatedEnvironment, flow: Flow, *, seconds_ago: float) -> tuple[Json, list[str]]:
    """Look as if the rollout had been steady for so long; returns the result and the calls."""
    steady_at = simulated.aws.clock.now() - seconds_ago
    state = {**flow.state, "rollout": {**flow.state["rollout"], "at": steady_at}}
    start = len(simulated.aws.calls)
    result = flow.call(state=state)
    return result, [call.operation for call in simulated.aws.calls[start:]]


def test_a_bake_waits_for_a_missing_task_as_long_as_a_rollout_may_take_and_no_longer(
    simulated: SimulatedEnvironment,
) -> None:
    flow = at_health(simulated)
    rollout = simulated.settings.rollout
    simulated.live.interrupt("v3-backend-dev", "v3-backend-dev-api", "spot", 3)
    early, _ = look(simulated, flow, seconds_ago=rollout.bake_seconds + rollout.timeout_seconds - 1)
    assert (early["status"], early["services"]["api"]["reason"]) == ("baking", "0 of 3 tasks run")
    late, _ = look(simulated, flow, seconds_ago=rollout.bake_seconds + rollout.timeout_seconds)
    assert (late["status"], late["message"]) == ("unhealthy", "api: 0 of 3 tasks run")


def test_interrupted_tasks_are_waited_for_and_no_word_is_lost_on_them(simulated: SimulatedEnvironment) -> None:
    flow = at_health(simulated)
    for kind in ("spot", "host", "maintenance", "user"):
        simulated.live.interrupt("v3-backend-dev", "v3-backend-dev-api", kind, 3)
        flow.wait(60)
    result = flow.call()
    assert (result["status"], result["message"], result["died"]) == ("healthy", "healthy", {})


@as_committed
def test_deaths_that_do_not_end_the_bake_are_told_and_explained_at_its_end(simulated: SimulatedEnvironment) -> None:
    once = ImageBehavior("flaky", crashes=1, crash_seconds=60, exit_code=3, logs=("pool exhausted",))
    simulated.push("v1", per_service={"worker": once})
    flow = Flow(simulated, DEPLOY).run_to("Complete")
    health = flow.state["health"]
    assert health["status"] == "healthy"
    assert health["died"] == {"worker": "1 task died: container v3-backend-worker exited with 3"}
    assert health["message"] == f"healthy; worker: {health['died']['worker']}"
    assert health["services"]["worker"]["status"] == "steady"
    assert health["explanation"]["causes"][0]["cause"] == "exit-code"
    assert health["explanation"]["logLines"] == ["pool exhausted"]
    assert health["died"]["worker"] in flow.call()["message"]


def test_one_death_of_a_service_with_one_task_ends_the_bake() -> None:
    service = SimulatedService("api", wave=1, desired=1)
    with SimulatedEnvironment(services=(service,), settings=few_looks(), recovery=False) as simulated:
        deployed(simulated, "v0", "zero")
        simulated.push("v1", ImageBehavior("out_of_memory", crash_seconds=22))
        flow = Flow(simulated, DEPLOY).run_to("Roll back")
    health = flow.state["health"]
    assert "ECS had to replace 1 task during the bake: OutOfMemoryError" in health["services"]["api"]["reason"]
    assert health["explanation"]["causes"][0]["cause"] == "out-of-memory"


def test_scaling_costs_two_calls_and_dying_no_more(simulated: SimulatedEnvironment) -> None:
    """Without a hint nobody looks at the stopped tasks; with one they are listed and described once a look."""
    flow = at_health(simulated)
    ecs = simulated.aws.client("ecs")
    for count in (6, 2):
        ecs.update_service(cluster="v3-backend-dev", service="v3-backend-dev-worker", desiredCount=count)
        flow.wait(60)
    result, calls = look(simulated, flow, seconds_ago=120)
    assert result["status"] == "healthy"
    assert calls == ["DescribeServices", "ListTasks", "DescribeTasks", "DescribeAlarms"]
