"""The role ``worker``: does the jobs of the queue, one at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from app.aws import AwsFailed, client_of
from app.chains import CHAINS
from app.health import Pulse
from app.jobs import Job, JobsQueue, MalformedJob
from app.loop import run_until_stopped
from app.metrics import failed_jobs
from app.reading import MAX_POOLS
from app.settings import Settings
from app.stop import Stop
from app.subgraphs import GatewaySubgraphs, SubgraphError, Subgraphs
from app.table import BatchNotWritten, PoolsTable

log = logging.getLogger("app.worker")


class Worker:
    """Takes a message, does its job, deletes it.

    Parameters
    ----------
    queue, table, subgraphs
        Where jobs come from, where pools go to and where they come from.
    stop
        Set when the worker is to end.
    clock
        Returns unix seconds.
    """

    def __init__(
        self, queue: JobsQueue, table: PoolsTable, subgraphs: Subgraphs, stop: Stop, clock: Callable[[], float]
    ) -> None:
        self._queue, self._table, self._subgraphs, self._stop = queue, table, subgraphs, stop
        self._clock = clock

    def step(self) -> None:
        """Do one job, if there is one.

        A message is deleted after its job has succeeded. One that is malformed, or whose job has failed, becomes
        visible again by itself and reaches the dead-letter queue after the queue's ``maxReceiveCount``. A job that is
        begun is finished even when the worker is to end; one that has only been received is given back. Each try that
        fails is counted here: SQS says nothing of its queues for a quarter of an hour after they were idle for long.

        Raises
        ------
        AwsFailed, BatchNotWritten
            The job was not done.
        """
        message = self._queue.receive()
        if message is None:
            return
        more = {"messageId": message.id}
        if self._stop.is_set():
            self._queue.give_back(message)
            log.info("gave a job back, because this worker ends", extra=more)
            return
        try:
            job = message.job()
            count = self._do(job)
        except MalformedJob as error:
            self._failed("left for the dead-letter queue, because it is no job", error, more)
        except SubgraphError as error:
            self._failed("left for another try", error, more)
        except (AwsFailed, BatchNotWritten) as error:
            self._failed("left for another try", error, more)
            raise
        else:
            self._queue.delete(message)
            done = failed_jobs(0, self._queue.name, self._clock())
            log.info("refreshed %s pools of %s", count, job.chain, extra={**more, **done})

    def _failed(self, what: str, error: Exception, more: Mapping[str, object]) -> None:
        counted = failed_jobs(1, self._queue.name, self._clock())
        log.error("%s: %s", what, error, extra={**more, **counted})

    def _do(self, job: Job) -> int:
        chain = CHAINS[job.chain]
        reading = self._subgraphs.pools(chain, MAX_POOLS)
        self._table.write(chain, reading, pause=time.sleep)
        return len(reading.pools)


def run(settings: Settings) -> int:
    """Work until SIGTERM; return the exit code."""
    stop = Stop()
    stop.on_signals()
    queue = JobsQueue(
        client_of("sqs", settings.region, read_seconds=settings.poll_seconds + 5),
        settings.jobs_queue_url,
        settings.poll_seconds,
    )
    table = PoolsTable(client_of("dynamodb", settings.region), settings.pools_table, time.time)
    worker = Worker(queue, table, GatewaySubgraphs(settings, time.time), stop, time.time)
    log.info("waiting for jobs", extra={"gitSha": settings.git_sha})
    run_until_stopped(worker.step, stop, Pulse(settings.health_file, "worker"))
    log.info("stopped")
    return 0
