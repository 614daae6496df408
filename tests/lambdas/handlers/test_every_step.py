"""What every step owes the state machine: it may be run again, and it says by its error's name what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

import config
from lambdas.aws.gateway import ATTEMPTS
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault, FunctionAction, FunctionFault
from statemachine import steps
from statemachine.steps import STEPS, Step
from tests.lambdas.handlers.flow import STATES, Flow, Json, StepError, footprint, writes

ROLLING_BACK = (steps.ROLL_BACK, steps.CHECK_ROLLBACK, steps.RECORD_FAILURE)

WRITING_CALLS: dict[Step, tuple[str, ...]] = {
    steps.ACQUIRE_LOCK: ("PutItem",),
    steps.REQUEST_APPROVAL: ("UpdateItem", "PutItem", "PutEvents"),
    steps.UPDATE_IMAGE_TAG: ("UpdateItem", *["PutParameter"] * 5),
    steps.REGISTER_TASK_DEFINITIONS: ("UpdateItem", *["RegisterTaskDefinition"] * 4),
    steps.RUN_MIGRATION: ("UpdateItem", "RunTask"),
    steps.DEPLOY_WAVE: ("UpdateItem", "UpdateService"),
    steps.ROLL_BACK: ("UpdateItem", *["DeleteParameter"] * 5, "UpdateService"),
    steps.COMPLETE: ("TransactWriteItems", "PutEvents"),
    steps.RECORD_FAILURE: ("TransactWriteItems", "PutEvents"),
    steps.RECORD_OUTCOME: ("TransactWriteItems", "PutEvents"),
}
"""Every call of a step's first run that changes something, in order. A step that is not here only reads."""

RENEWING = tuple(step for step, calls in WRITING_CALLS.items() if calls[0] == "UpdateItem")

EACH_WRITE = [
    pytest.param(step, operation, calls[:index].count(operation) + 1, id=f"{step.slug}-{operation}-{index + 1}")
    for step, calls in WRITING_CALLS.items()
    for index, operation in enumerate(calls)
]


EXPECTED: dict[Step, set[str]] = {
    **{step: {step.state} for step in WRITING_CALLS},
    steps.ACQUIRE_LOCK: {"held"},
    steps.RUN_MIGRATION: {"running"},
    steps.COMPLETE: {"Deployed"},
    steps.RECORD_FAILURE: {"RolledBack"},
    steps.RECORD_OUTCOME: {"Planned"},
}
"""The verdict of a step; the name of one that gives none."""


def said(result: Json) -> set[object]:
    """Return what a result says, under whichever name it has."""
    return {result.get("status"), result.get("outcome"), result["step"]}


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    dev = config.load("dev")
    # Every call of a step that waits is one look.
    rollout = replace(dev.rollout, poll_seconds=40)
    asks = replace(dev, approval=replace(dev.approval, required=True), rollout=rollout)
    # Without ECS's own circuit breaker, so that the rollback has something to do.
    with SimulatedEnvironment(settings=asks, recovery=False, circuit_breaker=False) as simulated:
        yield simulated


def before(simulated: SimulatedEnvironment, step: Step) -> Flow:
    """Walk to the moment before a step: along the happy path, or along the rollback."""
    broken = ImageBehavior("crash") if step in ROLLING_BACK else ImageBehavior()
    simulated.push("v1", broken)
    return Flow(simulated, {"imageTag": "v1", "dryRun": step == steps.RECORD_OUTCOME}).run_to(step.state)


def first_call(step: Step, simulated: SimulatedEnvironment, action: CallAction, **details: str | int) -> CallFault:
    """Return a fault that outlasts botocore's own retries of the step's first call; a throttled one, the function."""
    function = step.function_name(simulated.identity)
    times = 1000 if action is CallAction.THROTTLE else ATTEMPTS
    return CallFault(action, function=function, times=times, **details)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)
def test_a_step_that_lambda_runs_twice_changes_nothing_more(simulated: SimulatedEnvironment, step: Step) -> None:
    flow = before(simulated, step)
    start = len(simulated.aws.calls)
    first = flow.call()
    assert writes(simulated.aws.calls[start:]) == list(WRITING_CALLS.get(step, ()))
    after = footprint(simulated)
    second = flow.call()
    assert footprint(simulated) == after
    assert said(second) == said(first)


@pytest.mark.parametrize("step", [s for s in STEPS if s not in WRITING_CALLS], ids=lambda step: step.slug)
def test_a_step_that_looks_writes_nothing(simulated: SimulatedEnvironment, step: Step) -> None:
    flow = before(simulated, step)
    start, existing = len(simulated.aws.calls), footprint(simulated)
    flow.call()
    assert writes(simulated.aws.calls[start:]) == []
    assert footprint(simulated) == existing


@pytest.mark.parametrize(("step", "operation", "nth"), EACH_WRITE)
def test_an_answer_that_never_came_is_asked_for_again_and_the_call_made_once(
    simulated: SimulatedEnvironment, step: Step, operation: str, nth: int
) -> None:
    flow = before(simulated, step)
    function = step.function_name(simulated.identity)
    lost = CallFault(CallAction.LOST, function=function, operation=operation, nth=nth, times=ATTEMPTS)
    simulated.aws.faults.add(lost)
    if operation == "PutEvents":  # the event bus must not change how a deployment ends
        assert said(flow.call()) & EXPECTED[step]
        return
    error = flow.fails()
    assert error.error_type == "AwsUnavailable"
    assert error.error_type in STATES[step.state]["Retry"][0]["ErrorEquals"]
    assert simulated.aws.calls[-1].operation == operation
    assert not simulated.aws.faults.pending

    start = len(simulated.aws.calls)
    assert said(flow.call()) & EXPECTED[step]
    repeated = writes(simulated.aws.calls[start:])
    # What is only ever set, renewed or answered the same is sent again; nothing is made a second time. ECS does not
    # show a new task at once, and answers RunTask with the same token with the task that it has started.
    if operation in ("PutParameter", "DeleteParameter", "RegisterTaskDefinition", "UpdateService"):
        assert repeated.count(operation) == WRITING_CALLS[step].count(operation) - nth
    assert len(footprint(simulated)["migrations"]) <= 1


@pytest.mark.parametrize("step", [*RENEWING, steps.COMPLETE], ids=lambda step: step.slug)
def test_a_step_that_lost_the_lease_stops_and_touches_nothing(simulated: SimulatedEnvironment, step: Step) -> None:
    flow = before(simulated, step)
    flow.lose_lock()
    start, existing = len(simulated.aws.calls), footprint(simulated)
    error = flow.fails()
    assert error.error_type == "LeaseLost"
    assert error.message.startswith(f"{step.state}: ")
    assert footprint(simulated) == existing
    written = [call for call in simulated.aws.calls[start:] if writes([call])]
    assert [call.operation for call in written] == [WRITING_CALLS[step][0]]
    assert written[0].error in ("ConditionalCheckFailedException", "TransactionCanceledException")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)
def test_what_aws_answers_decides_whether_a_step_is_run_again(simulated: SimulatedEnvironment, step: Step) -> None:
    flow = before(simulated, step)
    retried = {name for retry in STATES[step.state]["Retry"] for name in retry["ErrorEquals"]}
    denied = {"code": "AccessDeniedException", "http_status": 400}
    for action, details, expected in (
        (CallAction.THROTTLE, {}, "Throttled"),
        (CallAction.ERROR, {"code": "InternalServerError"}, "AwsUnavailable"),
        (CallAction.ERROR, denied, "AccessDenied"),
        (CallAction.ERROR, {"code": "SomethingNewException", "http_status": 400}, "AwsError"),
    ):
        simulated.aws.faults.clear()
        simulated.aws.faults.add(first_call(step, simulated, action, **details))
        error = flow.fails()
        assert error.error_type == expected
        assert error.message.startswith(f"{step.state}: ")
        assert (error.error_type in retried) == (expected in ("Throttled", "AwsUnavailable"))
    simulated.aws.faults.clear()
    # One call that hangs leaves room for another within the function's own timeout.
    simulated.aws.faults.add(CallFault(CallAction.TIMEOUT, function=step.function_name(simulated.identity)))
    flow.call()
    assert not simulated.aws.faults.pending


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)
def test_a_step_that_was_killed_half_way_is_run_again_to_the_same_end(
    simulated: SimulatedEnvironment, step: Step
) -> None:
    flow = before(simulated, step)
    for completed in (1, 2):
        function = step.function_name(simulated.identity)
        simulated.aws.faults.add(FunctionFault(FunctionAction.KILL, function=function, after_calls=completed))
        with suppress(StepError):  # a step with a single call may be through
            flow.call()
        simulated.aws.faults.clear()
    result = flow.call()
    assert step not in EXPECTED or said(result) & EXPECTED[step]
