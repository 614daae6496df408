from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from lambdas.handler import Invocation
from lambdas.polling import poll_until
from lambdas.release.errors import Throttled
from lambdas.release.policies import HOLD_SECONDS
from lambdas.release.state import ExecutionState
from statemachine.steps import CHECK_ROLLBACK, CHECK_ROLLOUT, Step


class Passing:
    """A clock on which time passes in looks and in pauses alone."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


def looks(clock: Passing, answers: Sequence[str], took: Sequence[float] = ()) -> Callable[[], str]:
    """Return a look that answers these in turn, the last one for ever; it takes so many seconds."""
    count = 0

    def look() -> str:
        nonlocal count
        count += 1
        clock.seconds += took[count - 1] if count <= len(took) else 0.0
        return answers[min(count, len(answers)) - 1]

    return look


def held(clock: Passing, look: Callable[[], str], every: float = 1, hold: float = 30) -> str:
    return poll_until(look, lambda seen: seen != "wait", every_seconds=every, hold_seconds=hold, clock=clock)


def test_what_the_first_look_decides_is_not_looked_at_again() -> None:
    clock = Passing()
    assert held(clock, looks(clock, ["steady"])) == "steady"
    assert clock.pauses == []


def test_the_look_that_decides_is_the_last_one() -> None:
    clock = Passing()
    assert held(clock, looks(clock, ["wait", "wait", "failed", "never asked"])) == "failed"
    assert clock.pauses == [1, 1]


@pytest.mark.parametrize(("every", "count"), [(1, 30), (7, 4), (30, 1), (31, 0), (600, 0)])
def test_no_pause_ends_after_the_hold(every: int, count: int) -> None:
    clock = Passing()
    assert held(clock, looks(clock, ["wait"]), every) == "wait"
    assert clock.pauses == [every] * count
    assert clock.seconds <= 1_030


def test_after_a_long_look_the_pause_is_as_long() -> None:
    clock = Passing()
    held(clock, looks(clock, ["wait"], took=[0.1, 9.0, 4.0, 0.2]))
    assert clock.pauses == pytest.approx([1, 9, 4, 1, 1])


def test_a_look_that_takes_the_hold_is_the_last_one() -> None:
    clock = Passing()
    assert held(clock, looks(clock, ["wait"], took=[16.0])) == "wait"
    assert clock.pauses == []


def test_an_error_of_a_look_is_not_looked_over() -> None:
    clock, asked = Passing(), []

    def throttled() -> str:
        asked.append(clock.now())
        raise Throttled("ecs:describe_services: ThrottlingException")

    with pytest.raises(Throttled):
        held(clock, throttled)
    assert len(asked) == 1


@pytest.mark.parametrize("remaining", [60.0, 45.0, 12.0, 0.0])
def test_half_of_the_function_s_time_stays_for_the_last_look(remaining: float) -> None:
    call = Invocation("arn", 0.0, 0.0, "Check rollout", ExecutionState({}), None, None, remaining)
    assert call.hold_seconds <= min(HOLD_SECONDS, remaining / 2)


@pytest.mark.parametrize("step", [CHECK_ROLLOUT, CHECK_ROLLBACK], ids=lambda step: step.state)
def test_a_function_that_starts_at_once_holds_for_the_whole_time(step: Step) -> None:
    assert step.timeout_seconds / 2 >= HOLD_SECONDS
