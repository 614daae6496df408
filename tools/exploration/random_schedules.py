"""Schedules that nobody thought of: several deployments, rollbacks, stops and faults, interleaved at random.

Hypothesis draws them, and shrinks what it finds to the shortest schedule that still breaks something. The same seed
draws the same schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from statemachine.steps import STEPS
from tools.exploration import cases
from tools.exploration.checkpoint import Verdict
from tools.exploration.schedules import CALL_FAULTS, Schedule

NAMES = ("second", "third", "fourth", "fifth")
OVERLAPS_SECONDS = (0, 1, 3, 10, 40, 90, 200)
STOPS_SECONDS = (0, 1, 5, 20, 60, 120, 300)
SERVICES = tuple(cases.SERVICES)
STATES = tuple(step.state for step in STEPS)
UNKNOWN_TAG = "never-pushed"
RECOVERIES: tuple[Any, ...] = (True, True, "doubled", {"after": 120}, {"without_error": True})
"""How the event comes that an execution was stopped. One that is lost waits for the next deploy, which is not drawn."""


def explore_at_random(
    attempt: Callable[[Schedule], Verdict], *, migrates: bool, number: int, count: int
) -> list[Found]:
    """Run random schedules until one breaks something, and shrink that one.

    Parameters
    ----------
    attempt
        Runs one.
    migrates
        In which world they run.
    number
        The seed.
    count
        How many; shrinking runs more.

    Returns
    -------
    list
        Every schedule that was run, with its verdict; when the last one is broken, it is the shortest that was found.
    """
    ran: list[Found] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_schedules(f"random, seed {number}", migrates=migrates))
    def holds(schedule: Schedule) -> None:
        verdict = attempt(schedule)
        ran.append((schedule, verdict))
        if verdict.violations:
            raise _Broken

    try:
        holds()
    except _Broken:
        broken = [found for found in ran if found[1].violations]
        shortest = min(broken, key=lambda found: len(repr(found[0].steps)))
        return [*(found for found in ran if not found[1].violations), shortest]
    return ran


Found = tuple[Schedule, Verdict]


class _Broken(Exception):
    """A schedule with violations."""


def _schedules(title: str, *, migrates: bool) -> st.SearchStrategy[Schedule]:
    tags = st.sampled_from((*cases.tags(migrates=migrates), cases.FIRST, UNKNOWN_TAG))
    # Half of the images are good: otherwise hardly a deployment would get to its end.
    good = st.just(cases.tag("healthy", "ok" if migrates else cases.NO_MIGRATION))
    steps = st.lists(_step(st.one_of(good, tags)), min_size=1, max_size=len(NAMES))
    return st.builds(
        lambda drawn, recovery: _schedule(title, drawn, recovery, migrates=migrates), steps, st.sampled_from(RECOVERIES)
    )


def _schedule(title: str, drawn: list[dict[str, Any]], recovery: object, *, migrates: bool) -> Schedule:
    steps: list[Mapping[str, Any]] = []
    executions = ["first"]
    for name, step in zip(NAMES, drawn, strict=False):
        first = not steps
        steps.append({"name": name, **{key: value for key, value in step.items() if not (first and key == "overlap")}})
        if "redrive" in step:
            steps[-1] = {**steps[-1], "redrive": executions[-1 - step["redrive"] % len(executions)]}
        elif not {"infrastructure", "interrupt"} & set(step):
            executions.append(name)
    return Schedule(title, migrates, tuple(steps), recovery=recovery)


@st.composite
def _step(draw: st.DrawFn, tags: st.SearchStrategy[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(("deploy", "deploy", "deploy", "rollback", "infrastructure", "redrive", "interrupt")))
    step: dict[str, Any] = {}
    overlap = draw(st.sampled_from((None, *OVERLAPS_SECONDS)))
    if overlap is not None:
        step["overlap"] = overlap
    if kind == "infrastructure":
        step["infrastructure"] = {
            "service": draw(st.sampled_from(SERVICES)),
            **draw(
                st.one_of(
                    _changes("memory", 1024, 2048),
                    _changes("desired", 1, 3, 5),
                    _changes("deregister", "running", "all"),
                )
            ),
        }
        return step
    if kind == "interrupt":
        kinds = st.sampled_from(("spot", "host", "maintenance", "user"))
        step["interrupt"] = {"service": draw(st.sampled_from(SERVICES)), "kind": draw(kinds)}
        return step
    if kind == "redrive":
        step["redrive"] = draw(st.integers(0, 2))
        return step
    if kind == "deploy":
        step["deploy"] = draw(tags)
        options = draw(st.sets(st.sampled_from(("dryRun", "force")), max_size=1))
        if options:
            step["request"] = dict.fromkeys(options, True)
    else:
        step["rollback"] = draw(st.sampled_from(("previous", "first")))
    stop = draw(st.one_of(st.none(), st.none(), _stops()))
    if stop is not None:
        step["stop"] = stop
    faults = draw(st.lists(_faults(), max_size=2))
    if faults:
        step["faults"] = faults
    return step


def _changes(key: str, *values: int | str) -> st.SearchStrategy[Mapping[str, int | str]]:
    return st.sampled_from(values).map(lambda value: {key: value})


def _stops() -> st.SearchStrategy[Mapping[str, Any]]:
    after = st.fixed_dictionaries({"after": st.sampled_from(STOPS_SECONDS)})
    at = st.fixed_dictionaries(
        {
            "state": st.sampled_from(STATES),
            "when": st.sampled_from(("entered", "exited")),
            "nth": st.integers(1, 3),
        }
    )
    return st.one_of(after, at)


def _faults() -> st.SearchStrategy[Mapping[str, Any]]:
    of_calls = st.builds(
        lambda fault, at: {**fault, **at},
        st.sampled_from([fault for fault, _ in CALL_FAULTS.values()]),
        st.fixed_dictionaries({"step": st.sampled_from(STATES), "nth": st.integers(1, 8)}),
    )
    of_functions = st.one_of(
        st.fixed_dictionaries(
            {
                "function": st.just("kill"),
                "step": st.sampled_from(STATES),
                "nth": st.integers(1, 3),
                "after_calls": st.integers(0, 8),
            }
        ),
        st.fixed_dictionaries(
            {
                "function": st.just("again"),
                "step": st.sampled_from(STATES),
                "nth": st.integers(1, 3),
                "after_seconds": st.sampled_from((1, 20, 60, 200)),
            }
        ),
        st.fixed_dictionaries(
            {"function": st.just("twice"), "step": st.sampled_from(STATES), "nth": st.integers(1, 3)}
        ),
    )
    return st.one_of(of_calls, of_functions)
