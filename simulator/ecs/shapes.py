"""The simulated service and task in the words of the ECS API: `Service` and `Task` of DescribeServices/DescribeTasks.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from simulator.ecs.context import timestamp
from simulator.ecs.deployments import CircuitBreaker, Deployment, ServiceSettings
from simulator.ecs.service import ServiceRollout
from simulator.ecs.task_definitions import Json
from simulator.ecs.tasks import SIGTERM_EXIT_CODE, SimulatedTask

COPIED = (
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "availabilityZoneRebalancing",
)
"""Fields of CreateService and UpdateService that DescribeServices gives back as they came."""

DEFAULTS: Json = {
    "loadBalancers": [],
    "serviceRegistries": [],
    "placementConstraints": [],
    "placementStrategy": [],
    "schedulingStrategy": "REPLICA",
    "deploymentController": {"type": "ECS"},
    "enableECSManagedTags": False,
    "enableExecuteCommand": False,
    "propagateTags": "NONE",
}


@dataclass
class LiveService:
    """A service: its rollout and what else CreateService said about it (`request`, changed by UpdateService)."""

    rollout: ServiceRollout
    cluster_arn: str
    created_at: float
    request: Json
    tags: list[dict[str, str]] = field(default_factory=list)
    status: Literal["ACTIVE", "DRAINING", "INACTIVE"] = "ACTIVE"

    @property
    def controller(self) -> str:
        """`deploymentController.type`."""
        return str((self.request.get("deploymentController") or DEFAULTS["deploymentController"])["type"])


def settings_of(request: Mapping[str, Any], deregistration_delay_seconds: float) -> ServiceSettings:
    """Read from a CreateService request, with UpdateService's changes applied, what moves a rollout."""
    configuration = request.get("deploymentConfiguration", {})
    breaker = configuration.get("deploymentCircuitBreaker", {})
    threshold = breaker.get("thresholdConfiguration", {})
    balancer: Json = next(iter(request.get("loadBalancers", [])), {})
    return ServiceSettings(
        desired_count=request.get("desiredCount", 0),
        minimum_healthy_percent=configuration.get("minimumHealthyPercent", 100),
        maximum_percent=configuration.get("maximumPercent", 200),
        breaker=CircuitBreaker(
            enable=breaker.get("enable", False),
            rollback=breaker.get("rollback", False),
            reset_on_healthy_task=breaker.get("resetOnHealthyTask", True),
            threshold_type=threshold.get("type", "BOUNDED_PERCENT"),
            threshold_value=threshold.get("value", 50),
        ),
        target_group=balancer.get("targetGroupArn") or balancer.get("loadBalancerName") or "",
        container_port=balancer.get("containerPort", 0),
        drain_seconds=deregistration_delay_seconds,
    )


def service_shape(service: LiveService, *, with_tags: bool = False) -> Json:
    """`Service` of the ECS API."""
    rollout, request = service.rollout, service.request
    configuration = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        **request.get("deploymentConfiguration", {}),
    }
    # The deployments of another controller are task sets (ECS API Reference, Service: taskSets).
    deployments = [_deployment_shape(each, service) for each in rollout.deployments]
    moved_by: Json = {"deployments": deployments}
    if service.controller != "ECS":
        kept = ("id", "status", "taskDefinition", "pendingCount", "runningCount", "createdAt", "updatedAt")
        moved_by = {"deployments": [], "taskSets": [{key: each[key] for key in kept} for each in deployments]}
    return {
        **DEFAULTS,
        **{key: request[key] for key in (*COPIED, *DEFAULTS) if request.get(key) is not None},
        "serviceArn": rollout.arn,
        "serviceName": rollout.name,
        "clusterArn": service.cluster_arn,
        "status": service.status,
        "desiredCount": rollout.settings.desired_count,
        "runningCount": sum(each.running_count for each in rollout.deployments),
        "pendingCount": sum(each.pending_count for each in rollout.deployments),
        "platformFamily": "Linux",
        # An application of its own gives each of its task sets one.
        **({} if service.controller == "EXTERNAL" else {"taskDefinition": rollout.primary.task_definition}),
        "deploymentConfiguration": configuration,
        **moved_by,
        "events": [
            {"id": each.id, "createdAt": timestamp(each.at), "message": each.message} for each in rollout.events
        ],
        "createdAt": timestamp(service.created_at),
        **({"tags": service.tags} if with_tags else {}),
    }


def _deployment_shape(deployment: Deployment, service: LiveService) -> Json:
    is_primary = deployment.status == "PRIMARY"
    copied = ("launchType", "platformVersion", "networkConfiguration", "capacityProviderStrategy")
    return {
        **{key: service.request[key] for key in copied if service.request.get(key) is not None},
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition,
        # What ECS still wants of an older deployment are the tasks that it has not begun to stop.
        "desiredCount": service.rollout.settings.desired_count if is_primary else len(deployment.wanted),
        "pendingCount": deployment.pending_count,
        "runningCount": deployment.running_count,
        "failedTasks": deployment.failed_tasks,
        "createdAt": timestamp(deployment.created_at),
        "updatedAt": timestamp(deployment.updated_at),
        "platformFamily": "Linux",
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
    }


def service_deployment_arn(service: LiveService, deployment: Deployment) -> str:
    """The ARN of a service deployment; its last segment is not the number of `deployments[].id`."""
    arn = service.rollout.arn.replace(":service/", ":service-deployment/")
    return f"{arn}/{sha256(f'{arn}/{deployment.id}'.encode()).hexdigest()[:21]}"


def service_deployment_brief(service: LiveService, deployment: Deployment) -> Json:
    """`ServiceDeploymentBrief` of ListServiceDeployments."""
    return _without_none(
        {
            "serviceDeploymentArn": service_deployment_arn(service, deployment),
            "serviceArn": service.rollout.arn,
            "clusterArn": service.cluster_arn,
            "createdAt": timestamp(deployment.created_at),
            "startedAt": timestamp(deployment.created_at),
            "finishedAt": timestamp((deployment.back_to or deployment).finished_at),
            "targetServiceRevisionArn": _revision_arn(service, deployment.id),
            "status": deployment.service_deployment_status,
            "statusReason": _status_reason(deployment),
        }
    )


def service_deployment_shape(service: LiveService, deployment: Deployment) -> Json:
    """`ServiceDeployment` of DescribeServiceDeployments.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
    """
    rollout = service.rollout
    brief = service_deployment_brief(service, deployment)
    target = brief.pop("targetServiceRevisionArn")
    breaker, back = rollout.settings.breaker, deployment.back_to
    status = "MONITORING_COMPLETE" if deployment.finished_at is not None else "MONITORING"
    if not breaker.enable:
        status = "DISABLED"
    elif deployment.rollout_state == "FAILED":
        status = "TRIGGERED"
    return _without_none(
        {
            **brief,
            "updatedAt": timestamp(deployment.updated_at),
            "sourceServiceRevisions": [
                {"arn": _revision_arn(service, each), "requestedTaskCount": 0, "runningTaskCount": 0}
                for each in (deployment.source,)
                if each
            ],
            "targetServiceRevision": {
                "arn": target,
                "requestedTaskCount": len(deployment.wanted),
                "runningTaskCount": deployment.running_count,
                "pendingTaskCount": deployment.pending_count,
            },
            "deploymentCircuitBreaker": {
                "status": status,
                "failureCount": deployment.counted_failures,
                "threshold": breaker.threshold(rollout.settings.desired_count),
            },
            "rollback": {
                "reason": _status_reason(deployment),
                "startedAt": timestamp(back.created_at),
                "serviceRevisionArn": _revision_arn(service, back.id),
            }
            if back
            else None,
        }
    )


def _status_reason(deployment: Deployment) -> str | None:
    if deployment.back_to is not None:
        return "Service deployment rolled back because the circuit breaker threshold was exceeded."
    if deployment.rollout_state == "FAILED":
        return "Service deployment failed because the circuit breaker threshold was exceeded."
    return "Service deployment was replaced by a newer one." if deployment.is_replaced else None


def _revision_arn(service: LiveService, deployment_id: str) -> str:
    arn = service.rollout.arn.replace(":service/", ":service-revision/")
    return f"{arn}/{deployment_id.rpartition('/')[2]}"


def _without_none(shape: Json) -> Json:
    return {key: value for key, value in shape.items() if value is not None}


def task_shape(task: SimulatedTask, cluster_arn: str, *, with_tags: bool = False) -> Json:
    """`Task` of the ECS API."""
    spec = task.spec
    shape = {
        "attachments": [dict(each) for each in spec.network],
        "attributes": [],
        "clusterArn": cluster_arn,
        "connectivity": "CONNECTED" if task.started_at is not None else None,
        "containers": _container_shapes(task),
        "cpu": spec.cpu,
        "createdAt": timestamp(task.created_at),
        "desiredStatus": task.desired_status,
        "group": task.group,
        "healthStatus": task.health,
        "lastStatus": task.last_status,
        "launchType": task.launch_type,
        "memory": spec.memory,
        "overrides": {"containerOverrides": [], **task.overrides},
        "platformFamily": "Linux",
        "startedAt": timestamp(task.started_at),
        "startedBy": task.started_by or None,
        "stopCode": task.stop_code,
        "stoppedAt": timestamp(task.stopped_at),
        "executionStoppedAt": timestamp(task.stopped_at if task.started_at is not None else None),
        "stoppedReason": task.stopped_reason,
        "stoppingAt": timestamp(task.stopping_at),
        "taskArn": task.arn,
        "taskDefinitionArn": spec.task_definition_arn,
        "version": 1,
        "tags": task.tags if with_tags else None,
    }
    return {key: value for key, value in shape.items() if value is not None}


def _container_shapes(task: SimulatedTask) -> list[Json]:
    shapes = []
    cluster_and_task = task.arn.rpartition(":task/")
    for index, container in enumerate(task.spec.all_containers):
        is_main = container.name == task.spec.main.name
        # Only the container whose image decides ends by itself; the others are asked to end when it has.
        exit_code = (task.exit_code if is_main else SIGTERM_EXIT_CODE) if task.exit_code is not None else None
        status = {"DEACTIVATING": "RUNNING", "STOPPING": "RUNNING", "PROVISIONING": "PENDING"}
        shape: Json = {
            "containerArn": f"{cluster_and_task[0]}:container/{cluster_and_task[2]}/{index}",
            "taskArn": task.arn,
            "name": container.name,
            "image": container.image,
            "imageDigest": container.digest if task.started_at is not None else None,
            "lastStatus": status.get(task.last_status, task.last_status),
            "exitCode": exit_code,
            "reason": task.container_reason if is_main else None,
            "healthStatus": task.health if container.has_health_check else "UNKNOWN",
            "networkInterfaces": [],
            "cpu": str(container.cpu),
        }
        shapes.append({key: value for key, value in shape.items() if value is not None})
    return shapes
