"""How many events one execution may write: Step Functions ends one that comes to 25,000."""

from __future__ import annotations

import math
from collections.abc import Iterator

from config.schema import EnvironmentConfig
from lambdas.release.policies import HOLD_SECONDS

MAX_EVENTS = 25_000
"""Step Functions Developer Guide, "Service quotas": events in the history of one execution."""

EVENTS_FOR_RETRIES = 5_000
"""Left free for tries that are made again: failed, scheduled and started are three events, so 1,600 of them."""

EVENTS_OF_A_LOOK = 9
"""One turn of a loop: wait entered and exited; task entered, scheduled, started, succeeded and exited; choice the same
as wait. ``tests/simulator/environment/test_scale.py`` counts them in a real history."""

LEAST_HOLD_SECONDS = HOLD_SECONDS / 2
"""A step that looks again by itself stays at least so long: it goes before a pause that would end after its hold, and a
pause is as long as the look before it or as the interval (``lambdas/polling.py``)."""

EVENTS_OF_A_WAVE = 21
"""What a wave adds beside its looks: Deploy wave 5 and More waves? 2 forth, Roll back 5 and a look back."""

EVENTS_OF_THE_REST = 100
"""The states that are visited once, there and back: twelve functions, ten choices, start and end."""


def looks(settings: EnvironmentConfig) -> dict[str, int]:
    """Return how often each loop may turn, by the key that sets its interval.

    Examples
    --------
    A lock that is waited for 1800 s with a look every 15 s makes 120 looks, and the one that finds it free. A wave is
    looked at every second, by a function that comes back to the state machine after 15 to 30 s: 600 s are at most 41.
    """
    rollout, lock, migration = settings.rollout, settings.lock, settings.migration
    watched = waves(settings) * rollout.timeout_seconds + rollout.rollback_timeout_seconds
    # A task that dies in the bake has the rollout's timeout to come back.
    baked = rollout.bake_seconds + rollout.timeout_seconds
    return {
        "[lock] poll_seconds": _turns(lock.wait_timeout_seconds, lock.poll_seconds),
        "[migration] poll_seconds": _turns(migration.timeout_seconds, migration.poll_seconds),
        "[rollout] poll_seconds": _turns(watched, max(rollout.poll_seconds, LEAST_HOLD_SECONDS)),
        "[rollout] bake_poll_seconds": _turns(baked, rollout.bake_poll_seconds),
    }


def longest_execution_seconds(settings: EnvironmentConfig) -> int:
    """Return how long a deployment of one wave takes when every part of it uses up its time.

    Examples
    --------
    Lock 1800 + migration 900 + rollout 900 + bake 600 + rollback 900 = 5100, and the approval's time
    where one is required. Each further wave may take another rollout timeout.
    """
    approval = settings.approval.timeout_seconds if settings.approval.required else 0
    return (
        settings.lock.wait_timeout_seconds
        + approval
        + settings.migration.timeout_seconds
        + settings.rollout.timeout_seconds
        + settings.rollout.bake_seconds
        + settings.rollout.rollback_timeout_seconds
    )


def waves(settings: EnvironmentConfig) -> int:
    """Return how many waves may use up their time before the machine's own timeout ends the execution."""
    spare = settings.machine.timeout_seconds - longest_execution_seconds(settings)
    return 1 + max(0, spare // settings.rollout.timeout_seconds)


def most_events(settings: EnvironmentConfig) -> int:
    """Return how many events a deployment writes when every part of it uses up its time, without any retry."""
    turns = sum(looks(settings).values())
    return EVENTS_OF_A_LOOK * turns + EVENTS_OF_A_WAVE * waves(settings) + EVENTS_OF_THE_REST


def history_contradictions(settings: EnvironmentConfig) -> Iterator[tuple[str, str, str]]:
    """Yield (key, what is wrong, the fix) when a long deployment would end because its history is full."""
    room = MAX_EVENTS - EVENTS_FOR_RETRIES
    events = most_events(settings)
    if events <= room:
        return
    turns = looks(settings)
    key = max(turns, key=lambda name: turns[name])
    others = events - EVENTS_OF_A_LOOK * turns[key]
    interval = _interval(settings, key)
    factor = EVENTS_OF_A_LOOK * turns[key] / max(EVENTS_OF_A_LOOK, room - others)
    wrong = (
        f"is {interval}, so one deployment may write {events} events, and Step Functions ends it at {MAX_EVENTS} "
        f"({EVENTS_FOR_RETRIES} are kept for retries)"
    )
    yield key, wrong, f"give {math.ceil(interval * factor)} or more"


def _interval(settings: EnvironmentConfig, key: str) -> int:
    section, name = key.replace("[", "").split("] ")
    return int(getattr(getattr(settings, section), name))


def _turns(seconds: int, interval_seconds: float) -> int:
    return math.ceil(seconds / interval_seconds) + 1
