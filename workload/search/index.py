"""The function ``index``: takes what is to be found from a queue and writes it to the search server.

A message is JSON: ``{"action": "upsert", "document": {"id": "r-7", "name": "…", …}}`` with the whole document, or
``{"action": "delete", "id": "r-7"}``. Called by hand with ``{"action": "publish"}`` it moves the alias (README.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from search.collection import Collection
from search.dependencies import connect, log
from search.errors import BadMessage, SearchError, SearchUnavailable
from search.typesense import Typesense

TIMEOUT_SECONDS = 10.0
"""Of one request. The function itself has 60 s for a batch; what is not written by then is delivered again."""


@dataclass(frozen=True)
class Change:
    """One message.

    Attributes
    ----------
    message_id
        By which SQS delivers it again.
    sent
        When it was sent, in milliseconds since 1970.
    document_id
        What it is about.
    document
        The whole document; None to delete it.
    """

    message_id: str
    sent: int
    document_id: str
    document: Mapping[str, Any] | None


def handler(event: Mapping[str, Any], _: object) -> dict[str, Any]:
    """Write a batch of SQS messages; answers with those that are to be delivered again.

    Raises
    ------
    SearchError
        The server cannot be reached at all, so the whole batch is delivered again.
    """
    return handle(event, _server(), Collection.read())


@cache
def _server() -> Typesense:
    return connect(timeout_seconds=TIMEOUT_SECONDS)


def handle(event: Mapping[str, Any], server: Typesense, collection: Collection) -> dict[str, Any]:
    """Do what ``handler`` does, with a server and a collection.

    Parameters
    ----------
    event
        As Lambda gets it from SQS, or ``{"action": "publish"}``.
    server, collection
        Where to write.

    Returns
    -------
    dict
        ``batchItemFailures`` (Lambda Developer Guide, "Implementing partial batch responses").
    """
    if event.get("action") == "publish":
        collection.publish(server)
        log("published", collection=collection.name)
        return {"published": collection.name}
    changes: list[Change] = []
    failed: dict[str, str] = {}
    for record in event["Records"]:
        try:
            changes.append(_read(record))
        except BadMessage as error:
            failed[record["messageId"]] = f"BadMessage: {error}"
    if changes:
        collection.ensure(server)
        failed |= _write(_newest(changes), server, collection.name)
    for message_id, reason in failed.items():
        log("not-indexed", messageId=message_id, reason=reason)
    log("indexed", messages=len(event["Records"]), failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _read(record: Mapping[str, Any]) -> Change:
    """Read one SQS record."""
    try:
        message = json.loads(record["body"])
        # Half a surrogate pair is JSON and cannot be sent on.
        json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"the body is not JSON: {error}") from error
    action = message.get("action") if isinstance(message, dict) else None
    if action not in {"upsert", "delete"}:
        raise BadMessage('it needs "action": "upsert" or "delete"')
    document = message.get("document") if action == "upsert" else None
    if action == "upsert" and not isinstance(document, dict):
        raise BadMessage('it needs "document", an object')
    document_id = (message if document is None else document).get("id")
    if not isinstance(document_id, str) or not document_id:
        raise BadMessage('it needs "id", a text that is not empty')
    return Change(record["messageId"], int(record["attributes"]["SentTimestamp"]), document_id, document)


def _newest(changes: Iterable[Change]) -> list[Change]:
    """Keep the newest change of each document: a standard queue keeps no order, and the others are out of date."""
    newest = {change.document_id: change for change in sorted(changes, key=lambda change: change.sent)}
    return list(newest.values())


def _write(changes: list[Change], server: Typesense, collection: str) -> dict[str, str]:
    """Write changes; returns what failed: message id to reason.

    A server that does not answer fails the whole batch: there is no use in asking it for each document.
    """
    failed: dict[str, str] = {}
    upserts = [(change, change.document) for change in changes if change.document is not None]
    if upserts:
        answers = server.upsert(collection, [document for _, document in upserts])
        for (change, _), reason in zip(upserts, answers, strict=True):
            if reason:
                failed[change.message_id] = f"RequestRefused: {reason}"
    for change in changes:
        if change.document is None:
            try:
                server.delete(collection, change.document_id)
            except SearchUnavailable:
                raise
            except SearchError as error:
                failed[change.message_id] = f"{type(error).__name__}: {error}"
    return failed
