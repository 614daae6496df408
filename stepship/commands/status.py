"""``stepship status``: what runs, what should, and who is at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from lambdas.release.catalog import parse_catalog
from lambdas.release.codec import encode, read_object
from lambdas.release.gates import Freeze, PausedDeploys
from lambdas.release.history import Release, timestamp
from lambdas.release.lock import Claim, Lock
from stepship.environment.drift import ServiceStatus, drift
from stepship.environment.freeze import freeze_now
from stepship.environment.tags import Tags, read_tags
from stepship.executions.question import Question, open_question
from stepship.session import Session
from stepship.views.durations import duration

HEADERS = ("Service", "Tasks", "Image", "Task definition", "Rollout", "")


@dataclass(frozen=True)
class Status:
    """An environment at one moment.

    Attributes
    ----------
    tag
        What the parameter of the current tag holds.
    holder_runs
        Whether who holds the lock still runs: an execution, or a deploy of infrastructure; None when nobody does.
    """

    services: tuple[ServiceStatus, ...]
    drift: dict[str, tuple[str, ...]]
    tag: str | None
    live: Release | None
    lock: Lock
    holder_runs: bool | None
    question: Question | None
    paused: PausedDeploys | None
    freeze: Freeze | None
    tags: Tags

    @property
    def left_behind(self) -> Claim | None:
        """The execution that has moved something and ended with the lock, so that a recovery is to come."""
        return None if self.lock.journal is None or self.holder_runs else self.lock.owner


def status(session: Session) -> int:
    """Show it; returns 0, whatever there is to see."""
    found = read_status(session)
    show(session, found)
    session.output.document(document(session, found))
    return 0


def read_status(session: Session) -> Status:
    """Read everything; nothing is written."""
    identity, now = session.target.identity, session.host.now()
    registered = parse_catalog(session.parameters.below(identity.services_path)).services
    facts = session.ecs.services(registered)
    definitions = {name: session.ecs.task_definition(each.task_definition) for name, each in facts.items()}
    values = session.parameters.get(
        [identity.tag_parameter, *(f"{identity.images_path}{each.name}" for each in registered)]
    )
    services = tuple(
        ServiceStatus(
            each.name,
            each.wave,
            facts.get(each.name),
            found.image(*each.containers) if (found := definitions.get(each.name)) else None,
            values[f"{identity.images_path}{each.name}"],
        )
        for each in registered
    )
    lock, live = session.table.read_lock(), session.table.live()
    holder = session.machine.describe(lock.owner.execution) if lock.owner else None
    runs = (holder is not None and holder.is_running) or lock.infrastructure(now) is not None
    holder_runs = runs if lock.holder else None
    return Status(
        services=services,
        drift={each.name: tuple(drift(each, live, deploying=bool(holder_runs))) for each in services},
        tag=values[identity.tag_parameter],
        live=live,
        lock=lock,
        holder_runs=holder_runs,
        question=open_question(session.machine, holder.arn) if holder and holder.is_running else None,
        paused=session.table.paused(),
        freeze=freeze_now(session.host.folder / "config" / f"{session.target.environment}.toml", now),
        tags=read_tags(session.table),
    )


def show(session: Session, found: Status) -> None:
    """Write it for a person."""
    output, target, now = session.output, session.target, session.host.now()
    live = f"{found.live.image_tag}, release {found.live.release_id} of {found.live.verified_at}" if found.live else ""
    output.say(f"{target.app} {target.environment}: {live or 'nothing was released yet'}")
    output.table(HEADERS, [_row(each, found) for each in found.services], right=("Tasks",))
    for name, sentences in found.drift.items() if found.live else ():
        for sentence in sentences:
            output.say(Text(f"  ! {name}: {sentence}", "yellow"))
    if found.live and found.tag != found.live.image_tag and found.lock.holder is None:
        output.say(
            Text(f"  ! the tag parameter says {found.tag}, the live release is {found.live.image_tag}", "yellow")
        )
    for each in found.tags.unreadable:
        output.say(Text(f"  ! left out: {each}", "yellow"))
    output.say(f"Lock: {_lock(found, now)}")
    if found.question:
        asked = f"{found.question.name} has been waiting for {duration(now - found.question.since)}"
        output.say(Text(f"Approval: {asked}: stepship approve {found.question.name} {target.options}", "bold yellow"))
    if found.paused:
        since = timestamp(found.paused.at)
        output.say(Text(f"Paused: by {found.paused.by} since {since}: {found.paused.reason}", "bold red"))
    if found.freeze:
        output.say(Text(f"Freeze: until {found.freeze.until_text} ({found.freeze.window})", "bold yellow"))
    if found.lock.journal is not None and found.lock.holder is None:
        command = " ".join(["stepship rollback", *_release_of_rollback(found.lock.journal), target.options])
        output.say(Text(f"An earlier deployment could not be rolled back: {command}", "bold red"))
    if stopped := found.left_behind:
        text = f"{stopped.name} was stopped half-way; if no recovery starts: stepship rollback live"
        output.say(Text(f"{text} {target.options}", "bold red"))


def _release_of_rollback(journal: str) -> tuple[str, ...]:
    """Return where a rollback was going that failed itself: a plain one would bring back what it was to leave."""
    plan = read_object(journal)
    release = plan.get("releaseId")
    return (release,) if plan.get("action") == "rollback" and isinstance(release, str) else ()


def _row(each: ServiceStatus, found: Status) -> list[str | Text]:
    tasks = f"{each.facts.running}/{each.facts.desired}" if each.facts else "-"
    wrong = found.drift[each.name]
    return [
        each.name,
        tasks,
        found.tags.name(each.image),
        each.task_definition,
        each.rollout,
        _verdict(found, drifted=bool(wrong)),
    ]


def _verdict(found: Status, *, drifted: bool) -> Text:
    if found.live is None:
        return Text("not released")
    if found.lock.holder is not None and not drifted:
        return Text("")
    return Text("drift", "yellow") if drifted else Text("ok", "green")


def _lock(found: Status, now: float) -> str:
    holder = found.lock.holder
    if holder is None:
        return "free"
    name, since = holder.name, duration(now - holder.started_at)
    waits = [each.name for each in found.lock.claims if each is not holder]
    waiting = f"; {' and '.join(waits)} wait" if waits else ""
    if found.holder_runs:
        return f"{name} ({holder.kind}), started {since} ago{waiting}"
    left = found.lock.lease_expires_at - now
    lease = f"its lease ends in {duration(left)}" if left > 0 else "its lease has ended"
    return f"{name} ({holder.kind}), which no longer runs; {lease}{waiting}"


def document(session: Session, found: Status) -> dict[str, Any]:
    """Return all of it for a program."""
    holder = found.lock.holder
    return {
        "app": session.target.app,
        "environment": session.target.environment,
        "services": [
            {
                "name": each.name,
                "wave": each.wave,
                "running": each.facts.running if each.facts else None,
                "desired": each.facts.desired if each.facts else None,
                "image": each.image,
                "digest": each.image.rpartition("@")[2] if each.image and "@" in each.image else None,
                "imageTag": found.tags.of(each.image),
                "pinnedImage": each.pinned,
                "taskDefinition": each.task_definition or None,
                "rolloutState": each.rollout or None,
                "drift": list(found.drift[each.name]),
            }
            for each in found.services
        ],
        "imageTag": found.tag,
        "liveRelease": encode(found.live) if found.live else None,
        "lock": {
            "holder": holder.execution if holder else None,
            "kind": holder.kind if holder else None,
            "since": timestamp(holder.started_at) if holder else None,
            "leaseExpiresAt": timestamp(found.lock.lease_expires_at) if holder else None,
            "holderRuns": found.holder_runs,
            "waiting": [each.execution for each in found.lock.claims if each is not holder],
            "unfinishedRollback": found.lock.journal is not None and holder is None,
        },
        "approval": encode(found.question) if found.question else None,
        "pause": encode(found.paused) if found.paused else None,
        "freeze": encode(found.freeze) if found.freeze else None,
        **({"unreadable": list(found.tags.unreadable)} if found.tags.unreadable else {}),
        "exitCode": 0,
    }
