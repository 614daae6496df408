"""How names and numbers stand in a sentence."""

from __future__ import annotations

from collections.abc import Iterable


def and_list(names: Iterable[str]) -> str:
    """Return ``api, scheduler and worker``; there is at least one name."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, noun: str) -> str:
    """Return ``1 parameter`` or ``5 parameters``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
