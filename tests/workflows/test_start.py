"""Starting an execution from a workflow: the input, the name, a start that is lost, and one that is repeated."""

from __future__ import annotations

import json
import re
from typing import Any

import fastjsonschema
import pytest

from tests.workflows.runner import Result, Runner
from tests.workflows.workflow import ROOT, Step, step

DEPLOY = step("deploy-code.yml", "deploy", "Start")
ROLLBACK = step("rollback-code.yml", "rollback", "Start")
SETTINGS = [
    step("deploy-code.yml", "image", "Check the settings"),
    step("deploy-code.yml", "deploy", "Check the settings"),
    step("deploy-infra.yml", "deploy", "Check the settings"),
    step("rollback-code.yml", "rollback", "Check the settings"),
]

VALID = fastjsonschema.compile(
    json.loads((ROOT / "statemachine" / "input.schema.json").read_text(encoding="utf-8")), use_default=False
)

COMMIT = "6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:v3-backend-staging-deploy"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:v3-backend-staging-deploy"
ACCOUNT = {"vars.AWS_ACCOUNT_ID": "123456789012", "vars.AWS_REGION": "eu-central-1"}
BY = {"github.triggering_actor": "octocat", "env.APP": "v3-backend", **ACCOUNT}
DEPLOYED = {
    "needs.plan.outputs.environment": "staging",
    "needs.plan.outputs.tag": f"sha-{COMMIT}",
    "needs.image.outputs.digest": f"sha256:{'ab' * 32}",
    "inputs.reason": "",
    "github.event.head_commit.message": "Cache pools\n\nCo-authored-by: someone",
    "github.sha": COMMIT,
    **BY,
}
ROLLED_BACK = {"inputs.environment": "staging", "inputs.release": "", "inputs.reason": "errors doubled", **BY}
EVIL = [
    "$(touch x)",
    "`touch x`",
    "'; touch x; '",
    '"}, "force": true, {"',
    "\\",
    "%0A::error::fake",
    "two\nlines",
    "\n\n  after empty lines",
    "nul\x07bell",
    "ünïcödé 🚀",
    "long " * 200,
    "file:///etc/passwd",
    "--output",
]
NO_ANSWER = 'Could not connect to the endpoint URL: "https://states.eu-central-1.amazonaws.com/"'


def refused(code: str) -> str:
    return f"An error occurred ({code}) when calling the StartExecution operation: words of AWS"


def started(runner: Runner, name: str) -> str:
    arn = f"{EXECUTION}:{name}"
    runner.answer("aws", "start-execution", output={"executionArn": arn, "startDate": 1})
    return arn


def given(result: Result) -> dict[str, Any]:
    """Return the input of the one start; it must be what the state machine accepts."""
    (call,) = result.calls_of("aws", "stepfunctions", "start-execution")
    document: dict[str, Any] = json.loads(call[call.index("--input") + 1])
    VALID(document)
    return document


def test_a_deploy_names_commit_digest_person_and_reason(runner: Runner) -> None:
    arn = started(runner, "any")

    result = runner.run(DEPLOY, DEPLOYED)

    assert result.code == 0, result.log
    assert given(result) == {
        "action": "deploy",
        "environment": "staging",
        "imageTag": f"sha-{COMMIT}",
        "imageDigest": f"sha256:{'ab' * 32}",
        "requestedBy": "github:octocat",
        "reason": "Cache pools",
    }
    assert MACHINE in result.calls[0]
    assert result.outputs["execution"] == arn
    assert result.outputs["url"].endswith(f"executions/details/{arn}")
    assert arn in result.log


@pytest.mark.parametrize(
    ("typed", "message", "reason"),
    [("hotfix", "Cache pools", "hotfix"), ("", "Cache pools", "Cache pools"), ("", "", COMMIT)],
)
def test_the_reason_is_what_was_typed_else_the_commit(runner: Runner, typed: str, message: str, reason: str) -> None:
    started(runner, "any")
    values = {**DEPLOYED, "inputs.reason": typed, "github.event.head_commit.message": message}

    assert given(runner.run(DEPLOY, values))["reason"] == reason


def test_a_rollback_without_a_release_leaves_the_target_to_the_machine(runner: Runner) -> None:
    started(runner, "any")

    assert given(runner.run(ROLLBACK, ROLLED_BACK)) == {
        "action": "rollback",
        "environment": "staging",
        "requestedBy": "github:octocat",
        "reason": "errors doubled",
    }


def test_a_rollback_goes_to_the_release_that_is_named(runner: Runner) -> None:
    started(runner, "any")
    values = {**ROLLED_BACK, "inputs.release": " r-20260105-090030-769acf "}

    assert given(runner.run(ROLLBACK, values))["releaseId"] == "r-20260105-090030-769acf"


@pytest.mark.parametrize(
    ("each", "values", "place", "text"),
    [
        *((DEPLOY, DEPLOYED, "github.event.head_commit.message", text) for text in EVIL),
        *((DEPLOY, DEPLOYED, "inputs.reason", text) for text in EVIL[:3]),
        *((DEPLOY, DEPLOYED, "github.triggering_actor", text) for text in EVIL[:3]),
        *((ROLLBACK, ROLLED_BACK, "inputs.reason", text) for text in EVIL[:3]),
    ],
)
def test_foreign_text_is_data_and_nothing_else(
    runner: Runner, each: Step, values: dict[str, str], place: str, text: str
) -> None:
    started(runner, "any")

    result = runner.run(each, {**values, place: text})

    assert result.code == 0, result.log
    document = given(result)
    assert set(document) <= {"action", "environment", "imageTag", "imageDigest", "requestedBy", "reason"}
    said = document["requestedBy" if "actor" in place else "reason"]
    assert said.isprintable()
    assert said.removeprefix("github:")[:3].strip() in text
    assert "x" not in runner.files()
    assert result.annotations == ()


@pytest.mark.parametrize("text", EVIL[:3])
def test_a_release_id_is_data_and_nothing_else(runner: Runner, text: str) -> None:
    started(runner, "any")

    result = runner.run(ROLLBACK, {**ROLLED_BACK, "inputs.release": text})

    assert given(result)["releaseId"] == text
    assert "x" not in runner.files()


def test_the_name_says_what_runs_and_is_new_for_each_attempt(runner: Runner) -> None:
    started(runner, "any")
    runner.answer("aws", "describe-execution", error=refused("ExecutionDoesNotExist"), code=254)
    names = []
    for each, values in ((DEPLOY, DEPLOYED), (ROLLBACK, ROLLED_BACK)):
        for attempt in ("1", "2"):
            (call,) = runner.run(each, values, GITHUB_RUN_ATTEMPT=attempt).calls_of(
                "aws", "stepfunctions", "start-execution"
            )
            names.append(call[call.index("--name") + 1])

    assert names == [
        "gh-staging-6f1c5d2e8a9b-19876543210-1",
        "gh-staging-6f1c5d2e8a9b-19876543210-2",
        "gh-staging-rollback-19876543210-1",
        "gh-staging-rollback-19876543210-2",
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) for name in names)


@pytest.mark.parametrize("lost", [NO_ANSWER, refused("ThrottlingException"), refused("InternalServerError")])
def test_a_start_whose_answer_is_lost_is_asked_again_in_the_same_words(runner: Runner, lost: str) -> None:
    runner.answer("aws", "start-execution", error=lost, code=255, times=2)
    started(runner, "any")

    result = runner.run(DEPLOY, DEPLOYED, POLL_SECONDS="0")

    assert result.code == 0
    assert len(result.calls) == 3
    assert len(set(result.calls)) == 1


def test_an_execution_that_a_lost_start_began_is_taken_up(runner: Runner) -> None:
    runner.answer("aws", "start-execution", error=NO_ANSWER, code=255, times=1)
    runner.answer("aws", "start-execution", error=refused("ExecutionAlreadyExists"), code=254)

    result = runner.run(DEPLOY, DEPLOYED, POLL_SECONDS="0")

    assert result.code == 0
    assert result.outputs["execution"] == f"{EXECUTION}:gh-staging-6f1c5d2e8a9b-19876543210-1"


def test_a_job_that_is_run_again_follows_what_its_earlier_attempt_started(runner: Runner) -> None:
    first = f"{EXECUTION}:gh-staging-6f1c5d2e8a9b-19876543210-1"
    second = f"{EXECUTION}:gh-staging-6f1c5d2e8a9b-19876543210-2"
    runner.answer("aws", "describe-execution", first, output={"status": "RUNNING"})
    runner.answer("aws", "describe-execution", second, error=refused("ExecutionDoesNotExist"), code=254)

    result = runner.run(DEPLOY, DEPLOYED, GITHUB_RUN_ATTEMPT="3")

    assert result.outputs["execution"] == first
    assert result.calls_of("aws", "stepfunctions", "start-execution") == []


def test_a_job_that_is_run_again_after_the_end_starts_anew(runner: Runner) -> None:
    runner.answer("aws", "describe-execution", output={"status": "FAILED"})
    arn = started(runner, "gh-staging-6f1c5d2e8a9b-19876543210-2")

    result = runner.run(DEPLOY, DEPLOYED, GITHUB_RUN_ATTEMPT="2")

    assert result.outputs["execution"] == arn


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("StateMachineDoesNotExist", "deploy the infrastructure of this environment first"),
        ("AccessDeniedException", "v3-backend-staging-github-code"),
        ("InvalidExecutionInput", "words of AWS"),
    ],
)
def test_a_start_that_is_refused_says_what_to_do_and_is_not_repeated(runner: Runner, code: str, hint: str) -> None:
    runner.answer("aws", "start-execution", error=refused(code), code=254)

    result = runner.run(DEPLOY, DEPLOYED)

    assert result.code == 1
    assert len(result.calls) == 1
    assert result.outputs == {}
    assert hint in result.error.text
    assert code in result.summary


def test_a_start_that_never_gets_an_answer_fails(runner: Runner) -> None:
    runner.answer("aws", "start-execution", error=NO_ANSWER, code=255)

    result = runner.run(DEPLOY, DEPLOYED, POLL_SECONDS="0")

    assert result.code == 1
    assert len(result.calls) == 4
    assert "Could not connect" in result.error.text


@pytest.mark.parametrize("each", SETTINGS, ids=lambda each: f"{each.file}:{each.job}")
@pytest.mark.parametrize("missing", ["AWS_ACCOUNT_ID", "AWS_REGION"])
def test_a_variable_that_is_not_set_is_named_with_its_place(runner: Runner, each: Step, missing: str) -> None:
    values = {"needs.plan.outputs.environment": "dev", "inputs.environment": "dev", **ACCOUNT}

    complete = runner.run(each, values)
    result = runner.run(each, {**values, f"vars.{missing}": ""})

    assert complete.code == 0
    assert result.code == 1
    assert missing in result.error.title
    assert f"GitHub environment {'dev-infra' if 'infra' in each.file else 'dev'} " in result.error.text
