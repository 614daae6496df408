from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from app.stop import Stop


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_signal_ends_a_wait_at_once(handlers: None) -> None:
    stop = Stop()
    stop.on_signals()
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    started = time.monotonic()
    assert stop.wait(30) is True
    assert time.monotonic() - started < 10


def test_a_wait_after_the_wish_does_not_wait() -> None:
    stop = Stop()
    stop.set()
    stop.set()
    assert (stop.wait(30), stop.wait(30), stop.is_set()) == (True, True, True)


def test_a_wait_without_a_wish_ends_by_itself() -> None:
    assert Stop().wait(0.001) is False
