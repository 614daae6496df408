"""Why a deployment failed: causes ranked by likelihood, each with the evidence for it.

How a task ended is read in ``stopped_task.py``, what a sentence of ECS means in ``reasons.py``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lambdas.release.codec import encode
from lambdas.release.reasons import INTERRUPTED, STOPPED_BY_USER, cause_of, cause_of_event
from lambdas.release.stopped_task import (
    NOT_OF_ITS_OWN_MAKING,
    StoppedContainer,
    StoppedTask,
    ending_of,
    is_scaled_in,
)
from lambdas.release.wording import shorten

__all__ = [
    "CAUSES",
    "MAX_CAUSES",
    "MAX_CHARACTERS",
    "MAX_LINE",
    "MAX_LOG_LINES",
    "Cause",
    "Evidence",
    "Explanation",
    "FailedContainer",
    "Kind",
    "StoppedContainer",
    "StoppedTask",
    "explain",
    "failed_containers",
]

MAX_CAUSES = 5
MAX_LOG_LINES = 10
MAX_LINE = 300
MAX_CHARACTERS = 12_500
"""Bounds that keep a report below the 32,768 characters that a Fail state's Cause may have, and the state of a hundred
services, in which an explanation stands twice, below its 256 KiB."""

LINE_LIMITS = (MAX_LINE, 200, 100, 18)
"""What lines are cut to, the longest that fits. JSON may need up to 12 characters for one: a line of emoji.

Worked example: 5 causes with 6 lines each, 10 of the log, 5 missing and a summary of two are 47 lines;
47 x 200 plain characters fit, and so do 47 x 18 of the worst kind: 10,152 beside 1,500 of keys and hints.
"""


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
    failures
        The reasons of RunTask's ``failures[]``, when it started no task.
    """

    subject: str
    verdict: str
    container: str = ""
    stopped: tuple[StoppedTask, ...] = ()
    events: tuple[str, ...] = ()
    log_lines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    superseded: bool = False
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cause:
    """One likely cause.

    Attributes
    ----------
    cause
        One of ``CAUSES``.
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


class Kind(NamedTuple):
    """What is known of a cause; ``weight`` ranks causes that are seen together.

    A specific cause outweighs what follows from it: a container that ran out of memory fails its health check too.
    One that hardly any task shows does not (``MINOR_SHARE``).
    """

    weight: int
    hint: str


CAUSES: dict[str, Kind] = {
    "superseded": Kind(100, "Find out who called UpdateService (CloudTrail knows), and let one road deploy code."),
    "alarm": Kind(95, "The alarm fired while the new code ran: see its metric."),
    "image-pull": Kind(
        90, "Is the image in the repository, and may the execution role pull it over this network, on this CPU?"
    ),
    "secret": Kind(85, "Does every secret of the task definition exist, and may the execution role read it?"),
    "environment-file": Kind(
        84, "Are the environmentFiles of the task definition in S3, and may the execution role read them?"
    ),
    "volume": Kind(
        83, "Does the file system let this task in: security group of its mount targets, access point, role, subnets?"
    ),
    "log-driver": Kind(
        80, "Does the log group of the task definition exist, and may the execution role write to it over this network?"
    ),
    "permission": Kind(
        78, "Does the role trust ecs-tasks.amazonaws.com, and may it do what the sentence says? Its ARN is in there."
    ),
    "out-of-memory": Kind(75, "Raise the task's memory, or find what the new code holds on to."),
    "start": Kind(70, "The container could not be created or started: command, entry point, ports, mounts, user?"),
    "exit-code": Kind(60, "The program ended by itself: its last lines say why."),
    "deployment-configuration": Kind(
        58, "minimumHealthyPercent and maximumPercent leave no room for one more or one less task: change one of them."
    ),
    "network": Kind(56, "The task gets no network interface: look at its subnets, security groups and quotas."),
    "capacity": Kind(
        55, "No place for the task: look at Fargate capacity, the subnets' free addresses, and CPU and memory limits."
    ),
    "load-balancer": Kind(
        52,
        "Does the target group or service discovery exist, belong to a listener, and have room for more targets?",
    ),
    "health-check": Kind(
        50, "The program runs and does not answer its health check: path, port, start-up time, grace period?"
    ),
    "throttled": Kind(45, "AWS slows down what ECS asks for in this account: wait, or deploy less at a time."),
    "timeout": Kind(
        44, "Is it stuck, or does it need more than timeout_seconds in [rollout] or [migration] of the config?"
    ),
    INTERRUPTED: Kind(
        42, "Spot, the host or maintenance took the task, not the release: deploy again, or with less Spot capacity."
    ),
    STOPPED_BY_USER: Kind(42, "A person or a script called StopTask: CloudTrail says who."),
    "unknown": Kind(10, "See the service's events."),
}
"""Every cause there is: its weight, and what to look at first."""

MINOR_SHARE = 5
"""A cause that fewer than one in five of the tasks show that died by themselves is a minor one: it ranks after the
others, whatever its weight. Weights rank what is seen together, and not a single hiccup beside what keeps happening.

Worked example: of 60 tasks 59 exited with 3, and the pull of one was refused (``toomanyrequests``). 5 x 1 < 60:
``exit-code`` comes first, although ``image-pull`` has the greater weight. Of 10 tasks 2 refused pulls come first.
Interruptions are not counted among the dead: 50 of them make 3 crashes no minor cause.
"""

TIMED_OUT = re.compile(r"^not (steady|done) after ")


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
    found = [_Ranked(_alarm_cause(alarms))] if alarms else []
    for one in evidence:
        found.extend(_causes(one))
    causes = tuple(one.cause for one in sorted(found, key=_Ranked.place))[:MAX_CAUSES]
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


class _Ranked(NamedTuple):
    """A cause; ``died`` is how many tasks of its subject died by themselves."""

    cause: Cause
    died: int = 0

    def place(self) -> tuple[bool, int, int, str]:
        """What it is sorted by, the likeliest first."""
        found = self.cause
        return _is_minor(found.seen, self.died), -CAUSES[found.cause].weight, -found.seen, found.subject


def _is_minor(seen: int, died: int) -> bool:
    return seen * MINOR_SHARE < died


def _died(endings: Iterable[str]) -> int:
    """Count the causes of tasks' ends that are of the release's own making."""
    return sum(1 for cause in endings if cause and cause not in NOT_OF_ITS_OWN_MAKING)


def _causes(one: Evidence) -> list[_Ranked]:
    """Collect what the tasks say, and what only RunTask or the service's events say."""
    if one.superseded:
        return [_Ranked(_cause("superseded", one.subject, 1, (one.verdict,)))]
    said: dict[str, list[str]] = {}
    endings = [ending_of(task, one.container) for task in one.stopped]
    for ending in endings:
        if ending.cause:
            said.setdefault(ending.cause, []).append(ending.said or "ECS gave no reason")
    for read, texts in ((cause_of, one.failures), (cause_of_event, one.events)):
        told: dict[str, list[str]] = {}
        for text in texts:
            if (cause := read(text)) and cause not in said:
                told.setdefault(cause, []).append(text)
        said |= told
    died = _died(ending.cause for ending in endings)
    found = [
        _Ranked(_cause(cause, one.subject, len(texts), tuple(dict.fromkeys(texts))[:3]), died)
        for cause, texts in said.items()
    ]
    # An interrupted task is replaced: that alone keeps no service from becoming steady in all that time.
    took_too_long = bool(TIMED_OUT.match(one.verdict)) and said.keys() <= {INTERRUPTED, STOPPED_BY_USER}
    if took_too_long and (found or not any(_says_anything(task) for task in one.stopped)):
        found.append(_Ranked(_cause("timeout", one.subject, 1, (one.verdict, *one.events[:2]))))
    if found:
        return found
    reasons = (text for task in one.stopped for text in (task.stopped_reason, *(c.reason for c in task.containers)))
    told_all = [text for text in dict.fromkeys((*one.failures, *reasons)) if text and text != one.verdict]
    return [_Ranked(_cause("unknown", one.subject, 0, (one.verdict, *told_all[:2], *one.events[:2])))]


def _cause(cause: str, subject: str, seen: int, evidence: tuple[str, ...]) -> Cause:
    return Cause(cause, subject, seen, evidence, CAUSES[cause].hint)


def _says_anything(task: StoppedTask) -> bool:
    """Whether there is a word about its end: what was read before a task stopped has none."""
    return bool(
        task.stopped_reason or task.stop_code or any(c.reason or c.exit_code is not None for c in task.containers)
    )


class FailedContainer(NamedTuple):
    """Whose log lines say most about a failure."""

    task: str
    container: str


def failed_containers(stopped: Sequence[StoppedTask], deployed: str) -> Iterator[FailedContainer]:
    """Name the containers whose lines to read, those that the first cause was read from first, then newest first.

    A task that was scaled in has nothing to say.
    """
    found = [(task, ending_of(task, deployed)) for task in stopped if not is_scaled_in(task)]
    seen = Counter(ending.cause for _, ending in found)
    died = _died(ending.cause for _, ending in found)
    weights = {"": 0} | {cause: kind.weight for cause, kind in CAUSES.items()}
    ranks = {cause: (_is_minor(times, died), -weights[cause]) for cause, times in seen.items()}
    for task, ending in sorted(found, key=lambda one: (ranks[one[1].cause], -one[0].stopped_at)):
        yield FailedContainer(task.task, ending.container or deployed)


def _alarm_cause(alarms: Sequence[str]) -> Cause:
    return _cause("alarm", "environment", len(alarms), tuple(f"{name} is in ALARM" for name in alarms[:3]))


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
