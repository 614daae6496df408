"""What happens to a release during the bake: which of its tasks die, and whether it is healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lambdas.release.rollout import ServiceFacts, Verdict, verdict_on
from lambdas.release.stopped_task import Deaths
from lambdas.release.verdicts import HealthStatus, Status
from lambdas.release.wording import counted


@dataclass(frozen=True)
class Watch:
    """What the bake expects of one service.

    Attributes
    ----------
    target
        The task definition it was verified on.
    since
        Unix seconds of the first steady moment.
    desired
        The desired count at that moment.
    failed_tasks_limit
        So many deaths of the release's own making end the bake; of a service with fewer tasks, as many as it has.
    """

    target: str
    since: float
    desired: int
    failed_tasks_limit: int

    @property
    def fatal_deaths(self) -> int:
        """How many deaths end the bake: 3 of a service with ten tasks, 1 of a service with one, if the limit is 3."""
        return max(1, min(self.failed_tasks_limit, self.desired))


def tasks_replaced(facts: ServiceFacts, watch: Watch) -> int:
    """Count the starts since the first steady moment that were not for a growing service.

    Worked example: 2 tasks at the first steady moment; scaled to 4, two starts are the scaling; a third
    start replaced a task.
    """
    grown = max(0, facts.desired - watch.desired)
    return max(0, facts.tasks_started_since(watch.since) - grown)


def is_short_of_tasks(facts: ServiceFacts, watch: Watch) -> bool:
    """Whether fewer tasks run than were verified, or none at all.

    Worked example: 3 were verified. 2 of 3 is short; 2 of 2 is not, somebody scaled it in; 3 of 6 is not, it grows;
    0 of 1 is short, whatever was verified.
    """
    return facts.running < min(watch.desired, facts.desired) or (facts.running == 0 < facts.desired)


def needs_a_look_at_deaths(facts: ServiceFacts | None, watch: Watch) -> bool:
    """Whether something may have died since the first steady moment: the events do not tell dying from scaling."""
    return facts is not None and (tasks_replaced(facts, watch) > 0 or is_short_of_tasks(facts, watch))


def judge_health(facts: ServiceFacts | None, watch: Watch, died: Deaths | None = None) -> Verdict:
    """Decide how a steady service fares: deaths of its own making are failures; scaling and interruptions are not.

    Parameters
    ----------
    died
        The tasks that died since the first steady moment, when somebody has looked; None takes ``tasks_replaced`` for
        it, which a service that was scaled out and in again makes look worse than it is.
    """
    if facts is None or facts.status != "ACTIVE":
        return Verdict(Status.FAILED, f"the service is {facts.status if facts else 'gone'}")
    primary = facts.primary
    if primary is None or primary.task_definition != watch.target:
        other = facts.task_definition.rsplit("/", 1)[-1]
        return Verdict(
            Status.SUPERSEDED, f"somebody else deployed {other} during the bake", facts.running, facts.desired
        )
    run = f"{facts.running} of {facts.desired} tasks run"
    if died is None:
        lost = tasks_replaced(facts, watch)
        reason, fatal = f"ECS had to replace {counted(lost, 'task')} during the bake", watch.failed_tasks_limit
    else:
        lost = len(died.own)
        reason, fatal = f"ECS had to replace {counted(lost, 'task')} during the bake: {died.said}", watch.fatal_deaths
        run = f"{run}; {died.message}" if lost else run
    if lost >= fatal:
        return verdict_on(primary, Status.FAILED, reason)
    is_short = is_short_of_tasks(facts, watch) or (lost > 0 and facts.running < facts.desired)
    return verdict_on(primary, Status.IN_PROGRESS if is_short else Status.STEADY, run)


class Bake(NamedTuple):
    """What a look at all services of a release means: the verdict, and who is to blame for one that is bad."""

    status: HealthStatus
    bad: tuple[str, ...] = ()


def judge_bake(
    verdicts: Mapping[str, Verdict], alarms: Sequence[str], *, now: float, ends_at: float, timeout_seconds: float
) -> Bake:
    """Fold the verdicts of a look into one.

    Parameters
    ----------
    alarms
        Those that fire.
    now, ends_at
        Unix seconds; ``ends_at`` is when the bake is over for whoever does not wait for a task.
    timeout_seconds
        For so much longer a missing task is waited for: one that never comes back is as bad as one that dies again.
    """
    bad = tuple(name for name, one in verdicts.items() if one.status in (Status.FAILED, Status.SUPERSEDED))
    waiting = tuple(name for name, one in verdicts.items() if one.status == Status.IN_PROGRESS)
    if now >= ends_at + timeout_seconds:
        bad += waiting
    if bad or alarms:
        return Bake(HealthStatus.UNHEALTHY, bad)
    return Bake(HealthStatus.HEALTHY if now >= ends_at and not waiting else HealthStatus.BAKING)
