"""What must be true of the world at rest, however the executions before it ended: design, section 5.

Pure: it compares a snapshot with the executions, and calls nothing. Eight points, and each violation is one sentence
that names what differs::

    examination = examine(world.snapshot(), world.aws.runs)
    assert examination.violations == ()

``RollbackFailed`` is the one outcome that may leave the world in pieces: on-call was notified. What is then wrong
with the services and the parameters is told as ``excused``, never left out; a later execution that ends in
``Deployed``, or finds that there is nothing to do, ends the excuse. Everything else (lock, history, digests,
migrations) must hold all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lambdas.release.catalog import MIGRATION
from lambdas.release.history import Outcome
from simulator.environment.snapshot import Snapshot

LAST_STEPS = frozenset({"Complete", "Record failure", "Record outcome"})
"""The states that write the record; an execution that is stopped in one may have written its own just before."""

END_STATES = frozenset(Outcome) - {Outcome.STOPPED}
STOPPED_STATUSES = frozenset({"ABORTED", "TIMED_OUT"})


class Execution(Protocol):
    """What is looked at of an execution; :class:`simulator.engine.runs.Run` is one."""

    name: str
    input_json: str
    status: str
    ended_at: float | None
    output: Any

    @property
    def earlier(self) -> Sequence[Execution]:
        """What it was like at each of its ends before it was redriven."""

    @property
    def ended(self) -> bool:
        """Whether it has a final status."""

    @property
    def state(self) -> str:
        """Name of the state that it entered last."""

    @property
    def path(self) -> list[str]:
        """The names of the states that it entered, in order."""


@dataclass(frozen=True)
class Point:
    """One point of the invariant.

    Attributes
    ----------
    title
        What must be true.
    evidence
        What was seen, in a few words.
    violations
        Where it is not, one sentence each.
    about_world
        Whether it is about services and parameters, which a failed rollback may leave in pieces.
    """

    title: str
    evidence: str
    violations: tuple[str, ...]
    about_world: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is true."""
        return not self.violations


@dataclass(frozen=True)
class Examination:
    """The world compared with the invariant.

    Attributes
    ----------
    points
        All eight, in order.
    person_needed
        One sentence for each execution whose rollback failed and that no later one repaired.
    """

    points: tuple[Point, ...]
    person_needed: tuple[str, ...]

    @property
    def violations(self) -> tuple[str, ...]:
        """What is wrong and has no excuse."""
        return self._sentences(excused=False)

    @property
    def excused(self) -> tuple[str, ...]:
        """What is wrong while action is needed anyway."""
        return self._sentences(excused=True)

    def _sentences(self, *, excused: bool) -> tuple[str, ...]:
        return tuple(
            sentence
            for point in self.points
            if (point.about_world and bool(self.person_needed)) is excused
            for sentence in point.violations
        )


def violations(snapshot: Snapshot, runs: Sequence[Execution]) -> tuple[str, ...]:
    """Return what is wrong with the world at rest; empty when the invariant holds. See :func:`examine`."""
    return examine(snapshot, runs).violations


def examine(snapshot: Snapshot, runs: Sequence[Execution]) -> Examination:
    """Compare the world with the invariant.

    Parameters
    ----------
    world
        Taken when nothing runs any more.
    runs
        All executions, recoveries included.
    """
    tasks = ", ".join(f"{name} {each['running']}/{each['desired']}" for name, each in snapshot.services.items())
    images = ", ".join(f"{name} {_digest(each['image'])}" for name, each in snapshot.services.items())
    live = f"{snapshot.live}, made from {snapshot.live_tag}" if snapshot.live else "there is none yet"
    ended = sum(run.ended for run in runs)
    deployed = sum(run.status == "SUCCEEDED" and run.state == Outcome.DEPLOYED for run in runs)
    started = f"{sum(snapshot.migrations.values())} tasks for {len(snapshot.migrations)} releases"
    points = (
        Point("the lock is free", f"held by {snapshot.lock or 'nobody'}", tuple(_lock(snapshot, runs))),
        Point("no deployment is half done", "no journal is open", tuple(_whole(snapshot)), about_world=True),
        Point("every service is steady", tasks, tuple(_steady(snapshot)), about_world=True),
        Point("every service runs the image of its parameter", images, tuple(_pinned(snapshot)), about_world=True),
        Point("services and tag are those of the live release", live, tuple(_live(snapshot)), about_world=True),
        Point(
            "one record for each execution, with its true outcome",
            f"{len(snapshot.history)} records of {ended} executions",
            tuple(_history(snapshot, runs)),
        ),
        Point("every Deployed release was running", f"{deployed} ended as Deployed", tuple(_verified(snapshot, runs))),
        Point("at most one migration for each release, and none still runs", started, tuple(_migrations(snapshot))),
    )
    return Examination(
        points=points,
        person_needed=tuple(_person_needed(runs)),
    )


def outcome_of(run: Execution) -> str:
    """Return how an execution really ended: its end state; ``Stopped`` when it never came to one."""
    reached_end = run.status not in STOPPED_STATUSES and run.state in END_STATES
    return run.state if reached_end else str(Outcome.STOPPED)


def _lock(snapshot: Snapshot, runs: Sequence[Execution]) -> Iterable[str]:
    for run in runs:
        if not run.ended:
            yield f"{run.name} has not ended: it is in {run.state or 'no state yet'}"
    if snapshot.lock is not None:
        yield f"the lock is held by {snapshot.lock}"


def _whole(snapshot: Snapshot) -> Iterable[str]:
    if snapshot.journal:
        yield "the lock still carries the journal of a deployment that began to write"


def _steady(snapshot: Snapshot) -> Iterable[str]:
    for name, service in snapshot.services.items():
        if service["rolloutState"] != "COMPLETED":
            yield f"{name}: its rollout is {service['rolloutState']}, not COMPLETED"
        elif service["running"] != service["desired"]:
            yield f"{name}: {service['running']} of {service['desired']} tasks run"


def _pinned(snapshot: Snapshot) -> Iterable[str]:
    for name, service in snapshot.services.items():
        parameter = snapshot.images_path + name
        pinned = snapshot.parameters.get(parameter)
        if pinned is not None and service["image"] != pinned:
            yield f"{name}: runs {_short(service['image'])}, and {parameter} says {_short(pinned)}"
        if pinned is None and service["image"] != snapshot.first_images[name]:
            yield (
                f"{name}: runs {_short(service['image'])} without {parameter}; "
                f"before the first release it ran {_short(snapshot.first_images[name])}"
            )


def _live(snapshot: Snapshot) -> Iterable[str]:
    tag = snapshot.parameters.get(snapshot.tag_parameter)
    if snapshot.live is None:
        if tag is not None:
            yield f"{snapshot.tag_parameter} is {tag}, and no release is live"
        return
    for name, image in snapshot.live_images.items():
        runs = snapshot.services.get(name, {}).get("image")
        if name != MIGRATION and runs is not None and runs != image:
            yield f"{name}: runs {_short(runs)}, and the live release {snapshot.live} has {_short(image)}"
    if tag != snapshot.live_tag:
        made_from = f"the live release {snapshot.live} was made from {snapshot.live_tag}"
        yield f"{snapshot.tag_parameter} is {tag}, and {made_from}"


def _history(snapshot: Snapshot, runs: Sequence[Execution]) -> Iterable[str]:
    records: dict[str, list[str]] = {}
    for record in snapshot.history:
        records.setdefault(str(record["execution"]), []).append(str(record["outcome"]))
    for run in runs:
        if not run.ended:
            continue
        found, truth = records.pop(run.name, []), outcome_of(run)
        if len(found) != 1:
            yield f"{run.name} ended as {truth} ({run.status}), and the history has {len(found)} records of it"
        elif not _is_true(found[0], truth, run):
            yield f"{run.name} ended as {truth} ({run.status}), and its record says {found[0]}"
    for name in records:
        yield f"the history has a record of {name}, which is no execution"


def _is_true(recorded: str, truth: str, run: Execution) -> bool:
    """Whether a record says how an execution ended.

    One that was redriven has ended more than once, and its first end that was recorded stays on record: the redrive may
    be refused or stopped then, and nothing else.
    """
    if recorded == truth or (truth == Outcome.STOPPED and LAST_STEPS & set(run.path)):
        return True
    return truth in (Outcome.REJECTED, Outcome.STOPPED) and recorded in {outcome_of(each) for each in run.earlier}


def _verified(snapshot: Snapshot, runs: Sequence[Execution]) -> Iterable[str]:
    for run in runs:
        if run.status != "SUCCEEDED" or run.state != Outcome.DEPLOYED:
            continue
        ran = snapshot.ran_at_end.get(run.name, {})
        claimed: Mapping[str, Mapping[str, Any]] = (run.output or {}).get("services", {})
        for name, service in claimed.items():
            if service["image"] != ran.get(name):
                yield f"{run.name} says that {name} is on {_short(service['image'])}; it ran {_short(ran.get(name))}"


def _migrations(snapshot: Snapshot) -> Iterable[str]:
    for release, count in snapshot.migrations.items():
        if count > 1:
            yield f"{count} migration tasks were started for {release}"
    for release in snapshot.running_migrations:
        yield f"the migration of {release} still runs"


def _person_needed(runs: Sequence[Execution]) -> Iterable[str]:
    ended = [(run.ended_at or 0.0, run) for run in runs if run.ended]
    repaired_at = max((at for at, run in ended if _repairs(run)), default=0.0)
    for at, run in ended:
        if outcome_of(run) == Outcome.ROLLBACK_FAILED and at >= repaired_at:
            yield f"{run.name} ended as {Outcome.ROLLBACK_FAILED}: action needed"


def _repairs(run: Execution) -> bool:
    """Whether everything was as it should be when it ended. A recovery with nothing to do looked at nothing."""
    outcome = outcome_of(run)
    return outcome == Outcome.DEPLOYED or (outcome == Outcome.NOTHING_TO_DO and '"takeover"' not in run.input_json)


def _digest(image: str) -> str:
    return image.partition("@sha256:")[2][:7] or "without a digest"


def _short(image: str | None) -> str:
    """Return ``v3-backend@sha256:77636f9e2688`` for a pinned image; others as they are."""
    if image is None:
        return "nothing"
    name, at, digest = image.partition("@sha256:")
    return f"{name.rpartition('/')[2]}@sha256:{digest[:12]}" if at else image
