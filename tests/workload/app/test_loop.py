from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.aws import AwsFailed
from app.health import Pulse
from app.loop import MAX_FAILURES, GaveUp, run_until_stopped
from tests.workload.app.fakes import FakeStop


class Steps:
    """Does what the list says: an error is raised, None is a step that went well; then it wants to stop."""

    def __init__(self, stop: FakeStop, *results: Exception | None) -> None:
        self._stop, self._results = stop, iter(results)

    def __call__(self) -> None:
        result = next(self._results, "end")
        if isinstance(result, Exception):
            raise result
        if result == "end":
            self._stop.set()


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    yield Pulse(tmp_path / "health", "worker")
    assert (tmp_path / "health").read_text() == "worker"


def test_an_outage_is_outlived_with_ever_longer_waits(pulse: Pulse) -> None:
    stop = FakeStop()
    run_until_stopped(Steps(stop, *[AwsFailed("throttled")] * (MAX_FAILURES - 1)), stop, pulse)
    assert stop.waits == [2, 4, 8, 16]


def test_it_gives_up_when_nothing_gets_better(pulse: Pulse) -> None:
    stop = FakeStop()
    with pytest.raises(GaveUp, match="failed 5 times in a row: denied"):
        run_until_stopped(Steps(stop, *[AwsFailed("denied")] * MAX_FAILURES), stop, pulse)


def test_a_step_that_goes_well_makes_it_forget(pulse: Pulse) -> None:
    stop = FakeStop()
    outage = [AwsFailed("throttled")] * (MAX_FAILURES - 1)
    run_until_stopped(Steps(stop, *outage, None, *outage), stop, pulse)
    assert stop.waits == [2, 4, 8, 16] * 2


def test_a_bug_is_not_tried_again(pulse: Pulse) -> None:
    stop = FakeStop()
    with pytest.raises(ZeroDivisionError):
        run_until_stopped(Steps(stop, ZeroDivisionError()), stop, pulse)


def test_whoever_is_to_stop_does_not_begin(tmp_path: Path) -> None:
    stop = FakeStop()
    stop.set()
    run_until_stopped(Steps(stop, ZeroDivisionError()), stop, Pulse(tmp_path / "health", "worker"))
