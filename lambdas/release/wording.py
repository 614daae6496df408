"""How names and numbers stand in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from typing import Any

ELLIPSIS_BYTES = 6
"""Of ``…`` in JSON: ``\\u2026``."""

MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats: enough to recognise it, too few to flood the state."""

MAX_NAMES, MAX_NAME_LENGTH = 5, 60
"""Of ``some_of``: a sentence with more is not read, and what others call things may be long."""


def and_list(names: Iterable[str]) -> str:
    """Return ``api, scheduler and worker``; there is at least one name."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, noun: str) -> str:
    """Return ``1 parameter`` or ``5 parameters``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shorten(value: Any, limit: int = MAX_SHOWN) -> str:
    """Return the value's text, cut to ``limit`` characters."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except RecursionError:
        text = "something nested too deep"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def fit(text: str, limit: int) -> str:
    r"""Return the text, cut so that its JSON has at most ``limit`` characters, without the quotes.

    A quote or a line break takes two of them, ``é`` six (``\u00e9``), an emoji twelve.

    Examples
    --------
    >>> fit("exited with 3", 10)
    'exit…'
    """
    if len(json.dumps(text)) - 2 <= limit:
        return text
    ends = accumulate(len(json.dumps(letter)) - 2 for letter in text)
    kept = sum(1 for _ in takewhile(lambda end: end <= limit - ELLIPSIS_BYTES, ends))
    return f"{text[:kept]}…"


def some_of(names: Sequence[str]) -> str:
    """Return ``CVE-2026-1, CVE-2026-2 and 7 more``: five names, each cut to 60 characters."""
    shown = [shorten(name, MAX_NAME_LENGTH) for name in names[:MAX_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
