"""Lengths of time, read and written."""

import pytest

from stepship.views.durations import clock, duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("45m", 2700), ("1h30m", 5400), ("0.5h", 1800), ("1m5s", 65)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "m", "5 m", "-5m", "5d", "m5", "45m!"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="90s, 45m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (40, "40 s"), (181, "3 min 1 s"), (7199, "119 min 59 s"), (7500, "2 h 5 min")]
)
def test_a_duration_is_written(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_clock_never_shows_less_than_nothing() -> None:
    assert (clock(-3), clock(61)) == ("00:00", "01:01")
