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
from lambdas.release.plan import PlannedApproval, PlannedParameter
from lambdas.release.state import CaughtError, ExecutionState
from tests.lambdas.release.examples import TAG, plan


def lambda_error(message: str, kind: str = "AwsError") -> CaughtError:
    return CaughtError(kind, json.dumps({"errorMessage": message, "errorType": kind}))


ENDED = ((10.0, "Verify image"), (20.0, "Acquire lock"), (30.0, "Run migration"), (40.0, "Check rollout"))

CAUGHT: dict[str, tuple[CaughtError, tuple[tuple[float, str], ...], Failure]] = {
    "a handler's error names its step": (
        lambda_error("Deploy wave: ecs: service is gone", "AwsError"),
        ENDED,
        Failure("Deploy wave", "AwsError", "ecs: service is gone"),
    ),
    "a message of several lines": (
        lambda_error("Plan: two checks:\nFAIL api"),
        ENDED,
        Failure("Plan", "AwsError", "two checks:\nFAIL api"),
    ),
    "a function that died": (
        lambda_error("RequestId: 1-2 Error: Runtime exited with error: signal: killed", "Runtime.ExitError"),
        ENDED,
        Failure(
            "after Check rollout",
            "Runtime.ExitError",
            "RequestId: 1-2 Error: Runtime exited with error: signal: killed",
        ),
    ),
    "the service's own words": (
        CaughtError("States.TaskFailed", "the function was throttled"),
        (),
        Failure(None, "States.TaskFailed", "the function was throttled"),
    ),
    "a timeout says nothing": (
        CaughtError("States.Timeout", ""),
        ENDED,
        Failure("after Check rollout", "States.Timeout", "States.Timeout"),
    ),
    "a cause that Step Functions has cut": (
        CaughtError("AwsError", '{"errorMessage": "Plan: ecs: gone", "errorType": "AwsError", "stackTrace": ["  File'),
        ENDED,
        Failure("Plan", "AwsError", "ecs: gone"),
    ),
    "a message in which it was cut": (
        CaughtError("PreflightFailed", '{"errorMessage": "Plan: 900 of 990 checks: FAIL api\\u00'),
        ENDED,
        Failure("Plan", "PreflightFailed", "900 of 990 checks: FAIL api"),
    ),
    "JSON without a message": (CaughtError("E", '{"a": 1}'), (), Failure(None, "E", '{"a": 1}')),
    "JSON that is no object": (CaughtError("E", "[1]"), (), Failure(None, "E", "[1]")),
    "nested too deep": (CaughtError("E", "[" * 9000), (), Failure(None, "E", "[" * MAX_MESSAGE)),
}


@pytest.mark.parametrize(("error", "ended_steps", "expected"), CAUGHT.values(), ids=CAUGHT)
def test_a_caught_error_is_read(
    error: CaughtError, ended_steps: tuple[tuple[float, str], ...], expected: Failure
) -> None:
    assert caught_failure(error, ended_steps) == expected


def test_a_long_message_is_cut() -> None:
    assert len(caught_failure(lambda_error("Plan: " + "x" * 9000)).message) == MAX_MESSAGE


@given(st.builds(CaughtError))
def test_any_error_can_be_told(error: CaughtError) -> None:
    failure = caught_failure(error)
    assert len(failure.message) <= MAX_MESSAGE
    if error.error_type:
        assert failure.message


EXPLAINED = Explanation("api: exit-code", (Cause("exit-code", "api", 1, ("exited with 1",), "see its lines"),))


def verdict(status: str, at: float = 1.0, explanation: Explanation | None = EXPLAINED) -> dict[str, Any]:
    """Return a result with a verdict: whatever a migration, a rollout and a bake need."""
    return {
        "status": status,
        "at": at,
        "step": "Check rollout",
        "explanation": encode(explanation),
        "task": None,
        "startedAt": 1.0,
        "reason": "not a word",
        "wave": 0,
        "moreWaves": False,
        "services": {},
    }


GOOD = {"migration": verdict("succeeded"), "rollout": verdict("steady"), "health": verdict("healthy")}


VERDICTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "none": ({}, None),
    "all good": (
        GOOD,
        None,
    ),
    "a failed migration": ({"migration": verdict("failed", 1)}, "MigrationFailed"),
    "a failed rollout": ({"migration": GOOD["migration"], "rollout": verdict("failed", 2)}, "RolloutFailed"),
    "an unhealthy bake": ({"rollout": GOOD["rollout"], "health": verdict("unhealthy", 3)}, "Unhealthy"),
    "the newest of two": ({"health": verdict("unhealthy", 3), "rollout": verdict("failed", 2)}, "Unhealthy"),
    "the newest of two, the other way": (
        {"health": verdict("unhealthy", 3), "rollout": verdict("failed", 4)},
        "RolloutFailed",
    ),
}


@pytest.mark.parametrize(("state", "error_type"), VERDICTS.values(), ids=VERDICTS)
def test_the_newest_bad_verdict_ended_it(state: dict[str, Any], error_type: str | None) -> None:
    failure = failed_verdict(ExecutionState(state))
    if error_type is None:
        assert failure is None
    else:
        assert failure == Failure("Check rollout", error_type, "api: exit-code", EXPLAINED)


def test_a_verdict_that_nothing_explains_is_told_in_its_own_words() -> None:
    failure = failed_verdict(ExecutionState({"migration": verdict("failed", explanation=None)}))
    assert failure == Failure("Check rollout", "MigrationFailed", "not a word")


def test_an_error_outweighs_a_verdict() -> None:
    error = lambda_error("Roll back: lost", "LeaseLost")
    caught = {"Error": error.error_type, "Cause": error.cause}
    state = ExecutionState({"rollout": verdict("failed", 2), "error": caught})
    assert describe_failure(state) == Failure("Roll back", "LeaseLost", "lost")


def test_a_verdict_is_told_when_there_is_no_error() -> None:
    assert describe_failure(ExecutionState({"rollout": verdict("failed", 2)})).error_type == "RolloutFailed"


def test_a_failure_that_nothing_explains_says_so() -> None:
    assert describe_failure(ExecutionState({})) == Failure(None, "Unknown", "no step says why")


def test_what_was_done_is_added_to_the_explanation() -> None:
    assert with_done(Failure("Plan", "E", "m", EXPLAINED), ("Rolled back.",)).explanation == Explanation(
        EXPLAINED.summary, EXPLAINED.causes, done=("Rolled back.",)
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


def rolled_back(*services: str, **overwritten: str) -> dict[str, Any]:
    return {"startedAt": 1.0, "services": list(services), "overwritten": overwritten}


SAME_IMAGE = "which has the same image: its settings may differ."

DONE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "somebody else's change was overwritten": (
        {"rollback": rolled_back("api", api="api:4")},
        (
            "Rolled back to their previous task definitions: api.",
            "api ran api:4, which somebody else had deployed meanwhile: make that change again.",
            "Restored 1 parameter.",
        ),
    ),
    "what it had was deregistered": (
        {
            "registered": {"taskDefinitions": {}, "twins": {"api": "a:task-definition/api:7", "web": "web:9"}},
            "rollback": {**rolled_back("api", "worker"), "twins": {"worker": "a:task-definition/worker:3"}},
        },
        (
            "Rolled back to their previous task definitions: api, worker.",
            "api runs api:7, which has the content of its previous task definition: that was deregistered.",
            "worker runs worker:3, which has the content of its previous task definition: that was deregistered.",
            "Restored 1 parameter.",
        ),
    ),
    "what it had was deleted": (
        {
            "registered": {
                "taskDefinitions": {},
                "twins": {"api": "a:task-definition/api:7"},
                "deleted": ["api", "web"],
            },
            "rollback": {**rolled_back("api", "worker"), "twins": {"worker": "worker:3"}, "deleted": ["worker"]},
        },
        (
            "Rolled back to their previous task definitions: api, worker.",
            f"The previous task definition of api was deleted; it runs api:7, {SAME_IMAGE}",
            f"The previous task definition of worker was deleted; it runs worker:3, {SAME_IMAGE}",
            "Restored 1 parameter.",
        ),
    ),
    "what many had was deregistered": (
        {"rollback": {**rolled_back(*"abcdef"), "twins": {name: f"{name}:1" for name in "abcdef"}}},
        (
            "Rolled back to their previous task definitions: a, b, c, d, e, f.",
            *(
                f"{name} runs {name}:1, which has the content of its previous task definition: that was deregistered."
                for name in "abcde"
            ),
            "The same goes for 1 more service: see $.rollback of the execution.",
            "Restored 1 parameter.",
        ),
    ),
    "it never began": ({}, ("Nothing was rolled back.",)),
    "services and all steady": (
        {"rollback": rolled_back("worker", "api"), "restored": {"status": "steady", "services": {}}},
        (
            "Rolled back to their previous task definitions: worker, api.",
            "Restored 1 parameter.",
            "All services are steady on what they ran before.",
        ),
    ),
    "ECS had put one back, and Stepship the other": (
        {"rollback": {**rolled_back("worker"), "returned": ["api"]}},
        (
            "Rolled back to their previous task definitions: worker.",
            "ECS had rolled back to the previous task definition by itself: api.",
            "Restored 1 parameter.",
        ),
    ),
    "ECS had put all back": (
        {"rollback": {**rolled_back(), "returned": ["api"]}},
        ("ECS had rolled back to the previous task definition by itself: api.", "Restored 1 parameter."),
    ),
    "a migration was applied": (
        {"migration": {"status": "succeeded", "task": "t", "startedAt": 1.0}, "rollback": rolled_back("api")},
        (
            "The migration was applied and stays applied: what runs now meets the new schema.",
            "Rolled back to their previous task definitions: api.",
            "Restored 1 parameter.",
        ),
    ),
    "a migration failed": (
        {"migration": {"status": "failed", "task": "t", "startedAt": 1.0}},
        ("The migration was started: what it has changed stays changed.", "Nothing was rolled back."),
    ),
    "a migration was stopped": (
        {
            "migration": {"status": "running", "task": "t", "startedAt": 1.0},
            "rollback": {**rolled_back(), "stoppedMigration": "t"},
        },
        (
            "Stopped the migration, which was still running; what it has changed stays changed.",
            "Stepship had no service to roll back.",
            "Restored 1 parameter.",
        ),
    ),
    "a migration could not be started": (
        {"migration": {"status": "failed", "task": None, "startedAt": 1.0}},
        ("Nothing was rolled back.",),
    ),
    "there was nothing to do": (
        {"rollback": rolled_back(), "restored": {"status": "inProgress", "services": {}}},
        ("Stepship had no service to roll back.", "Restored 1 parameter."),
    ),
    "somebody edited a parameter meanwhile": (
        {"rollback": {**rolled_back("api"), "parameters": ["/a/b"]}, "restored": None},
        (
            "Rolled back to their previous task definitions: api.",
            "Restored 1 parameter.",
            "Set again what somebody had changed meanwhile: /a/b.",
        ),
    ),
    "it was not watched to the end": (
        {"rollback": rolled_back("api"), "restored": None},
        ("Rolled back to their previous task definitions: api.", "Restored 1 parameter."),
    ),
}


@pytest.mark.parametrize(("state", "sentences"), DONE.values(), ids=DONE)
def test_the_rollback_is_told_in_sentences(state: dict[str, Any], sentences: tuple[str, ...]) -> None:
    planned = replace(plan(("api",)), parameters=(PlannedParameter(TAG, "v1", "v2"),))
    assert what_was_done(ExecutionState({**state, "plan": encode(planned)})) == sentences


def test_a_rollback_of_another_version_is_told_as_far_as_it_can_be_read() -> None:
    assert what_was_done(ExecutionState({"rollback": rolled_back("api"), "plan": {"releaseId": "r-1"}})) == (
        "Rolled back to their previous task definitions: api.",
    )
    assert what_was_done(ExecutionState({"rollback": {"status": "new"}})) == (
        "What was rolled back was noted by another version of the functions and cannot be read.",
    )


@pytest.mark.parametrize("unreadable", [{}, "text", 7, {"status": "brandNew"}, {"status": "failed", "explanation": {}}])
def test_a_verdict_of_another_version_hides_no_other_one(unreadable: Any) -> None:
    unhealthy = {"status": "unhealthy", "reason": "api: 1 task died", "services": {}, "step": "Check health", "at": 5.0}
    state = ExecutionState({"migration": unreadable, "rollout": unreadable, "health": unhealthy})
    assert describe_failure(state).step == "Check health"
    assert describe_failure(ExecutionState({"rollout": unreadable})).error_type == "Unknown"


ASKED = {"plan": encode(replace(plan(("api",)), approval=PlannedApproval(required=True, timeout_seconds=3600)))}


@pytest.mark.parametrize(
    ("error", "state", "expected"),
    [
        pytest.param(
            CaughtError("States.Timeout", ""),
            ASKED,
            Failure("Wait for approval", "States.Timeout", "nobody answered within 3600 s"),
            id="nobody answered",
        ),
        pytest.param(
            CaughtError("ApprovalRejected", "not on a Friday"),
            ASKED,
            Failure("Wait for approval", "ApprovalRejected", "not on a Friday"),
            id="the approval was rejected",
        ),
        pytest.param(
            CaughtError("PlanStale", "api moved"), {**ASKED, "approval": {}}, None, id="it was approved before"
        ),
        pytest.param(
            CaughtError("PlanStale", "api moved"), {"plan": encode(plan(("api",)))}, None, id="nobody was asked"
        ),
        pytest.param(CaughtError("PreflightFailed", "1 of 3"), {"request": {}}, None, id="there is no plan yet"),
    ],
)
def test_an_approval_that_was_not_given_is_told_as_such(
    error: CaughtError, state: dict[str, Any], expected: Failure | None
) -> None:
    assert refused_approval(error, ExecutionState(state)) == expected
