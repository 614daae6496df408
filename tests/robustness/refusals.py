"""What a call came to: a result or one of the errors that it may raise; any other error is the test's failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

E = TypeVar("E", bound=Exception)


def attempt(act: Callable[[], Any], *kinds: type[E]) -> tuple[Any, E | None]:
    """Return the result and no error, or no result and the error."""
    try:
        return act(), None
    except kinds as error:
        return None, error
