"""What is tried: one schedule is a few steps of a scenario, with the faults that hit them.

:func:`singles` breaks one deployment in one place: every AWS call in every way, every state in every way. The places
are read from a deployment that nothing happened to (a :class:`Probe`), so a new call or state is covered without a
line here. :func:`pairs` breaks it in two. :func:`around` lets any of them happen while the account lives on: services
are scaled, tasks are interrupted, revisions are deregistered, events get lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lambdas.aws.gateway import ATTEMPTS
from tools.exploration.cases import BROKEN_SERVICE, FIRST, SERVICES, Ending

DEPLOYMENT = "second"
"""The execution that a schedule of :func:`singles` and :func:`pairs` breaks."""

LONG = 60
"""Attempts: more than the last tries of the rollback outlive."""

LATE_SECONDS = (20, 200)
"""A function that runs again while the deployment goes on, and when another one may have the lock."""


class Effect(StrEnum):
    """What a fault may do to a deployment."""

    NONE = "none"
    """It ends as if nothing had happened."""
    FAILURE = "failure"
    """It may fail, and goes back by itself."""
    PERSON = "person"
    """It outlives every retry: when it hits the rollback, action is needed: another rollback repairs everything."""


REFUSAL = {"call": "error", "code": "AccessDeniedException", "message": "refused", "http_status": 400}

CALL_FAULTS: Mapping[str, tuple[Mapping[str, Any], Effect]] = {
    "refused": (REFUSAL, Effect.FAILURE),
    "refused for long": ({**REFUSAL, "times": LONG}, Effect.PERSON),
    "fails for long": ({"call": "error", "times": LONG}, Effect.PERSON),
    "throttled": ({"call": "throttle"}, Effect.NONE),
    "throttled for long": ({"call": "throttle", "times": LONG}, Effect.PERSON),
    "times out": ({"call": "timeout"}, Effect.NONE),
    "times out for long": ({"call": "timeout", "times": LONG}, Effect.PERSON),
    "answer lost": ({"call": "lost"}, Effect.NONE),
    "answers lost": ({"call": "lost", "times": ATTEMPTS}, Effect.NONE),
}


@dataclass(frozen=True)
class Place:
    """Where a fault hits: a call of a step, or a step's function.

    Attributes
    ----------
    step
        Name of the state.
    nth
        Which time, counted from 1: of this operation by this function, or of its invocations.
    service, operation
        Of a call; empty for a function.
    calls
        Of a function: how many AWS calls it makes in this invocation.
    """

    step: str
    nth: int
    service: str = ""
    operation: str = ""
    calls: int = 0


@dataclass(frozen=True)
class Probe:
    """A deployment that nothing happened to.

    Attributes
    ----------
    tag
        What it deployed.
    migrates
        In which world.
    outcome
        How it ended: the name of its end state.
    calls, functions
        All places, in order.
    visits
        The states, each with the number of times that it was entered.
    """

    tag: str
    migrates: bool
    outcome: str
    calls: tuple[Place, ...]
    functions: tuple[Place, ...]
    visits: Mapping[str, int]


@dataclass(frozen=True)
class Schedule:
    """What happens after the first release.

    Attributes
    ----------
    title
        In a few words.
    migrates
        In which world.
    steps
        As in a scenario file.
    outcome
        How :data:`DEPLOYMENT` has to end, when that is known.
    ending
        Where and of what it has to end besides, when nothing disturbs it.
    forgiving
        Whether a rollback may fail: only when something fails in it that no retry outlives.
    recovery
        What EventBridge makes of the event of an execution that was stopped, as in a scenario file.
    """

    title: str
    migrates: bool
    steps: tuple[Mapping[str, Any], ...]
    outcome: str | None = None
    ending: Ending | None = None
    forgiving: bool = True
    recovery: Any = True

    @property
    def deployment(self) -> Mapping[str, Any]:
        """The step that deploys :data:`DEPLOYMENT`; empty when there is none."""
        return next((step for step in self.steps if step.get("name") == DEPLOYMENT and "deploy" in step), {})


@dataclass(frozen=True)
class Surrounding:
    """What goes on around a deployment that is not its business, and so must not change how it ends.

    Attributes
    ----------
    title
        In a few words; empty for nothing.
    before
        Steps of a scenario that are over when the deployment begins.
    beside
        Steps that begin while it runs, each so many seconds after the one before, or after it.
    recovery
        What EventBridge makes of the event of an execution that was stopped, as in a scenario file.
    """

    title: str = ""
    before: tuple[Mapping[str, Any], ...] = ()
    beside: tuple[Mapping[str, Any], ...] = ()
    recovery: Any = True


def _scaled(service: str, there: int, back: int) -> tuple[Mapping[str, Any], ...]:
    """Let autoscaling take a service out 25 s after the step before it, and back in 40 s later."""
    return (
        {"overlap": 25, "infrastructure": {"service": service, "desired": there}},
        {"overlap": 40, "infrastructure": {"service": service, "desired": back}},
    )


def _interrupted(kind: str, *services: str) -> tuple[Mapping[str, Any], ...]:
    """Let a task of each service end, one every 30 s, for a reason that is not the program's."""
    return tuple({"overlap": 30, "interrupt": {"service": name, "kind": kind}} for name in services)


SURROUNDINGS: tuple[Surrounding, ...] = (
    Surrounding("while the first wave is scaled out and in", beside=_scaled("api", 5, 2)),
    Surrounding("while the last wave is scaled out and in", beside=_scaled(BROKEN_SERVICE, 4, 1)),
    Surrounding(
        "after a clean-up job",
        before=tuple({"infrastructure": {"service": name, "deregister": "all"}} for name in SERVICES),
    ),
    Surrounding(
        "after Terraform has replaced a revision",
        before=({"infrastructure": {"service": "api", "memory": 1024, "deregister": "replaced"}},),
    ),
    Surrounding(
        "while a clean-up job deregisters what runs",
        beside=({"overlap": 25, "infrastructure": {"service": BROKEN_SERVICE, "deregister": "running"}},),
    ),
    Surrounding("while Spot takes two tasks", beside=_interrupted("spot", "api", BROKEN_SERVICE)),
    Surrounding("while two hosts end", beside=_interrupted("host", "api", "worker")),
    Surrounding("while a person stops tasks", beside=_interrupted("user", BROKEN_SERVICE, "api")),
    Surrounding("with events that come twice", recovery="doubled"),
    Surrounding("with events that come late and say no error", recovery={"after": 200, "without_error": True}),
    # Whoever comes next starts the recovery then.
    Surrounding(
        "with events that get lost and a release after it",
        beside=({"name": "next", "after": 5, "deploy": FIRST},),
        recovery="dropped",
    ),
    Surrounding("redriven at the end", beside=({"name": "redriven", "after": 5, "redrive": DEPLOYMENT},)),
    Surrounding("redriven meanwhile", beside=({"name": "redriven", "overlap": 75, "redrive": DEPLOYMENT},)),
)


def around(schedule: Schedule, surrounding: Surrounding) -> Schedule:
    """Return the schedule with what goes on around it."""
    title = f"{schedule.title}, {surrounding.title}" if surrounding.title else schedule.title
    steps = (*surrounding.before, *schedule.steps, *surrounding.beside)
    return replace(schedule, title=title, steps=steps, recovery=surrounding.recovery)


@dataclass(frozen=True)
class _Break:
    """One thing that goes wrong: a fault or a stop."""

    title: str
    fault: Mapping[str, Any] | None = None
    stop: Mapping[str, Any] | None = None
    effect: Effect = Effect.FAILURE


def singles(probe: Probe) -> Iterator[Schedule]:
    """Yield a schedule for everything that can go wrong in one place of this deployment."""
    for each in _breaks(probe):
        yield _schedule(probe, (each,))


def pairs(probe: Probe, generator: random.Random) -> Iterator[Schedule]:
    """Yield schedules with two things that go wrong, chosen by the generator, without end."""
    breaks = list(_breaks(probe))
    while True:
        first, second = generator.sample(breaks, 2)
        if first.stop and second.stop:
            continue
        yield _schedule(probe, (first, second))


def undisturbed(tag: str, ending: Ending, *, migrates: bool) -> Schedule:
    """Return the schedule in which nothing goes wrong, from which a probe is made: it has to end as written by hand."""
    steps = ({"name": DEPLOYMENT, "deploy": tag},)
    return Schedule(tag, migrates, steps, outcome=ending.outcome, ending=ending, forgiving=False)


def _schedule(probe: Probe, breaks: Sequence[_Break]) -> Schedule:
    step: dict[str, Any] = {"name": DEPLOYMENT, "deploy": probe.tag}
    faults = [each.fault for each in breaks if each.fault]
    if faults:
        step["faults"] = faults
    for each in breaks:
        if each.stop:
            step["stop"] = each.stop
    return Schedule(
        title=f"{probe.tag}: {' and '.join(each.title for each in breaks)}",
        migrates=probe.migrates,
        steps=(step,),
        outcome=probe.outcome if all(each.effect is Effect.NONE for each in breaks) else None,
        # Two refusals of one step, or a stop and a refusal of what looks after it, may be more than it can take.
        forgiving=len(breaks) > 1 or breaks[0].effect is Effect.PERSON,
    )


def _breaks(probe: Probe) -> Iterator[_Break]:
    for place in probe.calls:
        where = f"{place.step}, {place.service}:{place.operation} no. {place.nth}"
        for name, (fault, effect) in CALL_FAULTS.items():
            at = {"step": place.step, "service": place.service, "operation": place.operation, "nth": place.nth}
            yield _Break(f"{where} {name}", {**fault, **at}, effect=effect)
    for place in probe.functions:
        where = f"{place.step}, run {place.nth}"
        at = {"step": place.step, "nth": place.nth}
        yield _Break(f"{where}, runs twice", {"function": "twice", **at}, effect=Effect.NONE)
        for seconds in LATE_SECONDS:
            again = {"function": "again", "after_seconds": seconds, **at}
            yield _Break(f"{where}, runs again {seconds} s later", again, effect=Effect.NONE)
            stop = {"state": place.step, "when": "exited", "nth": place.nth}
            yield _Break(f"{where}, stopped after it, runs again {seconds} s later", again, stop)
        for done in range(place.calls + 1):
            kill = {"function": "kill", "after_calls": done, **at}
            yield _Break(f"{where}, killed after {done} calls", kill, effect=Effect.NONE)
    for state, count in probe.visits.items():
        for nth in sorted({1, count}):
            for when in ("entered", "exited"):
                stop = {"state": state, "when": when, "nth": nth}
                yield _Break(f"stopped when it has {when} {state} for the {nth}. time", stop=stop)
