"""What may hold a deploy back before it changes anything: freeze windows, and deploys that were paused.

A rollback passes every gate: it ships nothing new. Times are in the time zone of the config.

Two forms of a window, both from the first minute up to, and not including, the last:

* every week: ``fri 16:00 - mon 08:00``;
* once: ``2026-12-19 12:00 - 2027-01-04 08:00``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKLY = re.compile(rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d) - ({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)")
ONCE = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}) - (\d{4}-\d{2}-\d{2} \d{2}:\d{2})")
MAX_WINDOWS_IN_A_ROW = 20


@dataclass(frozen=True)
class PausedDeploys:
    """Somebody has paused all deploys to an environment.

    Attributes
    ----------
    by, reason
        Who, and why.
    at
        Since when, unix seconds.
    """

    by: str
    reason: str
    at: float


@dataclass(frozen=True)
class Freeze:
    """A time in which no deploy begins.

    Attributes
    ----------
    window
        As the config says it.
    until
        When it ends, unix seconds; windows that follow on each other end together.
    until_text
        The same as text: ``2026-11-23 08:00 Europe/Berlin``.
    """

    window: str
    until: float
    until_text: str


def check_window(text: str) -> str | None:
    """Return what is wrong with a window; None when it is one."""
    if WEEKLY.fullmatch(text):
        start, end = text.split(" - ")
        return "begins and ends at the same minute" if start == end else None
    match = ONCE.fullmatch(text)
    if match is None:
        return "is no window"
    try:
        start_at, end_at = (datetime.fromisoformat(each) for each in match.groups())
    except ValueError as error:
        return f"has no such day or time ({error})"
    return None if start_at < end_at else "ends before it begins"


def check_time_zone(name: str) -> bool:
    """Whether there is a time zone of this name, such as ``Europe/Berlin``."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def frozen(windows: tuple[str, ...], time_zone: str, now: float) -> Freeze | None:
    """Return the freeze that holds now, if any.

    Parameters
    ----------
    windows
        Of the config; each is one that ``check_window`` accepts.
    time_zone
        In which the windows are meant.
    now
        Unix seconds.

    Examples
    --------
    Windows ``fri 16:00 - mon 08:00`` in Berlin, and it is Saturday 2026-11-21, 10:00 there: frozen until Monday
    2026-11-23, 08:00. On the Sunday in October on which clocks go back the window is an hour longer, because it
    ends when the clock on the wall says so.
    """
    if not windows:
        return None
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(time_zone)
    begin = datetime.fromtimestamp(now, zone)
    found, until = None, begin
    for _ in range(MAX_WINDOWS_IN_A_ROW):
        active = [(end, window) for window in windows if (end := _end(window, until))]
        if not active:
            break
        until, window = max(active)
        found = found or window
    if found is None:
        return None
    return Freeze(found, until.timestamp(), f"{until:%Y-%m-%d %H:%M} {time_zone}")


def _end(window: str, at: datetime) -> datetime | None:
    """Return when a window that holds at this moment ends; None when it does not hold."""
    wall = at.replace(tzinfo=None)
    weekly = WEEKLY.fullmatch(window)
    if weekly is None:
        start, end = (datetime.fromisoformat(each) for each in window.split(" - "))
    else:
        first, last = _since_monday(*weekly.groups()[:3]), _since_monday(*weekly.groups()[3:])
        monday = datetime.combine(wall.date(), datetime.min.time()) - timedelta(days=wall.weekday())
        start, end = monday + first, monday + last
        if end < start and wall < end:
            start -= timedelta(days=7)
        elif end < start:
            end += timedelta(days=7)
    return end.replace(tzinfo=at.tzinfo) if start <= wall < end else None


def _since_monday(day: str, hour: str, minute: str) -> timedelta:
    return timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))


def frozen_message(environment: str, freeze: Freeze) -> str:
    """Say until when, why, and how to go on nevertheless."""
    return (
        f"{environment} is frozen until {freeze.until_text} ({freeze.window}); deploy after that, "
        "or give overrideFreeze with the reason, which is kept in the history"
    )


def paused_message(environment: str, paused: PausedDeploys) -> str:
    """Say who paused all deploys, since when and why, and how to resume them."""
    since = datetime.fromtimestamp(paused.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"deploys to {environment} were paused by {paused.by} on {since}: {paused.reason}; "
        f"when it is solved: stepship resume --env {environment}"
    )
