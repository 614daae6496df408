"""The generated clients, and an AWS with a table and a queue for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from app.subgraph.prepare import prepare

prepare()  # before any test module imports what it makes

from app.jobs import JobsQueue  # noqa: E402 (the same)
from app.table import PoolsTable  # noqa: E402
from tests.workload.app.fakes import REGION, Clock  # noqa: E402

TABLE = "pools"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    """Making a client takes longer than most tests; moto intercepts it whenever it was made."""
    return {
        service: boto3.client(service, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")
        for service in ("dynamodb", "sqs")
    }


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(aws: None, clients: dict[str, Any]) -> Any:
    clients["dynamodb"].create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return clients["dynamodb"]


@pytest.fixture
def table(dynamodb: Any, clock: Clock) -> PoolsTable:
    return PoolsTable(dynamodb, TABLE, clock)


@pytest.fixture
def sqs(aws: None, clients: dict[str, Any]) -> Any:
    return clients["sqs"]


@pytest.fixture
def queue_url(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "120"})["QueueUrl"])


@pytest.fixture
def queue(sqs: Any, queue_url: str) -> JobsQueue:
    return JobsQueue(sqs, queue_url, poll_seconds=0)
