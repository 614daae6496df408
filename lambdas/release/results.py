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
from functools import cached_property
from typing import Any, Self, TypeVar

from lambdas.release.codec import decode, encode
from lambdas.release.explanation import Explanation
from lambdas.release.history import Report, timestamp
from lambdas.release.image import PushedImage, ReleaseImage, short_image
from lambdas.release.plan import MAX_DIED, MAX_OVERWRITTEN, MAX_REASON, Plan, reason_limit
from lambdas.release.policies import AcceptedFinding
from lambdas.release.request import Request
from lambdas.release.rollout import Verdict
from lambdas.release.verdicts import HealthStatus, LockStatus, MigrationStatus, RollbackStatus, Status
from lambdas.release.wording import and_list, counted, fit, some_of

T = TypeVar("T")

LAST_SECOND = 253_402_300_800
"""Of the year 9999, in unix seconds: what lies beyond is no time that a step has ended."""

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


@dataclass(frozen=True)
class CaughtError:
    """What a Catch keeps: the error's name, and its cause, which is JSON when a Lambda function failed."""

    error_type: str
    cause: str


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


@dataclass(frozen=True)
class ExecutionState:
    """The execution's state: each property is the result of a step, None before the step has run.

    Decodes what is asked for alone: a state may be 256 KiB long. What a rollback and the last steps read may have been
    left by functions of another version, and must not keep services on two releases: what cannot be read is None there.

    Parameters
    ----------
    raw
        The state as JSON. Before ``Verify image`` has ended it may be anything.
    """

    raw: Any

    @cached_property
    def keys(self) -> Mapping[str, Any]:
        """The keys of the state; none when it is no object."""
        return self.raw if isinstance(self.raw, Mapping) else {}

    @cached_property
    def request(self) -> Request | None:
        """The validated request."""
        return self._result(Request, "request")

    @cached_property
    def image(self) -> ReleaseImage | None:
        """The verified image of a deploy."""
        return self._result(ReleaseImage, "image")

    @property
    def pushed_image(self) -> PushedImage | None:
        """The verified image of a deploy that its push has started, when ECR says when that was."""
        return self._result(PushedImage, "image") if _moment(self._member("image", "pushedAt")) else None

    @cached_property
    def lock(self) -> LockResult | None:
        """Of ``Acquire lock``."""
        return self._result(LockResult, "lock")

    @cached_property
    def plan(self) -> Plan | None:
        """Of ``Plan``."""
        return self._result(Plan, "plan")

    @property
    def readable_plan(self) -> Plan | None:
        """The plan, for the last steps: they write their record also when its plan is one of another version."""
        return self._readable(Plan, "plan")

    @property
    def is_answered(self) -> bool:
        """Whether somebody said yes to the question for approval."""
        return "approval" in self.keys

    @property
    def approval(self) -> object:
        """The answer to the question for approval: it comes from outside, so it may be any JSON."""
        return self.keys.get("approval")

    @cached_property
    def registered(self) -> RegisterResult | None:
        """Of ``Register task definitions``."""
        return self._readable(RegisterResult, "registered")

    @property
    def registered_revisions(self) -> dict[str, str]:
        """Service to the ARN that it gets of this deployment, as far as it can be read: a rollback tells its own by it.

        Mostly what was registered for it; a twin, where that was INACTIVE when its wave came.
        """
        return _arns(self._member("registered", "taskDefinitions")) | self.wave_twins

    @property
    def wave_twins(self) -> dict[str, str]:
        """Service to the twin that ``Deploy wave`` gave it, as far as it can be read."""
        return _arns(self._member("wave", "twins"))

    @property
    def targets(self) -> dict[str, str]:
        """Service to the ARN that it gets of this deployment; LookupError before ``Register task definitions``."""
        return {**needed(self.registered).task_definitions, **self.wave_twins}

    @property
    def twins(self) -> dict[str, str]:
        """Service to the ACTIVE revision that stands for its INACTIVE previous one, as far as it can be read."""
        return _arns(self._member("registered", "twins")) | _arns(self._member("rollback", "twins"))

    @property
    def deleted_before(self) -> tuple[str, ...]:
        """The services whose previous revision was deleted when the new ones were registered."""
        return _texts(self._member("registered", "deleted"))

    @property
    def deleted(self) -> frozenset[str]:
        """The services whose twin has the image of their previous revision, which was deleted, and maybe no more."""
        return frozenset((*self.deleted_before, *_texts(self._member("rollback", "deleted"))))

    @cached_property
    def migration(self) -> MigrationResult | None:
        """Of ``Run migration``."""
        return self._readable(MigrationResult, "migration")

    @cached_property
    def wave(self) -> WaveResult | None:
        """Of ``Deploy wave``."""
        return self._result(WaveResult, "wave")

    @cached_property
    def rollout(self) -> RolloutResult | None:
        """Of ``Check rollout``."""
        return self._readable(RolloutResult, "rollout")

    @cached_property
    def health(self) -> HealthResult | None:
        """Of ``Check health``."""
        return self._readable(HealthResult, "health")

    @cached_property
    def rollback(self) -> RollbackResult | None:
        """Of ``Roll back``."""
        return self._readable(RollbackResult, "rollback")

    @property
    def rollback_started_at(self) -> float | None:
        """When the first step of the rollback began (unix seconds): its deadline counts from there."""
        return _moment(self._member("rollback", "startedAt"))

    @cached_property
    def restored(self) -> RestoredResult | None:
        """Of ``Check rollback``."""
        return self._readable(RestoredResult, "restored")

    @property
    def error(self) -> CaughtError | None:
        """What was caught. When ``Verify image`` failed, there is no state yet, and this is the state itself."""
        return _caught(self.keys.get("error") or self.keys)

    @property
    def rollback_error(self) -> CaughtError | None:
        """What was caught on the way to roll back."""
        return _caught(self.keys.get("rollbackError") or {})

    @property
    def release_id(self) -> str | None:
        """The release, for logs and reports: also of a plan of another version, which cannot be decoded."""
        return _text(self._member("plan", "releaseId"))

    @property
    def image_tag(self) -> str | None:
        """The tag of the plan, read as ``release_id`` is."""
        return _text(self._member("plan", "imageTag"))

    @property
    def ended_steps(self) -> tuple[tuple[float, str], ...]:
        """When each step ended (unix seconds), and its name, in that order. A loop counts once, with its last run.

        The answer to the question for approval is left out: it comes from outside, and says what it likes.
        """
        results = (self.keys, *(result for key, result in self.keys.items() if key != "approval"))
        ended = ((_moment(r.get("at")), _text(r.get("step"))) for r in results if isinstance(r, Mapping))
        return tuple(sorted((at, step) for at, step in ended if at is not None and step is not None))

    def _result(self, kind: type[T], key: str) -> T | None:
        found = self.keys.get(key)
        return None if found is None else decode(kind, found)

    def _readable(self, kind: type[T], key: str) -> T | None:
        try:
            return self._result(kind, key)
        except TypeError:
            return None

    def _member(self, key: str, member: str) -> object:
        found = self.keys.get(key)
        return found.get(member) if isinstance(found, Mapping) else None


def needed(result: T | None) -> T:
    """Return the result of a step without which this one is never reached; LookupError when it is missing."""
    if result is None:
        raise LookupError("an earlier step has left no result: the state is not one of this state machine")
    return result


def _arns(found: object) -> dict[str, str]:
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {name: arn for name, arn in pairs if isinstance(arn, str)}


def _texts(found: object) -> tuple[str, ...]:
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> float | None:
    """Return unix seconds; None for what is no time, such as a number beyond the year 9999."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < LAST_SECOND else None


def _caught(error: Mapping[str, Any]) -> CaughtError | None:
    return CaughtError(str(error["Error"]), str(error.get("Cause", ""))) if "Error" in error else None


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
