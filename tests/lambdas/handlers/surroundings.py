"""What people and infrastructure deploys do around a deployment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from botocore.exceptions import ClientError

import config
from simulator.ecs.images import HEALTHY, ImageBehavior
from simulator.environment.platform import PLACEHOLDER
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json, footprint, writes

DEPLOY = {"imageTag": "v1"}
ROLLBACK = {"action": "rollback"}


def push(simulated: SimulatedEnvironment, tag: str, behavior: ImageBehavior = HEALTHY) -> None:
    """Push an image, once."""
    with suppress(ClientError):  # it is there already
        simulated.push(tag, behavior)


def deployed(simulated: SimulatedEnvironment, tag: str, name: str, **request: object) -> Flow:
    """Deploy a release from beginning to end."""
    push(simulated, tag)
    flow = Flow(simulated, {"imageTag": tag, **request}, name)
    assert flow.run_to_end() == "Deployed"
    return flow


def change_definition(
    simulated: SimulatedEnvironment,
    service: str,
    change: Callable[[Json], None],
    *,
    revision: str | None = None,
    settle_seconds: float = 300,
) -> None:
    """Deploy a changed task definition, the newest or this one, as an infrastructure deploy does."""
    ecs, name = simulated.aws.client("ecs"), f"{simulated.platform.cluster}-{service}"
    request = ecs.describe_task_definition(taskDefinition=revision or name)["taskDefinition"]
    for key in ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt"):
        request.pop(key, None)
    request.pop("registeredBy", None)
    change(request)
    arn = ecs.register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"]
    if service != "migration":
        ecs.update_service(cluster=simulated.platform.cluster, service=name, taskDefinition=arn)
        simulated.aws.clock.sleep(settle_seconds)


def run_placeholder(simulated: SimulatedEnvironment, service: str) -> str:
    """Let a service run a placeholder of another family, as before the first code deploy; returns its ARN."""
    ecs, name = simulated.aws.client("ecs"), f"{simulated.platform.cluster}-{service}"
    arn = ecs.register_task_definition(
        family=f"{name}-placeholder",
        containerDefinitions=[
            {"name": simulated.platform.container(service), "image": PLACEHOLDER, "command": ["wait"]}
        ],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(cluster=simulated.platform.cluster, service=name, taskDefinition=arn)
    simulated.aws.clock.sleep(300)
    return str(arn)


def with_alarms(*names: str) -> SimulatedEnvironment:
    dev = config.load("dev")
    return SimulatedEnvironment(
        settings=replace(dev, circuit_breaker=replace(dev.circuit_breaker, alarms=names)), recovery=False
    )


def put_alarm(simulated: SimulatedEnvironment, name: str, state: str) -> None:
    client = simulated.aws.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName=name,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        MetricName="Errors",
        Namespace="App",
        Period=60,
        Statistic="Sum",
        Threshold=1.0,
    )
    client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


def at_plan(simulated: SimulatedEnvironment, request: Json | None = None, name: str = "one") -> Flow:
    """Push ``v1`` and walk to the plan."""
    push(simulated, "v1")
    return Flow(simulated, request or DEPLOY, name).run_to("Plan")


def refused(flow: Flow) -> str:
    """Call the plan, which is refused; returns the message."""
    existing, start = footprint(flow.simulated), len(flow.simulated.aws.calls)
    error = flow.fails()
    assert error.error_type == "PreflightFailed"
    assert footprint(flow.simulated) == existing
    assert writes(flow.simulated.aws.calls[start:]) == []
    return error.message


def denied(operation: str, function: str | None = None) -> CallFault:
    """Let a role lack a permission."""
    return CallFault(
        CallAction.ERROR,
        operation=operation,
        function=function,
        times=99,
        code="AccessDeniedException",
        message="User is not authorized to perform it",
        http_status=400,
    )
