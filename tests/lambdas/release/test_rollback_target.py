"""Which release a rollback returns to."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.errors import ReleaseNotFound
from lambdas.release.history import DeploymentRecord, Listed, Outcome, Release, parse_timestamp
from lambdas.release.planning import PlanInputs
from lambdas.release.request import Request
from lambdas.release.rollback_target import (
    MAX_PASSED_OVER,
    choose_release,
    left_by_rollback,
    release_before,
    undone_meanwhile,
)
from tests.lambdas.release.examples import WAVES, dead, inputs, pinned, record, release, rolling, running

ROLLBACK = Request(action="rollback")
TO_V1 = replace(ROLLBACK, release_id=release(1).release_id)

CHOICES: dict[str, tuple[Request, PlanInputs, Release | None, Release | None, Release]] = {
    "the release that was named": (TO_V1, inputs(2), release(1), None, release(1)),
    "the release before": (ROLLBACK, inputs(2), None, release(1), release(1)),
    "a repair: a service runs something else": (
        ROLLBACK,
        inputs(2, running={**inputs(2).running, "api": running("api", 1)}),
        None,
        release(1),
        release(2),
    ),
    "a repair: a service still moves there from other code": (
        ROLLBACK,
        inputs(2, running={**inputs(2).running, "api": replace(rolling("api", 2), beside=(pinned(2), pinned(3)))}),
        None,
        release(1),
        release(2),
    ),
    "a repair: a service still moves there from nobody knows what": (
        ROLLBACK,
        inputs(2, running={**inputs(2).running, "api": replace(rolling("api", 2), beside=(None,))}),
        None,
        release(1),
        release(2),
    ),
    "no repair: infrastructure still makes another revision": (
        ROLLBACK,
        inputs(2, running={**inputs(2).running, "api": replace(rolling("api", 2, 9), beside=(pinned(2),))}),
        None,
        release(1),
        release(1),
    ),
    "no repair: a service is being restarted": (
        ROLLBACK,
        inputs(2, running={**inputs(2).running, "api": rolling("api", 2)}),
        None,
        release(1),
        release(1),
    ),
    "no repair: a service runs nothing": (
        ROLLBACK,
        inputs(2, running={**inputs(2).running, "api": dead("api", 2)}),
        None,
        release(1),
        release(1),
    ),
    "whatever is live: a service is not on it": (
        Request(action="rollback", release_id="live"),
        inputs(2, running={**inputs(2).running, "api": running("api", 1)}),
        None,
        release(1),
        release(2),
    ),
    "whatever is live: all services are on it": (
        Request(action="rollback", release_id="live"),
        inputs(2),
        None,
        release(1),
        release(2),
    ),
    "no repair: infrastructure made another revision": (
        ROLLBACK,
        inputs(2, running={name: running(name, 2, revision=9) for name in WAVES}),
        None,
        release(1),
        release(1),
    ),
    "no repair: a service that the live release does not know": (
        ROLLBACK,
        inputs(1, live=release(2, ()), running={"api": running("api", 1)}),
        None,
        release(1),
        release(1),
    ),
}


@pytest.mark.parametrize(("request_", "inputs_", "wanted", "before", "expected"), CHOICES.values(), ids=CHOICES)
def test_a_rollback_chooses_its_release(
    request_: Request, inputs_: PlanInputs, wanted: Release | None, before: Release | None, expected: Release
) -> None:
    assert choose_release(request_, inputs_, wanted, before) == expected


NO_CHOICE: dict[str, tuple[Request, PlanInputs, str]] = {
    "not in the history": (
        TO_V1,
        inputs(2),
        f"^releaseId: the history has no verified release {release(1).release_id}",
    ),
    "nothing was ever verified": (ROLLBACK, inputs(1, live=None), "^rollback: no release was verified yet"),
    "nothing is live": (
        Request(action="rollback", release_id="live"),
        inputs(1, live=None),
        "^rollback: no release was verified yet",
    ),
    "the first release": (ROLLBACK, inputs(1), f"^rollback: {release(1).release_id} is the first verified release"),
}


@pytest.mark.parametrize(("request_", "inputs_", "words"), NO_CHOICE.values(), ids=NO_CHOICE)
def test_without_a_release_to_return_to_a_rollback_is_refused(
    request_: Request, inputs_: PlanInputs, words: str
) -> None:
    with pytest.raises(ReleaseNotFound, match=words):
        choose_release(request_, inputs_, None, None)


ASKED_AT = parse_timestamp("2026-01-05T09:10:00Z")


@pytest.mark.parametrize(
    ("passed_over", "words"),
    [
        ((), "is the first verified release, there is none before; deploy a tag"),
        (("r-1 was fled from",), "to return to (r-1 was fled from); give a releaseId, or deploy a tag"),
        (tuple(f"r-{n} was fled from" for n in range(MAX_PASSED_OVER + 2)), "; and 2 more); give a releaseId"),
    ],
    ids=["the first", "one passed over", "many passed over"],
)
def test_a_rollback_without_a_release_to_return_to_says_why(passed_over: tuple[str, ...], words: str) -> None:
    with pytest.raises(ReleaseNotFound) as refused:
        choose_release(ROLLBACK, inputs(1), None, None, passed_over)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (record(0, outcome=Outcome.ROLLED_BACK), True),
        (record(0, outcome=Outcome.STOPPED), True),
        (record(1), False),
        (record(0, outcome=Outcome.REJECTED), False),
        (record(0, "rollback"), True),
        (record(1, "rollback"), False),
        (record(0, "rollback", Outcome.NOTHING_TO_DO), False),
        (record(0, "rollback", Outcome.ROLLBACK_FAILED), False),
    ],
    ids=[
        "rolled back",
        "stopped",
        "a deploy",
        "rejected",
        "a recovery",
        "a rollback",
        "a recovery of nothing",
        "a recovery that failed",
    ],
)
def test_a_rollback_whose_reason_went_away_while_it_waited_has_nothing_to_do(
    ended: DeploymentRecord, expected: bool
) -> None:
    assert undone_meanwhile([replace(ended, ended_at="2026-01-05T09:11:00Z")], ASKED_AT) is expected
    assert not undone_meanwhile([replace(ended, ended_at="2026-01-05T09:09:00Z")], ASKED_AT)


def back(number: int, outcome: str = Outcome.DEPLOYED) -> DeploymentRecord:
    return record(number, "rollback", outcome)


LEFT: dict[str, tuple[list[DeploymentRecord], set[int]]] = {
    "nothing happened": ([], set()),
    "deploys alone": ([record(1), record(2)], set()),
    "one rollback": ([record(1), record(2), back(1)], {2}),
    "two rollbacks": ([record(1), record(2), record(3), back(2), back(1)], {2, 3}),
    "a deploy after it": ([record(2), record(3), back(2), record(4)], {3}),
    "forward again, by name": ([record(2), record(3), back(2), back(3)], set()),
    "by name over a release that was left": (
        [record(1), record(2), record(3), back(2), back(1), back(3)],
        {2},
    ),
    "a repair of what is live": ([record(1), record(2), back(2)], set()),
    "a rollback that failed": ([record(1), record(2), back(1, Outcome.ROLLBACK_FAILED)], set()),
    "a deploy that failed": ([record(1), record(2, outcome=Outcome.ROLLED_BACK), back(1)], set()),
    "a recovery, which names no release": ([record(1), record(2), back(0)], set()),
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
