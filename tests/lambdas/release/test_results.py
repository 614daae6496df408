"""The result of each step: its sentence, its JSON, and how the next step reads it."""

from __future__ import annotations

import json
from dataclasses import replace

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
    CompletedService,
    DeployedReport,
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
)
from lambdas.release.rollout import Verdict
from lambdas.release.state import ExecutionState
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


@pytest.mark.parametrize("key", [*FAILING, "lock", "report"])
def test_one_table_says_which_verdict_ends_a_deployment(key: str) -> None:
    for status in (*MigrationStatus, *HealthStatus, *Status, *LockStatus, None):
        bad = {"migration": "failed", "rollout": "failed", "health": "unhealthy"}.get(key)
        assert is_failure(key, status) == (bad is not None and status == bad)
