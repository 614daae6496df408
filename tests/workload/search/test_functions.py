"""The two handlers as Lambda calls them: the server from the environment, the key from Secrets Manager."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from search import index, query
from tests.workload.search.server import KEY, Server
from tests.workload.search.test_index import LAKSA, batch, upsert


@pytest.fixture
def environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    index._server.cache_clear()
    query._server.cache_clear()
    with mock_aws():
        secret = boto3.client("secretsmanager").create_secret(Name="v3-backend/dev/search", SecretString=KEY)
        monkeypatch.setenv("SEARCH_KEY_ARN", secret["ARN"])
        monkeypatch.setenv("SEARCH_URL", server.url)
        yield
    index._server.cache_clear()
    query._server.cache_clear()


def test_what_one_function_writes_the_other_one_finds(environment: None) -> None:
    assert index.handler(batch(upsert(LAKSA)), None) == {"batchItemFailures": []}
    event = {"version": "2.0", "rawPath": "/search", "queryStringParameters": {"q": "laksa", "page": "1"}}
    answer = query.handler(event, None)
    assert answer["statusCode"] == 200
    assert [each["name"] for each in json.loads(answer["body"])["results"]] == ["Laksa House"]


def test_the_key_is_in_no_line_of_the_log(environment: None) -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Lines(level=logging.DEBUG), logging.getLogger("search")
    root.addHandler(handler)
    try:
        index.handler(batch(upsert(LAKSA), "no message"), None)
        query.handler({"queryStringParameters": {"q": "laksa"}}, None)
    finally:
        root.removeHandler(handler)
    assert len(lines) == 3
    assert not [line for line in lines if KEY in line]
