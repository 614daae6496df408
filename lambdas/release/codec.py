"""Between frozen dataclasses and the JSON of the execution's state.

Field names are ``snake_case`` in Python and ``camelCase`` in JSON. Mapping keys are data and stay as
they are. Kept small on purpose: a validation library would double the cold start of every step.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


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
