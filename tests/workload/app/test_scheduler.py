from __future__ import annotations

from typing import Any

import pytest

from app.aws import AwsFailed
from app.jobs import Job, JobsQueue
from app.scheduler import BEAT_SECONDS, Scheduler
from tests.workload.app.fakes import Clock, FakeStop


def taken(queue: JobsQueue) -> list[Job]:
    found = []
    while message := queue.receive():
        queue.delete(message)
        found.append(message.job())
    return sorted(found, key=lambda job: job.chain)


JOBS = [Job(chain="balancer"), Job(chain="fantom")]


def test_a_job_for_each_chain_is_sent_at_once_and_then_at_each_interval(queue: JobsQueue, clock: Clock) -> None:
    scheduler = Scheduler(queue, 300, clock, FakeStop())
    scheduler.step()
    assert taken(queue) == JOBS
    clock.now += 299
    scheduler.step()
    assert taken(queue) == []
    clock.now += 1
    scheduler.step()
    assert taken(queue) == JOBS


def test_it_waits_no_longer_than_a_beat(queue: JobsQueue, clock: Clock) -> None:
    stop = FakeStop()
    scheduler = Scheduler(queue, 300, clock, stop)
    scheduler.step()
    scheduler.step()
    clock.now += 297
    scheduler.step()
    assert stop.waits == [BEAT_SECONDS, 3]


@pytest.mark.parametrize(("busy_until", "next_in"), [(310, 290), (599, 1), (600, 300), (640, 260)])
def test_a_late_sending_does_not_move_those_after_it(
    queue: JobsQueue, clock: Clock, busy_until: int, next_in: int
) -> None:
    scheduler = Scheduler(queue, 300, clock, FakeStop())
    scheduler.step()
    assert taken(queue) == JOBS
    clock.now += busy_until
    scheduler.step()
    assert taken(queue) == JOBS
    clock.now += next_in - 1
    scheduler.step()
    assert taken(queue) == []
    clock.now += 1
    scheduler.step()
    assert taken(queue) == JOBS


def test_jobs_that_could_not_be_sent_are_sent_again(queue: JobsQueue, sqs: Any, queue_url: str, clock: Clock) -> None:
    scheduler = Scheduler(queue, 300, clock, FakeStop())
    sqs.delete_queue(QueueUrl=queue_url)
    with pytest.raises(AwsFailed):
        scheduler.step()
    sqs.create_queue(QueueName="jobs")
    scheduler.step()
    assert taken(queue) == JOBS
