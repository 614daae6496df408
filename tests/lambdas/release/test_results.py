"""The result of each step: its sentence, its JSON, and how the next step reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambdas.release.explanation import Explanation
from lambdas.release.history import Outcome, Report
from lambdas.release.image import ReleaseImage
from lambdas.release.plan import Plan
from lambdas.release.policies import AcceptedFinding
from lambdas.release.request import Request
from lambdas.release.results import (
    MAX_MESSAGE,
    AcceptingRequest,
    ApprovalRequest,
    CaughtError,
    CompletedService,
    DeployedReport,
    ExecutionState,
    HealthResult,
    LockResult,
    MigrationResult,
    MovedService,
    OutcomeReport,
    RegisterResult,
    RestoredResult,
    RollbackResult,
    RolloutResult,
    StepResult,
    TagResult,
    TaskCount,
    VerifiedRequest,
    WaveResult,
    encode_result,
    needed,
)
from lambdas.release.rollout import Verdict
from lambdas.release.verdicts import (
    FAILING,
    HealthStatus,
    LockStatus,
    MigrationStatus,
    RollbackStatus,
    Status,
    is_failure,
)
from tests.lambdas.release.examples import arn, pinned, plan

STEADY, GOING = Verdict(Status.STEADY, "steady", 3, 3), Verdict(Status.IN_PROGRESS, "1 of 3 tasks run", 1, 3)
BROKEN = Verdict(Status.FAILED, "2 tasks failed to start or to stay healthy", 0, 2)
TAKEN = Verdict(Status.SUPERSEDED, "somebody else deployed api:9 meanwhile", 3, 3)
WHY = Explanation("api: exit-code")
IMAGE = ReleaseImage("v3", {"v3-backend": pinned(3), "v3-admin": pinned(3).replace("v3-backend", "v3-admin")})

SENTENCES: dict[str, tuple[StepResult | Plan | Report, str]] = {
    "image": (
        VerifiedRequest(Request(image_tag="v3"), IMAGE),
        "v3 is v3-backend@sha256:000000000000, v3-admin@sha256:000000000000",
    ),
    "accepted findings": (
        AcceptingRequest(
            Request(image_tag="v3"),
            ReleaseImage("v3", {"v3-backend": pinned(3)}),
            (AcceptedFinding("CVE-2026-12345", "2026-12-31"),),
        ),
        "v3 is v3-backend@sha256:000000000000; accepted: CVE-2026-12345 until 2026-12-31",
    ),
    "no image": (VerifiedRequest(Request("rollback")), "a rollback: no image to look up"),
    "held": (LockResult(LockStatus.HELD, "acquired", 3), "token 3"),
    "inherited": (
        LockResult(LockStatus.HELD, "acquired", 3, inherited=True),
        "token 3, with the journal of a stopped execution",
    ),
    "busy": (LockResult(LockStatus.BUSY, "held by one", 2, 15), "held by one"),
    "plan": (plan(("api",), ("scheduler", "worker")), "deploy: api, then scheduler and worker"),
    "plan of nothing": (plan(), "deploy: no service to move"),
    "nothing to do": (replace(plan(("api",)), nothing_to_do=True), "everything already is as asked"),
    "asked": (ApprovalRequest(0.0), "asked for approval until 1970-01-01T00:00:00Z"),
    "tag": (TagResult("v3", ("/a", "/b")), "v3; 2 parameters"),
    "no tag": (TagResult(None, ("/a",)), "no tag; 1 parameter"),
    "registered": (RegisterResult({"api": arn("api", 2)}, None, 1), "1 new revision"),
    "migration": (MigrationResult(MigrationStatus.SUCCEEDED, "task", 1.0), "succeeded"),
    "broken migration": (
        MigrationResult(MigrationStatus.FAILED, "task", 1.0, "the migration exited with 1", WHY),
        "the migration exited with 1",
    ),
    "wave": (
        WaveResult(1, 5.0, {"scheduler": MovedService("arn", "two", "one"), "worker": MovedService("arn", "b", None)}),
        "scheduler, worker",
    ),
    "empty wave": (WaveResult(0, 5.0), "no service to move"),
    "rollout": (
        RolloutResult(Status.IN_PROGRESS, 0, True, {"api": GOING, "worker": STEADY}),
        "api: 1 of 3 tasks run; worker: steady",
    ),
    "steady": (RolloutResult(Status.STEADY, 0, False, {"api": STEADY, "worker": STEADY}), "api and worker steady"),
    "steady at once": (RolloutResult(Status.STEADY, 0, False, {}), "nothing to wait for"),
    "broken rollout": (
        RolloutResult(Status.FAILED, 0, False, {"api": GOING, "worker": BROKEN, "x": TAKEN}, (), WHY),
        "worker: 2 tasks failed to start or to stay healthy; x: somebody else deployed api:9 meanwhile",
    ),
    "alarm": (RolloutResult(Status.FAILED, 0, False, {"api": GOING}, ("errors",), WHY), "alarm errors fires"),
    "baking": (HealthResult(HealthStatus.BAKING, {"api": STEADY}), "baking"),
    "healthy, but something died": (
        HealthResult(
            HealthStatus.HEALTHY, {"api": STEADY}, (), WHY, {"api": "1 task died: no", "worker": "2 tasks died"}
        ),
        "healthy; api: 1 task died: no; worker: 2 tasks died",
    ),
    "unhealthy": (
        HealthResult(HealthStatus.UNHEALTHY, {"api": BROKEN, "worker": STEADY}, ("errors",), WHY),
        "alarm errors fires; api: 2 tasks failed to start or to stay healthy",
    ),
    "never healthy": (
        HealthResult(HealthStatus.UNHEALTHY, {"api": GOING, "worker": STEADY}, (), WHY),
        "api: 1 of 3 tasks run",
    ),
    "deployed": (
        DeployedReport(Outcome.DEPLOYED, message="r-1 is live", services={"api": CompletedService("a:1", "a:2", None)}),
        "r-1 is live",
    ),
    "rolls back": (RollbackResult(1.0, ("scheduler", "worker"), {"worker": "w:9"}), "rolls back scheduler and worker"),
    "rolls nothing back": (RollbackResult(1.0, ()), "no service has moved"),
    "edited meanwhile": (
        RestoredResult(RollbackStatus.NEXT_WAVE, {"api": TaskCount(3, 3)}, ("/a/b", "/a/c")),
        "2 parameters changed meanwhile: /a/b, /a/c",
    ),
    "restored": (
        RestoredResult(RollbackStatus.STEADY, {"api": TaskCount(3, 3)}),
        "all services are steady on what they ran before",
    ),
    "restoring": (
        RestoredResult(RollbackStatus.IN_PROGRESS, {"api": TaskCount(3, 3), "worker": TaskCount(0, 2)}),
        "api 3/3, worker 0/2",
    ),
    "failure": (Report(Outcome.ROLLED_BACK, "Check rollout", "RolloutFailed", "worker died", WHY), "worker died"),
    "planned": (OutcomeReport(Outcome.PLANNED, message="dry run", plan=plan(("api",))), "dry run"),
}


@pytest.mark.parametrize(("result", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_each_result_says_in_a_sentence_what_its_step_did(result: StepResult | Plan | Report, sentence: str) -> None:
    assert result.message == sentence
    assert encode_result(result, "Plan", 7.0)["message"] == sentence


def test_a_result_says_which_step_it_is_of_and_when_that_ended() -> None:
    encoded = encode_result(TagResult("v3", ("/a",)), "Update image tag", 7.0)
    assert list(encoded.items())[:2] == [("step", "Update image tag"), ("at", 7.0)]
    assert ExecutionState({"tag": encoded, "lock": {"step": "Acquire lock", "at": 5.0}}).ended_steps == (
        (5.0, "Acquire lock"),
        (7.0, "Update image tag"),
    )


def test_a_report_names_the_step_that_failed_and_not_its_own() -> None:
    report, _ = SENTENCES["failure"]
    encoded = encode_result(report, "Record failure", 7.0)
    assert encoded["step"] == "Check rollout"
    assert "at" not in encoded


def test_a_message_is_one_short_line() -> None:
    message = encode_result(LockResult(LockStatus.BUSY, "held\nby " + "x" * 1000, 1), "Acquire lock", 1.0)["message"]
    assert message.startswith("held by xxx")
    assert len(json.dumps(message)) == MAX_MESSAGE + len('""')


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


@pytest.mark.parametrize("key", [*FAILING, "lock", "report"])
def test_one_table_says_which_verdict_ends_a_deployment(key: str) -> None:
    for status in (*MigrationStatus, *HealthStatus, *Status, *LockStatus, None):
        bad = {"migration": "failed", "rollout": "failed", "health": "unhealthy"}.get(key)
        assert is_failure(key, status) == (bad is not None and status == bad)


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
