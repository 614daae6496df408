"""A rule: what one key of a config file allows, in words, by an example and as a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

YEAR_SECONDS = 365 * 24 * 3600
"""Step Functions quotas: an execution of a standard workflow runs for at most one year."""


@dataclass(frozen=True)
class Rule:
    """What one key allows.

    Attributes
    ----------
    what
        The allowed values in words, such as ``whole seconds, at least 1``.
    example
        A good value as TOML, copied into the fix of a missing key.
    allows
        Tests a value of the right type; for a list, each of its items.
    not_empty
        Whether an empty list is wrong.
    is_day
        Whether the value is a day: TOML's own type, or the same as text.
    """

    what: str
    example: str
    allows: Callable[[object], bool] = lambda _: True
    not_empty: bool = False
    is_day: bool = False


def at_least(minimum: int, unit: str, example: int, *, at_most: int = YEAR_SECONDS) -> Rule:
    """Allow whole numbers from ``minimum`` to ``at_most``; a year of seconds is more than anything here can last."""
    return Rule(
        f"{unit}, at least {minimum} and at most {at_most}",
        str(example),
        lambda value: isinstance(value, int) and minimum <= value <= at_most,
    )


def day(what: str, example: str) -> Rule:
    """Allow a day, which is read as the text ``2026-12-31``."""
    return Rule(what, example, is_day=True)


def text(pattern: str, what: str, example: str) -> Rule:
    """Allow text that a regular expression matches as a whole."""
    return Rule(what, f'"{example}"', _matches(pattern))


def texts(pattern: str, what: str, example: str, *, not_empty: bool = True) -> Rule:
    """Allow a list of texts, each matched by a regular expression as a whole."""
    return Rule(what, example, _matches(pattern), not_empty)


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


YES_OR_NO = Rule("true or false", "true")
