"""What may hold a deploy back before it changes anything: freeze windows, and deploys that were paused.

A rollback passes every gate: it ships nothing new. Times are in the time zone of the config.

Two forms of a window, both from the first minute up to, and not including, the last:

* every week: ``fri 16:00 - mon 08:00``;
* once: ``2026-12-19 12:00 - 2027-01-04 08:00``.

When clocks change, a window holds without a gap. A time that comes twice begins a window the first time and ends it the
second time; a time that never comes stands for the moment at which clocks jump over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

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
        The same as text: ``2026-11-23 08:00 Europe/Berlin``. A time that comes twice has its offset too:
        ``2026-10-25 02:30 Europe/Berlin (UTC+01:00)``.
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
    found, until = None, now
    for _ in range(MAX_WINDOWS_IN_A_ROW):
        active = [(end, window) for window in windows if (end := _end(window, until, zone))]
        if not active:
            break
        until, window = max(active)
        found = found or window
    return None if found is None else Freeze(found, until, _text(until, zone, time_zone))


def _end(window: str, at: float, zone: tzinfo) -> float | None:
    """Return when a window that holds at this moment ends, unix seconds; None when it does not hold."""
    for start, end in _spans(window, datetime.fromtimestamp(at, zone)):
        ends_at = _moment(end, zone, fold=1)
        if _moment(start, zone, fold=0) <= at < ends_at:
            return ends_at
    return None


def _spans(window: str, about: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the times on the wall from and to which a window holds; of a weekly one, those that may hold then."""
    weekly = WEEKLY.fullmatch(window)
    if weekly is None:
        start, end = (datetime.fromisoformat(each) for each in window.split(" - "))
        yield start, end
        return
    first, last = _since_monday(*weekly.groups()[:3]), _since_monday(*weekly.groups()[3:])
    if last < first:
        last += timedelta(days=7)
    monday = datetime.combine(about.date(), datetime.min.time()) - timedelta(days=about.weekday())
    for weeks in (-1, 0, 1):
        yield monday + timedelta(weeks=weeks) + first, monday + timedelta(weeks=weeks) + last


def _moment(wall: datetime, zone: tzinfo, *, fold: int) -> float:
    """Return the unix seconds at which the clock on the wall says so.

    A time that comes twice means the first (``fold`` 0) or the second (1). One that never comes means the moment at
    which clocks jump over it: in Berlin on 2026-03-29, 02:30 is the moment at which 02:00 becomes 03:00.
    """
    early, late = sorted(wall.replace(tzinfo=zone, fold=each).timestamp() for each in (0, 1))
    if datetime.fromtimestamp(early, zone).replace(tzinfo=None) == wall:
        return late if fold else early
    # Between these two the offset changes, once: halve the distance until the second is found.
    before = datetime.fromtimestamp(early, zone).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _text(at: float, zone: tzinfo, name: str) -> str:
    there = datetime.fromtimestamp(at, zone)
    comes_twice = there.replace(fold=0).timestamp() != there.replace(fold=1).timestamp()
    if not comes_twice:
        return f"{there:%Y-%m-%d %H:%M} {name}"
    offset = f"{there:%z}"
    return f"{there:%Y-%m-%d %H:%M} {name} (UTC{offset[:3]}:{offset[3:5]})"


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
