"""How the next steps read what a step has left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.release.request import Request
from lambdas.release.results import (
    RegisterResult,
    encode_result,
)
from lambdas.release.state import CaughtError, ExecutionState, needed
from tests.lambdas.release.examples import arn
from tests.lambdas.release.test_results import IMAGE, SENTENCES

KEPT = {
    "lock": "held",
    "plan": "plan",
    "registered": "registered",
    "migration": "broken migration",
    "wave": "wave",
    "rollout": "broken rollout",
    "health": "unhealthy",
    "rollback": "rolls back",
    "restored": "restoring",
}


@pytest.mark.parametrize(("key", "example"), KEPT.items(), ids=KEPT)
def test_a_later_step_reads_what_an_earlier_one_left(key: str, example: str) -> None:
    result, sentence = SENTENCES[example]
    state = json.loads(json.dumps({key: encode_result(result, "a step", 7.0)}))
    read = getattr(ExecutionState(state), key)
    assert type(read) is type(result)
    assert read.message == sentence
    assert getattr(ExecutionState({}), key) is None


def test_the_first_result_is_the_whole_state() -> None:
    result, _ = SENTENCES["image"]
    state = ExecutionState(encode_result(result, "Verify image", 1.0))
    assert (state.request, state.image) == (Request(image_tag="v3"), IMAGE)
    assert state.ended_steps == ((1.0, "Verify image"),)
    assert state.error is None


def test_the_answer_to_the_question_for_approval_may_be_any_json() -> None:
    assert not ExecutionState({}).is_answered
    for answer in (None, 7, {"approvedBy": "anna"}):
        state = ExecutionState({"approval": answer})
        assert (state.is_answered, state.approval) == (True, answer)


@pytest.mark.parametrize(
    ("state", "error", "rollback_error"),
    [
        ({}, None, None),
        ({"Error": "E", "Cause": "c"}, CaughtError("E", "c"), None),
        ({"error": {"Error": "E"}, "rollbackError": {"Error": "F", "Cause": "d"}}, ("E", ""), ("F", "d")),
    ],
    ids=["none", "the first step failed", "a later one failed, and the rollback"],
)
def test_a_caught_error_is_read(state: dict[str, Any], error: object, rollback_error: object) -> None:
    def read(found: CaughtError | None) -> object:
        return found and (found.error_type, found.cause)

    expected = (error.error_type, error.cause) if isinstance(error, CaughtError) else error
    assert read(ExecutionState(state).error) == expected
    assert read(ExecutionState(state).rollback_error) == rollback_error


@pytest.mark.parametrize("raw", [None, [], "text", 7, {}, {"plan": None}, {"plan": {}}, {"plan": "x"}])
def test_a_state_of_any_shape_names_no_release(raw: Any) -> None:
    assert ExecutionState(raw).release_id is None


def test_a_release_is_named_though_its_plan_is_of_another_version() -> None:
    assert ExecutionState({"plan": {"releaseId": "r-1"}}).release_id == "r-1"


@pytest.mark.parametrize("unreadable", [{}, [], "text", 7, {"status": "brandNew"}])
def test_what_a_rollback_reads_of_another_version_is_as_good_as_missing(unreadable: Any) -> None:
    keys = ("plan", "registered", "migration", "rollout", "health", "rollback", "restored")
    state = ExecutionState(dict.fromkeys(keys, unreadable))
    assert (state.readable_plan, state.registered, state.migration, state.rollout) == (None, None, None, None)
    assert (state.health, state.rollback, state.restored) == (None, None, None)
    assert (state.registered_revisions, state.rollback_started_at) == ({}, None)
    assert (state.release_id, state.image_tag, state.ended_steps) == (None, None, ())


def test_a_rollback_reads_of_another_version_what_it_knows() -> None:
    registered = {"taskDefinitions": {"api": "api:7", "worker": 7}, "new": True}
    state = ExecutionState({"registered": registered, "rollback": {"startedAt": 12, "new": True}})
    assert (state.registered_revisions, state.rollback_started_at) == ({"api": "api:7"}, 12.0)


def test_the_newest_twin_counts_and_one_that_cannot_be_read_does_not() -> None:
    registered = {"twins": {"api": "api:7", "worker": "worker:2", "web": None}}
    assert ExecutionState({"registered": registered, "rollback": {"twins": {"api": "api:9", "x": 1}}}).twins == {
        "api": "api:9",
        "worker": "worker:2",
    }
    assert ExecutionState({"registered": {"twins": []}, "rollback": []}).twins == {}


def test_what_was_deleted_is_read_of_both_steps() -> None:
    state = ExecutionState({"registered": {"deleted": ["api"]}, "rollback": {"deleted": ["web", 1]}})
    assert state.deleted_before == ("api",)
    assert state.deleted == {"api", "web"}
    assert ExecutionState({"registered": {"deleted": "api"}}).deleted == frozenset()


@pytest.mark.parametrize(
    "answer",
    [
        {"at": 3.0, "step": "Plan"},
        {"at": "now", "step": "x"},
        {"at": None, "step": "x"},
        {"at": 3.0, "step": ["x"]},
        {"at": 10**400, "step": "x"},
    ],
    ids=["a step's time", "text", "null", "a list", "a huge number"],
)
def test_the_answer_of_a_person_is_no_step_and_a_wrong_time_is_none(answer: dict[str, Any]) -> None:
    done = {"step": "Verify image", "at": 1.0}
    assert ExecutionState({**done, "approval": answer}).ended_steps == ((1.0, "Verify image"),)
    wrong = {} if answer["step"] == "Plan" else answer
    assert ExecutionState({**done, "lock": wrong}).ended_steps == ((1.0, "Verify image"),)


@pytest.mark.parametrize("at", [True, -1.0, float("nan"), float("inf")])
def test_what_is_no_time_is_left_out(at: float) -> None:
    assert ExecutionState({"lock": {"step": "Acquire lock", "at": at}}).ended_steps == ()


def test_a_missing_result_is_a_bug_and_is_told_as_one() -> None:
    assert needed("here") == "here"
    with pytest.raises(LookupError, match="an earlier step has left no result"):
        needed(None)


@pytest.mark.parametrize("pushed_at", [1767603600.0, 0, None, "yesterday"])
def test_a_pushed_image_is_one_whose_push_time_ecr_tells(pushed_at: object) -> None:
    state = ExecutionState({"image": {"tag": "v1", "pinned": {}, "pushedAt": pushed_at}})
    assert (state.pushed_image is not None) == (pushed_at == 1767603600.0)
    assert state.image is not None


def test_a_service_gets_what_was_registered_for_it_or_the_twin_that_its_wave_gave_it() -> None:
    registered = encode_result(RegisterResult({"api": arn("api", 2), "worker": arn("worker", 2)}), "", 0.0)
    state = {"registered": registered}
    assert ExecutionState(state).targets == {"api": arn("api", 2), "worker": arn("worker", 2)}
    moved = ExecutionState({**state, "wave": {"twins": {"worker": arn("worker", 3)}}})
    assert moved.targets == {"api": arn("api", 2), "worker": arn("worker", 3)}
    with pytest.raises(LookupError):
        _ = ExecutionState({}).targets
