"""A deployment that is stopped in any state, and redriven: recovered, it deploys nothing; else it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.engine.runs import Consistency, Run, StopAt
from simulator.environment.simulated_environment import Delivery, SimulatedEnvironment
from statemachine.events import Event, EventKind
from tests.simulator.quick import few_looks

MOVES = (
    "Verify image",
    "Acquire lock",
    "Plan",
    "Dry run?",
    "Update image tag",
    "Register task definitions",
    "Run migration",
    "Wait for migration",
    "Deploy wave",
    "Wait for rollout",
    "Check rollout",
    "More waves?",
    "Bake",
    "Check health",
    "Healthy?",
    "Complete",
)
"""Where a deploy may be stopped before it is on record."""

ENDINGS = ("Complete", "Deployed")


def stopped(simulated: SimulatedEnvironment, state: str, when: Any = "entered") -> Run:
    simulated.push("v1")
    simulated.push("v2")
    assert simulated.run({"imageTag": "v1"}, "first").state == "Deployed"
    run = simulated.run({"imageTag": "v2"}, "stopped", stop=StopAt(state, when))
    assert (run.status, run.state) == ("ABORTED", state)
    return run


def seen(simulated: SimulatedEnvironment) -> dict[str, Any]:
    snapshot = simulated.snapshot()
    return {
        "services": snapshot.services,
        "parameters": snapshot.parameters,
        "lock": simulated.table.read_lock(),
        "live": snapshot.live,
        "history": snapshot.history,
    }


def redriven(simulated: SimulatedEnvironment, run: Run) -> list[Event]:
    """Redrive, and return the ends that EventBridge was told of since."""
    before = len(simulated.aws.events)
    simulated.aws.clock.sleep(60)
    run.redrive()
    simulated.settle()
    return [each for each in simulated.aws.events[before:] if each.kind == EventKind.EXECUTION_ENDED]


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("renews", [False, True], ids=["", "with a new start"])
def test_after_its_recovery_it_deploys_nothing_and_pages_nobody(state: str, renews: bool) -> None:
    consistency = Consistency(redrive_renews_start=renews, stale_seconds=1.0)
    with SimulatedEnvironment(settings=few_looks(), consistency=consistency) as simulated:
        run = stopped(simulated, state)
        before = seen(simulated)
        assert before["services"]["api"]["image"].endswith(before["parameters"]["/v3-backend/dev/images/api"][-64:])
        ends = redriven(simulated, run)
        assert (run.status, run.error) == ("FAILED", "Rejected")
        assert '"errorType":"AlreadyRecorded"' in str(run.cause)
        assert [each.error for each in ends] == ["Rejected"], "neither a page nor another recovery"
        assert seen(simulated) == before
        assert simulated.violations() == ()


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("renews", [False, True], ids=["", "with a new start"])
def test_one_that_nobody_recovered_goes_on(state: str, renews: bool) -> None:
    consistency = Consistency(redrive_renews_start=renews, stale_seconds=1.0)
    delivery = Delivery(times=0)
    with SimulatedEnvironment(settings=few_looks(), recovery=delivery, consistency=consistency) as simulated:
        run = stopped(simulated, state)
        redriven(simulated, run)
        assert (run.status, run.state) == ("SUCCEEDED", "Deployed")
        assert simulated.records()["stopped"].outcome == "Deployed"
        assert simulated.violations() == ()


@pytest.mark.parametrize("state", ENDINGS)
def test_one_that_had_recorded_its_own_end_comes_to_it_again(state: str) -> None:
    with SimulatedEnvironment(settings=few_looks()) as simulated:
        run = stopped(simulated, state, "exited" if state == "Complete" else "entered")
        assert simulated.records()["stopped"].outcome == "Deployed"
        redriven(simulated, run)
        assert (run.status, run.state) == ("SUCCEEDED", "Deployed")
        assert simulated.violations() == ()


@pytest.mark.parametrize("tag", ["missing", "crashing"])
def test_one_that_failed_by_itself_fails_again(tag: str) -> None:
    with SimulatedEnvironment(settings=few_looks()) as simulated:
        simulated.push("v1")
        simulated.push("crashing", per_service={"worker": ImageBehavior(outcome="crash")})
        simulated.run({"imageTag": "v1"}, "first")
        run = simulated.run({"imageTag": tag}, "failed")
        before = seen(simulated)
        (end,) = redriven(simulated, run)
        assert end.error == run.earlier[-1].error
        assert seen(simulated) == before
        assert simulated.violations() == ()


def test_a_recovery_that_was_itself_recovered_from_is_refused_too() -> None:
    with SimulatedEnvironment(settings=few_looks()) as simulated:

        def stop_the_first(event: Event) -> None:
            here = event.kind == EventKind.STATE_ENTERED and event.state == "Check rollout"
            if here and event.execution == "recovery-1" and len(simulated.recoveries) == 1:
                simulated.recoveries[0].stop()

        simulated.aws.subscribe(stop_the_first)
        stopped(simulated, "Check rollout")
        first, second = simulated.recoveries
        assert (first.status, second.state) == ("ABORTED", "Deployed")
        before = seen(simulated)
        (end,) = redriven(simulated, first)
        assert end.error == "Rejected"
        assert seen(simulated) == before
        assert simulated.violations() == ()


def test_one_that_timed_out_goes_on_with_a_new_time_limit() -> None:
    settings = few_looks()
    settings = replace(settings, machine=replace(settings.machine, timeout_seconds=100))
    with SimulatedEnvironment(settings=settings, recovery=False) as simulated:
        simulated.push("v1")
        run = simulated.run({"imageTag": "v1"}, "late")
        assert run.status == "TIMED_OUT"
        while run.status == "TIMED_OUT":
            redriven(simulated, run)
        assert (run.status, run.state) == ("SUCCEEDED", "Deployed")
        assert simulated.violations() == ()
