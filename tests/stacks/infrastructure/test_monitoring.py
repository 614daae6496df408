from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import config
from lambdas import completion as ending
from lambdas.release.history import Outcome, Report
from tests.stacks.synthesis import Template, by_environment, check_house_rules, flat, only, parameters_read, synthesise

ENVIRONMENTS = config.environments()


@pytest.fixture(scope="module")
def templates(app_templates: dict[str, Template]) -> dict[str, Template]:
    return by_environment(app_templates, "monitoring")


def widgets(template: Template) -> list[dict[str, Any]]:
    """Return the widgets of the page, with the names of parameters in the place of their values."""
    body = json.loads(flat(only(template, "AWS::CloudWatch::Dashboard")["DashboardBody"]))
    found: list[dict[str, Any]] = body["widgets"]
    return found


def metrics(template: Template) -> set[tuple[str, ...]]:
    """Return namespace, name and dimensions of every metric that is drawn."""
    return {
        tuple(part for part in metric if isinstance(part, str))
        for widget in widgets(template)
        for metric in widget["properties"].get("metrics", [])
    }


def shown(widget: dict[str, Any]) -> list[str]:
    """Return the names of the alarms in a widget."""
    return [each.rsplit(":alarm:", 1)[-1] for each in widget["properties"]["alarms"]]


def searches(template: Template) -> list[str]:
    return [
        metric[0]["expression"]
        for widget in widgets(template)
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], dict)
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_house_rules(environment: str, templates: dict[str, Template]) -> None:
    check_house_rules(templates[environment], config.load(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_there_is_one_page_and_it_has_the_environments_name(environment: str, templates: dict[str, Template]) -> None:
    page = only(templates[environment], "AWS::CloudWatch::Dashboard")
    assert page["DashboardName"] == f"v3-backend-{environment}"
    assert parameters_read(templates[environment]) == {f"/v3-backend/{environment}/compute/loadBalancerFullName"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("service", ["api", "worker", "scheduler"])
def test_a_service_shows_its_tasks_and_what_they_use(
    service: str, environment: str, templates: dict[str, Template]
) -> None:
    dimensions = ("ClusterName", f"v3-backend-{environment}", "ServiceName", f"v3-backend-{environment}-{service}")
    assert metrics(templates[environment]) >= {
        ("ECS/ContainerInsights", "DesiredTaskCount", *dimensions),
        ("ECS/ContainerInsights", "RunningTaskCount", *dimensions),
        ("AWS/ECS", "CPUUtilization", *dimensions),
        ("AWS/ECS", "MemoryUtilization", *dimensions),
    }


def test_the_load_balancer_shows_requests_errors_latency_and_hosts(templates: dict[str, Template]) -> None:
    found = {each[:3] for each in metrics(templates["dev"])}
    assert found >= {
        ("AWS/ApplicationELB", name, "LoadBalancer")
        for name in ("RequestCount", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "TargetResponseTime")
    }
    statistics = {
        metric[-1].get("stat")
        for widget in widgets(templates["dev"])
        for metric in widget["properties"].get("metrics", [])
        if metric[1:2] == ["TargetResponseTime"]
    }
    assert statistics == {"p50", "p99"}
    assert any('MetricName="HealthyHostCount"' in each for each in searches(templates["dev"]))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_queue_shows_how_many_jobs_wait_and_for_how_long(environment: str, templates: dict[str, Template]) -> None:
    queue = f"v3-backend-{environment}-jobs"
    assert metrics(templates[environment]) >= {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", f"{queue}-dead"),
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_deployments_show_how_they_ended(environment: str, templates: dict[str, Template]) -> None:
    machine = f"arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:stateMachine:v3-backend-{environment}-deploy"
    names = ("Started", "Succeeded", "Failed", "Aborted", "TimedOut")
    assert metrics(templates[environment]) >= {
        *(("AWS/States", f"Executions{name}", "StateMachineArn", machine) for name in names),
        ("AWS/States", "ExecutionTime", "StateMachineArn", machine),
    }


def test_the_page_looks_for_the_metrics_that_the_deployer_writes(templates: dict[str, Template]) -> None:
    line = io.StringIO()
    ending._count(
        SimpleNamespace(identity=config.load("dev").identity),  # type: ignore[arg-type]
        Report(outcome=Outcome.DEPLOYED, message="all services are on v2"),
        12.5,
        SimpleNamespace(registered_handler=SimpleNamespace(stream=line)),  # type: ignore[arg-type]
    )
    written = json.loads(line.getvalue())
    (about,) = written["_aws"]["CloudWatchMetrics"]
    (dimensions,) = about["Dimensions"]
    own = [each for each in searches(templates["dev"]) if "Stepship" in each]
    for metric in about["Metrics"]:
        (search,) = (each for each in own if f'MetricName="{metric["Name"]}"' in each)
        assert f"{{{','.join([about['Namespace'], *dimensions])}}}" in search
        for dimension in set(dimensions) - {"outcome"}:
            assert f'{dimension}="{written[dimension]}"' in search
    assert len(own) == len(about["Metrics"])


def test_alarms_that_end_a_rollout_are_on_top() -> None:
    from stacks.infrastructure.monitoring_stack import MonitoringStack

    dev = config.load("dev")
    breaker = replace(dev.circuit_breaker, alarms=("v3-backend-dev-api-5xx", "someone's alarm"))
    first, second, third, *_ = widgets(synthesise(MonitoringStack, replace(dev, circuit_breaker=breaker)))
    assert [each["type"] for each in (first, second, third)] == ["alarm", "alarm", "metric"]
    assert shown(first) == list(breaker.alarms)
    assert "v3-backend-dev-search-memory" in shown(second)
    assert not set(shown(first)) & set(shown(second))


def test_without_such_alarms_there_is_no_empty_row() -> None:
    from stacks.infrastructure.monitoring_stack import MonitoringStack

    dev = config.load("dev")
    quiet = synthesise(MonitoringStack, replace(dev, circuit_breaker=replace(dev.circuit_breaker, alarms=())))
    first, *others = widgets(quiet)
    assert "v3-backend-dev-api-5xx" in shown(first)
    assert {each["type"] for each in others} == {"metric"}
    assert min(each["y"] for each in widgets(quiet)) == 0


def test_alarms_of_parts_that_are_switched_off_are_not_shown() -> None:
    from stacks.infrastructure.monitoring_stack import MonitoringStack

    dev = config.load("dev")
    off = {
        section: replace(getattr(dev, section), enabled=False)
        for section in ("search", "api_gateway", "frontend", "frontend_pipeline")
    }
    alarms = [
        name
        for each in widgets(synthesise(MonitoringStack, replace(dev, **off)))
        if each["type"] == "alarm"
        for name in shown(each)
    ]
    coordinators = ("v3-backend-dev-undelivered-events", "v3-backend-dev-unrecovered-executions")
    assert sorted(alarms) == sorted([*dev.circuit_breaker.alarms, *coordinators])
