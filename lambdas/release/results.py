"""What each step leaves in the execution's state, in the order of the flow.

The state machine keeps each result under a key of its own (``statemachine/steps.py``): ``Acquire lock`` leaves a
``LockResult`` as ``$.lock``. Every result has a ``message``: the sentence that the console, the CLI and the job
summary show. ``encode_result`` adds it to the JSON, together with the step's name and the time.

::

    Verify image               VerifiedRequest  $             Check rollout    RolloutResult   $.rollout
    Acquire lock               LockResult       $.lock        Check health     HealthResult    $.health
    Plan                       Plan             $.plan        Complete         DeployedReport  $.report
    Wait for approval          ApprovalRequest  (not kept)    Roll back        RollbackResult  $.rollback
    Update image tag           TagResult        $.tag         Check rollback   RestoredResult  $.restored
    Register task definitions  RegisterResult   $.registered  Record failure   Report          $.report
    Run migration              MigrationResult  $.migration   Record outcome   OutcomeReport   $.report
    Deploy wave                WaveResult       $.wave
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from lambdas.release.codec import encode
from lambdas.release.explanation import Explanation
from lambdas.release.history import Report, timestamp
from lambdas.release.image import ReleaseImage, short_image
from lambdas.release.plan import MAX_DIED, MAX_OVERWRITTEN, MAX_REASON, Plan, reason_limit
from lambdas.release.policies import AcceptedFinding
from lambdas.release.request import Request
from lambdas.release.rollout import Verdict
from lambdas.release.verdicts import HealthStatus, LockStatus, MigrationStatus, RollbackStatus, Status
from lambdas.release.wording import and_list, counted, fit, some_of

T = TypeVar("T")


MAX_MESSAGE = 300
"""Characters of JSON of a result's message: one line of a console, and little of the 256 KiB of a state."""

MAX_PARAMETERS = 5
"""Names of changed parameters that the state keeps."""


@dataclass(frozen=True, kw_only=True)
class StepResult(ABC):
    """What all results have.

    Attributes
    ----------
    step, at
        The state's name, and when it ended (unix seconds). ``encode_result`` fills them in.
    """

    step: str = ""
    at: float = 0.0

    @property
    @abstractmethod
    def message(self) -> str:
        """What the step did, in one short sentence."""

    def kept(self) -> Self:
        """Return what the state keeps of it: words of others are bounded (``plan.bytes_to_come`` counts on it)."""
        return self


@dataclass(frozen=True)
class VerifiedRequest(StepResult):
    """``Verify image``: the whole new state. ``image`` is None for a rollback."""

    request: Request
    image: ReleaseImage | None = None

    @property
    def message(self) -> str:
        """``v3 is v3-backend@sha256:77636f9e2688``."""
        if self.image is None:
            return "a rollback: no image to look up"
        return f"{self.image.tag} is {', '.join(short_image(pinned) for pinned in self.image.pinned.values())}"


@dataclass(frozen=True)
class AcceptingRequest(VerifiedRequest):
    """The same where the gate of the image scan has let accepted findings through.

    Attributes
    ----------
    accepted
        Entries of the environment's list that were needed.
    """

    accepted: tuple[AcceptedFinding, ...] = ()

    @property
    def message(self) -> str:
        """``v3 is v3-backend@sha256:77636f9e2688; accepted: CVE-2026-12345 until 2026-12-31``."""
        entries = [f"{entry.id} until {entry.until}" for entry in self.accepted]
        return f"{super().message}; accepted: {some_of(entries)}"


@dataclass(frozen=True)
class LockResult(StepResult):
    """``Acquire lock``.

    Attributes
    ----------
    reason
        Why the lock was given or not.
    token
        The fencing token.
    wait_seconds
        Time until the next try, when it is busy.
    inherited
        The holder before was stopped after its first write: its journal says how to roll back.
    dead_holders
        ARNs of executions that had the lock before and ended without writing their record.
    """

    status: LockStatus
    reason: str
    token: int
    wait_seconds: int = 0
    inherited: bool = False
    dead_holders: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """``token 3``, or why there is none."""
        if self.status != LockStatus.HELD:
            return self.reason
        return f"token {self.token}" + (", with the journal of a stopped execution" if self.inherited else "")


# ``Plan`` is in plan.py: it is also what the journal keeps.


@dataclass(frozen=True)
class ApprovalRequest(StepResult):
    """``Wait for approval``: the question was asked. The state machine keeps the answer instead of this.

    ``expires_at`` in unix seconds.
    """

    expires_at: float

    @property
    def message(self) -> str:
        """Until when the question stands."""
        return f"asked for approval until {timestamp(self.expires_at)}"


@dataclass(frozen=True)
class TagResult(StepResult):
    """``Update image tag``: the names of the ``parameters`` that were written."""

    image_tag: str | None
    parameters: tuple[str, ...]

    @property
    def message(self) -> str:
        """``v3; 5 parameters``."""
        return f"{self.image_tag or 'no tag'}; {counted(len(self.parameters), 'parameter')}"


@dataclass(frozen=True)
class RegisterResult(StepResult):
    """``Register task definitions``.

    Attributes
    ----------
    task_definitions
        Service name to the ARN that it gets.
    migration
        The migration's ARN; None when none is needed.
    registered
        Number of new revisions.
    twins
        Service to the ARN of an ACTIVE revision with the content of its previous one, where that is INACTIVE: what a
        rollback would need.
    deleted
        Those of them whose previous one was deleted: the other has the same image, and maybe other settings.
    """

    task_definitions: Mapping[str, str]
    migration: str | None = None
    registered: int = 0
    twins: Mapping[str, str] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """``4 new revisions``."""
        return counted(self.registered, "new revision")


@dataclass(frozen=True)
class MigrationResult(StepResult):
    """``Run migration``.

    Attributes
    ----------
    task
        The task's ARN; None when ECS could not start one.
    started_at
        Unix seconds.
    reason
        Why it failed, or is given up on.
    stopping_since
        Since when it is being stopped (unix seconds); None while it is not.
    """

    status: MigrationStatus
    task: str | None
    started_at: float
    reason: str = ""
    explanation: Explanation | None = None
    stopping_since: float | None = None

    @property
    def message(self) -> str:
        """``succeeded``, or why it failed."""
        return self.reason or str(self.status)

    def kept(self) -> Self:
        """Bound the reason."""
        return replace(self, reason=fit(self.reason, MAX_REASON))


@dataclass(frozen=True)
class MovedService:
    """A service of a wave.

    Attributes
    ----------
    target
        The task definition ARN that it gets.
    deployment, replaced
        Ids of our PRIMARY deployment and of the one before; ``replaced`` is None when ours was there already.
    """

    target: str
    deployment: str | None
    replaced: str | None


@dataclass(frozen=True)
class WaveResult(StepResult):
    """``Deploy wave``: the wave with this ``index`` was given its task definitions (``started_at``: unix seconds).

    Attributes
    ----------
    twins
        Service to the ARN that it got, in this wave or one before, instead of a registered one that was INACTIVE.
    """

    index: int
    started_at: float
    services: Mapping[str, MovedService] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """``scheduler, worker``."""
        return ", ".join(self.services) or "no service to move"


@dataclass(frozen=True)
class SteadyService:
    """A service that was verified: when it was steady (unix seconds), and with how many tasks."""

    at: float
    desired: int


@dataclass(frozen=True)
class RolloutResult(StepResult):
    """``Check rollout``: the verdict on a wave and on each of its services; ``alarms`` that fire.

    Attributes
    ----------
    steady
        The services of this wave and of those before it that are steady: what dies there later is counted by the bake.
    """

    status: Status
    wave: int
    more_waves: bool
    services: Mapping[str, Verdict]
    alarms: tuple[str, ...] = ()
    explanation: Explanation | None = None
    steady: Mapping[str, SteadyService] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """``api: 1 of 3 tasks run``, ``scheduler and worker steady``, or what failed."""
        if self.status == Status.STEADY:
            return f"{and_list(self.services)} steady" if self.services else "nothing to wait for"
        if self.status == Status.FAILED:
            return _what_failed(self.services, self.alarms)
        return _reasons(self.services, self.services)

    def kept(self) -> Self:
        """Bound the reasons."""
        return replace(self, services=_bounded(self.services))


@dataclass(frozen=True)
class HealthResult(StepResult):
    """``Check health``: the verdict on the release and on each of its services; ``alarms`` that fire.

    Attributes
    ----------
    died
        Service name to what died there by itself since it was steady, also when that does not end the bake. The state
        keeps those of the first ``plan.MAX_DIED`` services.
    """

    status: HealthStatus
    services: Mapping[str, Verdict]
    alarms: tuple[str, ...] = ()
    explanation: Explanation | None = None
    died: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """``baking``, ``healthy``, or what is wrong; and what died meanwhile."""
        if self.status == HealthStatus.UNHEALTHY:
            return _what_failed(self.services, self.alarms)
        return "; ".join([str(self.status), *self.deaths])

    @property
    def deaths(self) -> tuple[str, ...]:
        """``api: 1 task died: container api exited with 137 (killed)``, one for each service."""
        return tuple(f"{name}: {said}" for name, said in self.died.items())

    def kept(self) -> Self:
        """Bound the reasons, and what died."""
        died = {name: fit(said, MAX_REASON) for name, said in tuple(self.died.items())[:MAX_DIED]}
        return replace(self, services=_bounded(self.services), died=died)


@dataclass(frozen=True)
class CompletedService:
    """A service of a release that is live: the task definitions before and now, and its image."""

    previous: str
    task_definition: str
    image: str | None


@dataclass(frozen=True)
class DeployedReport(Report):
    """``Complete``: the report, and what each service is on now."""

    services: Mapping[str, CompletedService] = field(default_factory=dict)


@dataclass(frozen=True)
class RollbackResult(StepResult):
    """``Roll back``.

    Attributes
    ----------
    started_at
        When the first of these steps began (unix seconds).
    services
        All services that were rolled back so far.
    overwritten
        Service name to what it ran, where somebody else had deployed meanwhile.
    twins
        As in ``RegisterResult``: found here, when the revision to return to was INACTIVE.
    stopped_migration
        The ARN of the migration task that was still running and was stopped.
    returned
        The services that ECS itself had put back to their previous task definition.
    parameters
        Names of the parameters that were set again, because somebody had changed them since the first of these steps.
    deleted
        As in ``RegisterResult``, of the twins that were found here.
    """

    started_at: float
    services: tuple[str, ...]
    overwritten: Mapping[str, str] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)
    stopped_migration: str | None = None
    returned: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """``rolls back scheduler and worker``."""
        said = f"rolls back {and_list(self.services)}" if self.services else "no service has moved"
        return f"{said}; stopped the migration" if self.stopped_migration else said

    def kept(self) -> Self:
        """Bound the names of what somebody else had deployed, and the number of parameters."""
        overwritten = {name: fit(ran, MAX_OVERWRITTEN) for name, ran in self.overwritten.items()}
        return replace(self, overwritten=overwritten, parameters=self.parameters[:MAX_PARAMETERS])


@dataclass(frozen=True)
class TaskCount:
    """How many tasks of a service run, and how many should."""

    running: int
    desired: int


@dataclass(frozen=True)
class RestoredResult(StepResult):
    """``Check rollback``; ``parameters`` are those that somebody has changed since they were restored."""

    status: RollbackStatus
    services: Mapping[str, TaskCount]
    parameters: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """``api 3/3, worker 1/2``, or that all are back."""
        if self.parameters:
            return f"{counted(len(self.parameters), 'parameter')} changed meanwhile: {', '.join(self.parameters)}"
        if self.status == RollbackStatus.STEADY:
            return "all services are steady on what they ran before"
        return ", ".join(f"{name} {count.running}/{count.desired}" for name, count in self.services.items())

    def kept(self) -> Self:
        """Bound the number of parameters; the message has counted them."""
        return replace(self, parameters=self.parameters[:MAX_PARAMETERS])


# ``Record failure`` leaves a ``Report`` (history.py).


@dataclass(frozen=True)
class OutcomeReport(Report):
    """``Record outcome``: the report, and the whole plan of a dry run."""

    plan: Plan | None = None


def encode_result(result: StepResult | Plan | Report, step: str, at: float) -> dict[str, Any]:
    """Return the JSON that the state machine keeps of a step.

    A report is the execution's last word: its ``step`` is the one that failed. Every other result says which step it
    is of and when that ended.
    """
    encoded: dict[str, Any] = encode(result.kept() if isinstance(result, StepResult) else result)
    if isinstance(result, Report):
        return encoded
    stamp = {"step": step, "at": at, "message": fit(" ".join(result.message.split()), MAX_MESSAGE)}
    return {**stamp, **encoded, **stamp}


def _what_failed(services: Mapping[str, Verdict], alarms: Sequence[str]) -> str:
    """Say which alarms fire and what failed; when no service failed outright, which of them are not steady."""
    failed = [name for name, verdict in services.items() if verdict.status in (Status.FAILED, Status.SUPERSEDED)]
    if not failed and not alarms:
        failed = [name for name, verdict in services.items() if verdict.status != Status.STEADY]
    firing = [f"alarm {name} fires" for name in alarms]
    return "; ".join([*firing, *([_reasons(services, failed)] if failed else [])])


def _bounded(services: Mapping[str, Verdict]) -> dict[str, Verdict]:
    limit = reason_limit(len(services))
    return {name: replace(verdict, reason=fit(verdict.reason, limit)) for name, verdict in services.items()}


def _reasons(services: Mapping[str, Verdict], names: Iterable[str]) -> str:
    return "; ".join(f"{name}: {services[name].reason}" for name in names)
