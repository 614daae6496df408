"""What ``Plan`` refuses: everything that the new tasks would miss."""

from __future__ import annotations

import json

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json
from tests.lambdas.handlers.surroundings import (
    DEPLOY,
    ROLLBACK,
    at_plan,
    change_definition,
    deployed,
    push,
    put_alarm,
    refused,
    run_placeholder,
    with_alarms,
)


def test_a_service_that_ecs_does_not_know_is_not_good(simulated: SimulatedEnvironment) -> None:
    name = simulated.identity.services_path + "worker"
    entry = json.loads(simulated.aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    value = json.dumps({**entry, "service": "nobody"})
    simulated.aws.client("ssm").put_parameter(Name=name, Value=value, Overwrite=True)
    assert "FAIL worker: service exists" in refused(at_plan(simulated))


def test_a_service_that_is_being_deleted_is_not_good(simulated: SimulatedEnvironment) -> None:
    flow = at_plan(simulated)
    simulated.aws.client("ecs").delete_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-worker", force=True
    )
    assert "FAIL worker: service is ACTIVE — it is" in refused(flow)


def test_a_container_that_the_task_definition_does_not_have_is_not_good(simulated: SimulatedEnvironment) -> None:
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(name="renamed"))
    message = refused(at_plan(simulated))
    assert "FAIL api: container — v3-backend-api is not in v3-backend-dev-api; it has renamed" in message


def test_another_rollout_under_way_is_not_good(simulated: SimulatedEnvironment) -> None:
    simulated.push("other")
    flow = at_plan(simulated)
    simulated.aws.client("ecs").update_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-api", forceNewDeployment=True
    )
    assert "FAIL api: no other rollout" in refused(flow)


@pytest.mark.parametrize("request_", [{**DEPLOY, "force": True}, ROLLBACK])
def test_a_forced_deploy_and_a_rollback_may_interrupt_another_rollout(
    simulated: SimulatedEnvironment, request_: Json
) -> None:
    deployed(simulated, "v0", "zero")
    flow = at_plan(simulated, request_)
    simulated.aws.client("ecs").update_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-api", forceNewDeployment=True
    )
    checks = flow.call()["checks"]
    assert [c["result"] for c in checks if c["check"] == "no other rollout" and c["subject"] == "api"] == ["SKIP"]


def test_a_service_without_tasks_is_skipped_with_the_reason(simulated: SimulatedEnvironment) -> None:
    simulated.aws.client("ecs").update_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-worker", desiredCount=0
    )
    simulated.aws.clock.sleep(300)
    checks = at_plan(simulated).call()["checks"]
    assert [(c["subject"], c["check"], c["result"]) for c in checks] == [("worker", "desired count", "SKIP")]


@pytest.mark.parametrize("key", ["taskRoleArn", "executionRoleArn"])
@pytest.mark.parametrize("service", ["api", "migration"])
def test_a_role_that_does_not_exist_is_not_good(simulated: SimulatedEnvironment, service: str, key: str) -> None:
    role = "arn:aws:iam::123456789012:role/v3-backend/dev/gone"
    change_definition(simulated, service, lambda new: new.update({key: role}))
    assert f"FAIL {service}: role exists — {role} does not exist" in refused(at_plan(simulated))


@pytest.mark.parametrize("service", ["worker", "migration"])
def test_a_log_group_that_does_not_exist_is_not_good(simulated: SimulatedEnvironment, service: str) -> None:
    simulated.aws.client("logs").delete_log_group(logGroupName=f"/v3-backend/dev/{service}")
    expected = f"FAIL {service}: log group exists — /v3-backend/dev/{service} does not exist"
    assert expected in refused(at_plan(simulated))


def test_a_log_group_is_not_there_because_a_longer_name_is(simulated: SimulatedEnvironment) -> None:
    client = simulated.aws.client("logs")
    client.delete_log_group(logGroupName="/v3-backend/dev/api")
    client.create_log_group(logGroupName="/v3-backend/dev/api-2")
    assert "FAIL api: log group exists" in refused(at_plan(simulated))


SECRETS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
PARAMETERS = "arn:aws:ssm:us-east-1:123456789012:parameter"


@pytest.mark.parametrize(
    "reference", [f"{SECRETS}v3-backend/dev/gone-AbCdEf", f"{PARAMETERS}/gone/parameter", f"{PARAMETERS}/gone", "gone"]
)
def test_a_secret_that_does_not_exist_is_not_good(simulated: SimulatedEnvironment, reference: str) -> None:
    secret = {"name": "KEY", "valueFrom": reference}
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(secrets=[secret]))
    assert f"FAIL api: secret exists — {reference} does not exist" in refused(at_plan(simulated))


def test_a_secret_is_found_by_arn_by_key_in_it_and_as_parameter(simulated: SimulatedEnvironment) -> None:
    simulated.aws.client("ssm").put_parameter(Name="/v3-backend/dev/key", Value="canary", Type="SecureString")
    simulated.aws.client("ssm").put_parameter(Name="key", Value="canary", Type="SecureString")
    database = simulated.aws.client("secretsmanager").describe_secret(SecretId="v3-backend/dev/database")["ARN"]
    references = [
        database,
        f"{database}:password::",
        f"{PARAMETERS}/v3-backend/dev/key",
        "/v3-backend/dev/key",
        f"{PARAMETERS}/key",
    ]
    secrets = [{"name": f"S{index}", "valueFrom": each} for index, each in enumerate(references)]
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(secrets=secrets))
    flow = at_plan(simulated, {**DEPLOY, "dryRun": True})
    plan = flow.call()
    found = [c["result"] for c in plan["checks"] if (c["subject"], c["check"]) == ("api", "secret exists")]
    assert found == ["OK"] * 5
    assert "canary" not in json.dumps(plan)


@pytest.mark.parametrize(
    ("service", "operation", "check"),
    [
        ("iam", "GetRole", "role exists"),
        ("logs", "DescribeLogGroups", "log group exists"),
        ("secretsmanager", "DescribeSecret", "secret exists"),
    ],
)
def test_what_may_not_be_looked_up_is_skipped(
    simulated: SimulatedEnvironment, service: str, operation: str, check: str
) -> None:
    denied = CallFault(
        CallAction.ERROR, service=service, operation=operation, times=100, code="AccessDenied", http_status=403
    )
    flow = at_plan(simulated)
    simulated.aws.faults.add(denied)
    skipped = {c["check"]: c["result"] for c in flow.call()["checks"]}
    assert skipped == {check: "SKIP"}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, "FAIL errors: alarm — there is no such alarm"),
        ("ALARM", "FAIL errors: alarm — it is firing already"),
    ],
)
def test_an_alarm_that_fires_or_does_not_exist_is_not_good(state: str | None, expected: str) -> None:
    with with_alarms("errors", "latency") as simulated:
        put_alarm(simulated, "latency", "OK")
        if state:
            put_alarm(simulated, "errors", state)
        else:
            simulated.aws.client("cloudwatch").delete_alarms(AlarmNames=["errors"])
        message = refused(at_plan(simulated))
    assert expected in message
    assert "latency" not in message


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_does_not_fire_is_good(state: str) -> None:
    with with_alarms("errors") as simulated:
        put_alarm(simulated, "errors", state)
        plan = at_plan(simulated).call()
    assert plan["rollout"]["alarms"] == ["errors"]


def test_a_forced_deploy_may_mend_what_an_alarm_says_and_is_judged_by_the_others() -> None:
    with with_alarms("errors", "latency") as simulated:
        put_alarm(simulated, "errors", "ALARM")
        put_alarm(simulated, "latency", "OK")
        plan = at_plan(simulated, {**DEPLOY, "force": True}).call()
    assert plan["rollout"]["alarms"] == ["latency"]
    assert next(check for check in plan["checks"] if check["subject"] == "errors")["result"] == "SKIP"


def test_everything_that_is_not_good_is_listed_at_once(simulated: SimulatedEnvironment) -> None:
    flow = at_plan(simulated)
    simulated.aws.client("logs").delete_log_group(logGroupName="/v3-backend/dev/api")
    simulated.aws.client("logs").delete_log_group(logGroupName="/v3-backend/dev/worker")
    simulated.aws.client("iam").delete_role(RoleName="v3-backend-dev-execution")
    change_definition(simulated, "scheduler", lambda new: new["containerDefinitions"][0].update(name="renamed"))
    simulated.aws.client("ecs").update_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-worker", forceNewDeployment=True
    )
    message = refused(flow)
    for expected in (
        "FAIL api: log group exists",
        "FAIL worker: log group exists",
        "FAIL api: role exists",
        "FAIL migration: role exists",
        "FAIL scheduler: container",
        "FAIL worker: no other rollout",
    ):
        assert expected in message


def test_no_value_of_an_environment_variable_is_in_the_plan(simulated: SimulatedEnvironment) -> None:
    change_definition(
        simulated,
        "api",
        lambda new: new["containerDefinitions"][0].update(environment=[{"name": "PASSWORD", "value": "canary"}]),
    )
    assert "canary" not in json.dumps(at_plan(simulated, {**DEPLOY, "dryRun": True}).call())


def test_the_registered_family_is_checked_where_a_placeholder_runs(simulated: SimulatedEnvironment) -> None:
    run_placeholder(simulated, "api")
    flow = at_plan(simulated)
    ecs = simulated.aws.client("ecs")
    ecs.deregister_task_definition(taskDefinition="v3-backend-dev-api:1")
    assert "FAIL api: task definition — v3-backend-dev-api has no active revision" in refused(flow)


def test_a_failing_first_deploy_returns_to_the_placeholder() -> None:
    with SimulatedEnvironment(recovery=False) as simulated:
        placeholder = run_placeholder(simulated, "api")
        push(simulated, "bad", ImageBehavior(outcome="crash"))
        assert Flow(simulated, {"imageTag": "bad"}, "one").run_to_end() == "RolledBack"
        (api,) = simulated.aws.client("ecs").describe_services(
            cluster="v3-backend-dev", services=["v3-backend-dev-api"]
        )["services"]
    assert api["taskDefinition"] == placeholder
