"""A step that waits for ECS looks again and again within one invocation, before it goes back to the state machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lambdas.dependencies import Clock

T = TypeVar("T")


def poll_until(
    look: Callable[[], T], is_over: Callable[[T], bool], *, every_seconds: float, hold_seconds: float, clock: Clock
) -> T:
    """Look until something is to be done, or until so much time has passed; returns what the last look saw.

    A look that takes long is followed by a pause as long as itself. It takes long where the gateway waits because ECS
    throttles: then for half of the time nothing is asked. Worked example: 100 environments that roll out at once share
    20 DescribeServices a second, so each is looked at every five seconds instead of every second, and learns so much
    later what ECS did; nothing fails of it. What the gateway gives up on, before its function ends, the state machine
    tries again, later and later (``_retry_transient`` in ``statemachine/definition.py``).

    Parameters
    ----------
    look
        Looks once. Its errors pass through: the state machine tries the step again, later and later.
    is_over
        Whether what it saw decides.
    every_seconds
        The pause between two looks.
    hold_seconds
        No pause begins that would end later than this, so the last look has the rest of the function's time.
    """
    until = clock.now() + hold_seconds
    while True:
        began = clock.now()
        seen = look()
        ended = clock.now()
        pause = max(every_seconds, ended - began)
        if is_over(seen) or ended + pause > until:
            return seen
        clock.sleep(pause)
