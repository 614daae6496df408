"""Why a deployment failed: causes ranked by likelihood, each with the evidence for it.

The rules read what ECS and the containers said themselves. The wording of ECS is documented in the ECS
Developer Guide, "Stopped task error messages" and "Service event messages".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lambdas.release.codec import encode
from lambdas.release.request import shorten

MAX_CAUSES = 5
MAX_LOG_LINES = 10
MAX_LINE = 300
MAX_CHARACTERS = 19_000
"""Bounds that keep a report below the 32,768 characters that a Fail state's Cause may have."""

LINE_LIMITS = (MAX_LINE, 100, 24)
"""What lines are cut to, the longest that fits. JSON may need up to 12 characters for one: a line of emoji.

Worked example: 5 causes with 6 lines each, 10 of the log, 5 missing and a summary of two are 47 lines;
47 x 300 plain characters fit, and so do 47 x 24 of the worst kind: 13,536 beside 1,500 of keys and hints.
"""


KILLED = 137
"""128 + SIGKILL: what a container exits with when the kernel or ECS kills it."""


@dataclass(frozen=True)
class StoppedContainer:
    """A container of a stopped task."""

    name: str
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class StoppedTask:
    """A task that ECS stopped, with what it said about it; ``stopped_at`` in unix seconds."""

    task: str
    task_definition: str
    stopped_reason: str = ""
    stopped_at: float = 0.0
    containers: tuple[StoppedContainer, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What was gathered about one service, or about the migration.

    Attributes
    ----------
    subject
        The service's name, or ``migration``.
    verdict
        The sentence of the verdict that ended it.
    container
        The container whose image was deployed.
    stopped
        Stopped tasks of the new task definition.
    events
        Service event messages since the wave began, newest first.
    log_lines
        The last lines of a stopped task's container.
    missing
        Why some evidence could not be read; empty when all of it could.
    superseded
        Somebody else deployed the service: the tasks say nothing about that.
    """

    subject: str
    verdict: str
    container: str = ""
    stopped: tuple[StoppedTask, ...] = ()
    events: tuple[str, ...] = ()
    log_lines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    superseded: bool = False


@dataclass(frozen=True)
class Cause:
    """One likely cause.

    Attributes
    ----------
    cause
        ``image-pull``, ``secret``, ``out-of-memory``, ``capacity``, ``exit-code``, ``health-check``,
        ``log-driver``, ``alarm``, ``superseded``, ``timeout`` or
        ``unknown``.
    subject
        The service, or ``migration``.
    seen
        How many tasks or events show it.
    evidence
        What was said, word for word.
    hint
        What to look at first.
    """

    cause: str
    subject: str
    seen: int
    evidence: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class Explanation:
    """The answer to "why".

    Attributes
    ----------
    summary
        One sentence.
    causes
        Ranked, the likeliest first.
    log_lines
        The last lines of the container that failed.
    missing
        Evidence that could not be read, and why.
    done
        What was done about the failure, one sentence each.
    """

    summary: str
    causes: tuple[Cause, ...] = ()
    log_lines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Rule:
    """How a cause is recognised; ``weight`` ranks causes that are seen together.

    A specific cause outweighs what follows from it: a container that ran out of memory also exits with
    137 and then also fails its health check.
    """

    cause: str
    weight: int
    hint: str
    matches: Callable[[StoppedTask], str | None]


def _reason(pattern: str) -> Callable[[StoppedTask], str | None]:
    compiled = re.compile(pattern, re.IGNORECASE)

    def match(task: StoppedTask) -> str | None:
        said = [task.stopped_reason, *(c.reason for c in task.containers)]
        return next((text for text in said if compiled.search(text)), None)

    return match


def _was_ended_by_ecs(task: StoppedTask) -> bool:
    """Whether the exit codes only say how ECS ended the task: 143 is SIGTERM, 137 SIGKILL after it."""
    return task.stopped_reason.startswith(("Scaling activity", "Task failed"))


def _out_of_memory(task: StoppedTask) -> str | None:
    said = _reason(r"OutOfMemory|out of memory")(task)
    if said:
        return said
    killed = next((c for c in task.containers if c.exit_code == KILLED), None)
    if killed and not _was_ended_by_ecs(task):
        return f"container {killed.name} exited with {KILLED} (killed)"
    return None


def _exit_code(task: StoppedTask) -> str | None:
    exited = next((c for c in task.containers if c.exit_code not in (None, 0)), None)
    if exited is None or _was_ended_by_ecs(task):
        return None
    return f"container {exited.name} exited with {exited.exit_code}"


RULES: tuple[_Rule, ...] = (
    _Rule(
        "image-pull",
        90,
        "Is the image in the repository, and may the execution role pull it over this network?",
        _reason(r"CannotPull|pull image|image manifest|retrieve ecr registry auth"),
    ),
    _Rule(
        "secret",
        85,
        "Does every secret of the task definition exist, and may the execution role read it?",
        _reason(r"unable to (pull|retrieve) secrets|secretsmanager|fetching secret|ssm parameters?"),
    ),
    _Rule(
        "log-driver",
        80,
        "Does the log group of the task definition exist, and may the execution role write to it?",
        _reason(r"logger|log driver|logging driver|log group"),
    ),
    _Rule("out-of-memory", 75, "Raise the task's memory, or find what the new code holds on to.", _out_of_memory),
    _Rule("exit-code", 60, "The program ended by itself: its last lines say why.", _exit_code),
    _Rule(
        "capacity",
        55,
        "No place for the task: look at Fargate capacity, the subnets' free addresses, and CPU and memory limits.",
        _reason(r"capacity is unavailable|RESOURCE:|no container instance|insufficient"),
    ),
    _Rule(
        "health-check",
        50,
        "The program runs and does not answer its health check: path, port, start-up time, grace period?",
        _reason(r"health check|unhealthy"),
    ),
)

TIMED_OUT = re.compile(r"^not (steady|done) after ")

EVENT_CAUSES = (
    ("capacity", re.compile(r"unable to place a task|capacity is unavailable", re.IGNORECASE)),
    ("health-check", re.compile(r"is unhealthy|failed .*health check", re.IGNORECASE)),
)


def explain(evidence: Sequence[Evidence], alarms: Sequence[str] = ()) -> Explanation:
    """Rank the likely causes.

    Parameters
    ----------
    evidence
        Of each service that failed.
    alarms
        Names of the alarms that fired.

    Returns
    -------
    Explanation
        At most five causes. With no evidence at all the summary is the verdict.
    """
    ranked: list[tuple[int, Cause]] = [(95, _alarm_cause(alarms))] if alarms else []
    for one in evidence:
        ranked.extend(_causes(one))
    ranked.sort(key=lambda item: (-item[0], -item[1].seen, item[1].subject))
    causes = tuple(cause for _, cause in ranked)[:MAX_CAUSES]
    lines = next((one.log_lines for one in evidence if one.log_lines), ())
    whole = Explanation(
        summary=_summary(evidence, causes),
        causes=causes,
        log_lines=lines[-MAX_LOG_LINES:],
        missing=tuple(dict.fromkeys(m for one in evidence for m in one.missing))[:MAX_CAUSES],
    )
    longest_first = (_shortened(whole, limit) for limit in LINE_LIMITS)
    shortest = _shortened(whole, LINE_LIMITS[-1])
    return next((one for one in longest_first if len(json.dumps(encode(one))) <= MAX_CHARACTERS), shortest)


def _causes(one: Evidence) -> list[tuple[int, Cause]]:
    """Match every stopped task with the first rule that fits it, and the events when no task says anything."""
    if one.superseded:
        hint = "Find out who called UpdateService (CloudTrail knows), and let one road deploy code."
        return [(100, Cause("superseded", one.subject, 1, (one.verdict,), hint))]
    seen: Counter[str] = Counter()
    said: dict[str, list[str]] = {}
    for task in one.stopped:
        for rule in RULES:
            text = rule.matches(task)
            if text:
                seen[rule.cause] += 1
                said.setdefault(rule.cause, []).append(text)
                break
    by_name = {rule.cause: rule for rule in RULES}
    for cause, pattern in EVENT_CAUSES:
        texts = [event for event in one.events if pattern.search(event)]
        if texts and cause not in seen:
            seen[cause] = len(texts)
            said[cause] = texts
    if not seen and TIMED_OUT.match(one.verdict) and not any(_says_anything(task) for task in one.stopped):
        hint = "Is it stuck, or does it need more than timeout_seconds in [rollout] or [migration] of the config?"
        return [(40, Cause("timeout", one.subject, 1, (one.verdict, *one.events[:2]), hint))]
    if not seen:
        reasons = (text for task in one.stopped for text in (task.stopped_reason, *(c.reason for c in task.containers)))
        told = tuple(dict.fromkeys(text for text in reasons if text))[:2]
        return [
            (10, Cause("unknown", one.subject, 0, (one.verdict, *told, *one.events[:2]), "See the service's events."))
        ]
    return [
        (
            by_name[cause].weight,
            Cause(cause, one.subject, count, tuple(dict.fromkeys(said[cause]))[:3], by_name[cause].hint),
        )
        for cause, count in seen.items()
    ]


def _says_anything(task: StoppedTask) -> bool:
    """Whether a task has ended with a reason: one that was given up on has not ended yet."""
    return bool(task.stopped_reason or any(c.reason or c.exit_code is not None for c in task.containers))


def _alarm_cause(alarms: Sequence[str]) -> Cause:
    evidence = tuple(f"{name} is in ALARM" for name in alarms[:3])
    return Cause(
        "alarm", "environment", len(alarms), evidence, "The alarm fired while the new code ran: see its metric."
    )


def _summary(evidence: Sequence[Evidence], causes: Sequence[Cause]) -> str:
    verdicts = "; ".join(f"{one.subject}: {one.verdict}" for one in evidence)
    if not causes or causes[0].cause in ("timeout", "unknown"):
        return verdicts
    first = causes[0]
    return f"{first.subject}: {first.cause} ({first.evidence[0]}). {verdicts}"


def _shortened(whole: Explanation, limit: int) -> Explanation:
    """Cut every line to ``limit`` characters, the summary to twice as many."""

    def cut(lines: Sequence[str]) -> tuple[str, ...]:
        return tuple(shorten(line, limit) for line in lines)

    return replace(
        whole,
        summary=shorten(whole.summary, 2 * limit),
        causes=tuple(replace(c, subject=shorten(c.subject, limit), evidence=cut(c.evidence)) for c in whole.causes),
        log_lines=cut(whole.log_lines),
        missing=cut(whole.missing),
    )
