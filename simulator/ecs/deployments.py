"""What a simulated ECS service is made of: its settings, its circuit breaker, its deployments and events.

The nouns of `simulator/ecs/service.py`, which moves them. Names and words are those of the ECS API.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

from simulator.ecs.tasks import SimulatedTask, TaskSpec, Transition

RolloutState = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]


@dataclass(frozen=True)
class CircuitBreaker:
    """`deploymentConfiguration.deploymentCircuitBreaker`, with AWS' defaults for what is not said."""

    enable: bool = False
    rollback: bool = False
    reset_on_healthy_task: bool = True
    threshold_type: str = "BOUNDED_PERCENT"
    threshold_value: int = 50

    def threshold(self, desired_count: int) -> int:
        """How many failed tasks fail a deployment.

        Half of the desired count, at least 3, at most 200: 1 → 3, 10 → 5, 25 → 13, 1000 → 200.
        """
        if self.threshold_type == "COUNT":
            return max(1, self.threshold_value)
        share = math.ceil(desired_count * self.threshold_value / 100)
        if self.threshold_type == "UNBOUNDED_PERCENT":
            return max(1, share)
        return min(200, max(3, share))


@dataclass(frozen=True)
class ServiceSettings:
    """What of a service's configuration moves a rollout. Percentages as in `deploymentConfiguration`.

    `target_group` is an ARN, empty without a load balancer; `drain_seconds` is its deregistration delay.
    """

    desired_count: int
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    breaker: CircuitBreaker = CircuitBreaker()
    target_group: str = ""
    container_port: int = 0
    drain_seconds: float = 0.0

    @property
    def minimum_healthy(self) -> int:
        """Fewest healthy tasks during a rollout (rounded up)."""
        return math.ceil(self.desired_count * self.minimum_healthy_percent / 100)

    @property
    def maximum_wanted(self) -> int:
        """Most tasks that may start or run at a time (rounded down)."""
        return math.floor(self.desired_count * self.maximum_percent / 100)


class ServiceHost(Protocol):
    """What the model needs from the world around it."""

    def resolve(self, task_definition: str, at: float) -> TaskSpec:
        """What a task of this task definition is if it is launched at this time (unix seconds)."""

    def record(self, task: SimulatedTask, transition: Transition) -> None:
        """A task has just made a transition: the place to write its logs."""


@dataclass(frozen=True)
class ServiceEvent:
    """One line of the service's event list; `at` in unix seconds."""

    id: str
    at: float
    message: str


ServiceDeploymentStatus = Literal[
    "IN_PROGRESS", "SUCCESSFUL", "STOPPED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"
]
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html; there is no FAILED."""


@dataclass
class Deployment:
    """One deployment of a service and the tasks that it launched.

    `back_to` is the rollback that ECS made of it, `source` the id of the deployment before; `counted_failures` are
    never forgotten, unlike `failed_tasks`.
    """

    id: str
    task_definition: str
    created_at: float
    updated_at: float
    status: Literal["PRIMARY", "ACTIVE"] = "PRIMARY"
    rollout_state: RolloutState = "IN_PROGRESS"
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    is_proven: bool = False
    is_rollback: bool = False
    is_stuck: bool = False
    back_to: Deployment | None = None
    source: str | None = None
    is_replaced: bool = False
    finished_at: float | None = None
    counted_failures: int = 0
    failed_rounds: int = 0
    last_failed_at: float | None = None
    retry_at: float = 0.0
    tasks: list[SimulatedTask] = field(default_factory=list)

    @property
    def wanted(self) -> list[SimulatedTask]:
        """Tasks with `desiredStatus` RUNNING, oldest first."""
        return [task for task in self.tasks if task.is_wanted]

    @property
    def number(self) -> str:
        """The last segment of the id, which is that of the service revision's ARN too."""
        return self.id.rpartition("/")[2]

    @property
    def service_deployment_status(self) -> ServiceDeploymentStatus:
        """`status` of DescribeServiceDeployments. A rollback is part of the deployment that it undoes."""
        if self.back_to is not None:
            ends: dict[RolloutState, ServiceDeploymentStatus] = {
                "COMPLETED": "ROLLBACK_SUCCESSFUL",
                "FAILED": "ROLLBACK_FAILED",
                "IN_PROGRESS": "ROLLBACK_IN_PROGRESS",
            }
            return "STOPPED" if self.back_to.is_replaced else ends[self.back_to.rollout_state]
        if self.rollout_state == "COMPLETED":
            return "SUCCESSFUL"
        return "STOPPED" if self.is_replaced or self.rollout_state == "FAILED" else "IN_PROGRESS"

    @property
    def running_count(self) -> int:
        """`runningCount`: tasks in RUNNING; a draining one is DEACTIVATING."""
        return sum(task.last_status == "RUNNING" for task in self.tasks)

    @property
    def pending_count(self) -> int:
        """`pendingCount`: tasks on their way to RUNNING."""
        return sum(task.is_wanted and task.last_status in ("PROVISIONING", "PENDING") for task in self.tasks)
