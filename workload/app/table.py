"""The DynamoDB table of the pools. Its key is ``pk`` and ``sk``, both text; ``expiresAt`` is its time to live.

============== =============== =====================================================================
pk             sk              what
============== =============== =====================================================================
pools#<chain>  <pool id>       a pool, with ``block``, ``readAt`` and ``expiresAt``
chains         <chain>         title, network and number of a chain; the migrations write it
migrations     state           the version that the data have, and who is migrating
============== =============== =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from app.aws import aws_errors
from app.chains import Chain
from app.pools import Pool, Reading

Item = dict[str, Any]

KEEP_SECONDS = 3600
"""How long a pool counts that no refresh has brought again: twelve refreshes of five minutes."""

BATCH = 25
"""Items of one BatchWriteItem (API reference of DynamoDB)."""

BATCH_TRIES = 5


class BatchNotWritten(Exception):
    """DynamoDB left items of a batch unprocessed, again and again."""


class PoolsTable:
    """The table.

    Parameters
    ----------
    client
        boto3's for DynamoDB; threads may share it.
    name
        Of the table.
    clock
        Returns Unix seconds.
    """

    def __init__(self, client: Any, name: str, clock: Callable[[], float]) -> None:
        self._client, self._name, self._clock = client, name, clock

    def pools(self, chain: Chain) -> Reading | None:
        """Read the pools of a chain that have not expired; None when there are none."""
        now = self._clock()
        items = [item for item in self.query(f"pools#{chain.name}") if item.get("expiresAt", 0) > now]
        return _reading(items) if items else None

    def pool(self, chain: Chain, id: str) -> Reading | None:
        """Read one pool; None when it is not there or has expired."""
        with aws_errors():
            found = self._client.get_item(TableName=self._name, Key=_encode({"pk": f"pools#{chain.name}", "sk": id}))
        item = _decode(found.get("Item", {}))
        return _reading([item]) if item.get("expiresAt", 0) > self._clock() else None

    def write(self, chain: Chain, reading: Reading, *, pause: Callable[[float], object]) -> None:
        """Write the pools of a reading over what is there.

        Parameters
        ----------
        chain, reading
            A pool that the reading lacks stays until it expires.
        pause
            Waits so many seconds before unprocessed items are sent again.

        Raises
        ------
        BatchNotWritten
            DynamoDB did not take them all; some are written, and writing again is harmless.
        AwsFailed
            It took none.
        """
        items = iter(
            {
                "pk": f"pools#{chain.name}",
                "sk": pool.id,
                **pool.model_dump(by_alias=True),
                "block": reading.block,
                "readAt": reading.read_at,
                "expiresAt": reading.read_at + KEEP_SECONDS,
            }
            for pool in reading.pools
        )
        while batch := list(islice(items, BATCH)):
            requests = {self._name: [{"PutRequest": {"Item": _encode(item)}} for item in batch]}
            for attempt in range(BATCH_TRIES):
                if attempt:
                    pause(0.1 * 2**attempt)
                with aws_errors():
                    requests = self._client.batch_write_item(RequestItems=requests).get("UnprocessedItems", {})
                if not requests:
                    break
            else:
                raise BatchNotWritten(f"{chain.name}: DynamoDB left pools unprocessed {BATCH_TRIES} times")

    def chains(self) -> list[Item]:
        """Read what the table says of the chains."""
        return [{key: value for key, value in item.items() if key != "pk"} for item in self.query("chains")]

    def query(self, pk: str) -> Iterator[Item]:
        """Read all items of a partition, page by page."""
        request: Item = {
            "TableName": self._name,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": _encode({":pk": pk}),
        }
        while True:
            with aws_errors():
                page = self._client.query(**request)
            yield from map(_decode, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def get(self, pk: str, sk: str) -> Item:
        """Read one item as it is now; empty when it is not there."""
        with aws_errors():
            found = self._client.get_item(TableName=self._name, Key=_encode({"pk": pk, "sk": sk}), ConsistentRead=True)
        return _decode(found.get("Item", {}))

    def put(self, item: Item) -> None:
        """Write one item over what is there."""
        with aws_errors():
            self._client.put_item(TableName=self._name, Item=_encode(item))

    def update(self, key: tuple[str, str], update: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Change one item if the condition holds.

        Parameters
        ----------
        key
            ``pk`` and ``sk``.
        update, condition
            Expressions of DynamoDB; every ``#name`` in them is the attribute ``name``.
        values
            ``:name`` to value.

        Returns
        -------
        bool
            False when the condition does not hold.
        """
        words = f"{update} {condition}".replace("(", " ").replace(")", " ").replace(",", " ").split()
        request = {
            "TableName": self._name,
            "Key": _encode({"pk": key[0], "sk": key[1]}),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {word: word[1:] for word in words if word.startswith("#")},
            "ExpressionAttributeValues": _encode(values),
        }
        with aws_errors():
            try:
                self._client.update_item(**{key: value for key, value in request.items() if value})
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return False
                raise
        return True


def _reading(items: Sequence[Item]) -> Reading:
    """Put items together: as old as the oldest of them, the largest pool first."""
    blocks = [item["block"] for item in items if item.get("block") is not None]
    return Reading(
        block=min(blocks, default=None),
        read_at=min(item["readAt"] for item in items),
        pools=tuple(
            sorted((Pool.model_validate(item) for item in items), key=lambda pool: -Decimal(pool.total_liquidity))
        ),
    )


def _encode(item: Mapping[str, Any]) -> Item:
    encode = TypeSerializer().serialize
    return {key: encode(list(value) if isinstance(value, tuple) else value) for key, value in item.items()}


def _decode(item: Mapping[str, Any]) -> Item:
    decode = TypeDeserializer().deserialize
    found = {key: decode(value) for key, value in item.items()}
    return {key: int(value) if isinstance(value, Decimal) else value for key, value in found.items()}
