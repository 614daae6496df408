from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.gates import (
    DAYS,
    PausedDeploys,
    check_time_zone,
    check_window,
    frozen,
    frozen_message,
    paused_message,
)

BERLIN = "Europe/Berlin"
WEEKEND = "fri 16:00 - mon 08:00"
HOLIDAYS = "2026-12-19 12:00 - 2027-01-04 08:00"


def at(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20 15:59", None),
        ("2026-11-20 16:00", "2026-11-23 08:00"),
        ("2026-11-21 10:00", "2026-11-23 08:00"),
        ("2026-11-23 07:59", "2026-11-23 08:00"),
        ("2026-11-23 08:00", None),
        ("2026-11-25 12:00", None),
    ],
)
def test_a_weekly_window_holds_from_its_first_minute_up_to_its_last(now: str, until: str | None) -> None:
    freeze = frozen((WEEKEND,), BERLIN, at(now))
    assert (freeze.until_text if freeze else None) == (f"{until} {BERLIN}" if until else None)
    if freeze:
        assert until is not None
        assert freeze.until == at(until)
        assert freeze.window == WEEKEND


@pytest.mark.parametrize(
    ("window", "now", "is_frozen"),
    [
        ("tue 09:00 - tue 10:00", "2026-11-24 09:30", True),
        ("tue 09:00 - tue 10:00", "2026-11-24 10:00", False),
        ("mon 08:00 - sun 23:59", "2026-11-22 23:58", True),
        ("mon 08:00 - sun 23:59", "2026-11-23 07:00", False),
        ("sun 22:00 - mon 02:00", "2026-11-22 23:00", True),
        ("sun 22:00 - mon 02:00", "2026-11-23 01:00", True),
        ("sun 22:00 - mon 02:00", "2026-11-23 02:00", False),
        ("tue 10:00 - tue 09:00", "2026-11-24 09:30", False),
        ("tue 10:00 - tue 09:00", "2026-11-23 12:00", True),
        (HOLIDAYS, "2026-12-19 11:59", False),
        (HOLIDAYS, "2026-12-31 23:59", True),
        (HOLIDAYS, "2027-01-04 08:00", False),
    ],
)
def test_windows_within_a_week_across_its_end_and_once(window: str, now: str, is_frozen: bool) -> None:
    assert (frozen((window,), BERLIN, at(now)) is not None) is is_frozen


def test_the_same_moment_is_frozen_in_one_time_zone_and_not_in_another() -> None:
    now = at("2026-11-20 16:30", "UTC")
    assert frozen((WEEKEND,), "Etc/UTC", now)
    assert frozen((WEEKEND,), "Pacific/Auckland", now)
    assert frozen((WEEKEND,), "America/New_York", now) is None


def test_a_window_ends_by_the_clock_on_the_wall_when_clocks_go_back() -> None:
    # Berlin, 2026-10-25: 03:00 summer time becomes 02:00.
    freeze = frozen(("sat 08:00 - sun 08:00",), BERLIN, at("2026-10-24 08:00"))
    assert freeze
    assert freeze.until - at("2026-10-24 08:00") == timedelta(hours=25).total_seconds()


def test_windows_that_follow_on_each_other_end_together() -> None:
    windows = ("sat 00:00 - sun 00:00", "sun 00:00 - mon 08:00", "mon 07:00 - mon 09:00")
    freeze = frozen(windows, BERLIN, at("2026-11-21 10:00"))
    assert freeze
    assert (freeze.window, freeze.until_text) == (windows[0], f"2026-11-23 09:00 {BERLIN}")


def test_windows_that_never_end_are_still_answered() -> None:
    freeze = frozen(("mon 00:00 - thu 00:00", "thu 00:00 - mon 00:00"), BERLIN, at("2026-11-25 10:00"))
    assert freeze
    assert freeze.until > at("2026-11-25 10:00")


def test_without_windows_nothing_is_frozen() -> None:
    assert frozen((), BERLIN, 0) is None


@given(
    start=st.integers(0, 7 * 24 * 60 - 1),
    length=st.integers(1, 7 * 24 * 60 - 1),
    minute=st.integers(0, 7 * 24 * 60 - 1),
)
def test_a_weekly_window_holds_just_as_long_as_it_says(start: int, length: int, minute: int) -> None:
    def wall(minutes: int) -> str:
        return f"{DAYS[minutes // 1440 % 7]} {minutes // 60 % 24:02}:{minutes % 60:02}"

    end = (start + length) % (7 * 24 * 60)
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    now = monday + timedelta(minutes=minute)
    freeze = frozen((f"{wall(start)} - {wall(end)}",), "Etc/UTC", now.timestamp())
    inside = (minute - start) % (7 * 24 * 60)
    assert (freeze is not None) is (inside < length)
    if freeze:
        assert freeze.until == (now + timedelta(minutes=length - inside)).timestamp()


@pytest.mark.parametrize(
    ("window", "wrong"),
    [
        (WEEKEND, None),
        (HOLIDAYS, None),
        ("fri 16:00", "is no window"),
        ("friday 16:00 - mon 08:00", "is no window"),
        ("fri 24:00 - mon 08:00", "is no window"),
        ("fri 16:00 - fri 16:00", "begins and ends at the same minute"),
        ("2026-12-19 12:00 - 2026-12-19 12:00", "ends before it begins"),
        ("2027-01-04 08:00 - 2026-12-19 12:00", "ends before it begins"),
        ("2026-02-30 12:00 - 2026-03-01 12:00", "has no such day or time"),
    ],
)
def test_a_window_is_one_of_two_forms(window: str, wrong: str | None) -> None:
    found = check_window(window)
    assert found is None if wrong is None else found is not None and found.startswith(wrong)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("Europe/Berlin", True), ("Etc/UTC", True), ("Berlin", False), ("", False), ("../etc/passwd", False)],
)
def test_a_time_zone_is_one_of_the_iana_database(name: str, is_one: bool) -> None:
    assert check_time_zone(name) is is_one


def test_the_messages_say_until_when_by_whom_and_what_to_do() -> None:
    freeze = frozen((WEEKEND,), BERLIN, at("2026-11-21 10:00"))
    assert freeze
    assert frozen_message("production", freeze) == (
        "production is frozen until 2026-11-23 08:00 Europe/Berlin (fri 16:00 - mon 08:00); deploy after that, "
        "or give overrideFreeze with the reason, which is kept in the history"
    )
    line = PausedDeploys("anna", "checkout is down", at("2026-11-20 09:30", "UTC"))
    assert paused_message("production", line) == (
        "deploys to production were paused by anna on 2026-11-20 09:30 UTC: checkout is down; "
        "when it is solved: stepship resume --env production"
    )
