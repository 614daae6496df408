"""Lengths of time, as people read and write them."""

from __future__ import annotations

import re

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}
WRITTEN = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")


def duration(seconds: float) -> str:
    """``0 s``, ``40 s``, ``3 min 1 s``, ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours >= 2:  # noqa: PLR2004 (an hour and a half reads better in minutes)
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def clock(seconds: float) -> str:
    """``00:41``: minutes and seconds since something began."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes:02d}:{rest:02d}"


def parse_duration(text: str) -> float:
    """Return seconds: ``90``, ``90s``, ``45m``, ``1h30m``.

    Raises
    ------
    ValueError
        It is none of these, or nothing.
    """
    parts = WRITTEN.findall(text)
    seconds = sum(float(number) * UNIT_SECONDS[unit or "s"] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not seconds:
        raise ValueError(f"{text!r} is no duration; write 90s, 45m or 1h30m")
    return seconds
