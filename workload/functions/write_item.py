"""The function ``write-item``: ``PUT /items/{id}`` behind an HTTP API, payload format 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions import dependencies
from functions.answers import answer
from functions.item import Item, read_item
from functions.table import Changes, Table


def handler(event: Mapping[str, Any], _: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return handle(event, dependencies.table(), dependencies.changes())


def handle(event: Mapping[str, Any], table: Table, changes: Changes) -> dict[str, Any]:
    """Do what ``handler`` does, with a table and a queue: 201 for a new item, 200 for a replaced one, or 400, 503.

    The table is written first. If the queue does not take the message then, the caller is told 503 and repeats the
    request, which writes the same item again and tells the search: nothing is found that is not there.
    """

    def write() -> tuple[int, Item]:
        item = read_item(event)
        is_new = table.put(item)
        changes.send(item)
        return (201 if is_new else 200), item

    return answer("write-item", write)
