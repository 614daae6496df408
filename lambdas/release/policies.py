"""What decisions depend on and an environment chooses: sections of ``config/<environment>.toml`` as types.

``config`` and ``lambdas/settings.py`` read these dataclasses, so that a key has one spelling, one unit
and one meaning everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""Of services, in the config and in the catalog: the same as ``services`` of ``statemachine/input.schema.json``, or one
could be registered and never be asked for."""


@dataclass(frozen=True)
class Policy:
    """A section of the environment's config, as one function sees it."""

    section: ClassVar[str]


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
class AcceptedFinding:
    """A finding of an image scan that counts again after a day.

    Attributes
    ----------
    id
        Its name as ECR shows it, such as ``CVE-2026-12345``; upper and lower case are the same.
    until
        The last day on which it does not count, ``2026-12-31``, in UTC.
    """

    id: str
    until: str


@dataclass(frozen=True)
class ImagePolicy(Policy):
    """``[image]``: which images may be deployed.

    Attributes
    ----------
    scan_required
        Refuse an image that ECR has not scanned.
    max_critical_findings, max_high_findings
        How many findings of the severity are still allowed.
    accepted_findings
        Findings that do not count until a date.
    """

    section: ClassVar[str] = "image"
    scan_required: bool
    max_critical_findings: int
    max_high_findings: int
    accepted_findings: tuple[AcceptedFinding, ...]


@dataclass(frozen=True)
class LockPolicy(Policy):
    """``[lock]``: how a deployment waits for the one before it."""

    section: ClassVar[str] = "lock"
    wait_timeout_seconds: int
    poll_seconds: int


@dataclass(frozen=True)
class MachinePolicy(Policy):
    """``[machine]``: how long an execution may run at all."""

    section: ClassVar[str] = "machine"
    timeout_seconds: int


HOLD_SECONDS = 30
"""For so long a step that waits for ECS looks again within one invocation, before it goes back to the state machine.

Going back and coming again is paid by the transition, waiting by the second: three states, a request and a
DescribeAlarms are 3 x $0.000025 + $0.0000002 + $0.00001 = $0.0000852, and a second of a function of 256 MB is
0.25 x $0.0000133334 = $0.0000033. So 26 seconds of waiting cost as much as one way there and back. Longer would save
little, and alarms, and whoever watches the execution, would hear of it later (docs/explanation/decisions/0012).
"""


@dataclass(frozen=True)
class RolloutPolicy(Policy):
    """``[rollout]``: how a wave is watched.

    Attributes
    ----------
    timeout_seconds
        A wave that is not steady by then has failed.
    poll_seconds
        Time between two looks at the services, within one invocation (``HOLD_SECONDS``) and between two.
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
    """``[approval]``: whether somebody has to approve, and for how long the question stands.

    Attributes
    ----------
    requester_may_approve
        Whether whoever asked for the deployment may approve it.
    """

    section: ClassVar[str] = "approval"
    required: bool
    timeout_seconds: int
    requester_may_approve: bool


@dataclass(frozen=True)
class RolePolicy(Policy):
    """Of ``[permissions]``: which roles the functions may give to tasks.

    Attributes
    ----------
    role_path
        Path, or path and beginning of the name.
    """

    section: ClassVar[str] = "permissions"
    role_path: str


@dataclass(frozen=True)
class FreezePolicy(Policy):
    """``[freeze]``: when no deploy begins (``gates.py``).

    Attributes
    ----------
    time_zone
        Such as ``Europe/Berlin``; all windows are meant in it.
    windows
        Such as ``fri 16:00 - mon 08:00``.
    """

    section: ClassVar[str] = "freeze"
    time_zone: str
    windows: tuple[str, ...]
