from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.catalog import MIGRATION
from lambdas.release.history import (
    DeploymentRecord,
    Listed,
    Outcome,
    Release,
    Report,
    check_times,
    durations,
    left_by_rollback,
    next_release,
    parse_timestamp,
    release_before,
    release_id_of,
    timestamp,
)
from lambdas.release.results import ExecutionState
from tests.lambdas.release.examples import arn, pinned, release

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


def deployment(number: int, action: str = "deploy", outcome: str = Outcome.DEPLOYED) -> DeploymentRecord:
    made, tag = (release(number).release_id, f"v{number}") if number else (None, None)
    return DeploymentRecord(ARN + "e", action, outcome, TIME, TIME, None, None, made, tag, Report(outcome))


def back(number: int, outcome: str = Outcome.DEPLOYED) -> DeploymentRecord:
    return deployment(number, "rollback", outcome)


LEFT: dict[str, tuple[list[DeploymentRecord], set[int]]] = {
    "nothing happened": ([], set()),
    "deploys alone": ([deployment(1), deployment(2)], set()),
    "one rollback": ([deployment(1), deployment(2), back(1)], {2}),
    "two rollbacks": ([deployment(1), deployment(2), deployment(3), back(2), back(1)], {2, 3}),
    "a deploy after it": ([deployment(2), deployment(3), back(2), deployment(4)], {3}),
    "forward again, by name": ([deployment(2), deployment(3), back(2), back(3)], set()),
    "by name over a release that was left": (
        [deployment(1), deployment(2), deployment(3), back(2), back(1), back(3)],
        {2},
    ),
    "a repair of what is live": ([deployment(1), deployment(2), back(2)], set()),
    "a rollback that failed": ([deployment(1), deployment(2), back(1, Outcome.ROLLBACK_FAILED)], set()),
    "a deploy that failed": ([deployment(1), deployment(2, outcome=Outcome.ROLLED_BACK), back(1)], set()),
    "a recovery, which names no release": ([deployment(1), deployment(2), back(0)], set()),
    "what was live before is not known": ([back(1)], set()),
}


@pytest.mark.parametrize(("records", "left"), LEFT.values(), ids=LEFT)
def test_a_release_that_somebody_rolled_back_from_is_known(records: list[DeploymentRecord], left: set[int]) -> None:
    assert left_by_rollback(records[::-1]) == {release(number).release_id for number in left}


R = {number: release(number).release_id for number in range(1, 10)}


def kept(number: int, before: int | None) -> Release:
    return release(number, before=R[before] if before else None)


def find_before(
    live: Release, others: list[Release], left: Collection[int] = (), unreadable: Collection[int] = ()
) -> tuple[str | None, tuple[str, ...]]:
    """Search a history; returns the id of the release before, and what was passed over."""
    by_id = {each.release_id: each for each in (*others, live)}
    hidden = {R[number] for number in unreadable}

    def find(release_id: str) -> Release | str:
        if release_id in hidden:
            return f"{release_id} cannot be read"
        return by_id.get(release_id) or f"{release_id} was deleted"

    def older(release_id: str) -> Listed[Release]:
        ids = [each for each in sorted({*by_id, *hidden}, reverse=True) if each < release_id]
        broken = list(itertools.takewhile(hidden.__contains__, ids))
        return Listed([by_id[each] for each in ids[len(broken) :][:1]], [f"{each} cannot be read" for each in broken])

    found = release_before(live, {R[number] for number in left}, find, older)
    return found.release.release_id if found.release else None, found.passed_over


BEFORE: dict[str, tuple[dict[str, Any], int | None, tuple[str, ...]]] = {
    "the one that was live": (
        {"live": kept(4, 2), "others": [kept(1, None), kept(2, 1), kept(3, 2)], "left": {3}},
        2,
        (),
    ),
    "its own one": ({"live": kept(2, 1), "others": [kept(1, None), kept(3, 2), kept(4, 2)], "left": {3, 4}}, 1, ()),
    "the first has none": ({"live": kept(1, None), "others": [kept(2, 1)], "left": {2}}, None, ()),
    "an older version wrote it": ({"live": kept(3, None), "others": [kept(1, None), kept(2, None)]}, 2, ()),
    "an older version wrote it, and somebody fled": (
        {"live": kept(4, None), "others": [kept(2, None), kept(3, None)], "left": {3}},
        2,
        (f"{R[3]} (v3): somebody rolled back from it",),
    ),
    "somebody fled from it": (
        {"live": kept(3, 2), "others": [kept(1, None), kept(2, 1)], "left": {2}},
        1,
        (f"{R[2]} (v2): somebody rolled back from it",),
    ),
    "it cannot be read": (
        {"live": kept(3, 2), "others": [kept(1, None)], "unreadable": {2}},
        1,
        (f"{R[2]} cannot be read",),
    ),
    "it has the same images, before a forced restart": (
        {"live": kept(3, 2), "others": [kept(1, None), replace(kept(2, 1), images=kept(3, 2).images)]},
        1,
        (f"{R[2]} (v2): it has the images of {R[3]}",),
    ),
    "it was deleted": ({"live": kept(3, 2), "others": [kept(1, None)]}, 1, (f"{R[2]} was deleted",)),
    "one on the way by time cannot be read": (
        {"live": kept(3, None), "others": [kept(1, None)], "unreadable": {2}},
        1,
        (f"{R[2]} cannot be read",),
    ),
    "nothing is left": (
        {"live": kept(3, 2), "others": [kept(1, None)], "left": {1}},
        None,
        (f"{R[2]} was deleted", f"{R[1]} (v1): somebody rolled back from it"),
    ),
    "a circle, written by hand": (
        {"live": kept(3, 2), "others": [kept(2, 3), kept(1, 2)], "left": {1, 2}},
        None,
        (f"{R[2]} (v2): somebody rolled back from it", f"{R[1]} (v1): somebody rolled back from it"),
    ),
    "one of itself, written by hand": ({"live": kept(3, 3), "others": [kept(1, None)]}, 1, ()),
    "a newer one, written by hand": (
        {"live": kept(3, 5), "others": [kept(5, 3), kept(2, None)], "left": {5}},
        2,
        (f"{R[5]} (v5): somebody rolled back from it",),
    ),
}


@pytest.mark.parametrize(("history", "expected", "passed_over"), BEFORE.values(), ids=BEFORE)
def test_a_rollback_returns_to_what_was_live_when_the_release_was_first_deployed(
    history: dict[str, Any], expected: int | None, passed_over: tuple[str, ...]
) -> None:
    found, said = find_before(**history)
    assert found == (R[expected] if expected else None)
    assert said == passed_over


@given(
    befores=st.lists(st.none() | st.integers(1, 9), min_size=9, max_size=9),
    live=st.integers(1, 9),
    left=st.sets(st.integers(1, 9)),
    gone=st.sets(st.integers(1, 9)),
    unreadable=st.sets(st.integers(1, 9)),
)
def test_whatever_the_history_says_a_rollback_finds_an_end(
    befores: list[int | None], live: int, left: set[int], gone: set[int], unreadable: set[int]
) -> None:
    others = [kept(n, befores[n - 1]) for n in range(1, 10) if n not in gone | unreadable | {live}]
    found, _ = find_before(kept(live, befores[live - 1]), others, left - {live}, unreadable - {live})
    assert found is None or found in {R[n] for n in range(1, 10)} - {R[n] for n in left | gone | unreadable | {live}}


@pytest.mark.parametrize("times", [("yesterday", TIME), (TIME, ""), ("2026-13-01T00:00:00Z", TIME)])
def test_a_record_whose_times_are_none_is_refused(times: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        check_times(replace(deployment(1), started_at=times[0], ended_at=times[1]))


def test_a_list_knows_what_it_could_not_read() -> None:
    assert Listed([1, 2]) == (1, 2)
    assert Listed([1], ["two cannot be read"]).unreadable == ("two cannot be read",)
    assert Listed().unreadable == ()
