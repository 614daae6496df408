"""The execution's state: what each step has left, decoded for whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from lambdas.release.codec import decode
from lambdas.release.image import PushedImage, ReleaseImage
from lambdas.release.plan import Plan
from lambdas.release.request import Request
from lambdas.release.results import (
    HealthResult,
    LockResult,
    MigrationResult,
    RegisterResult,
    RestoredResult,
    RollbackResult,
    RolloutResult,
    WaveResult,
)

T = TypeVar("T")


LAST_SECOND = 253_402_300_800
"""Of the year 9999, in unix seconds: what lies beyond is no time that a step has ended."""


@dataclass(frozen=True)
class CaughtError:
    """What a Catch keeps: the error's name, and its cause, which is JSON when a Lambda function failed."""

    error_type: str
    cause: str


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
