"""Between frozen dataclasses and the JSON of the execution's state.

Field names are ``snake_case`` in Python and ``camelCase`` in JSON. Mapping keys are data and stay as
they are. Kept small on purpose: a validation library would double the cold start of every step.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

CLOSING = {"{": "}", "[": "]"}
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?P<end>"?)|[{}\[\],]', re.DOTALL)
"""A text of JSON, perhaps without its end, or a mark between values."""


def encode(value: Any) -> Any:
    """Turn a dataclass, and all that it holds, into plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {_camel(field.name): encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value


def decode(kind: type[T], data: Any) -> T:
    """Build ``kind`` from what ``encode`` made of it; unknown keys are left out, missing ones take the default.

    Raises
    ------
    TypeError
        A field without a default is missing, is of another kind, or has a value that its enum does not know;
        the message names it.
    """
    decoded: T = _decode(kind, data, kind.__name__)
    return decoded


def read_object(text: str | None) -> dict[str, Any]:
    """Read a JSON object, also one that was cut off: Step Functions keeps 32,768 characters of a Cause.

    Returns
    -------
    dict
        What stands before the cut; a text in which it was cut ends there. Empty for what is no object.

    Examples
    --------
    ``{"outcome": "RolledBack", "message": "api: exi`` is ``{"outcome": "RolledBack", "message": "api: exi"}``, and
    ``{"outcome": "RolledBack", "step": "Check rollout", "expl`` has outcome and step.
    """
    for candidate in (text or "", *_completions(text or "")):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else {}
    return {}


def _completions(text: str) -> Iterator[str]:
    """Yield what a text that was cut off may have been, the fullest first: each ends in JSON's own closing marks."""
    if not text.startswith("{"):
        return
    opened: list[str] = []
    in_text = False
    whole, depth = 0, 0  # Every member that ends before is whole, and so many brackets are open there.
    for token in TOKEN.finditer(text):
        mark = token[0][0]
        in_text = mark == '"' and not token["end"]
        if mark in CLOSING:
            opened.append(CLOSING[mark])
        elif mark in "}]" and (opened.pop() != mark or not opened):
            return  # It was not cut off: it is no JSON.
        if mark != '"':
            whole, depth = token.start() if mark == "," else token.end(), len(opened)
    closing = "".join(reversed(opened))
    if in_text:
        # The cut may be within an escape: a backslash, "u" and up to three digits.
        yield from (f'{text[: len(text) - gone]}"{closing}' for gone in range(6))
    elif not text[-1].isdigit():
        # A number may have had more digits.
        yield text + closing
    yield text[:whole] + "".join(reversed(opened[:depth]))


def _decode(kind: Any, data: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        return _decode(next(arg for arg in get_args(kind) if arg is not type(None)), data, place)
    if origin is tuple:
        _require(data, list | tuple, place)
        return tuple(_decode(get_args(kind)[0], item, f"{place}[{index}]") for index, item in enumerate(data))
    if origin is not None and issubclass(origin, Mapping):
        _require(data, Mapping, place)
        return {key: _decode(get_args(kind)[1], item, f"{place}.{key}") for key, item in data.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        _require(data, Mapping, place)
        hints = _hints(kind)
        return kind(
            **{name: _decode(hint, data[key], f"{place}.{key}") for name, (key, hint) in hints.items() if key in data}
        )
    if kind is float:
        _require(data, int | float, place)
        return float(data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, data, place)
    if isinstance(kind, type) and issubclass(kind, str):
        _require(data, str, place)
    elif kind in (bool, int):
        _require(data, kind, place)
    return data


def _member(kind: type[Enum], data: Any, place: str) -> Enum:
    try:
        return kind(data)
    except ValueError as error:
        raise TypeError(f"{place}: {error}") from error


def _require(data: Any, kind: Any, place: str) -> None:
    if not isinstance(data, kind):
        raise TypeError(f"{place} is of the kind {type(data).__name__}")


@cache
def _hints(kind: type[Any]) -> dict[str, tuple[str, Any]]:
    hints = get_type_hints(kind)
    return {field.name: (_camel(field.name), hints[field.name]) for field in fields(kind)}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
