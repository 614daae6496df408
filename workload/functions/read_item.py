"""The function ``read-item``: ``GET /items/{id}`` behind an HTTP API, payload format 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions import dependencies
from functions.answers import answer
from functions.item import read_id
from functions.table import Table


def handler(event: Mapping[str, Any], _: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return handle(event, dependencies.table())


def handle(event: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Do what ``handler`` does, with a table: 200 with the item, or 400, 404, 503."""
    return answer("read-item", lambda: (200, table.get(read_id(event))))
