"""The loop of the worker and of the scheduler: it outlives an outage, and ends when nothing gets better."""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.aws import AwsFailed
from app.health import Pulse
from app.stop import Stop
from app.table import BatchNotWritten

log = logging.getLogger("app.loop")

MAX_FAILURES = 5
"""Failed steps in a row until the process ends by itself. A release that may not read its queue is bad, and has to
look bad: waiting 2 + 4 + 8 + 16 s in between, it ends after half a minute, and ECS sees a task that does not last."""


class GaveUp(Exception):
    """Nothing has worked for a while; the message is the last error."""


def run_until_stopped(step: Callable[[], None], stop: Stop, pulse: Pulse) -> None:
    """Repeat a step until somebody wants us to stop.

    Parameters
    ----------
    step
        Waits by itself when there is nothing to do.
    stop
        Looked at after each step.
    pulse
        Beats before each step.

    Raises
    ------
    GaveUp
        AWS failed ``MAX_FAILURES`` times in a row.
    """
    failures = 0
    while not stop.is_set():
        pulse.beat()
        try:
            step()
        except (AwsFailed, BatchNotWritten) as error:
            failures += 1
            if failures == MAX_FAILURES:
                raise GaveUp(f"failed {failures} times in a row: {error}") from error
            log.warning("will try again: %s", error, extra={"failures": failures})
            stop.wait(2**failures)
        else:
            failures = 0
