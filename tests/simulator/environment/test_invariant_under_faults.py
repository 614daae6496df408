"""Whatever happens to a deployment, and wherever: the world at rest keeps the invariant, and the report is true.

The calls and states to break are read from a deployment that nothing happened to, so a new call or state is
covered without a line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from lambdas.aws.gateway import ATTEMPTS
from simulator.ecs.images import ImageBehavior
from simulator.engine.runs import Run, StopAt
from simulator.environment.invariant import examine
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault, FunctionAction, FunctionFault
from tests.simulator.quick import few_looks

SERVICES = (SimulatedService("api", wave=1, desired=2), SimulatedService("worker", wave=2, desired=1))
FIRST_READS = ("Describe", "Get", "List", "BatchGet", "Query")
GOOD, BAD = "v2", "bad"


@contextmanager
def started_world() -> Iterator[SimulatedEnvironment]:
    """A world with one release live, and two images to go on with: a good one, and one that breaks the last wave."""
    with SimulatedEnvironment(services=SERVICES, settings=few_looks()) as simulated:
        simulated.push("v1")
        assert simulated.run({"imageTag": "v1"}, "first").status == "SUCCEEDED"
        simulated.push(GOOD)
        simulated.push(BAD, per_service={"worker": ImageBehavior(outcome="crash")})
        yield simulated


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    with started_world() as started:
        yield started


@cache
def undisturbed(tag: str) -> tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]:
    """Return the calls (function, service, operation) and the states of a deployment, each once, in order."""
    with started_world() as simulated:
        before = len(simulated.aws.calls)
        run = simulated.run({"imageTag": tag}, "second")
        calls = dict.fromkeys((c.function, c.service, c.operation) for c in simulated.aws.calls[before:])
        return tuple(calls), tuple(dict.fromkeys(run.path))


def calls_of(tag: str, *, writing: bool) -> dict[str, list[tuple[str, str]]]:
    """Return the calls (service, operation) by function."""
    found: dict[str, list[tuple[str, str]]] = {}
    for function, service, operation in undisturbed(tag)[0]:
        if not writing or not operation.startswith(FIRST_READS):
            found.setdefault(function, []).append((service, operation))
    return found


def assert_invariant(simulated: SimulatedEnvironment) -> None:
    examination = examine(simulated.snapshot(), simulated.aws.runs)
    assert examination.violations == ()
    assert examination.person_needed == ()


def end_states(simulated: SimulatedEnvironment) -> list[str]:
    return [run.state for run in simulated.aws.runs if run.name == "second"]


# One call alone that fails, of each step: tests/lambdas/handlers/test_every_step.py. Here all calls of a step fail, one
# after the other, in a whole deployment.


def break_calls(
    simulated: SimulatedEnvironment, action: CallAction, function: str, calls: list[tuple[str, str]], times: int
) -> None:
    for service, operation in calls:
        simulated.aws.faults.add(CallFault(action, service, operation, function, times=times))


@pytest.mark.parametrize(("function", "calls"), calls_of(GOOD, writing=True).items())
def test_writing_calls_whose_answers_get_lost_still_end_deployed(
    function: str, calls: list[tuple[str, str]], simulated: SimulatedEnvironment
) -> None:
    break_calls(simulated, CallAction.LOST, function, calls, ATTEMPTS)
    simulated.run({"imageTag": GOOD}, "second")
    assert not simulated.aws.faults.pending
    assert end_states(simulated) == ["Deployed"]
    assert_invariant(simulated)


@pytest.mark.parametrize(("function", "calls"), calls_of(BAD, writing=True).items())
def test_writing_calls_whose_answers_get_lost_still_end_rolled_back(
    function: str, calls: list[tuple[str, str]], simulated: SimulatedEnvironment
) -> None:
    break_calls(simulated, CallAction.LOST, function, calls, ATTEMPTS)
    simulated.run({"imageTag": BAD}, "second")
    assert end_states(simulated) == ["RolledBack"]
    assert_invariant(simulated)


@pytest.mark.parametrize(("function", "calls"), calls_of(GOOD, writing=False).items())
def test_calls_that_are_throttled_beyond_botocores_retries_delay_the_deployment_and_no_more(
    function: str, calls: list[tuple[str, str]], simulated: SimulatedEnvironment
) -> None:
    break_calls(simulated, CallAction.THROTTLE, function, calls, 2 * ATTEMPTS)
    simulated.run({"imageTag": GOOD}, "second")
    assert not simulated.aws.faults.pending
    assert end_states(simulated) == ["Deployed"]
    assert_invariant(simulated)


# Leaving a state is entering the next one: nothing happens between.
@pytest.mark.parametrize("state", undisturbed(GOOD)[1])
def test_an_execution_that_is_stopped_anywhere_leaves_the_world_as_it_was_or_as_asked(
    state: str, simulated: SimulatedEnvironment
) -> None:
    before = simulated.snapshot()
    run = simulated.run({"imageTag": GOOD}, "second", stop=StopAt(state))
    assert_invariant(simulated)
    if run.status == "ABORTED" and simulated.snapshot().live == before.live:
        assert simulated.snapshot().services == before.services
        assert simulated.snapshot().parameters == before.parameters


@pytest.mark.parametrize("state", undisturbed(BAD)[1][-8:])
def test_an_execution_that_is_stopped_on_its_way_back_is_brought_back_by_the_recovery(
    state: str, simulated: SimulatedEnvironment
) -> None:
    before = simulated.snapshot()
    simulated.run({"imageTag": BAD}, "second", stop=StopAt(state))
    assert_invariant(simulated)
    assert simulated.snapshot().services == before.services
    assert simulated.snapshot().parameters == before.parameters


def test_a_recovery_that_is_stopped_too_is_followed_by_another(simulated: SimulatedEnvironment) -> None:
    before = simulated.snapshot()
    stops = iter([StopAt("Deploy wave", when="exited"), StopAt("Check rollout")])

    def stop_recoveries() -> None:
        for recovery in simulated.recoveries[len(stopped) :]:
            stopped.append(recovery)
            if stop := next(stops, None):
                recovery.stop_at(stop)

    stopped: list[Run] = []
    simulated.aws.subscribe(lambda _: stop_recoveries())
    simulated.run({"imageTag": GOOD}, "second", stop=StopAt("Check rollout", nth=2))
    assert [recovery.status for recovery in simulated.recoveries] == ["ABORTED", "ABORTED", "SUCCEEDED"]
    assert_invariant(simulated)
    assert simulated.snapshot().services == before.services


def test_functions_that_all_run_twice_change_nothing_more(simulated: SimulatedEnvironment) -> None:
    for function in calls_of(GOOD, writing=False):
        simulated.aws.faults.add(FunctionFault(FunctionAction.TWICE, function, times=99))
    simulated.run({"imageTag": GOOD}, "second")
    assert end_states(simulated) == ["Deployed"]
    assert_invariant(simulated)


@pytest.mark.parametrize("function", calls_of(GOOD, writing=False))
def test_a_bug_in_a_step_rejects_before_the_first_write_and_rolls_back_after_it(
    function: str, simulated: SimulatedEnvironment
) -> None:
    simulated.aws.faults.add(FunctionFault(FunctionAction.RAISE, function, error="ZeroDivisionError"))
    run = simulated.run({"imageTag": GOOD}, "second")
    before_first_write = {"verify-image", "acquire-lock", "plan"}
    expected = "Rejected" if function.removeprefix("v3-backend-dev-") in before_first_write else "RolledBack"
    assert (run.status, run.error) == ("FAILED", expected)
    assert_invariant(simulated)


def test_a_recovery_that_cannot_begin_pages_a_person_whose_rollback_puts_everything_back(
    simulated: SimulatedEnvironment,
) -> None:
    before = simulated.snapshot()
    simulated.aws.faults.add(FunctionFault(FunctionAction.RAISE, "v3-backend-dev-plan", nth=2, error="Broken"))
    simulated.run({"imageTag": GOOD}, "second", stop=StopAt("Check rollout"))
    assert [recovery.state for recovery in simulated.recoveries] == ["RollbackFailed"]
    refused = simulated.run({"imageTag": GOOD}, "too-early")
    assert (refused.error, "UnfinishedRollback" in (refused.cause or "")) == ("Rejected", True)
    assert simulated.run({"action": "rollback"}, "by-a-person").state == "Deployed"
    assert simulated.snapshot().services == before.services
    assert simulated.snapshot().parameters == before.parameters
    assert_invariant(simulated)


def test_a_world_that_could_not_be_put_back_may_go_forward_by_force(simulated: SimulatedEnvironment) -> None:
    simulated.aws.faults.add(FunctionFault(FunctionAction.RAISE, "v3-backend-dev-roll-back", times=4, error="Broken"))
    assert simulated.run({"imageTag": BAD}, "second").state == "RollbackFailed"
    assert simulated.run({"imageTag": GOOD}, "third").state == "Rejected"
    assert simulated.run({"imageTag": GOOD, "force": True}, "fourth").state == "Deployed"
    assert_invariant(simulated)


def test_a_rollback_that_was_refused_leaves_the_recovery_its_work(simulated: SimulatedEnvironment) -> None:
    before = simulated.snapshot()
    simulated.recovers = False
    stopped = simulated.run({"imageTag": GOOD}, "second", stop=StopAt("Check rollout"))
    assert simulated.run({"action": "rollback", "releaseId": "r-unknown"}, "refused").state == "Rejected"
    assert simulated.run({"action": "rollback", "takeover": stopped.arn}, "recovery").state == "Deployed"
    assert simulated.snapshot().services == before.services
    assert_invariant(simulated)
