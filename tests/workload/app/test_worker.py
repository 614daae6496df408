from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.aws import AwsFailed
from app.chains import CHAINS
from app.jobs import Job, JobsQueue, MalformedJob, Message
from app.logs import JsonFormatter
from app.metrics import NAMESPACE
from app.stop import Stop
from app.subgraphs import NoKey, SubgraphFailed, Subgraphs
from app.table import PoolsTable
from app.worker import Worker
from tests.workload.app.fakes import FakeSubgraphs, make_pool, make_reading


@pytest.fixture
def step(queue: JobsQueue, table: PoolsTable) -> Any:
    def run(subgraphs: Subgraphs, stop: Stop | None = None) -> None:
        Worker(queue, table, subgraphs, stop or Stop(), lambda: 1.5).step()

    return run


@pytest.fixture
def left(sqs: Any, queue_url: str) -> Any:
    """Return how many messages wait, and how many are with a worker."""

    def count() -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    return count


def test_a_job_fills_the_table_and_its_message_goes(step: Any, queue: JobsQueue, table: PoolsTable, left: Any) -> None:
    queue.send(Job(chain="fantom"))
    subgraphs = FakeSubgraphs(make_reading(make_pool(1), make_pool(2)))
    step(subgraphs)
    assert subgraphs.asked == [("fantom", 100)]
    assert table.pools(CHAINS["fantom"]) == make_reading(make_pool(1), make_pool(2))
    assert left() == (0, 0)


def test_doing_a_job_twice_is_harmless(step: Any, queue: JobsQueue, table: PoolsTable, left: Any) -> None:
    for _ in range(2):
        queue.send(Job(chain="fantom"))
        step(FakeSubgraphs(make_reading(make_pool(1))))
    assert table.pools(CHAINS["fantom"]) == make_reading(make_pool(1))
    assert left() == (0, 0)


def test_without_a_message_there_is_nothing_to_do(step: Any, left: Any) -> None:
    step(FakeSubgraphs(AssertionError()))
    assert left() == (0, 0)


MALFORMED = {
    "no JSON": ("refresh", "body: "),
    "no object": ("[]", "body: "),
    "another job": ('{"job": "delete-pools", "chain": "balancer"}', "job: "),
    "no chain": ('{"job": "refresh-pools"}', "chain: "),
    "an unknown chain": ('{"job": "refresh-pools", "chain": "bitcoin"}', "chain: .*must be one of balancer, fantom"),
    "an unknown field": ('{"job": "refresh-pools", "chain": "fantom", "first": 1}', "first: "),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_wrong_with_a_message_is_named(case: str) -> None:
    body, problem = MALFORMED[case]
    with pytest.raises(MalformedJob, match=f"^{problem}"):
        Message("id", "receipt", body).job()


def test_a_malformed_message_stays_for_the_dead_letter_queue(step: Any, sqs: Any, queue_url: str, left: Any) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="{}")
    step(FakeSubgraphs(AssertionError()))
    assert left() == (0, 1)


@pytest.mark.parametrize("error", [SubgraphFailed("down"), NoKey("none")])
def test_a_job_that_fails_stays_for_another_try(step: Any, queue: JobsQueue, left: Any, error: Exception) -> None:
    queue.send(Job(chain="balancer"))
    step(FakeSubgraphs(error))
    assert left() == (0, 1)


def test_pools_that_cannot_be_written_leave_the_message(step: Any, queue: JobsQueue, dynamodb: Any, left: Any) -> None:
    dynamodb.delete_table(TableName="pools")
    queue.send(Job(chain="balancer"))
    with pytest.raises(AwsFailed):
        step(FakeSubgraphs(make_reading(make_pool(1))))
    assert left() == (0, 1)


def test_a_message_that_comes_when_the_worker_is_to_end_is_given_back(step: Any, queue: JobsQueue, left: Any) -> None:
    queue.send(Job(chain="balancer"))
    stop = Stop()
    stop.set()
    step(FakeSubgraphs(AssertionError()), stop)
    assert left() == (1, 0)


def test_a_job_in_hand_is_finished_when_the_worker_is_to_end(
    step: Any, queue: JobsQueue, table: PoolsTable, left: Any
) -> None:
    stop = Stop()

    class StoppedMeanwhile(FakeSubgraphs):
        def pools(self, *question: Any) -> Any:
            stop.set()
            return super().pools(*question)

    queue.send(Job(chain="balancer"))
    step(StoppedMeanwhile(make_reading(make_pool(1))), stop)
    assert table.pools(CHAINS["balancer"])
    assert left() == (0, 0)


def test_a_job_is_written_as_the_contract_says(queue: JobsQueue) -> None:
    queue.send(Job(chain="balancer"))
    message = queue.receive()
    assert message
    assert json.loads(message.body) == {"job": "refresh-pools", "chain": "balancer"}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the worker logs, as it stands in CloudWatch Logs."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter("worker"))
    logger = logging.getLogger("app.worker")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.stream
    logger.setLevel(level)
    logger.removeHandler(handler)


def counted(lines: io.StringIO) -> list[int]:
    """What CloudWatch counts in these lines."""
    found = []
    for line in map(json.loads, lines.getvalue().splitlines()):
        (metric,) = line["_aws"]["CloudWatchMetrics"]
        assert (metric["Namespace"], metric["Dimensions"]) == (NAMESPACE, [["Queue"]])
        assert (line["_aws"]["Timestamp"], line["Queue"]) == (1500, "jobs")
        found += [line[each["Name"]] for each in metric["Metrics"]]
    return found


@pytest.mark.parametrize(
    ("subgraphs", "count"), [(FakeSubgraphs(make_reading()), 0), (FakeSubgraphs(SubgraphFailed("down")), 1)]
)
def test_each_try_is_counted_by_the_worker_itself(
    subgraphs: FakeSubgraphs, count: int, step: Any, queue: JobsQueue, lines: io.StringIO
) -> None:
    queue.send(Job(chain="fantom"))
    step(subgraphs)
    assert counted(lines) == [count]


def test_a_job_that_could_not_be_written_and_a_message_that_is_none_are_counted(
    step: Any, queue: JobsQueue, sqs: Any, queue_url: str, lines: io.StringIO
) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="{}")
    step(FakeSubgraphs(AssertionError()))
    queue.send(Job(chain="fantom"))
    with pytest.raises(AwsFailed):
        step(FakeSubgraphs(AwsFailed("throttled")))
    assert counted(lines) == [1, 1]
