"""What a function is told by its environment variables, as validated types.

Each section of ``config/<environment>.toml`` that a step needs is one variable holding JSON; the
dataclass of the same name below is its type. ``config`` reads the same dataclasses, so that a key has
one spelling, one unit and one meaning everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self


@dataclass(frozen=True)
class Policy:
    """A section of the environment's config, as one function sees it."""

    section: ClassVar[str]

    @classmethod
    def variable(cls) -> str:
        """Return the name of the environment variable, such as ``STEPSHIP_LOCK``."""
        return f"STEPSHIP_{cls.section.upper()}"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the section from the environment.

        Raises
        ------
        KeyError
            The function was deployed without the variable.
        TypeError
            The variable holds another version's keys.
        """
        values = json.loads(environ[cls.variable()])
        for field in fields(cls):
            if isinstance(values.get(field.name), list):
                values[field.name] = tuple(values[field.name])
        return cls(**values)

    def dump(self) -> str:
        """Return the JSON that ``read`` understands."""
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)}, sort_keys=True)


@dataclass(frozen=True)
class Identity:
    """Which environment of which application this function deploys. Every function has it.

    Attributes
    ----------
    app, environment
        ``v3-backend`` and ``dev`` in all the names of the contract.
    table
        The DynamoDB table with the lock and the releases.
    """

    app: str
    environment: str
    table: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read ``STEPSHIP_APP``, ``STEPSHIP_ENVIRONMENT`` and ``STEPSHIP_TABLE``; KeyError when one is missing."""
        return cls(environ["STEPSHIP_APP"], environ["STEPSHIP_ENVIRONMENT"], environ["STEPSHIP_TABLE"])

    def dump(self) -> dict[str, str]:
        """Return the variables that ``read`` understands."""
        return {
            "STEPSHIP_APP": self.app,
            "STEPSHIP_ENVIRONMENT": self.environment,
            "STEPSHIP_TABLE": self.table,
        }

    @property
    def tag_parameter(self) -> str:
        """The SSM parameter with the current tag."""
        return f"/{self.app}/{self.environment}/compute/currentImageTag"

    @property
    def images_path(self) -> str:
        """The SSM path below which each service's pinned image stands."""
        return f"/{self.app}/{self.environment}/images/"

    @property
    def services_path(self) -> str:
        """The SSM path below which services register themselves."""
        return f"/{self.app}/{self.environment}/services/"


@dataclass(frozen=True)
class ImagePolicy(Policy):
    """``[image]``: which images may be deployed.

    Attributes
    ----------
    scan_required
        Refuse an image that ECR has not scanned.
    max_critical_findings, max_high_findings
        How many findings of the severity are still allowed.
    """

    section: ClassVar[str] = "image"
    scan_required: bool
    max_critical_findings: int
    max_high_findings: int


@dataclass(frozen=True)
class LockPolicy(Policy):
    """``[lock]``: how a deployment waits for the one before it."""

    section: ClassVar[str] = "lock"
    wait_timeout_seconds: int
    poll_seconds: int


@dataclass(frozen=True)
class RolloutPolicy(Policy):
    """``[rollout]``: how a wave is watched.

    Attributes
    ----------
    timeout_seconds
        A wave that is not steady by then has failed.
    poll_seconds
        Time between two looks at the services.
    bake_seconds
        How long the finished rollout is watched before it counts as verified.
    """

    section: ClassVar[str] = "rollout"
    timeout_seconds: int
    poll_seconds: int
    bake_seconds: int
    bake_poll_seconds: int
    rollback_timeout_seconds: int


@dataclass(frozen=True)
class CircuitBreakerPolicy(Policy):
    """``[circuit_breaker]``: when a rollout is given up before ECS's own breaker acts.

    Attributes
    ----------
    failed_tasks
        So many failed new tasks of one service end the rollout. ECS itself waits for half of the
        desired count, at least 3 (ECS Developer Guide, "Deployment circuit breaker").
    alarms
        Names of CloudWatch alarms; one of them in ALARM ends the rollout.
    """

    section: ClassVar[str] = "circuit_breaker"
    failed_tasks: int
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class MigrationPolicy(Policy):
    """``[migration]``: the one-off task before any service moves."""

    section: ClassVar[str] = "migration"
    timeout_seconds: int
    poll_seconds: int


@dataclass(frozen=True)
class ApprovalPolicy(Policy):
    """``[approval]``: whether a person has to say yes, and for how long the question stands."""

    section: ClassVar[str] = "approval"
    required: bool
    timeout_seconds: int
