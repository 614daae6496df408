"""Run many schedules on all cores: singles, pairs, random ones; and tell what was found."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from lambdas.dependencies import Dependencies
from tools.exploration import cases
from tools.exploration.checkpoint import Checkpoint, Verdict
from tools.exploration.random_schedules import Found, explore_at_random
from tools.exploration.schedules import SURROUNDINGS, Probe, Schedule, Surrounding, around, pairs, singles, undisturbed

PAIRS_SHARE = RANDOM_SHARE = 0.15
SURROUNDED_SHARE = 0.1
"""Of the budget; what is left are singles. When there are no more singles, pairs and random ones get the rest."""

WITH_NOTHING = (*(Surrounding() for _ in SURROUNDINGS), *SURROUNDINGS)
"""Around half of the singles nothing goes on."""

BATCH = 10
"""Schedules that a process is given at a time."""

TELL_SECONDS = 10.0


@dataclass(frozen=True)
class Budget:
    """What to try.

    Attributes
    ----------
    schedules
        How many, in total.
    seed
        Which singles, pairs and random ones.
    jobs
        Processes.
    step
        Only what breaks in this state; None for all of them.
    tag
        Only deployments of this tag, and nothing random; None for all of them.
    """

    schedules: int
    seed: int = 0
    jobs: int = 2
    step: str | None = None
    tag: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether it is about one place, and so has no pairs and nothing random."""
        return self.step is not None or self.tag is not None


@dataclass
class Findings:
    """What came of it.

    Attributes
    ----------
    tried
        Schedules by kind: undisturbed, surrounded, singles, pairs, random.
    outcomes
        How the executions in them ended.
    broken
        The schedules that broke something, as scenario files, with what they broke.
    seconds
        How long it took.
    """

    tried: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: list[Found] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Schedules a second."""
        return self.tried.total() / self.seconds if self.seconds else 0.0


def explore(
    budget: Budget,
    tell: Callable[[Findings], None] = lambda _: None,
    keep: Callable[[Found], None] = lambda _: None,
    *,
    dependencies: Callable[..., Dependencies] = Dependencies,
) -> Findings:
    """Try what the budget allows.

    Parameters
    ----------
    tell
        Called about every ten seconds, and at the end.
    keep
        Called at once with each schedule that broke something, so that it is not lost when something ends the run.
    dependencies
        Makes the gateways of the functions; a test of the exploration puts a bug there.
    """
    findings, began, told = Findings(), time.monotonic(), 0.0
    cases_of = {migrates: _undisturbed(budget, migrates=migrates) for migrates in (True, False)}
    in_all = sum(map(len, cases_of.values()))
    for deployments in cases_of.values():
        count = round(budget.schedules * len(deployments) / in_all)
        for kind, found in _in_world(budget, deployments, count, dependencies) if deployments else ():
            for schedule, verdict in found:
                findings.tried[kind] += 1
                findings.outcomes.update(verdict.outcomes)
                if verdict.violations:
                    findings.broken.append((schedule, verdict))
                    keep((schedule, verdict))
            findings.seconds = time.monotonic() - began
            if findings.seconds - told >= TELL_SECONDS:
                told = findings.seconds
                tell(findings)
    findings.seconds = time.monotonic() - began
    tell(findings)
    return findings


def _in_world(
    budget: Budget, deployments: Sequence[Schedule], count: int, dependencies: Callable[..., Dependencies]
) -> Iterator[tuple[str, list[Found]]]:
    """Try a number of schedules around deployments of one of the two worlds; yield them by kind as they are done."""
    migrates = deployments[0].migrates
    # Forked: the processes share what this one has imported, and the planted bug need not travel.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(budget.jobs, context, _enter, (dependencies, migrates))
    try:
        generator = random.Random(f"{budget.seed} {migrates}")
        undisturbed_ones = list(zip(deployments, pool.map(_probe, deployments), strict=True))
        yield "undisturbed", [(schedule, _bare(verdict)) for schedule, verdict in undisturbed_ones]
        probes = [verdict.probe for _, verdict in undisturbed_ones if verdict.probe and not verdict.violations]
        surrounded = _surrounded(deployments, count, budget, generator)
        of_singles, of_pairs = _choose(probes, count - len(surrounded), budget, generator)
        work: dict[Future[list[Found]], str] = {}
        for kind, schedules in (("surrounded", surrounded), ("singles", of_singles), ("pairs", of_pairs)):
            for batch in _batches(schedules):
                work[pool.submit(_attempt, batch)] = kind
        rest = 0 if budget.is_narrow else count - len(surrounded) - len(of_singles) - len(of_pairs)
        for number in range(0, rest, BATCH):
            work[pool.submit(_explore_at_random, budget.seed * 100_000 + number, min(BATCH, rest - number))] = "random"
        for done in as_completed(work):
            yield work[done], done.result()
    finally:
        # Not by `with`, which would wait for all that is queued when somebody has pressed Ctrl-C.
        pool.shutdown(cancel_futures=True)


def _undisturbed(budget: Budget, *, migrates: bool) -> list[Schedule]:
    return [
        undisturbed(cases.tag(image, migration), cases.ending(image, migration), migrates=migrates)
        for image, migration in cases.cases()
        if (migration != cases.NO_MIGRATION) == migrates and budget.tag in (None, cases.tag(image, migration))
    ]


def _surrounded(
    deployments: Sequence[Schedule], count: int, budget: Budget, generator: random.Random
) -> list[Schedule]:
    """Choose deployments that nothing breaks, each with something around it: they end as if there were nothing."""
    if budget.is_narrow:
        return []
    everything = [around(each, surrounding) for each in deployments for surrounding in SURROUNDINGS]
    generator.shuffle(everything)
    return everything[: round(count * SURROUNDED_SHARE)]


def _choose(
    probes: Sequence[Probe], count: int, budget: Budget, generator: random.Random
) -> tuple[list[Schedule], list[Schedule]]:
    """Choose singles and pairs: all singles when they fit, else a sample of them."""
    everything = [each for probe in probes for each in singles(probe) if _concerns(each, budget.step)]
    generator.shuffle(everything)
    # What is broken is drawn first, so that a budget reaches as many places as it can; what goes on around it is dice.
    everything = [around(each, generator.choice(WITH_NOTHING)) for each in everything]
    if budget.is_narrow:
        return everything[:count], []
    of_pairs = round(count * PAIRS_SHARE)
    of_singles = everything[: count - of_pairs - round(count * RANDOM_SHARE)]
    if len(of_singles) == len(everything):
        of_pairs = (count - len(of_singles)) // 2
    streams = [pairs(probe, generator) for probe in probes]
    return of_singles, [next(streams[number % len(streams)]) for number in range(of_pairs)]


def _concerns(schedule: Schedule, step: str | None) -> bool:
    if step is None:
        return True
    broken = schedule.deployment
    places = [*broken.get("faults", ()), *([broken["stop"]] if "stop" in broken else [])]
    return any(step in (place.get("step"), place.get("state")) for place in places)


def _batches(schedules: Iterable[Schedule]) -> Iterator[list[Schedule]]:
    remaining = iter(schedules)
    while batch := list(islice(remaining, BATCH)):
        yield batch


# --- in a process of the pool

_here = ExitStack()
_checkpoint: list[Checkpoint] = []
"""The one world of this process."""


def _enter(dependencies: Callable[..., Dependencies], migrates: bool) -> None:  # noqa: FBT001 (a pool passes no keywords)
    # Ctrl-C goes to every process of the terminal; the one that started the others ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _checkpoint[:] = [_here.enter_context(Checkpoint(migrates=migrates, dependencies=dependencies))]


def _probe(schedule: Schedule) -> Verdict:
    return _checkpoint[0].attempt(schedule)


def _attempt(schedules: Sequence[Schedule]) -> list[Found]:
    return [(schedule, _bare(_checkpoint[0].attempt(schedule))) for schedule in schedules]


def _explore_at_random(number: int, count: int) -> list[Found]:
    checkpoint = _checkpoint[0]
    return explore_at_random(
        lambda schedule: _bare(checkpoint.attempt(schedule)),
        migrates=checkpoint.migrates,
        number=number,
        count=count,
    )


def _bare(verdict: Verdict) -> Verdict:
    """Leave the probe out: nobody reads it, and it is long."""
    return Verdict(verdict.outcomes, verdict.violations)
