from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.catalog import MIGRATION
from lambdas.release.history import (
    Listed,
    Release,
    check_times,
    durations,
    next_release,
    parse_timestamp,
    release_id_of,
    timestamp,
)
from lambdas.release.state import ExecutionState
from tests.lambdas.release.examples import arn, pinned, record, release

ARN = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:"
TIME = "2026-01-05T09:00:00Z"
NINE = 1767603600.0
"""2026-01-05, nine o'clock in UTC."""

seconds = st.integers(0, 4_102_444_800_000).map(lambda milliseconds: milliseconds / 1000)


def test_a_release_id_shows_when_it_was_made() -> None:
    assert release_id_of(ARN + "one", NINE) == "r-20260105-090000-e9e524"


@given(st.text(max_size=20), st.text(max_size=20), seconds, seconds)
def test_release_ids_sort_by_time(one: str, other: str, early: float, late: float) -> None:
    early, late = sorted((early, late))
    if int(early) < int(late):
        assert release_id_of(ARN + one, early) < release_id_of(ARN + other, late)


@given(st.text(max_size=20), seconds)
def test_a_release_id_is_the_same_on_a_repeat_and_fits_into_a_name(execution: str, at: float) -> None:
    assert release_id_of(execution, at) == release_id_of(execution, at)
    assert re.fullmatch(r"r-\d{8}-\d{6}-[0-9a-f]{6}", release_id_of(execution, at))


def test_two_executions_of_one_second_make_two_releases() -> None:
    assert len({release_id_of(f"{ARN}{n}", NINE) for n in range(50)}) == 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05T09:00:00Z", NINE),
        ("2026-01-05T09:00:00.250Z", NINE + 0.25),
        ("2026-01-05T10:00:00+01:00", NINE),
    ],
    ids=["seconds", "milliseconds, as Step Functions gives them", "another zone"],
)
def test_a_time_is_read(text: str, expected: float) -> None:
    assert parse_timestamp(text) == expected


@given(seconds)
def test_a_time_is_written_to_the_second(at: float) -> None:
    assert 0 <= at - parse_timestamp(timestamp(at)) < 1


def test_a_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat string"):
        parse_timestamp("yesterday")


STATE: dict[str, Any] = {
    "step": "Verify image",
    "at": 101.5,
    "request": {"action": "deploy"},
    "rollout": {"step": "Check rollout", "at": 170.25},
    "lock": {"step": "Acquire lock", "at": 103.0},
    "plan": {"step": "Plan", "at": 106.0},
    "wave": {"step": "Deploy wave", "at": 110.0},
    "error": {"Error": "LeaseLost"},
    "half": {"step": "no end"},
    "list": [1],
}


def test_each_step_counts_from_the_end_of_the_one_before() -> None:
    taken = durations(100.0, ExecutionState(STATE).ended_steps)
    assert list(taken.items()) == [
        ("Verify image", 1.5),
        ("Acquire lock", 1.5),
        ("Plan", 3.0),
        ("Deploy wave", 4.0),
        ("Check rollout", 60.25),
    ]


def test_without_a_result_no_step_took_any_time() -> None:
    assert durations(100.0, ()) == {}


def test_a_clock_that_is_behind_makes_no_negative_duration() -> None:
    assert durations(105.0, ((101.5, "Verify image"), (103.0, "Acquire lock"))) == {
        "Verify image": 0.0,
        "Acquire lock": 1.5,
    }


@given(st.lists(st.integers(0, 10_000), max_size=8, unique=True))
def test_the_durations_add_up_to_the_last_end(ends: list[int]) -> None:
    ended = sorted((float(at), f"step {n}") for n, at in enumerate(ends))
    taken = durations(0.0, ended)
    assert sum(taken.values()) == max(ends, default=0)
    assert list(taken) == [step for _, step in ended]
    assert all(a != b for a, b in itertools.pairwise(taken))


def test_the_first_release_is_what_was_moved() -> None:
    moved = {"api": (arn("api", 2), pinned(2)), MIGRATION: ("", pinned(2))}
    assert next_release("r-2", "v2", moved, None, "2026-01-05T09:00:00Z", ARN) == Release(
        "r-2",
        "v2",
        {"api": arn("api", 2)},
        {"api": pinned(2), MIGRATION: pinned(2)},
        "2026-01-05T09:00:00Z",
        ARN,
    )


def test_a_deploy_of_some_services_carries_the_others_over() -> None:
    live = release(1)
    made = next_release("r-2", "v2", {"api": (arn("api", 2), pinned(2))}, live, "now", ARN)
    assert made.services == {**live.services, "api": arn("api", 2)}
    assert made.images == {**live.images, "api": pinned(2)}
    assert live == release(1)


def test_a_release_keeps_which_one_was_live_when_it_was_first_deployed() -> None:
    moved = {"api": (arn("api", 2), pinned(2))}
    assert next_release("r-2", "v2", moved, release(1), TIME, ARN + "e").before == release(1).release_id
    assert next_release("r-1", "v1", moved, None, TIME, ARN + "e").before is None


@pytest.mark.parametrize("times", [("yesterday", TIME), (TIME, ""), ("2026-13-01T00:00:00Z", TIME)])
def test_a_record_whose_times_are_none_is_refused(times: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        check_times(replace(record(1), started_at=times[0], ended_at=times[1]))


def test_a_list_knows_what_it_could_not_read() -> None:
    assert Listed([1, 2]) == (1, 2)
    assert Listed([1], ["two cannot be read"]).unreadable == ("two cannot be read",)
    assert Listed().unreadable == ()
