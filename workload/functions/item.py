"""What an item is: the document that the table keeps and the search finds. Pure: an event in, an item out."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from functions.errors import BadItem

Item = dict[str, Any]

HALVES = re.compile("[\ud800-\udfff]")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")

MAX_BODY_BYTES = 100_000
"""Of a request. An item in DynamoDB has room for 400 KB (DynamoDB quotas), a message in SQS for 1 MiB (SQS quotas)."""
MAX_TEXT = 10_000
MAX_CUISINES = 20
MAX_POPULARITY = 2**31 - 1
"""The search's field is an ``int32`` (workload/search/places.json)."""


def _is_text(value: object) -> bool:
    # JSON can name half a character ("\ud800"), which nobody can write.
    return isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= MAX_TEXT and not HALVES.search(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_CUISINES and all(map(_is_text, value))


def _is_count(value: object) -> bool:
    # True and False are whole numbers for Python.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_POPULARITY


FIELDS: dict[str, tuple[bool, Callable[[object], bool], str]] = {
    "name": (True, _is_text, f"a text that is not empty, {MAX_TEXT} characters at most"),
    "kind": (True, _is_text, "a text that is not empty, such as restaurant"),
    "cuisine": (False, _are_texts, f"a list of texts, {MAX_CUISINES} at most"),
    "description": (False, _is_text, f"a text that is not empty, {MAX_TEXT} characters at most"),
    "popularity": (True, _is_count, "a whole number, 0 or more"),
}
"""Field to whether it must be there, what it must be, and that in words; they are those of search/places.json."""


def read_id(event: Mapping[str, Any]) -> str:
    """Return the id in the path of a request of the HTTP API (payload format 2.0).

    Raises
    ------
    BadItem
        It is none.
    """
    item_id = str((event.get("pathParameters") or {}).get("id", ""))
    if not ID.fullmatch(item_id):
        raise BadItem("the id is not 1 to 64 letters, digits and hyphens")
    return item_id


def read_item(event: Mapping[str, Any]) -> Item:
    """Return the item that a request carries, with the id of its path.

    Raises
    ------
    BadItem
        It is none; says everything that is wrong with it.
    """
    item_id = read_id(event)
    document = _document(event)
    if document.get("id", item_id) != item_id:
        raise BadItem("the id in the body is another one than that in the path")
    given = {name: value for name, value in document.items() if name != "id"}
    if problems := list(_problems(given)):
        raise BadItem("; ".join(problems))
    return {"id": item_id, **given}


def _document(event: Mapping[str, Any]) -> dict[str, Any]:
    body = event.get("body") or ""
    if len(body) > MAX_BODY_BYTES:
        raise BadItem(f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        # API Gateway encodes what does not call itself text or JSON.
        data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        document = json.loads(data)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise BadItem("the body is not JSON") from error
    if len(data) > MAX_BODY_BYTES:
        raise BadItem(f"the body is longer than {MAX_BODY_BYTES} bytes")
    if not isinstance(document, dict):
        raise BadItem("the body is not a JSON object")
    return document


def _problems(given: Mapping[str, object]) -> list[str]:
    problems = [f"{name} is missing" for name, (required, _, _) in FIELDS.items() if required and name not in given]
    # A name that somebody has made up goes back as it came, so not all of it.
    problems += [f"{name[:40]} is unknown: an item has {', '.join(FIELDS)}" for name in given if name not in FIELDS]
    problems += [
        f"{name} is not {what}"
        for name, (_, allows, what) in FIELDS.items()
        if name in given and not allows(given[name])
    ]
    return problems
