"""The two handlers as Lambda calls them, against a table and a queue of the emulated AWS."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from moto import mock_aws

from functions import dependencies, read_item, write_item
from functions.table import Changes, Table
from search.index import _read
from tests.workload.functions.test_item import LAKSA, put

TABLE = "v3-backend-dev-data"


@pytest.fixture
def queue_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The table, and the queue whose address is returned, as the functions' environment names them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    dependencies.table.cache_clear()
    dependencies.changes.cache_clear()
    with mock_aws():
        keys = ("pk", "HASH"), ("sk", "RANGE")
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )
        url = str(boto3.client("sqs").create_queue(QueueName="v3-backend-dev-search")["QueueUrl"])
        monkeypatch.setenv("TABLE_NAME", TABLE)
        monkeypatch.setenv("SEARCH_QUEUE_URL", url)
        yield url
    dependencies.table.cache_clear()
    dependencies.changes.cache_clear()


def get(item_id: str) -> dict[str, Any]:
    return {"version": "2.0", "pathParameters": {"id": item_id}}


def sent(queue_url: str) -> list[dict[str, Any]]:
    answer = boto3.client("sqs").receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"]
    )
    return list(answer.get("Messages", []))


def test_what_is_written_can_be_read_and_is_on_its_way_to_the_search(queue_url: str) -> None:
    item = {"id": "r-7", **LAKSA}
    written = write_item.handler(put(LAKSA), None)
    assert (written["statusCode"], json.loads(written["body"])) == (201, item)
    found = read_item.handler(get("r-7"), None)
    assert (found["statusCode"], json.loads(found["body"])) == (200, item)
    assert found["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    (message,) = sent(queue_url)
    record = {"messageId": "m", "body": message["Body"], "attributes": message["Attributes"]}
    assert _read(record).document == item, "the search reads the message"


def test_a_second_write_replaces_the_whole_item(queue_url: str) -> None:
    write_item.handler(put(LAKSA), None)
    other = {"name": "Laksa Haus", "kind": "restaurant", "popularity": 0}
    assert write_item.handler(put(other), None)["statusCode"] == 200
    assert json.loads(read_item.handler(get("r-7"), None)["body"]) == {"id": "r-7", **other}


def test_an_item_that_is_not_there_is_404(queue_url: str) -> None:
    answer = read_item.handler(get("r-8"), None)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"]) == {"error": "NoSuchItem", "message": "there is no item r-8"}


def test_what_is_no_item_is_400_and_nothing_is_written(queue_url: str) -> None:
    assert write_item.handler(put({}), None)["statusCode"] == 400
    assert read_item.handler(get("r-7"), None)["statusCode"] == 404
    assert not sent(queue_url)


def test_without_a_search_items_are_written_all_the_same(queue_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEARCH_QUEUE_URL")
    assert write_item.handler(put(LAKSA), None)["statusCode"] == 201
    assert not sent(queue_url)


class Failing:
    """A client of boto3 that fails in whatever it is asked for."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, _: str) -> Any:
        def call(**_: object) -> None:
            raise self._error

        return call


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "…"}}, "Call")


@pytest.mark.parametrize(
    "error",
    [
        refusal("ThrottlingException"),
        refusal("AWS.SimpleQueueService.RequestThrottled"),
        EndpointConnectionError(endpoint_url="https://example.com"),
        ReadTimeoutError(endpoint_url="https://example.com"),
    ],
)
def test_trouble_that_passes_is_503_with_a_time_to_wait(error: Exception) -> None:
    for answer in (
        read_item.handle(get("r-7"), Table(Failing(error), TABLE)),
        write_item.handle(put(LAKSA), Table(Failing(error), TABLE), Changes(Failing(error), "")),
    ):
        assert answer["statusCode"] == 503
        assert answer["headers"]["Retry-After"] == "2"
        assert json.loads(answer["body"])["error"] == "Busy"
        assert "example.com" not in answer["body"]


def test_a_write_whose_message_was_not_taken_is_repeated_and_then_told(queue_url: str) -> None:
    table = Table(boto3.client("dynamodb"), TABLE)
    lost = Changes(Failing(refusal("RequestThrottled")), queue_url)
    assert write_item.handle(put(LAKSA), table, lost)["statusCode"] == 503
    assert write_item.handler(put(LAKSA), None)["statusCode"] == 200
    assert len(sent(queue_url)) == 1


def test_what_is_ours_to_mend_is_raised() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        read_item.handle(get("r-7"), Table(Failing(refusal("AccessDeniedException")), TABLE))


def test_a_line_of_the_log_has_the_status_and_nothing_of_the_item(queue_url: str) -> None:
    records: list[logging.LogRecord] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler, logger = Lines(), logging.getLogger("functions")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        write_item.handler(put(LAKSA), None)
        read_item.handler(get("none"), None)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert [(each.getMessage(), each.__dict__["status"]) for each in records] == [
        ("write-item", 201),
        ("read-item", 404),
    ]
    assert "Laksa" not in str([each.__dict__ for each in records])
