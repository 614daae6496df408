from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.codec import encode
from lambdas.release.explanation import MAX_CAUSES, MAX_LOG_LINES, Cause, Explanation
from lambdas.release.failure import (
    MAX_MESSAGE,
    Failure,
    caught_failure,
    describe_failure,
    failed_verdict,
    refused_approval,
    what_was_done,
    with_done,
)
from lambdas.release.plan import PlannedParameter
from tests.lambdas.release.examples import TAG, plan


def lambda_error(message: str, kind: str = "AwsError") -> dict[str, str]:
    return {"Error": kind, "Cause": json.dumps({"errorMessage": message, "errorType": kind})}


STATE: dict[str, Any] = {
    "step": "Verify image",
    "at": 10.0,
    "lock": {"step": "Acquire lock", "at": 20.0},
    "plan": {"waves": []},
    "rollout": {"step": "Check rollout", "at": 40.0},
    "migration": {"step": "Run migration", "at": 30.0},
    "note": "no result",
}

CAUGHT: dict[str, tuple[dict[str, Any], dict[str, Any], Failure]] = {
    "a handler's error names its step": (
        lambda_error("Deploy wave: ecs: service is gone", "AwsError"),
        STATE,
        Failure("Deploy wave", "AwsError", "ecs: service is gone"),
    ),
    "a message of several lines": (
        lambda_error("Plan: two checks:\nNG api"),
        STATE,
        Failure("Plan", "AwsError", "two checks:\nNG api"),
    ),
    "a function that died": (
        lambda_error("RequestId: 1-2 Error: Runtime exited with error: signal: killed", "Runtime.ExitError"),
        STATE,
        Failure(
            "after Check rollout",
            "Runtime.ExitError",
            "RequestId: 1-2 Error: Runtime exited with error: signal: killed",
        ),
    ),
    "the service's own words": (
        {"Error": "States.TaskFailed", "Cause": "the function was throttled"},
        {},
        Failure(None, "States.TaskFailed", "the function was throttled"),
    ),
    "a timeout says nothing": (
        {"Error": "States.Timeout"},
        STATE,
        Failure("after Check rollout", "States.Timeout", "States.Timeout"),
    ),
    "JSON without a message": ({"Error": "E", "Cause": '{"a": 1}'}, {}, Failure(None, "E", '{"a": 1}')),
    "JSON that is no object": ({"Error": "E", "Cause": "[1]"}, {}, Failure(None, "E", "[1]")),
    "nested too deep": ({"Error": "E", "Cause": "[" * 9000}, {}, Failure(None, "E", "[" * MAX_MESSAGE)),
    "nothing is known": ({}, {}, Failure(None, "Unknown", "Unknown")),
}


@pytest.mark.parametrize(("error", "state", "expected"), CAUGHT.values(), ids=CAUGHT)
def test_a_caught_error_is_read(error: dict[str, Any], state: dict[str, Any], expected: Failure) -> None:
    assert caught_failure(error, state) == expected


def test_a_long_message_is_cut() -> None:
    assert len(caught_failure(lambda_error("Plan: " + "x" * 9000), {}).message) == MAX_MESSAGE


@given(st.fixed_dictionaries({}, optional={"Error": st.text(), "Cause": st.text()}))
def test_any_error_can_be_told(error: dict[str, str]) -> None:
    failure = caught_failure(error, {})
    assert len(failure.message) <= MAX_MESSAGE
    if error.get("Error", "x"):
        assert failure.message


EXPLAINED = Explanation("api: exit-code", (Cause("exit-code", "api", 1, ("exited with 1",), "see its lines"),))


def verdict(status: str, at: float, step: str = "Check rollout") -> dict[str, Any]:
    return {"status": status, "at": at, "step": step, "explanation": encode(EXPLAINED)}


VERDICTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "none": ({}, None),
    "all good": (
        {"migration": {"status": "succeeded"}, "rollout": {"status": "steady"}, "health": {"status": "healthy"}},
        None,
    ),
    "a failed migration": ({"migration": verdict("failed", 1)}, "MigrationFailed"),
    "a failed rollout": ({"migration": {"status": "succeeded"}, "rollout": verdict("failed", 2)}, "RolloutFailed"),
    "an unhealthy bake": ({"rollout": {"status": "steady"}, "health": verdict("unhealthy", 3)}, "Unhealthy"),
    "the newest of two": ({"health": verdict("unhealthy", 3), "rollout": verdict("failed", 2)}, "Unhealthy"),
    "the newest of two, the other way": (
        {"health": verdict("unhealthy", 3), "rollout": verdict("failed", 4)},
        "RolloutFailed",
    ),
}


@pytest.mark.parametrize(("state", "error_type"), VERDICTS.values(), ids=VERDICTS)
def test_the_newest_bad_verdict_ended_it(state: dict[str, Any], error_type: str | None) -> None:
    failure = failed_verdict(state)
    if error_type is None:
        assert failure is None
    else:
        assert failure == Failure("Check rollout", error_type, "api: exit-code", EXPLAINED)


def test_an_error_outweighs_a_verdict() -> None:
    state = {"rollout": verdict("failed", 2), "error": lambda_error("Roll back: lost", "LeaseLost")}
    assert describe_failure(state) == Failure("Roll back", "LeaseLost", "lost")


def test_a_verdict_is_told_when_there_is_no_error() -> None:
    assert describe_failure({"rollout": verdict("failed", 2)}).error_type == "RolloutFailed"


def test_a_failure_that_nothing_explains_says_so() -> None:
    assert describe_failure({}) == Failure(None, "Unknown", "no step says why")


def test_what_was_done_is_added_to_the_explanation() -> None:
    assert with_done(Failure("Plan", "E", "m", EXPLAINED), ("Put back.",)).explanation == Explanation(
        EXPLAINED.summary, EXPLAINED.causes, done=("Put back.",)
    )


def test_an_error_without_an_explanation_gets_its_message_as_summary() -> None:
    failure = with_done(Failure("Plan", "E", "m" * 9000), ())
    assert failure.explanation == Explanation("m" * MAX_MESSAGE)


def test_an_explanation_of_an_older_version_is_cut_to_today_s_bounds() -> None:
    large = Explanation("s", EXPLAINED.causes * 9, tuple(str(n) for n in range(30)))
    explanation = with_done(Failure(None, "E", "m", large), ()).explanation
    assert explanation is not None
    assert len(explanation.causes) == MAX_CAUSES
    assert explanation.log_lines == tuple(str(n) for n in range(30 - MAX_LOG_LINES, 30))


DONE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "somebody else's change was overwritten": (
        {"rollback": {"services": ["api"], "overwritten": {"api": "api:4"}}},
        (
            "Put back on their previous task definitions: api.",
            "api ran api:4, which somebody else had deployed meanwhile: that change has to be made again.",
            "Restored 1 parameters.",
        ),
    ),
    "it never began": ({}, ("Nothing was put back.",)),
    "services and all steady": (
        {"rollback": {"services": ["worker", "api"]}, "restored": {"status": "steady"}},
        (
            "Put back on their previous task definitions: worker, api.",
            "Restored 1 parameters.",
            "All services are steady on what they ran before.",
        ),
    ),
    "ECS had done it": (
        {"rollback": {"services": []}, "restored": {"status": "inProgress"}},
        ("No service had to be put back by us.", "Restored 1 parameters."),
    ),
    "it was not watched to the end": (
        {"rollback": {"services": ["api"]}, "restored": None},
        ("Put back on their previous task definitions: api.", "Restored 1 parameters."),
    ),
}


@pytest.mark.parametrize(("state", "sentences"), DONE.values(), ids=DONE)
def test_the_way_back_is_told_in_sentences(state: dict[str, Any], sentences: tuple[str, ...]) -> None:
    assert what_was_done(state, replace(plan(("api",)), parameters=(PlannedParameter(TAG, "v1", "v2"),))) == sentences


ASKED = {"plan": {"approval": {"required": True, "timeoutSeconds": 3600}}}


@pytest.mark.parametrize(
    ("error", "state", "expected"),
    [
        pytest.param(
            {"Error": "States.Timeout", "Cause": ""},
            ASKED,
            Failure("Wait for approval", "States.Timeout", "nobody answered within 3600 s"),
            id="nobody answered",
        ),
        pytest.param(
            {"Error": "ApprovalRejected", "Cause": "not on a Friday"},
            ASKED,
            Failure("Wait for approval", "ApprovalRejected", "not on a Friday"),
            id="a person said no",
        ),
        pytest.param(
            {"Error": "PlanStale", "Cause": "api moved"}, {**ASKED, "approval": {}}, None, id="a person said yes before"
        ),
        pytest.param({"Error": "PreflightFailed", "Cause": "1 of 3"}, {"request": {}}, None, id="there is no plan yet"),
    ],
)
def test_an_approval_that_was_not_given_is_told_as_such(
    error: dict[str, str], state: dict[str, Any], expected: Failure | None
) -> None:
    assert refused_approval(error, state) == expected
