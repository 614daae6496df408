"""The application's table and the search's queue: items in, items out, botocore's errors by our own names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from functions.errors import Busy, NoSuchItem
from functions.item import Item

KIND = "place"
"""Items of several kinds stand in the table beside each other; ours have ``pk`` ``place#<id>`` and ``sk`` ``place``."""

BUSY = {
    "InternalServerError",
    "InternalError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    "ThrottlingException",
}
"""DynamoDB Developer Guide, "Error handling"; Amazon SQS API Reference, "Common errors"."""


class Table:
    """Items in DynamoDB.

    Parameters
    ----------
    client
        Of boto3, for DynamoDB.
    name
        The table's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def get(self, item_id: str) -> Item:
        """Return an item as it is now: whoever has just written it reads what was written.

        Raises
        ------
        NoSuchItem, Busy
        """
        with _named_errors():
            answer = self._client.get_item(TableName=self._name, Key=_key(item_id), ConsistentRead=True)
        if "Item" not in answer:
            raise NoSuchItem(f"there is no item {item_id}")
        read = TypeDeserializer()
        found = {name: _plain(read.deserialize(value)) for name, value in answer["Item"].items()}
        return {name: value for name, value in found.items() if name not in ("pk", "sk")}

    def put(self, item: Item) -> bool:
        """Write a whole item; True when there was none of its id before.

        Raises
        ------
        Busy
        """
        write = TypeSerializer()
        attributes = {name: write.serialize(value) for name, value in item.items()}
        with _named_errors():
            answer = self._client.put_item(
                TableName=self._name, Item={**_key(item["id"]), **attributes}, ReturnValues="ALL_OLD"
            )
        return "Attributes" not in answer


class Changes:
    """What is to be found, on its way to the search.

    Parameters
    ----------
    client
        Of boto3, for SQS.
    queue_url
        Empty where there is no search: then nobody is told.
    """

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client, self._queue_url = client, queue_url

    def send(self, item: Item) -> None:
        """Say that an item is now like this (workload/search/README.md, "Writing").

        Raises
        ------
        Busy
        """
        if not self._queue_url:
            return
        message = json.dumps({"action": "upsert", "document": item}, ensure_ascii=False)
        with _named_errors():
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=message)


def _key(item_id: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"{KIND}#{item_id}"}, "sk": {"S": KIND}}


def _plain(value: Any) -> Any:
    """Return what JSON can write: DynamoDB's numbers are decimals, and ours are whole."""
    return int(value) if isinstance(value, Decimal) else value


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code.rpartition(".")[2] in BUSY:
            raise Busy(f"not now: {code}") from error
        raise
    except (NoConnection, HTTPClientError) as error:
        raise Busy(f"no answer: {type(error).__name__}") from error
