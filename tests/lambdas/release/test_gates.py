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


NEW_YORK = "America/New_York"

CLOCKS = [
    # Berlin, 2026-03-29: at 01:00 UTC 02:00 becomes 03:00, so 02:30 never comes.
    (BERLIN, "sun 01:00 - sun 02:30", "2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29 03:00"),
    (BERLIN, "sun 02:30 - sun 04:00", "2026-03-29T01:00Z", "2026-03-29T02:00Z", "2026-03-29 04:00"),
    (BERLIN, "2026-03-29 02:30 - 2026-03-30 02:30", "2026-03-29T01:00Z", "2026-03-30T00:30Z", "2026-03-30 02:30"),
    (BERLIN, "sun 01:00 - sun 03:00", "2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29 03:00"),
    # Berlin, 2026-10-25: at 01:00 UTC 03:00 becomes 02:00, so 02:30 comes at 00:30 and at 01:30 UTC.
    (BERLIN, "sun 01:00 - sun 02:30", "2026-10-24T23:00Z", "2026-10-25T01:30Z", "2026-10-25 02:30"),
    (BERLIN, "sun 02:30 - sun 04:00", "2026-10-25T00:30Z", "2026-10-25T03:00Z", "2026-10-25 04:00"),
    (BERLIN, "2026-10-25 02:15 - 2026-10-25 02:45", "2026-10-25T00:15Z", "2026-10-25T01:45Z", "2026-10-25 02:45"),
    (BERLIN, "sun 01:00 - sun 03:00", "2026-10-24T23:00Z", "2026-10-25T02:00Z", "2026-10-25 03:00"),
    # New York, 2026-03-08: at 07:00 UTC 02:00 becomes 03:00. 2026-11-01: at 06:00 UTC 02:00 becomes 01:00.
    (NEW_YORK, "sun 01:00 - sun 02:30", "2026-03-08T06:00Z", "2026-03-08T07:00Z", "2026-03-08 03:00"),
    (NEW_YORK, "sun 02:30 - sun 04:00", "2026-03-08T07:00Z", "2026-03-08T08:00Z", "2026-03-08 04:00"),
    (NEW_YORK, "sun 00:00 - sun 01:30", "2026-11-01T04:00Z", "2026-11-01T06:30Z", "2026-11-01 01:30"),
    (NEW_YORK, "sun 01:30 - sun 03:00", "2026-11-01T05:30Z", "2026-11-01T08:00Z", "2026-11-01 03:00"),
]


@pytest.mark.parametrize(("zone", "window", "begins", "ends", "shown"), CLOCKS)
def test_a_window_holds_without_a_gap_when_clocks_change(
    zone: str, window: str, begins: str, ends: str, shown: str
) -> None:
    start, end = (datetime.fromisoformat(each).timestamp() for each in (begins, ends))
    assert frozen((window,), zone, start - 1) is None
    for now in range(int(start), int(end), 300):
        freeze = frozen((window,), zone, now)
        assert freeze is not None, datetime.fromtimestamp(now, UTC)
        assert freeze.until == end
        assert freeze.until_text.startswith(f"{shown} {zone}")
    assert frozen((window,), zone, end) is None


@pytest.mark.parametrize(
    ("window", "now", "shown"),
    [
        ("sun 01:00 - sun 02:30", "2026-10-25T00:00Z", f"2026-10-25 02:30 {BERLIN} (UTC+01:00)"),
        ("sun 01:00 - sun 03:00", "2026-10-25T00:00Z", f"2026-10-25 03:00 {BERLIN}"),
        ("sun 01:00 - sun 02:30", "2026-03-29T00:30Z", f"2026-03-29 03:00 {BERLIN}"),
    ],
)
def test_an_end_that_the_clock_shows_twice_is_said_with_its_offset(window: str, now: str, shown: str) -> None:
    freeze = frozen((window,), BERLIN, datetime.fromisoformat(now).timestamp())
    assert freeze
    assert freeze.until_text == shown


def test_a_window_within_the_hour_that_never_comes_never_holds() -> None:
    for now in range(int(at("2026-03-29 01:00")), int(at("2026-03-29 04:00")), 60):
        assert frozen(("sun 02:10 - sun 02:50",), BERLIN, now) is None


def test_windows_that_meet_at_a_change_of_clocks_are_one() -> None:
    windows = ("sat 20:00 - sun 02:30", "sun 02:30 - sun 06:00")
    for day in ("2026-03-28", "2026-10-24"):
        freeze = frozen(windows, BERLIN, at(f"{day} 21:00"))
        assert freeze
        assert (freeze.window, freeze.until_text[11:16]) == (windows[0], "06:00")


@given(
    zone=st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Pacific/Apia", "Etc/UTC"]),
    start=st.integers(0, 7 * 24 * 60 - 1),
    length=st.integers(1, 7 * 24 * 60 - 1),
    now=st.integers(1_293_000_000, 1_830_000_000),
)
def test_a_freeze_ends_at_until_and_no_sooner(zone: str, start: int, length: int, now: int) -> None:
    def wall(minutes: int) -> str:
        return f"{DAYS[minutes // 1440 % 7]} {minutes // 60 % 24:02}:{minutes % 60:02}"

    window = f"{wall(start)} - {wall((start + length) % (7 * 24 * 60))}"
    if freeze := frozen((window,), zone, now):
        assert freeze.until > now
        # The next one may begin at once, when the week is shorter than the pause between two of them.
        before = frozen((window,), zone, freeze.until - 1)
        assert before is not None
        assert before.until == freeze.until


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
