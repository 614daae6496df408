"""The role ``scheduler``: puts a job per chain into the queue, again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from app.aws import client_of
from app.chains import CHAINS
from app.health import Pulse
from app.jobs import Job, JobsQueue
from app.loop import run_until_stopped
from app.settings import Settings
from app.stop import Stop

log = logging.getLogger("app.scheduler")

BEAT_SECONDS = 10


class Scheduler:
    """Sends the jobs when they are due, for the first time at once.

    It remembers nothing: a new scheduler sends at its start, and two of them send twice, which costs a refresh too
    many and harms nothing.

    Parameters
    ----------
    queue
        Where the jobs go to.
    interval_seconds
        From one sending to the next; a sending that came late does not move those after it.
    clock
        Returns seconds.
    stop
        Set when the scheduler is to end.
    """

    def __init__(self, queue: JobsQueue, interval_seconds: float, clock: Callable[[], float], stop: Stop) -> None:
        self._queue, self._interval, self._clock, self._stop = queue, interval_seconds, clock, stop
        self._due_at = clock()

    def step(self) -> None:
        """Send what is due, or wait for it for a while.

        Worked example: sent at 0 with an interval of 300, busy until 640: 600 was missed and is sent at once, and
        then it is 900's turn.

        Raises
        ------
        AwsFailed
            Not all jobs were sent; the next step sends all of them.
        """
        now = self._clock()
        if now < self._due_at:
            self._stop.wait(min(self._due_at - now, BEAT_SECONDS))
            return
        for name in CHAINS:
            self._queue.send(Job(chain=name))
        self._due_at += self._interval * (1 + (now - self._due_at) // self._interval)
        log.info("sent %s jobs", len(CHAINS))


def run(settings: Settings) -> int:
    """Send jobs until SIGTERM; return the exit code."""
    stop = Stop()
    stop.on_signals()
    queue = JobsQueue(client_of("sqs", settings.region), settings.jobs_queue_url, settings.poll_seconds)
    scheduler = Scheduler(queue, settings.refresh_interval_seconds, time.monotonic, stop)
    log.info("sending jobs every %s s", settings.refresh_interval_seconds, extra={"gitSha": settings.git_sha})
    run_until_stopped(scheduler.step, stop, Pulse(settings.health_file, "scheduler"))
    log.info("stopped")
    return 0
