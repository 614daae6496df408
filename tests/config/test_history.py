from __future__ import annotations

from dataclasses import replace

import pytest

import config
from config.history import EVENTS_FOR_RETRIES, MAX_EVENTS, history_contradictions, looks, most_events, waves
from config.rules import contradictions
from config.schema import EnvironmentConfig

ROOM = MAX_EVENTS - EVENTS_FOR_RETRIES


def polling(seconds: int) -> EnvironmentConfig:
    """The dev environment with a long wait for the lock, and another interval between two looks at it."""
    dev = config.load("dev")
    return replace(dev, lock=replace(dev.lock, wait_timeout_seconds=3600, poll_seconds=seconds))


@pytest.mark.parametrize("environment", config.environments())
def test_each_environment_has_room_in_its_history(environment: str) -> None:
    assert most_events(config.load(environment)) <= ROOM


def test_looks_are_counted_by_the_key_that_sets_their_interval() -> None:
    dev = config.load("dev")
    assert (waves(dev), waves(replace(dev, machine=replace(dev.machine, timeout_seconds=3060)))) == (7, 1)
    assert looks(dev) == {
        "[lock] poll_seconds": 900 // 15 + 1,
        "[migration] poll_seconds": 900 // 10 + 1,
        # A second between two looks, and at least 15 between two visits of the state.
        "[rollout] poll_seconds": (7 * 600 + 600) // 15 + 1,
        "[rollout] bake_poll_seconds": (60 + 600) // 15 + 1,
    }


def test_an_interval_that_would_fill_the_history_is_a_problem_and_the_fix_is_the_smallest_that_helps() -> None:
    (found,) = [found for found in contradictions(polling(1)) if "events" in found[1]]
    key, wrong, fix = found
    assert key == "[lock] poll_seconds"
    assert wrong.startswith(f"is 1, so one deployment may write {most_events(polling(1))} events")
    seconds = int(fix.removeprefix("give ").removesuffix(" or more"))
    assert list(history_contradictions(polling(seconds))) == []
    assert most_events(polling(seconds - 1)) > ROOM
