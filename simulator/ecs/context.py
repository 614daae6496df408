"""What the simulated ECS and ECR share: the clock, the images, and the few numbers that are not in an API call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from simulator.ecs.images import Images


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Virtual time in unix seconds. It never goes back."""


@dataclass
class EcsContext:
    """Everything that the simulated backends need and moto cannot give them.

    Parameters
    ----------
    clock
        Virtual time.
    images
        How images behave.
    deregistration_delay_seconds
        How long tasks behind a load balancer drain. AWS' default is 300 s; services that care set less.
    stopped_task_seconds
        How long DescribeTasks shows a stopped task: "at least an hour",
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
    unseen_task_seconds
        For so long after RunTask neither DescribeTasks nor ListTasks knows the task: the API "follows an eventual
        consistency model", https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html. AWS names waits
        of up to five minutes; this is longer than a migration waits before its first look, so that all of them meet it.
    """

    clock: Clock
    images: Images = field(default_factory=Images)
    deregistration_delay_seconds: float = 30.0
    stopped_task_seconds: float = 3600.0
    unseen_task_seconds: float = 12.0

    def now(self) -> float:
        """Virtual time in unix seconds."""
        return self.clock.now()


def timestamp(seconds: float | None) -> datetime | None:
    """Turn unix seconds into what moto's serializer takes as a timestamp."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
