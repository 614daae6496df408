from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, Json, writes
from tests.lambdas.handlers.surroundings import DEPLOY, at_plan, change_definition, deployed, put_alarm, with_alarms


def test_a_plan_says_for_each_service_where_it_is_and_where_it_goes(simulated: SimulatedEnvironment) -> None:
    plan = at_plan(simulated).call()
    assert plan["waves"] == [["api"], ["scheduler", "worker"]]
    api = plan["services"]["api"]
    assert api["previous"].endswith(":task-definition/v3-backend-dev-api:1")
    assert api["target"] is None, "it has still to be registered"
    assert api["image"].startswith("123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend@sha256:")
    assert api["previousImage"].startswith("public.ecr.aws/")
    assert plan["onFailure"] == "rollBack"
    assert plan["nothingToDo"] is False


def test_a_plan_holds_both_values_of_every_parameter(simulated: SimulatedEnvironment) -> None:
    plan = at_plan(simulated).call()
    tag, *images = plan["parameters"]
    assert tag == {"name": "/v3-backend/dev/compute/currentImageTag", "previous": None, "target": "v1"}
    assert [each["name"].rsplit("/", 1)[-1] for each in images] == ["api", "scheduler", "worker", "migration"]


def test_a_plan_carries_the_policies_of_the_environment(simulated: SimulatedEnvironment) -> None:
    plan = at_plan(simulated).call()
    assert plan["rollout"]["pollSeconds"] == simulated.settings.rollout.poll_seconds
    assert plan["rollout"]["failedTasksLimit"] == simulated.settings.circuit_breaker.failed_tasks
    assert plan["migration"]["timeoutSeconds"] == simulated.settings.migration.timeout_seconds
    assert plan["approval"] == {"required": False, "timeoutSeconds": simulated.settings.approval.timeout_seconds}


def test_the_migration_runs_with_the_launch_type_of_the_services_in_its_own_network(
    simulated: SimulatedEnvironment,
) -> None:
    migration = at_plan(simulated).call()["migration"]
    assert migration["needed"] is True
    assert migration["launch"]["launchType"] == "FARGATE"
    assert migration["network"]["awsvpcConfiguration"]["subnets"] == ["subnet-1"]


@pytest.mark.parametrize(("registered", "request_"), [(False, {}), (True, {"runMigration": False})])
def test_there_is_no_migration_where_none_is_registered_or_none_is_wanted(registered: bool, request_: Json) -> None:
    with SimulatedEnvironment(migration=registered, recovery=False) as simulated:
        plan = at_plan(simulated, {**DEPLOY, **request_}).call()
    assert plan["migration"]["needed"] is False
    assert not [each for each in plan["parameters"] if each["name"].endswith("/migration")]


def test_only_the_services_that_were_asked_for_are_planned(simulated: SimulatedEnvironment) -> None:
    plan = at_plan(simulated, {**DEPLOY, "services": ["worker"]}).call()
    assert list(plan["services"]) == ["worker"]
    assert plan["waves"] == [["worker"]]


def test_the_release_id_is_the_same_on_a_repeat(simulated: SimulatedEnvironment) -> None:
    flow = at_plan(simulated)
    assert flow.call()["releaseId"] == flow.call()["releaseId"]


def test_the_same_image_again_is_nothing_to_do(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    again = Flow(simulated, DEPLOY, "two")
    start = len(simulated.aws.calls)
    assert again.run_to_end() == "NothingToDo"
    assert set(writes(simulated.aws.calls[start:])) == {"PutItem", "TransactWriteItems", "PutEvents"}


def test_force_deploys_the_same_image_again(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    plan = at_plan(simulated, {**DEPLOY, "force": True}, "two").call()
    assert plan["nothingToDo"] is False
    assert plan["force"] is True


def test_the_same_image_is_not_done_while_a_parameter_is_wrong(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    simulated.aws.client("ssm").put_parameter(Name=simulated.identity.tag_parameter, Value="other", Overwrite=True)
    assert at_plan(simulated, name="two").call()["nothingToDo"] is False


def test_a_dry_run_shows_every_check(simulated: SimulatedEnvironment) -> None:
    checks = at_plan(simulated, {**DEPLOY, "dryRun": True}).call()["checks"]
    assert {check["result"] for check in checks} == {"OK"}
    api = [(check["check"], check["detail"]) for check in checks if check["subject"] == "api"]
    assert [name for name, _ in api] == [
        "service is ACTIVE",
        "deployment controller",
        "no other rollout",
        "desired count",
        "task definition",
        "container",
        "room to move",
        "task definition is copied whole",
        "role exists",
        "role exists",
        "log group exists",
        "secret exists",
    ]


# --- how much it asks


def many(count: int) -> tuple[SimulatedService, ...]:
    return tuple(SimulatedService(f"s{number:02}", wave=1, desired=1) for number in range(count))


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (10, 1), (11, 2), (25, 3)])
def test_services_are_described_ten_at_a_time(count: int, expected: int) -> None:
    with SimulatedEnvironment(services=many(count), recovery=False) as simulated:
        flow = at_plan(simulated)
        start = len(simulated.aws.calls)
        flow.call()
        calls = [call.operation for call in simulated.aws.calls[start:]]
    assert calls.count("DescribeServices") == expected
    # One definition each, also the migration's; two roles, one secret and one group each, every name once.
    assert calls.count("DescribeTaskDefinition") == count + 1
    assert calls.count("GetRole") == 2
    assert calls.count("DescribeSecret") == 1
    assert calls.count("DescribeLogGroups") == count + 1
    assert calls.count("GetParametersByPath") == -(-(count + 1) // 10)
    assert calls.count("GetParameters") == -(-(count + 2) // 10)
    assert len(calls) <= 2 * count + 4 * expected + 9, calls


def test_one_call_describes_all_alarms() -> None:
    names = tuple(f"alarm-{number}" for number in range(5))
    with with_alarms(*names) as simulated:
        for name in names:
            put_alarm(simulated, name, "OK")
        at_plan(simulated).call()
        assert len(simulated.aws.calls.of("cloudwatch", "DescribeAlarms")) == 1


def test_a_plan_of_25_services_fits_into_the_state() -> None:
    with SimulatedEnvironment(services=many(25), recovery=False) as simulated:
        result = at_plan(simulated).call()
    assert len(json.dumps(result)) < 256 * 1024 / 4


def platform(cpu: str) -> Callable[[Json], None]:
    return lambda request: request.update(
        runtimePlatform={"cpuArchitecture": cpu, "operatingSystemFamily": "LINUX"},
    )


@pytest.mark.parametrize(("runs", "newest", "is_right"), [("ARM64", "X86_64", True), ("X86_64", "ARM64", False)])
def test_an_index_is_compared_with_what_a_revision_is_made_from_and_not_with_the_newest(
    simulated: SimulatedEnvironment, runs: str, newest: str, *, is_right: bool
) -> None:
    """Terraform registers revisions with each change, and with ignore_changes nobody deploys them."""
    simulated.push("v1", architectures=("arm64",), index=True)
    change_definition(simulated, "api", platform(runs))
    request = simulated.aws.client("ecs").describe_task_definition(taskDefinition="v3-backend-dev-api")
    kept = ("family", "containerDefinitions", "networkMode", "requiresCompatibilities", "cpu", "memory")
    again = {key: request["taskDefinition"][key] for key in (*kept, "taskRoleArn", "executionRoleArn")}
    platform(newest)(again)
    simulated.aws.client("ecs").register_task_definition(**again)
    flow = Flow(simulated, {**DEPLOY, "services": ["api"], "runMigration": False}, "one").run_to("Plan")
    if is_right:
        assert flow.call()["services"]["api"]["previous"].endswith(":2")
    else:
        error = flow.fails()
        assert error.error_type == "WrongArchitecture"
        assert "is built for linux/arm64, but api asks for LINUX X86_64: build it for that platform" in error.message
