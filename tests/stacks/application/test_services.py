"""The services as people who care run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import config
from app.metrics import failed_jobs
from lambdas.release.catalog import parse_catalog
from stacks.names import Names
from tests.stacks.synthesis import known_text, of_kind, resources

Json = dict[str, Any]
SERVICES = ("api", "worker", "scheduler")
EVERYWHERE = [(environment, service) for environment in config.environments() for service in SERVICES]


def stack(templates: dict[str, Json], environment: str, service: str) -> Json:
    # Where there is a database, the migration's task definition is beside its registration.
    part = "db-migration" if service == "migration" else f"{service}-service"
    return templates[f"v3-backend-{environment}-{part}"]


def application(template: Json) -> Json:
    """Return the task definition of the application, not the placeholder's."""
    (found,) = (
        each for each in resources(template, "AWS::ECS::TaskDefinition") if not each["Family"].endswith("-placeholder")
    )
    return found


@pytest.mark.parametrize(("environment", "service"), EVERYWHERE)
def test_a_service_heals_itself_and_keeps_serving_while_it_is_deployed(
    environment: str, service: str, app_templates: dict[str, Json]
) -> None:
    template = stack(app_templates, environment, service)
    (found,) = resources(template, "AWS::ECS::Service")
    configuration = found["DeploymentConfiguration"]
    assert configuration["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    percents = (configuration["MinimumHealthyPercent"], configuration["MaximumPercent"])
    assert percents == ((0, 100) if service == "scheduler" else (100, 200))
    assert found["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert found["ServiceName"] == f"v3-backend-{environment}-{service}"
    assert "DesiredCount" not in found, "it belongs to autoscaling, not to the template"


@pytest.mark.parametrize("environment", config.environments())
@pytest.mark.parametrize(
    ("service", "names"),
    [
        ("api", {"api-5xx", "api-unreachable"}),
        ("worker", {"worker-queue-age", "worker-dead-jobs"}),
        ("scheduler", set()),
    ],
)
def test_alarms_roll_a_rollout_back_by_ecs_and_by_stepship(
    environment: str, service: str, names: set[str], app_templates: dict[str, Json]
) -> None:
    template = stack(app_templates, environment, service)
    (found,) = resources(template, "AWS::ECS::Service")
    alarms = {name: each["Properties"] for name, each in of_kind(template, "AWS::CloudWatch::Alarm").items()}
    assert {each["AlarmName"] for each in alarms.values()} == {f"v3-backend-{environment}-{name}" for name in names}
    assert {each["AlarmName"] for each in alarms.values()} <= set(config.load(environment).circuit_breaker.alarms)
    # An alarm without data must not hold the first deploy back.
    assert all(each["TreatMissingData"] == "notBreaching" for each in alarms.values())
    watched = found["DeploymentConfiguration"].get("Alarms", {})
    assert {each["Ref"] for each in watched.get("AlarmNames", ())} == set(alarms)
    assert not alarms or (watched["Enable"], watched["Rollback"]) == (True, True)


@pytest.mark.parametrize(("environment", "service"), [*EVERYWHERE, *((e, "migration") for e in config.environments())])
def test_a_task_is_an_arm64_fargate_task_that_can_write_nowhere_and_is_not_root(
    environment: str, service: str, app_templates: dict[str, Json]
) -> None:
    for definition in resources(stack(app_templates, environment, service), "AWS::ECS::TaskDefinition"):
        assert definition["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
        assert definition["RequiresCompatibilities"] == ["FARGATE"]
        (container,) = definition["ContainerDefinitions"]
        assert container["Name"] == f"v3-backend-{service}"
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "10001:10001"
        assert container["LinuxParameters"]["InitProcessEnabled"] is True
        assert container["LogConfiguration"]["Options"]["awslogs-group"] == f"/v3-backend/{environment}/{service}"


@pytest.mark.parametrize(("environment", "service"), EVERYWHERE)
def test_a_task_has_time_to_end_and_is_asked_for_its_health(
    environment: str, service: str, app_templates: dict[str, Json]
) -> None:
    (container,) = application(stack(app_templates, environment, service))["ContainerDefinitions"]
    assert container["StopTimeout"] == config.load(environment).compute.stop_timeout_seconds
    assert container["HealthCheck"]["Command"] == ["CMD", "python", "-m", "app", "health"]
    assert container["Command"] == [service]


@pytest.mark.parametrize("environment", config.environments())
def test_sizes_are_those_of_the_config(environment: str, app_templates: dict[str, Json]) -> None:
    settings = config.load(environment)
    for service in (*SERVICES, "migration"):
        definition = application(stack(app_templates, environment, service))
        size = getattr(settings, service)
        assert (definition["Cpu"], definition["Memory"]) == (str(size.cpu), str(size.memory))
    for service in ("api", "worker"):
        (target,) = resources(stack(app_templates, environment, service), "AWS::ApplicationAutoScaling::ScalableTarget")
        size = getattr(settings, service)
        assert (target["MinCapacity"], target["MaxCapacity"]) == (size.min_tasks, size.max_tasks)


def test_environments_differ_in_size(app_templates: dict[str, Json]) -> None:
    sizes = {application(stack(app_templates, each, "api"))["Memory"] for each in config.environments()}
    assert len(sizes) == 3


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("api", {"ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ALBRequestCountPerTarget"}),
        ("worker", {"ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "jobs per task"}),
        ("scheduler", set()),
    ],
)
def test_a_service_is_scaled_by_what_it_is_about(
    service: str, expected: set[str], app_templates: dict[str, Json]
) -> None:
    policies = resources(stack(app_templates, "production", service), "AWS::ApplicationAutoScaling::ScalingPolicy")
    tracked = [each["TargetTrackingScalingPolicyConfiguration"] for each in policies]
    found = {
        each.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType", "jobs per task") for each in tracked
    }
    assert found == expected
    assert all(each["ScaleOutCooldown"] < each["ScaleInCooldown"] for each in tracked)


@pytest.mark.parametrize(("environment", "service"), EVERYWHERE)
def test_nobody_opens_a_shell_in_production(environment: str, service: str, app_templates: dict[str, Json]) -> None:
    (found,) = resources(stack(app_templates, environment, service), "AWS::ECS::Service")
    allowed = environment != "production"
    assert bool(found.get("EnableExecuteCommand")) is allowed
    assert ("ssmmessages" in json.dumps(stack(app_templates, environment, service))) is allowed


@pytest.mark.parametrize(("environment", "service"), [*EVERYWHERE, *((e, "migration") for e in config.environments())])
def test_each_workload_has_roles_of_its_own_below_the_path_that_may_be_passed(
    environment: str, service: str, app_templates: dict[str, Json]
) -> None:
    template = stack(app_templates, environment, service)
    roles = resources(template, "AWS::IAM::Role")
    task_roles = [each for each in roles if "ecs-tasks" in json.dumps(each["AssumeRolePolicyDocument"])]
    assert len(task_roles) == 2
    assert {each["Path"] for each in task_roles} == {f"/v3-backend/{environment}/"}
    assert config.load(environment).permissions.role_path == f"/v3-backend/{environment}/"


def test_the_deployer_may_pass_roles_below_that_path_and_no_others(app_templates: dict[str, Json]) -> None:
    passing = [
        statement
        for template in app_templates.values()
        for role in resources(template, "AWS::IAM::Role")
        for policy in role.get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "iam:PassRole" in json.dumps(statement["Action"])
    ]
    assert passing
    for statement in passing:
        assert ":role/v3-backend/" in json.dumps(statement["Resource"])
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


@pytest.mark.parametrize("environment", config.environments())
def test_the_registry_parameters_are_what_the_deployer_reads(environment: str, app_templates: dict[str, Json]) -> None:
    published = {}
    registering = [stack(app_templates, environment, name) for name in SERVICES]
    for template in (*registering, app_templates[f"v3-backend-{environment}-migration"]):
        for parameter in resources(template, "AWS::SSM::Parameter"):
            published[parameter["Name"]] = known_text(parameter["Value"])
    registry = parse_catalog(published)
    prefix = f"v3-backend-{environment}"
    assert {service.name: service.service for service in registry.services} == {
        name: f"{prefix}-{name}" for name in SERVICES
    }
    assert registry.waves == (("api",), ("scheduler", "worker"))
    assert registry.migration is not None
    assert registry.migration.family == f"{prefix}-migration"
    assert len(registry.migration.subnets) == config.load(environment).network.availability_zones
    assert registry.migration.security_groups


def test_a_revision_that_infrastructure_replaces_stays_active_for_a_rollback(app_templates: dict[str, Json]) -> None:
    for environment, service in EVERYWHERE:
        for each in of_kind(stack(app_templates, environment, service), "AWS::ECS::TaskDefinition").values():
            if "Condition" not in each:
                assert (each["UpdateReplacePolicy"], each["DeletionPolicy"]) == ("Retain", "Delete")


def test_the_placeholder_answers_the_load_balancer_and_ends_on_sigterm(tmp_path: Path) -> None:
    import signal
    import socket
    import subprocess
    import sys
    import urllib.request

    from stacks.constructs.task import PLACEHOLDER_SERVER

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", PLACEHOLDER_SERVER.replace("PORT", str(port))], stderr=-3)
    try:
        body = b""
        while not body and server.poll() is None:
            try:
                body = urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60).read()
            except ConnectionRefusedError:
                continue
            except OSError:
                continue
        assert body == b"no code was deployed yet"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == -signal.SIGTERM


@pytest.mark.parametrize("environment", config.environments())
def test_the_alarm_on_failing_jobs_watches_what_the_worker_counts(
    environment: str, app_templates: dict[str, Json]
) -> None:
    template = stack(app_templates, environment, "worker")
    (alarm,) = [each for each in resources(template, "AWS::CloudWatch::Alarm") if "dead-jobs" in each["AlarmName"]]
    counts = failed_jobs(1, Names(config.load(environment)).jobs_queue, 0.0)
    (metric,) = counts["_aws"]["CloudWatchMetrics"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["Namespace"], metric["Metrics"][0]["Name"])
    assert alarm["Dimensions"] == [{"Name": "Queue", "Value": counts["Queue"]}]
