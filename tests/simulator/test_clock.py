"""The virtual clock: order, time, joining and leaving, deadlocks."""

import time
from types import SimpleNamespace

import pytest

from simulator.clock import Cancelled, DeadlockError, VirtualClock, WaitList


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The real seconds that the clock waits, instead of waiting them."""
    seconds: list[float] = []
    monkeypatch.setattr("simulator.clock.real_time", SimpleNamespace(sleep=seconds.append))
    return seconds


def test_a_sleep_takes_virtual_time_and_no_real_time(slept: list[float]) -> None:
    clock = VirtualClock(1000)
    with clock.participate():
        clock.sleep(1_000_000)
    assert clock.now() == 1_001_000
    assert slept == []


def test_the_default_start_is_a_monday_morning() -> None:
    assert VirtualClock().now_datetime().isoformat() == "2026-01-05T09:00:00+00:00"


def test_fractions_add_up_exactly() -> None:
    clock = VirtualClock()
    start = clock.now()
    with clock.participate():
        for _ in range(1000):
            clock.sleep(0.1)
    assert clock.now() == start + 100


def test_sleepers_wake_in_the_order_in_which_they_are_due_and_ties_in_the_order_in_which_they_asked() -> None:
    clock, log = VirtualClock(0), []

    def sleeper(name: str, period: float) -> None:
        for _ in range(3):
            clock.sleep(period)
            log.append((name, clock.now()))

    with clock.participate():
        clock.spawn(lambda: sleeper("slow", 20), name="slow")
        clock.spawn(lambda: sleeper("fast", 10), name="fast")
        clock.sleep(100)
    assert log == [("fast", 10), ("slow", 20), ("fast", 20), ("fast", 30), ("slow", 40), ("slow", 60)]


def test_only_one_participant_runs_at_a_time() -> None:
    clock = VirtualClock(0)
    running: list[int] = []

    def participant() -> None:
        for _ in range(20):
            assert not running
            running.append(1)
            time.sleep(0.0001)  # give other threads every chance
            running.pop()
            clock.sleep(1)

    with clock.participate():
        for number in range(4):
            clock.spawn(participant, name=str(number))
        clock.sleep(100)


def test_a_callback_runs_at_its_time_unless_it_is_cancelled() -> None:
    clock, log = VirtualClock(0), []
    with clock.participate():
        clock.call_at(5, lambda: log.append(clock.now()))
        clock.call_at(6, lambda: log.append(clock.now())).cancel()
        clock.sleep(10)
    assert log == [5]


def test_a_wait_ends_when_it_is_woken_or_when_its_time_is_over() -> None:
    clock, waiting, log = VirtualClock(0), WaitList(), []
    with clock.participate():
        clock.spawn(lambda: log.append((clock.wait(waiting, 100, "x"), clock.now())), name="woken")
        clock.call_at(7, lambda: clock.wake(waiting))
        clock.sleep(50)
        clock.spawn(lambda: log.append((clock.wait(waiting, 100, "x"), clock.now())), name="late")
        clock.sleep(200)
    assert log == [(True, 7), (False, 150)]


def test_wait_for_asks_between_the_turns_of_the_others() -> None:
    clock, count = VirtualClock(0), []

    def counter() -> None:
        while True:
            clock.sleep(1)
            count.append(1)

    with clock.participate():
        clock.spawn(counter, name="counter")
        clock.wait_for(lambda: len(count) == 3)
        assert clock.now() == 3


@pytest.mark.parametrize("waiting", ["for a condition", "for a wake"])
def test_a_deadlock_raises_and_names_who_waits_for_what(waiting: str) -> None:
    clock = VirtualClock()

    def wait() -> None:
        clock.wait(WaitList(), None, "Godot")

    with clock.participate():
        clock.spawn(wait, name="Estragon")
        with pytest.raises(DeadlockError, match="Estragon waits for Godot"):
            clock.wait_for(lambda: False) if waiting == "for a condition" else clock.wait(WaitList(), None, "him too")


def test_an_exception_in_a_participant_reaches_the_driver() -> None:
    clock = VirtualClock()

    def fail() -> None:
        message = "in a thread"
        raise ValueError(message)

    with clock.participate():
        clock.spawn(fail, name="bad")
        with pytest.raises(ValueError, match="in a thread"):
            clock.sleep(1)


def test_a_cancelled_participant_unwinds_where_it_waits() -> None:
    clock, log = VirtualClock(0), []

    def sleeper() -> None:
        try:
            clock.sleep(100)
        except Cancelled:
            log.append(clock.now())
            raise

    with clock.participate():
        participant = clock.spawn(sleeper, name="sleeper")
        clock.sleep(1)
        clock.cancel(participant)
        clock.sleep(1)
        assert not participant.alive
    assert log == [1]


def test_a_shielded_participant_unwinds_only_after_its_shield_is_down() -> None:
    clock = VirtualClock(0)
    log: list[object] = []

    def sleeper() -> None:
        me = clock.current()
        assert me is not None
        me.shield += 1
        clock.sleep(100)
        log.append(clock.now())
        me.shield -= 1
        clock.checkpoint()
        log.append("not reached")

    with clock.participate():
        participant = clock.spawn(sleeper, name="sleeper")
        clock.sleep(1)
        clock.cancel(participant)
        clock.sleep(200)
    assert log == [100]


def test_who_is_left_at_the_end_is_unwound() -> None:
    clock, log = VirtualClock(0), []

    def forever() -> None:
        try:
            while True:
                clock.sleep(1)
        finally:
            log.append("unwound")

    with clock.participate():
        for name in "ab":
            clock.spawn(forever, name=name)
        clock.sleep(10)
    assert log == ["unwound", "unwound"]


def test_a_thread_that_does_not_take_part_cannot_sleep() -> None:
    with pytest.raises(RuntimeError, match="does not take part"):
        VirtualClock().sleep(1)


def test_there_is_one_driver() -> None:
    clock = VirtualClock()
    with clock.participate(), pytest.raises(RuntimeError, match="already driven by driver"), clock.participate("other"):
        pass


def test_pacing_takes_real_time_up_to_its_limit(slept: list[float]) -> None:
    clock = VirtualClock(0, pace=0.001, pace_limit_seconds=0.02)
    with clock.participate():
        clock.sleep(10)
        clock.sleep(10_000)
    assert slept == [0.01, 0.02]
