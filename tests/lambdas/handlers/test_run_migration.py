from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from lambdas.aws.gateway import ATTEMPTS, client_of
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json, footprint, writes
from tests.lambdas.handlers.surroundings import DEPLOY, denied
from tests.simulator.quick import as_committed

HERE = "Run migration"


def at_migration(simulated: SimulatedEnvironment, behavior: ImageBehavior | None = None) -> Flow:
    simulated.push("v1", per_service={"migration": behavior or ImageBehavior()})
    return Flow(simulated, DEPLOY).run_to(HERE)


def followed(flow: Flow) -> Json:
    """Follow the task until it has ended; returns the last result."""
    while flow.at in (HERE, "Migration done?", "Wait for migration"):
        flow.step()
    result: Json = flow.state["migration"]
    return result


def task(simulated: SimulatedEnvironment, arn: str) -> Any:
    return simulated.aws.client("ecs").describe_tasks(cluster="v3-backend-dev", tasks=[arn])["tasks"][0]


def test_the_task_runs_the_new_image_in_the_network_of_the_registry(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated)
    result = flow.call()
    assert result["status"] == "running"
    flow.wait(simulated.ecs_world.unseen_task_seconds)
    started = task(simulated, result["task"])
    assert started["taskDefinitionArn"] == flow.state["registered"]["migration"]
    assert started["startedBy"] == f"stepship/{flow.state['plan']['releaseId']}"
    (call,) = simulated.aws.calls.of("ecs", "RunTask")
    assert call.params["launchType"] == "FARGATE"
    assert call.params["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == ["subnet-1"]
    assert len(call.params["startedBy"]) <= 128
    assert len(call.params["clientToken"]) <= 64


def test_services_move_only_after_the_migration_succeeded(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated)
    assert followed(flow)["status"] == "succeeded"
    assert flow.at == "Deploy wave"
    assert simulated.aws.calls.of("ecs", "UpdateService") == []
    assert len(simulated.aws.calls.of("ecs", "RunTask")) == 1


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_a_lost_answer_of_run_task_leads_to_the_same_task(simulated: SimulatedEnvironment, times: int) -> None:
    flow = at_migration(simulated)
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="RunTask", times=times))
    assert followed(flow)["status"] == "succeeded"
    assert footprint(simulated)["migrations"] == [flow.state["migration"]["task"]]
    assert flow.retried == (["AwsUnavailable"] if times == ATTEMPTS else [])


def test_a_task_that_had_ended_when_the_step_is_run_again_is_found(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated)
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="RunTask", times=ATTEMPTS))
    flow.fails()
    flow.wait(300)
    assert followed(flow)["status"] == "succeeded"
    assert len(footprint(simulated)["migrations"]) == 1


def test_an_exit_code_that_is_not_zero_fails_with_the_last_log_lines(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior(exit_code=3, logs=("adding column", "relation exists already")))
    result = followed(flow)
    assert result["status"] == "failed"
    assert result["reason"] == "the migration exited with 3"
    (cause,) = result["explanation"]["causes"]
    assert (cause["cause"], cause["subject"]) == ("exit-code", "migration")
    assert result["explanation"]["logLines"] == ["adding column", "relation exists already"]
    assert flow.at == "Roll back"
    assert simulated.aws.calls.of("ecs", "UpdateService") == []


def test_a_task_that_never_ran_fails_with_what_ecs_says(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior("cannot_pull", reason="CannotPullContainerError: access denied"))
    result = followed(flow)
    assert "CannotPullContainerError" in result["reason"]
    assert result["explanation"]["causes"][0]["cause"] == "image-pull"


def test_a_task_that_ecs_cannot_place_fails_at_once(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior("no_capacity"))
    result = followed(flow)
    assert result["status"] == "failed"
    assert result["task"] is None
    assert "Capacity is unavailable" in result["reason"]


@as_committed
def test_a_migration_that_hangs_is_stopped(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior(hang=True))
    result = followed(flow)
    assert result["status"] == "failed"
    assert "not done after 90" in result["reason"]
    stopped = task(simulated, result["task"])
    assert stopped["desiredStatus"] == "STOPPED"
    assert "took too long" in stopped["stoppedReason"]


@as_committed
def test_a_migration_that_is_stopped_is_waited_for(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior(hang=True, logs=("waiting for a lock",)))
    flow.step()
    flow.wait(900)
    said = [flow.state["migration"]]
    while flow.at in (HERE, "Migration done?", "Wait for migration"):
        flow.step()
        said.append(flow.state["migration"])
    reasons = list(dict.fromkeys((each["status"], each["reason"].partition(" 9")[0]) for each in said))
    assert reasons == [("running", ""), ("running", "not done after"), ("failed", "not done after")]
    ended = said[-1]
    assert ended["reason"].endswith(" s; stopped")
    assert [cause["cause"] for cause in ended["explanation"]["causes"]] == ["timeout"]
    assert ended["explanation"]["logLines"] == ["waiting for a lock"]
    assert len(simulated.aws.calls.of("ecs", "StopTask")) == 1


def test_a_task_that_ecs_does_not_show_yet_runs(simulated: SimulatedEnvironment) -> None:
    simulated.ecs_world.unseen_task_seconds = 290
    flow = at_migration(simulated, ImageBehavior(run_seconds=300))
    flow.step()
    for _ in range(10):
        flow.wait(28)
        assert flow.call(HERE)["status"] == "running"
    assert followed(flow)["status"] == "succeeded"


def test_a_task_that_ecs_never_showed_has_failed_after_five_minutes(simulated: SimulatedEnvironment) -> None:
    simulated.ecs_world.unseen_task_seconds = 3600
    flow = at_migration(simulated)
    flow.step()
    flow.wait(299)
    assert flow.call(HERE)["status"] == "running"
    flow.wait(10)
    result = flow.call(HERE)
    assert (result["status"], result["reason"]) == ("failed", "ECS no longer knows the task")


def register(simulated: SimulatedEnvironment, **changes: Any) -> None:
    """Register the next revision of the migration, as an infrastructure deploy does."""
    ecs = simulated.aws.client("ecs")
    found = ecs.describe_task_definition(taskDefinition="v3-backend-dev-migration")["taskDefinition"]
    kept = ("family", "containerDefinitions", "taskRoleArn", "executionRoleArn", "cpu", "memory", "networkMode")
    ecs.register_task_definition(**{key: found[key] for key in kept} | changes)


def change_service(simulated: SimulatedEnvironment, **changes: Any) -> None:
    for name in ("api", "worker", "scheduler"):
        simulated.aws.client("ecs").update_service(
            cluster="v3-backend-dev", service=f"v3-backend-dev-{name}", **changes
        )
    simulated.aws.clock.sleep(600)


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_a_network_is_given_only_to_a_task_that_takes_one(simulated: SimulatedEnvironment, mode: str) -> None:
    register(simulated, networkMode=mode, requiresCompatibilities=["EC2"])
    flow = at_migration(simulated)
    assert followed(flow)["status"] == "succeeded"
    (call,) = simulated.aws.calls.of("ecs", "RunTask")
    assert "networkConfiguration" not in call.params
    assert call.params["launchType"] == "EC2"


SPOT = {"capacityProvider": "FARGATE_SPOT", "weight": 4}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ([SPOT], {"launchType": "FARGATE"}),
        (
            [SPOT, {"capacityProvider": "FARGATE", "base": 1, "weight": 0}],
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
        ),
    ],
)
def test_a_migration_never_runs_on_spot(simulated: SimulatedEnvironment, strategy: list[Json], expected: Json) -> None:
    change_service(simulated, capacityProviderStrategy=strategy)
    flow = at_migration(simulated)
    assert followed(flow)["status"] == "succeeded"
    (call,) = simulated.aws.calls.of("ecs", "RunTask")
    assert {
        key: call.params[key] for key in ("launchType", "capacityProviderStrategy") if key in call.params
    } == expected


def test_what_ecs_says_about_a_task_that_it_did_not_start_is_told_with_its_detail(
    simulated: SimulatedEnvironment,
) -> None:
    flow = at_migration(simulated)

    def answer(**_: Any) -> Any:
        failures = [{"arn": "arn:aws:ecs:…", "reason": "RESOURCE:MEMORY", "detail": "2048 of 512 MiB are free"}]
        return AWSResponse("", 200, {}, None), {"tasks": [], "failures": failures}

    events = client_of("ecs").meta.events
    events.register_first("before-call.ecs.RunTask", answer)
    try:
        result = flow.call(HERE)
    finally:
        events.unregister("before-call.ecs.RunTask", answer)
    assert result["reason"] == "ECS could not start it: RESOURCE:MEMORY (2048 of 512 MiB are free)"


def test_a_token_that_ecs_knows_with_another_request_names_the_task(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated)

    def answer(**_: Any) -> Any:
        error = {"Code": "ConflictException", "Message": "The clientToken is already in use"}
        parsed = {"Error": error, "resourceIds": ["arn:aws:ecs:us-east-1:1:task/c/1"], "ResponseMetadata": {}}
        return AWSResponse("", 400, {}, None), parsed

    events = client_of("ecs").meta.events
    events.register_first("before-call.ecs.RunTask", answer)
    try:
        assert flow.call(HERE)["task"] == "arn:aws:ecs:us-east-1:1:task/c/1"
    finally:
        events.unregister("before-call.ecs.RunTask", answer)


def test_a_lost_answer_of_stop_task_stops_it_all_the_same(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior(hang=True))
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="StopTask", times=ATTEMPTS))
    assert followed(flow)["status"] == "failed"
    assert flow.at == "Roll back"


def test_who_lost_the_lease_does_not_stop_the_task_of_somebody_else(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior(hang=True))
    flow.step()
    flow.wait(2000)
    flow.lose_lock()
    start = len(simulated.aws.calls)
    assert flow.fails(HERE).error_type == "LeaseLost"
    assert writes(simulated.aws.calls[start:]) == ["UpdateItem"]


def test_a_task_that_ecs_forgot_has_failed(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated)
    flow.step()
    flow.wait(3 * 3600)
    result = flow.call(HERE)
    assert result["status"] == "failed"
    assert "no longer knows the task" in result["reason"]


def test_log_lines_that_may_not_be_read_do_not_hide_the_exit_code(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated, ImageBehavior(exit_code=3, logs=("secret",)))
    simulated.aws.faults.add(denied("GetLogEvents"))
    result = followed(flow)
    assert result["reason"] == "the migration exited with 3"
    assert result["explanation"]["logLines"] == []
    assert "logs:get_log_events" in result["explanation"]["missing"][0]


def test_following_the_task_asks_once_a_time(simulated: SimulatedEnvironment) -> None:
    flow = at_migration(simulated)
    flow.step()
    start = len(simulated.aws.calls)
    assert flow.call(HERE)["status"] == "running"
    assert [call.operation for call in simulated.aws.calls[start:]] == ["DescribeTasks"]
