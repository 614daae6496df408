from __future__ import annotations

from collections.abc import Iterator

import pytest

from config import EnvironmentConfig
from lambdas.release.policies import HOLD_SECONDS
from simulator.ecs.images import ImageBehavior
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine.steps import CHECK_ROLLOUT
from tests.lambdas.handlers.flow import Flow, Json, table_items
from tests.lambdas.handlers.surroundings import DEPLOY, denied, deployed, put_alarm, with_alarms
from tests.simulator.quick import as_committed, every_five_seconds

HERE = "Check rollout"


@pytest.fixture
def settings() -> EnvironmentConfig:
    return every_five_seconds()


@pytest.fixture
def bare(settings: EnvironmentConfig) -> Iterator[SimulatedEnvironment]:
    """Without ECS's own circuit breaker."""
    with SimulatedEnvironment(settings=settings, recovery=False, circuit_breaker=False) as simulated:
        yield simulated


def failed(simulated: SimulatedEnvironment, behavior: ImageBehavior) -> Json:
    """Deploy an image that does not become steady; returns the verdict on the wave."""
    deployed(simulated, "v0", "zero")
    simulated.push("v1", behavior)
    flow = Flow(simulated, DEPLOY).run_to("Roll back")
    result: Json = flow.state["rollout"]
    assert result["status"] == "failed"
    return result


def test_a_rollout_that_is_under_way_is_in_progress(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", ImageBehavior("slow"))
    result = Flow(simulated, DEPLOY).run_to(HERE).call()
    assert result["status"] == "inProgress"
    assert result["services"]["api"]["reason"] == "0 of 3 tasks run, 3 old draining"
    assert result["explanation"] is None


def calls_of_a_look(simulated: SimulatedEnvironment, flow: Flow) -> list[str]:
    start = len(simulated.aws.calls)
    flow.call()
    return [call.operation for call in simulated.aws.calls[start:]]


@as_committed
def test_it_looks_again_by_itself_and_asks_for_alarms_once(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", ImageBehavior("slow"))
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    began = simulated.aws.clock.now()
    calls = calls_of_a_look(simulated, flow)
    seconds = simulated.aws.clock.now() - began
    assert HOLD_SECONDS - 2 < seconds < CHECK_ROLLOUT.timeout_seconds / 2 + 1
    assert calls == ["DescribeAlarms", *["DescribeServices"] * len(calls[1:])]
    assert seconds / 1.1 < len(calls) < seconds + 2


@as_committed
def test_it_sees_the_steady_moment_within_a_second(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to("More waves?")
    answer = simulated.aws.client("ecs").describe_services(cluster="v3-backend-dev", services=["v3-backend-dev-api"])
    steady_at = next(e["createdAt"] for e in answer["services"][0]["events"] if "steady state" in e["message"])
    assert 0 <= flow.state["rollout"]["at"] - steady_at.timestamp() < 1.1


@as_committed
def test_evidence_is_gathered_for_the_verdict_alone(bare: SimulatedEnvironment) -> None:
    deployed(bare, "v0", "zero")
    bare.push("v1", ImageBehavior("crash"))
    flow = Flow(bare, DEPLOY).run_to(HERE)
    calls = calls_of_a_look(bare, flow)
    looked = [index for index, operation in enumerate(calls) if operation == "DescribeServices"]
    assert len(looked) > 5
    assert "ListTasks" in calls
    assert set(calls[1 : looked[-1]]) == {"DescribeServices"}


def test_a_stopped_execution_is_recovered_no_later_because_its_function_still_looks(
    simulated: SimulatedEnvironment,
) -> None:
    simulated.push("v1", ImageBehavior("slow"))
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    lease = table_items(simulated)["lock/lock"]["leaseExpiresAt"]
    flow.stop()
    flow.call()
    assert table_items(simulated)["lock/lock"]["leaseExpiresAt"] == lease


def test_a_steady_wave_says_whether_more_follow(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to("More waves?")
    first = flow.state["rollout"]
    assert (first["status"], first["wave"], first["moreWaves"]) == ("steady", 0, True)
    flow.step()
    flow.run_to("More waves?")
    last = flow.state["rollout"]
    assert (last["wave"], last["moreWaves"]) == (1, False)
    assert sorted(last["services"]) == ["scheduler", "worker"]


@pytest.mark.parametrize(
    ("behavior", "cause", "said"),
    [
        (ImageBehavior("crash", exit_code=3), "exit-code", "exited with 3"),
        (ImageBehavior("out_of_memory"), "out-of-memory", "OutOfMemory"),
        (ImageBehavior("cannot_pull"), "image-pull", "CannotPull"),
        (ImageBehavior("secret_missing"), "secret", "secret"),
        (ImageBehavior("unhealthy"), "health-check", "health check"),
        (ImageBehavior("no_capacity"), "capacity", "apacity"),
    ],
    ids=lambda value: value.outcome if isinstance(value, ImageBehavior) else None,
)
def test_a_failure_is_explained_by_its_likeliest_cause(
    bare: SimulatedEnvironment, behavior: ImageBehavior, cause: str, said: str
) -> None:
    explanation = failed(bare, behavior)["explanation"]
    first = explanation["causes"][0]
    assert (first["cause"], first["subject"]) == (cause, "api")
    assert any(said in line for line in first["evidence"])
    assert explanation["summary"].startswith(f"api: {cause}")
    assert explanation["missing"] == []


def test_a_rollout_is_given_up_before_ecs_does(bare: SimulatedEnvironment) -> None:
    verdict = failed(bare, ImageBehavior("crash"))["services"]["api"]
    assert "tasks failed to start" in verdict["reason"] or "keep dying" in verdict["reason"]


def test_what_ecs_rolled_back_by_itself_is_recognised(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", ImageBehavior("crash"))
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    flow.wait(400)
    result = flow.call()
    assert result["status"] == "failed"
    assert result["services"]["api"]["reason"].startswith("ECS rolled back to the previous task definition")
    assert result["explanation"]["causes"][0]["cause"] == "exit-code"


def test_the_last_lines_of_the_container_are_shown(bare: SimulatedEnvironment) -> None:
    lines = tuple(f"line {number}" for number in range(30))
    explanation = failed(bare, ImageBehavior("crash", logs=lines))["explanation"]
    assert explanation["logLines"] == [f"line {number}" for number in range(20, 30)]


def test_a_wave_that_is_not_steady_in_time_has_failed(bare: SimulatedEnvironment) -> None:
    bare.push("v1", ImageBehavior("slow"))
    flow = Flow(bare, DEPLOY).run_to("Roll back")
    assert "not steady after 60" in flow.state["rollout"]["services"]["api"]["reason"]


def test_somebody_elses_deployment_is_recognised(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v0", "zero")
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    simulated.aws.client("ecs").update_service(
        cluster="v3-backend-dev", service="v3-backend-dev-api", taskDefinition="v3-backend-dev-api:1"
    )
    result = flow.call()
    assert result["status"] == "failed"
    assert result["services"]["api"]["status"] == "superseded"
    assert "v3-backend-dev-api:1" in result["services"]["api"]["reason"]


def test_a_service_that_was_deleted_has_failed(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    simulated.aws.client("ecs").delete_service(cluster="v3-backend-dev", service="v3-backend-dev-api", force=True)
    result = flow.call()
    assert result["services"]["api"]["reason"] in ("the service is DRAINING", "the service is INACTIVE")


def test_an_alarm_ends_the_wave_and_is_the_first_cause() -> None:
    with with_alarms("errors") as simulated:
        put_alarm(simulated, "errors", "OK")
        simulated.push("v1")
        flow = Flow(simulated, DEPLOY).run_to(HERE)
        assert flow.call()["status"] == "inProgress"
        put_alarm(simulated, "errors", "ALARM")
        began = simulated.aws.clock.now()
        result = flow.call()
        assert simulated.aws.clock.now() - began < 1
    assert result["status"] == "failed"
    assert result["explanation"]["causes"][0]["cause"] == "alarm"
    assert result["explanation"]["causes"][0]["evidence"] == ["errors is in ALARM"]


@pytest.mark.parametrize(
    ("operation", "said"), [("ListTasks", "ecs:list_tasks"), ("GetLogEvents", "logs:get_log_events")]
)
def test_evidence_that_may_not_be_read_is_named_and_fails_nothing(
    bare: SimulatedEnvironment, operation: str, said: str
) -> None:
    bare.aws.faults.add(denied(operation, "v3-backend-dev-check-rollout"))
    explanation = failed(bare, ImageBehavior("crash", logs=("bye",)))["explanation"]
    assert any(said in line for line in explanation["missing"])
    assert explanation["logLines"] == []
    assert explanation["summary"].startswith("api")


def test_25_services_are_described_ten_at_a_time() -> None:
    services = tuple(SimulatedService(f"s{number:02}", wave=1, desired=1) for number in range(25))
    with SimulatedEnvironment(services=services, recovery=False) as simulated:
        simulated.push("v1")
        flow = Flow(simulated, DEPLOY).run_to(HERE)
        calls = calls_of_a_look(simulated, flow)
        start = simulated.aws.calls[-len(calls) + 1 :]
        assert [len(call.params["services"]) for call in start[:3]] == [10, 10, 5]
        assert calls.count("DescribeServices") % 3 == 0


def operations(simulated: SimulatedEnvironment) -> list[str]:
    """What ``Check rollout`` has called so far."""
    function = "v3-backend-dev-check-rollout"
    return [call.operation for call in simulated.aws.calls if call.function == function]


def test_a_rollout_in_which_nothing_dies_asks_for_no_stopped_task(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    Flow(simulated, DEPLOY).run_to("Check health")
    assert not {"ListTasks", "DescribeTasks", "ListServiceDeployments"} & set(operations(simulated))


def test_interrupted_tasks_are_looked_at_once_each_and_are_no_failure(bare: SimulatedEnvironment) -> None:
    bare.push("v1", ImageBehavior(healthy_seconds=120))
    flow = Flow(bare, DEPLOY).run_to(HERE)
    for kind in ("spot", "host", "maintenance", "user"):
        flow.wait(30)
        bare.live.interrupt("v3-backend-dev", "v3-backend-dev-api", kind, 1)
    assert flow.call()["services"]["api"]["status"] == "inProgress"
    assert 1 <= operations(bare).count("ListTasks") <= 2
    flow.run_to("More waves?")
    assert flow.state["rollout"]["status"] == "steady"


def test_ecs_s_own_count_is_shown_and_a_refused_answer_changes_nothing(bare: SimulatedEnvironment) -> None:
    bare.aws.faults.add(denied("ListServiceDeployments", "v3-backend-dev-check-rollout"))
    reason = failed(bare, ImageBehavior("crash"))["services"]["api"]["reason"]
    assert "ECS counts" not in reason


def test_what_ecs_rolled_back_by_itself_is_told_as_done(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v0", "zero")
    simulated.push("v1", ImageBehavior("crash"))
    flow = Flow(simulated, DEPLOY).run_to(HERE)
    flow.wait(400)
    assert "; ECS counts 3 failed tasks, and gives up at 3" in flow.call()["services"]["api"]["reason"]
    assert flow.run_to_end() == "RolledBack"
    assert flow.state["rollback"]["returned"] == ["api"]
    done = flow.state["report"]["explanation"]["done"]
    assert done[0].startswith("The migration was applied and stays applied")
    assert done[1] == "ECS had rolled back to the previous task definition by itself: api."
