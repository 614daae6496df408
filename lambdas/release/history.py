"""What is kept of a deployment: one record each, and one release for each that was verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self, TypeVar

from lambdas.release.explanation import Explanation

T = TypeVar("T")


class Outcome(StrEnum):
    """How an execution ended: the names of the end states, and ``Stopped`` for one that reached none."""

    DEPLOYED = "Deployed"
    NOTHING_TO_DO = "NothingToDo"
    PLANNED = "Planned"
    SUPERSEDED = "Superseded"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    STOPPED = "Stopped"


LOOKED_AFTER = (Outcome.REJECTED, Outcome.ROLLED_BACK, Outcome.STOPPED)
"""Outcomes of executions that ended badly and left everything in order. RollbackFailed is none of them."""

REDRIVEN = "redriven, it deploys nothing; start a new deployment"
"""What an execution is told that was stopped, recovered from, and then redriven."""


@dataclass(frozen=True)
class Release:
    """A verified release.

    Attributes
    ----------
    services
        Service name to the task definition ARN that carries it. A deploy of some services carries the
        others over from the release before, so a release always describes all of them.
    images
        Service name, and ``migration``, to ``repo@sha256:…``.
    before
        The release that was live when this one was first deployed; a rollback changes it in neither. None for the
        first one, and for one that an older version wrote.
    """

    release_id: str
    image_tag: str
    services: Mapping[str, str]
    images: Mapping[str, str]
    verified_at: str
    execution: str
    before: str | None = None


class Listed(tuple[T, ...]):  # noqa: SLOT001 (a tuple has no room for slots beside its items)
    """A list from the table. One item that cannot be read hides no other.

    Attributes
    ----------
    unreadable
        A sentence for each item that was left out: which one it is, why, and the fix.
    """

    unreadable: tuple[str, ...]

    def __new__(cls, items: Iterable[T] = (), unreadable: Iterable[str] = ()) -> Self:
        """Make the list."""
        made = super().__new__(cls, items)
        made.unreadable = tuple(unreadable)
        return made


@dataclass(frozen=True)
class Report:
    """How an execution ended, for the Cause of a Fail state, the event, the CLI and the job summary.

    Attributes
    ----------
    step, error_type
        What failed; None when nothing did.
    message
        One sentence: why it failed, or what is so now.
    release
        The release's id.
    """

    outcome: str
    step: str | None = None
    error_type: str | None = None
    message: str = ""
    explanation: Explanation | None = None
    release: str | None = None


@dataclass(frozen=True)
class DeploymentRecord:
    """One deployment in the history: who, what, when, why, outcome.

    Attributes
    ----------
    started_at, ended_at
        ISO 8601, UTC, to the second.
    durations
        Step to seconds, in the order in which the steps ended.
    approved_by, approval_reason
        Who said yes, and what they said to it; None where nobody was asked.
    override_freeze
        Why a freeze window did not hold this deployment back.
    """

    execution: str
    action: str
    outcome: str
    started_at: str
    ended_at: str
    requested_by: str | None
    reason: str | None
    release_id: str | None
    image_tag: str | None
    report: Report
    durations: Mapping[str, float] = field(default_factory=dict)
    approved_by: str | None = None
    approval_reason: str | None = None
    override_freeze: str | None = None


def timestamp(at: float) -> str:
    """Return ISO 8601 in UTC to the second: ``2026-01-05T09:00:00Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> float:
    """Return unix seconds of an ISO 8601 time; ValueError when it is none."""
    return datetime.fromisoformat(text).timestamp()


def check_times(record: DeploymentRecord) -> None:
    """Refuse a record whose times are none: figures and rollbacks compute with them; ValueError."""
    parse_timestamp(record.started_at)
    parse_timestamp(record.ended_at)


def release_id_of(execution: str, started_at: float) -> str:
    """Return the id of the release that an execution makes: it sorts by time and is the same on a repeat.

    ``r-20260105-090000-1f3a9c``: the start of the execution, and six digits of its ARN's hash.
    """
    moment = datetime.fromtimestamp(started_at, UTC).strftime("%Y%m%d-%H%M%S")
    return f"r-{moment}-{hashlib.sha256(execution.encode()).hexdigest()[:6]}"


def durations(started_at: float, ended_steps: Iterable[tuple[float, str]]) -> dict[str, float]:
    """Return how long each step took: the time from the end of the one before to its own end.

    Parameters
    ----------
    started_at
        Start of the execution, unix seconds.
    ended_steps
        When each step ended (unix seconds), and its name, in that order. A step that ran in a loop counts from
        its predecessor to its last run.
    """
    taken = {}
    before = started_at
    for at, step in ended_steps:
        taken[step] = round(max(0.0, at - before), 3)
        before = at
    return taken


def next_release(
    release_id: str,
    image_tag: str,
    moved: Mapping[str, tuple[str, str]],
    live: Release | None,
    verified_at: str,
    execution: str,
) -> Release:
    """Make the release that was just verified.

    Parameters
    ----------
    moved
        Name to (task definition ARN or "", pinned image) of what this deployment moved; the migration
        has no service and so no ARN.
    live
        What the services that were not part of it are on, and what a rollback will return to.
    """
    services = dict(live.services) if live else {}
    images = dict(live.images) if live else {}
    for name, (task_definition, image) in moved.items():
        images[name] = image
        if task_definition:
            services[name] = task_definition
    before = live.release_id if live else None
    return Release(release_id, image_tag, services, images, verified_at, execution, before)
