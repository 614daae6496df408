"""The table of verdicts: what each step may say with its ``status``, and which of that ends a deployment.

The state machine's conditions (``statemachine/definition.py``), the reports and the CLI read it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class LockStatus(StrEnum):
    """The verdict on one try to get the lock."""

    HELD = "held"
    BUSY = "busy"
    SUPERSEDED = "superseded"
    NOT_NEEDED = "notNeeded"


class MigrationStatus(StrEnum):
    """The verdict on the migration."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Status(StrEnum):
    """The verdict on the rollout of one service or of a wave."""

    IN_PROGRESS = "inProgress"
    STEADY = "steady"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class HealthStatus(StrEnum):
    """The verdict on a finished rollout."""

    BAKING = "baking"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class RollbackStatus(StrEnum):
    """The verdict on a rollback."""

    STEADY = "steady"
    IN_PROGRESS = "inProgress"
    NEXT_WAVE = "nextWave"


class Failing(NamedTuple):
    """The verdict with which a step ends the deployment, and the error type that the report names."""

    status: StrEnum
    error_type: str


FAILING: Mapping[str, Failing] = {
    "migration": Failing(MigrationStatus.FAILED, "MigrationFailed"),
    "rollout": Failing(Status.FAILED, "RolloutFailed"),
    "health": Failing(HealthStatus.UNHEALTHY, "Unhealthy"),
}
"""What leads to ``Roll back``, by the key of the result. Every other verdict goes on, or waits."""


def is_failure(key: str, status: object) -> bool:
    """Whether a result with this key and this status ends the deployment."""
    return key in FAILING and status == FAILING[key].status
