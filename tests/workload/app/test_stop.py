from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from app.stop import Stop
from tests.workload.app.stub import GIVE_UP_SECONDS


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_signal_ends_a_wait_at_once(handlers: None) -> None:
    stop = Stop()
    stop.on_signals()
    rings: list[int] = []

    def ring(number: int, _: object) -> None:
        rings.append(number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(rings) == 1, "it still waits, a minute after the signal"

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05, GIVE_UP_SECONDS)
    try:
        assert stop.wait(3600) is True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_wait_after_the_wish_does_not_wait() -> None:
    stop = Stop()
    stop.set()
    stop.set()
    assert (stop.wait(30), stop.wait(30), stop.is_set()) == (True, True, True)


def test_a_wait_without_a_wish_ends_by_itself() -> None:
    assert Stop().wait(0.001) is False
