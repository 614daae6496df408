"""What a deployment will do: frozen data that can be shown and kept. ``planning.py`` decides it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lambdas.release.codec import encode
from lambdas.release.preflight import Check, fail, ok
from lambdas.release.wording import and_list

MAX_STATE_BYTES = 262_144
"""Of a state's input and output (Step Functions Developer Guide, "Service quotas"). No Catch sees an execution that
goes beyond, so a plan that would lead there is refused before anything is written."""

EXPLANATION_BYTES = 25_500
"""What a failure adds at most: an explanation (``explanation.MAX_CHARACTERS``) beside the verdict, and again in the
report."""

MESSAGES_BYTES = 5_000
"""The ``message`` of each of the later steps: ten with ``results.MAX_MESSAGE`` characters of JSON, and their keys."""

ERRORS_BYTES = 4_000
"""What Catches keep: an error's type and its message."""

ENVELOPE_BYTES = 2_000
"""What a function is called with beside the state: ARN, times, names, a task token. The limit counts it too."""

CHECKS_BYTES = 30_000
"""What a plan's checks may take: some two hundred of them."""

SERVICE_BYTES = 425
"""What the later steps add for a service beside names, ARNs and reasons: ids, counts, times, keys."""

REASONS_BYTES = 4_000
MIN_REASON, MAX_REASON = 50, 300
"""Characters of JSON that the reasons of a verdict share, and what one of them has at least and at most."""

MAX_DIED = 5
"""Services of which a bake keeps what died there; each sentence has at most ``MAX_REASON`` characters of JSON."""

MAX_OVERWRITTEN = 50
"""Characters of JSON of a task definition's name that somebody else had deployed."""


def reason_limit(services: int) -> int:
    """Return how many characters of JSON a verdict's reason may have in the state.

    Worked example: of 13 services each may have 300, of 40 each 100, and of 100 each 50: 5,000 together. The
    explanation is made before, of the whole reasons.
    """
    return max(MIN_REASON, min(MAX_REASON, REASONS_BYTES // max(1, services)))


@dataclass(frozen=True)
class PlannedService:
    """One service in a plan.

    Attributes
    ----------
    previous
        The task definition ARN to return to.
    target
        The task definition ARN to deploy; None when it has still to be registered.
    image
        The pinned image that the target carries; None when it is not known (a recovery).
    previous_image
        What runs now, for the diff.
    desired, deployment
        Number of tasks and id of the PRIMARY deployment at planning time.
    more_containers
        Containers beside ``container`` that get the image too.
    """

    name: str
    cluster: str
    service: str
    family: str
    container: str
    wave: int
    previous: str
    target: str | None = None
    image: str | None = None
    previous_image: str | None = None
    desired: int = 0
    deployment: str | None = None
    more_containers: tuple[str, ...] = ()

    @property
    def containers(self) -> tuple[str, ...]:
        """All containers that get the image, ``container`` first."""
        return (self.container, *self.more_containers)


@dataclass(frozen=True)
class PlannedParameter:
    """One SSM parameter: both values; ``None`` as previous means that it did not exist."""

    name: str
    previous: str | None
    target: str | None


@dataclass(frozen=True)
class AbandonedTask:
    """A migration that a stopped execution has left running: its cluster and its ARN."""

    cluster: str
    task: str


@dataclass(frozen=True)
class PlannedMigration:
    """The one-off task of a plan.

    Attributes
    ----------
    needed
        Whether ``Run migration`` has something to do: to run one, to stop one, or both.
    launch, network
        How RunTask starts it: taken from the first service, or from the catalog.
    abandoned
        The task that is stopped first.
    """

    needed: bool
    poll_seconds: int
    timeout_seconds: int
    cluster: str = ""
    family: str = ""
    container: str = ""
    image: str = ""
    launch: Mapping[str, object] = field(default_factory=dict)
    network: Mapping[str, object] = field(default_factory=dict)
    abandoned: AbandonedTask | None = None

    @property
    def runs(self) -> bool:
        """Whether a migration is run, and not only an earlier one stopped."""
        return self.needed and bool(self.family)


def migration_started_by(release_id: str) -> str:
    """Return the ``startedBy`` of a release's migration task, by which it is found again.

    At most 128 letters, digits, ``-``, ``/`` and ``_`` (ECS API Reference, RunTask); an id of a release has 24.
    """
    return f"stepship/{release_id}"


@dataclass(frozen=True)
class PlannedApproval:
    """Whether somebody has to approve first."""

    required: bool
    timeout_seconds: int


@dataclass(frozen=True)
class PlannedRollout:
    """How the rollout is watched; all in seconds."""

    poll_seconds: int
    timeout_seconds: int
    bake_seconds: int
    bake_poll_seconds: int
    rollback_timeout_seconds: int
    failed_tasks_limit: int
    alarms: tuple[str, ...]


class OnFailure(StrEnum):
    """Where a deployment goes that fails after its first write."""

    ROLL_BACK = "rollBack"
    NO_ROLLBACK_POSSIBLE = "noRollbackPossible"


@dataclass(frozen=True)
class Plan:
    """The whole plan, in the state as ``$.plan``.

    Attributes
    ----------
    action
        ``deploy`` or ``rollback``.
    release_id
        The release that is being made, or returned to. None for a recovery.
    image_tag
        For the reports.
    waves
        Service names in the order in which they move; a rollback goes in reverse order.
    services
        By catalog name.
    on_failure
        Roll back to what ran before; or no rollback is possible, because this is one itself.
    nothing_to_do
        Everything already is as asked.
    """

    action: str
    release_id: str | None
    image_tag: str | None
    waves: tuple[tuple[str, ...], ...]
    services: Mapping[str, PlannedService]
    parameters: tuple[PlannedParameter, ...]
    migration: PlannedMigration
    rollout: PlannedRollout
    approval: PlannedApproval
    on_failure: OnFailure
    nothing_to_do: bool
    force: bool = False
    recovers: bool = False
    checks: tuple[Check, ...] = ()

    @property
    def message(self) -> str:
        """``deploy: api, then scheduler and worker``."""
        if self.nothing_to_do:
            return "everything already is as asked"
        waves = ", then ".join(and_list(wave) for wave in self.waves if wave)
        return f"{self.action}: {waves or 'no service to move'}"

    def in_order(self) -> tuple[PlannedService, ...]:
        """The services in wave order."""
        return tuple(self.services[name] for wave in self.waves for name in wave)


def bytes_to_come(plan: Plan) -> int:
    """Return how much the steps after the plan add to the execution's state at most.

    ``results.StepResult.kept`` bounds what they say in words of others.
    """
    services = plan.in_order()
    # A name stands in thirteen places, with the report's sentences; an ARN in four: registered, moved, and two twins.
    return (
        ENVELOPE_BYTES
        + EXPLANATION_BYTES
        + MESSAGES_BYTES
        + ERRORS_BYTES
        + sum(MAX_REASON + len(s.name) + 6 for s in services[:MAX_DIED])
        + sum(
            SERVICE_BYTES + 2 * reason_limit(len(services)) + 13 * len(s.name) + 4 * len(s.previous) for s in services
        )
    )


def bytes_to_show(plan: Plan) -> int:
    """Return how much the report of a dry run adds to the execution's state at most: the whole plan once more."""
    return len(json.dumps(encode(plan))) + MESSAGES_BYTES + ENVELOPE_BYTES


def room_for_checks(plan: Plan, state_bytes: int, *, dry_run: bool) -> int:
    """Return how many bytes of checks the state has room for; in a dry run they stand in it twice."""
    left = MAX_STATE_BYTES - state_bytes - bytes_to_come(plan)
    if dry_run:
        left = min(left, (MAX_STATE_BYTES - state_bytes - bytes_to_show(plan)) // 2)
    return max(0, min(left, CHECKS_BYTES))


def check_size(plan: Plan, state_bytes: int, environment: str, *, dry_run: bool = False) -> Check:
    """Check that the execution's state has room for what the later steps add to it.

    Parameters
    ----------
    state_bytes
        Size of the state with the plan in it, as JSON.
    dry_run
        Whether the plan is shown: then it stands in the state a second time, as a part of the report.

    Examples
    --------
    100 services with names of 19 characters: a plan of 111,000 bytes, and 111,000 + 1,500 + 25,500 + 5,000 + 4,000
    + 2,000 that are added. A dry run of them: twice 111,000 bytes, and 7,000.
    """
    total = state_bytes + bytes_to_come(plan)
    if dry_run:
        total = max(total, state_bytes + bytes_to_show(plan))
    if total <= MAX_STATE_BYTES:
        return ok(environment, "size", f"{total} bytes")
    fix = 'deploy them in parts, with "services" in the input'
    return fail(environment, "size", f"{len(plan.services)} services need {total} bytes of {MAX_STATE_BYTES}; {fix}")
