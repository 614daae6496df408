"""What is an item, and what a caller is told about what is none."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from functions.errors import BadItem
from functions.item import FIELDS, MAX_BODY_BYTES, read_id, read_item

LAKSA = {"name": "Laksa House", "kind": "restaurant", "cuisine": ["Peranakan"], "popularity": 9}


def put(body: object, item_id: str = "r-7") -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"version": "2.0", "pathParameters": {"id": item_id}, "body": text}


def test_an_item_is_its_body_with_the_id_of_the_path() -> None:
    assert read_item(put(LAKSA)) == {"id": "r-7", **LAKSA}
    assert read_item(put({"id": "r-7", **LAKSA})) == {"id": "r-7", **LAKSA}


def test_a_body_that_api_gateway_has_encoded_is_read() -> None:
    event = put(base64.b64encode(json.dumps(LAKSA).encode()).decode())
    assert read_item({**event, "isBase64Encoded": True})["name"] == "Laksa House"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the body is not JSON"),
        ("{", "the body is not JSON"),
        ("[" * 50_000, "the body is not JSON"),
        ("[]", "the body is not a JSON object"),
        ({"id": "r-8", **LAKSA}, "the id in the body is another one"),
        ({}, "name is missing; kind is missing; popularity is missing"),
        ({**LAKSA, "name": "  "}, "name is not a text that is not empty"),
        ({**LAKSA, "name": "half of a character: \ud83c"}, "name is not a text"),
        ({**LAKSA, "name": None}, "name is not a text that is not empty"),
        ({**LAKSA, "cuisine": "Peranakan"}, "cuisine is not a list of texts"),
        ({**LAKSA, "cuisine": [1]}, "cuisine is not a list of texts"),
        ({**LAKSA, "popularity": -1}, "popularity is not a whole number"),
        ({**LAKSA, "popularity": True}, "popularity is not a whole number"),
        ({**LAKSA, "popularity": 1.5}, "popularity is not a whole number"),
        ({**LAKSA, "popularity": 2**31}, "popularity is not a whole number"),
        ({**LAKSA, "pk": "place#r-8"}, "pk is unknown"),
        (json.dumps({**LAKSA, "description": "ü" * MAX_BODY_BYTES}, ensure_ascii=False), "the body is longer than"),
        (json.dumps({**LAKSA, "kind": "ü" * (MAX_BODY_BYTES // 2)}, ensure_ascii=False), "the body is longer than"),
    ],
)
def test_what_is_wrong_is_said(body: object, message: str) -> None:
    with pytest.raises(BadItem, match=message):
        read_item(put(body))


def test_a_body_that_is_not_base64_is_refused() -> None:
    with pytest.raises(BadItem, match="not JSON"):
        read_item({**put("no base64!"), "isBase64Encoded": True})


@pytest.mark.parametrize("item_id", ["", "-a", "a/b", "a" * 65, "place#1", "ä", "a\n"])
def test_an_id_that_is_none_is_refused(item_id: str) -> None:
    with pytest.raises(BadItem, match="the id is not"):
        read_id(put(LAKSA, item_id))


def test_without_path_parameters_there_is_no_id() -> None:
    with pytest.raises(BadItem, match="the id is not"):
        read_id({"version": "2.0"})


def test_the_fields_are_those_that_the_search_knows() -> None:
    schema = json.loads(
        (Path(__file__).parents[3] / "workload" / "search" / "places.json").read_text(encoding="utf-8")
    )["schema"]
    wanted = {each["name"]: not each.get("optional", False) for each in schema["fields"]}
    assert {name: required for name, (required, _, _) in FIELDS.items()} == wanted
