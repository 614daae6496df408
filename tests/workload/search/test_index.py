"""The function ``index`` against a real server: what is written, what is delivered again, and why."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from search import index, query
from search.collection import Collection
from search.errors import SearchUnavailable
from search.typesense import Typesense
from tests.workload.search.conftest import client
from tests.workload.search.server import free_port

LAKSA = {"id": "r-1", "name": "Laksa House", "kind": "restaurant", "cuisine": ["peranakan"], "popularity": 9}
ROTI = {"id": "d-2", "name": "Roti Canai", "kind": "dish", "popularity": 5}


def batch(*messages: Any) -> dict[str, Any]:
    """Return the event of a batch; a text is sent as it is, and message n was sent n ms after 1970."""
    return {
        "Records": [
            {
                "messageId": f"m-{number}",
                "body": message if isinstance(message, str) else json.dumps(message),
                "attributes": {"SentTimestamp": str(number)},
            }
            for number, message in enumerate(messages)
        ]
    }


def upsert(document: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"action": "upsert", "document": {**document, **changed}}


def failed(answer: dict[str, Any]) -> list[str]:
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def found(server: Typesense, collection: Collection, q: str) -> list[str]:
    event = {"queryStringParameters": {"q": q}}
    answer = query.handle(event, server, collection, lambda: 0.0)
    return [each["name"] for each in json.loads(answer["body"])["results"]]


def test_the_first_message_creates_the_collection_and_can_be_found(
    typesense: Typesense, collection: Collection
) -> None:
    assert failed(index.handle(batch(upsert(LAKSA), upsert(ROTI)), typesense, collection)) == []
    assert found(typesense, collection, "laksa") == ["Laksa House"]
    schema = typesense.collection(collection.name)
    assert {each["name"]: each["type"] for each in schema["fields"]} == {
        each["name"]: each["type"] for each in collection.schema["fields"]
    }


def test_a_document_is_replaced_and_deleted(typesense: Typesense, collection: Collection) -> None:
    index.handle(batch(upsert(LAKSA)), typesense, collection)
    index.handle(batch(upsert(LAKSA, name="Katong Laksa")), typesense, collection)
    assert found(typesense, collection, "laksa") == ["Katong Laksa"]
    gone = {"action": "delete", "id": "r-1"}
    assert failed(index.handle(batch(gone), typesense, collection)) == []
    assert found(typesense, collection, "laksa") == []
    assert failed(index.handle(batch(gone), typesense, collection)) == []


def test_an_id_may_hold_what_a_url_may_not(typesense: Typesense, collection: Collection) -> None:
    index.handle(batch(upsert(LAKSA, id="a/b ?c")), typesense, collection)
    index.handle(batch({"action": "delete", "id": "a/b ?c"}), typesense, collection)
    assert found(typesense, collection, "laksa") == []


def test_a_document_that_the_server_refuses_is_delivered_again_alone(
    typesense: Typesense, collection: Collection
) -> None:
    nameless = {key: value for key, value in ROTI.items() if key != "name"}
    answer = index.handle(batch(upsert(LAKSA), upsert(nameless), upsert(ROTI, id="d-3")), typesense, collection)
    assert failed(answer) == ["m-1"]
    assert sorted(found(typesense, collection, "*")) == ["Laksa House", "Roti Canai"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("{", "not JSON"),
        ('"text"', '"action"'),
        ({"action": "update", "document": LAKSA}, '"action"'),
        ({"action": "upsert"}, '"document"'),
        ({"action": "upsert", "id": "r-1", "document": {}}, '"id"'),
        ({"action": "upsert", "document": {"id": 7}}, '"id"'),
        ({"action": "delete", "id": ""}, '"id"'),
        (r'{"action": "delete", "id": "\ud800"}', "surrogates"),
        ("[" * 100_000, "recursion"),
    ],
    ids=range(9),
)
def test_what_is_no_message_is_named_and_the_others_are_written(
    message: Any, reason: str, typesense: Typesense, collection: Collection, capture: list[dict[str, Any]]
) -> None:
    assert failed(index.handle(batch(message, upsert(LAKSA)), typesense, collection)) == ["m-0"]
    assert found(typesense, collection, "laksa") == ["Laksa House"]
    (line,) = [each for each in capture if each["event"] == "not-indexed"]
    assert line["messageId"] == "m-0"
    assert line["reason"].startswith("BadMessage: ")
    assert reason in line["reason"]


def test_of_several_changes_of_a_document_the_newest_is_written(typesense: Typesense, collection: Collection) -> None:
    event = batch({"action": "delete", "id": "r-1"}, upsert(LAKSA, name="Old Laksa"), upsert(LAKSA))
    event["Records"].reverse()  # a standard queue keeps no order
    assert failed(index.handle(event, typesense, collection)) == []
    assert found(typesense, collection, "laksa") == ["Laksa House"]


def test_a_new_schema_is_filled_beside_the_old_one_and_then_published(
    typesense: Typesense, collection: Collection
) -> None:
    index.handle(batch(upsert(LAKSA)), typesense, collection)
    newer = dataclasses.replace(collection, schema={**collection.schema, "name": f"{collection.name}-newer"})
    index.handle(batch(upsert(LAKSA, name="New Laksa")), typesense, newer)
    assert found(typesense, newer, "laksa") == ["Laksa House"]
    assert index.handle({"action": "publish"}, typesense, newer) == {"published": newer.name}
    assert found(typesense, newer, "laksa") == ["New Laksa"]


def test_a_server_that_is_away_fails_the_whole_batch(collection: Collection) -> None:
    nobody = client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SearchUnavailable, match="Connection refused"):
        index.handle(batch(upsert(LAKSA)), nobody, collection)


def test_two_first_messages_at_once_do_no_harm(typesense: Typesense, collection: Collection) -> None:
    typesense.create_collection(collection.schema)
    typesense.create_collection(collection.schema)
    assert typesense.collection(collection.name)["num_documents"] == 0
