"""What ``Plan`` refuses: everything that the new tasks would miss."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.aws.gateway import client_of
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


@pytest.mark.parametrize("request_", [{**DEPLOY, "force": True}, {**ROLLBACK, "releaseId": "live"}])
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


def test_a_role_that_may_not_be_looked_at_could_not_be_passed_either(simulated: SimulatedEnvironment) -> None:
    flow = at_plan(simulated)
    denied = CallFault(
        CallAction.ERROR, service="iam", operation="GetRole", times=100, code="AccessDenied", http_status=403
    )
    simulated.aws.faults.add(denied)
    assert "widen [permissions] role_path, which is /v3-backend/dev/" in refused(flow)


@pytest.mark.parametrize("service", ["api", "migration"])
@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("arn:aws:iam::123456789012:role/task", "widen [permissions] role_path"),
        ("arn:aws:iam::123456789012:role/v3-backend/production/task", "widen [permissions] role_path"),
        ("arn:aws:iam::999999999999:role/v3-backend/dev/task", "is of account 999999999999"),
    ],
)
def test_a_role_that_could_not_be_passed_is_refused_before_the_first_write(
    simulated: SimulatedEnvironment, service: str, role: str, expected: str
) -> None:
    simulated.aws.client("iam").create_role(RoleName="task", AssumeRolePolicyDocument="{}")
    change_definition(simulated, service, lambda new: new.update(taskRoleArn=role))
    message = refused(at_plan(simulated))
    assert f"FAIL {service}: role exists — {role}" in message
    assert expected in message


def checks_of(simulated: SimulatedEnvironment, check: str, **container: object) -> list[tuple[str, str]]:
    """Return result and detail of a check of the api, whose container is changed like this."""
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(container))
    plan = at_plan(simulated, {**DEPLOY, "dryRun": True}).call()
    return [(c["result"], c["detail"]) for c in plan["checks"] if (c["subject"], c["check"]) == ("api", check)]


def secret(reference: str) -> list[Json]:
    return [{"name": "KEY", "valueFrom": reference}]


FOREIGN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:v3-backend/dev/key"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("arn:aws:secretsmanager:us-east-1:999999999999:secret:key-AbCdEf", "it is of account 999999999999"),
        ("arn:aws:ssm:us-east-1:999999999999:parameter/key", "it is of account 999999999999"),
        (f"{PARAMETERS}/aws/reference/secretsmanager/key", "it stands for a secret"),
        ("/aws/reference/secretsmanager/key", "it stands for a secret"),
    ],
)
def test_a_secret_that_cannot_be_looked_up_is_skipped_with_the_reason(
    simulated: SimulatedEnvironment, reference: str, reason: str
) -> None:
    ((result, detail),) = checks_of(simulated, "secret exists", secrets=secret(reference))
    assert result == "SKIP"
    assert detail.startswith(f"{reference}: {reason}")


def client_abroad(service: str) -> Any:
    return client_of(service, "eu-west-1")


def test_secrets_parameters_and_log_groups_are_looked_up_in_their_own_region(simulated: SimulatedEnvironment) -> None:
    arn = client_abroad("secretsmanager").create_secret(Name="v3-backend/dev/key", SecretString="x")["ARN"]
    client_abroad("ssm").put_parameter(Name="/v3-backend/dev/abroad", Value="x", Type="String")
    client_abroad("logs").create_log_group(logGroupName="/abroad")
    parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/v3-backend/dev/abroad"
    change_definition(
        simulated,
        "worker",
        lambda new: new["containerDefinitions"][0].update(
            logConfiguration={
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/abroad", "awslogs-region": "eu-west-1"},
            }
        ),
    )
    found = checks_of(simulated, "secret exists", secrets=[*secret(arn), {"name": "P", "valueFrom": parameter}])
    assert found == [("OK", arn), ("OK", parameter)]


def test_what_is_not_in_the_region_of_its_arn_does_not_exist(simulated: SimulatedEnvironment) -> None:
    references = ["arn:aws:ssm:eu-west-1:123456789012:parameter/v3-backend/dev/gone", f"{FOREIGN}-AbCdEf"]
    secrets = [{"name": f"S{n}", "valueFrom": each} for n, each in enumerate(references)]
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(secrets=secrets))
    log = {"logDriver": "awslogs", "options": {"awslogs-group": "/v3-backend/dev/api", "awslogs-region": "eu-west-1"}}
    change_definition(simulated, "migration", lambda new: new["containerDefinitions"][0].update(logConfiguration=log))
    message = refused(at_plan(simulated))
    assert all(f"FAIL api: secret exists — {each} does not exist" in message for each in references)
    assert "FAIL migration: log group exists — /v3-backend/dev/api in eu-west-1 does not exist" in message


def test_a_region_that_does_not_answer_is_skipped_and_asked_once(simulated: SimulatedEnvironment) -> None:
    secrets = [{"name": f"S{n}", "valueFrom": f"{FOREIGN}-{n}"} for n in range(3)]
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(secrets=secrets))
    flow = at_plan(simulated)
    refusal = CallFault(CallAction.ERROR, service="secretsmanager", operation="DescribeSecret", times=100,
                        code="UnrecognizedClientException", http_status=400)  # fmt: skip
    for service in ("worker", "scheduler", "migration"):
        change_definition(simulated, service, lambda new: new["containerDefinitions"][0].pop("secrets"))
    simulated.aws.faults.add(refusal)
    start = len(simulated.aws.calls)
    checks = [c for c in flow.call()["checks"] if c["check"] == "secret exists"]
    assert [c["result"] for c in checks] == ["SKIP"] * 3
    assert "eu-west-1 does not tell: secretsmanager:describe_secret: UnrecognizedClientException" in checks[0]["detail"]
    assert [call.operation for call in simulated.aws.calls[start:]].count("DescribeSecret") == 1


def test_the_secrets_of_a_log_driver_and_of_a_registry_are_looked_up(simulated: SimulatedEnvironment) -> None:
    log = {"logDriver": "splunk", "secretOptions": secret("/gone/token")}
    container = {"logConfiguration": log, "repositoryCredentials": {"credentialsParameter": "gone-registry"}}
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(container))
    message = refused(at_plan(simulated))
    assert "FAIL api: secret exists — /gone/token does not exist" in message
    assert "FAIL api: registry credentials exist — gone-registry does not exist" in message


def test_an_environment_file_is_looked_up_where_that_is_allowed(simulated: SimulatedEnvironment) -> None:
    client = simulated.aws.client("s3")
    client.create_bucket(Bucket="files")
    client.put_object(Bucket="files", Key="a.env", Body=b"A=1", ACL="public-read")
    there = [{"value": "arn:aws:s3:::files/a.env", "type": "s3"}]
    assert checks_of(simulated, "environment file exists", environmentFiles=there) == [("OK", there[0]["value"])]


def test_an_environment_file_that_does_not_exist_is_not_good(simulated: SimulatedEnvironment) -> None:
    gone = [{"value": "arn:aws:s3:::files/gone.env", "type": "s3"}]
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(environmentFiles=gone))
    assert "FAIL api: environment file exists — arn:aws:s3:::files/gone.env" in refused(at_plan(simulated))


@pytest.mark.parametrize(("code", "status"), [("403", 403), ("400", 400)])
def test_an_environment_file_that_may_not_be_seen_is_skipped(
    simulated: SimulatedEnvironment, code: str, status: int
) -> None:
    files = [{"value": "arn:aws:s3:::files/a.env", "type": "s3"}]
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(environmentFiles=files))
    flow = at_plan(simulated)
    simulated.aws.faults.add(CallFault(CallAction.ERROR, service="s3", times=9, code=code, http_status=status))
    (check,) = [c for c in flow.call()["checks"] if c["check"] == "environment file exists"]
    assert check["result"] == "SKIP"


def test_a_migration_without_a_network_is_refused_before_the_first_write(simulated: SimulatedEnvironment) -> None:
    name = simulated.identity.services_path + "migration"
    entry = json.loads(simulated.aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    bare = json.dumps({key: value for key, value in entry.items() if key not in ("subnets", "securityGroups")})
    simulated.aws.client("ssm").put_parameter(Name=name, Value=bare, Overwrite=True)
    for service in ("api", "worker", "scheduler"):
        definition = simulated.aws.client("ecs").describe_task_definition(taskDefinition=f"v3-backend-dev-{service}")
        containers = definition["taskDefinition"]["containerDefinitions"]
        arn = simulated.aws.client("ecs").register_task_definition(
            family=f"v3-backend-dev-{service}", containerDefinitions=containers, networkMode="bridge", memory="512"
        )["taskDefinition"]["taskDefinitionArn"]
        simulated.aws.client("ecs").delete_service(
            cluster="v3-backend-dev", service=f"v3-backend-dev-{service}", force=True
        )
        simulated.aws.clock.sleep(120)
        simulated.aws.client("ecs").create_service(
            cluster="v3-backend-dev",
            serviceName=f"v3-backend-dev-{service}",
            taskDefinition=arn,
            desiredCount=1,
            launchType="EC2",
        )
    simulated.aws.clock.sleep(300)
    assert "FAIL migration: network — its task definition is of network mode awsvpc" in refused(at_plan(simulated))


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
