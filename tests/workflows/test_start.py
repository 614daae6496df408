"""Starting an execution from a workflow: the words that the step types, and the input that the machine gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.workflows.runner import Runner
from tests.workflows.workflow import Step, step

DEPLOY = step("deploy-code.yml", "deploy", "Start")
ROLLBACK = step("rollback-code.yml", "rollback", "Start")
INSTALL = [step("deploy-code.yml", "deploy", "Install"), step("rollback-code.yml", "rollback", "Install")]
SETTINGS = [
    step("deploy-code.yml", "image", "Check the settings"),
    step("deploy-code.yml", "deploy", "Check the settings"),
    step("deploy-infra.yml", "deploy", "Check the settings"),
    step("rollback-code.yml", "rollback", "Check the settings"),
]

COMMIT = "6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"
DIGEST = f"sha256:{'ab' * 32}"
ACCOUNT = {"vars.AWS_ACCOUNT_ID": "123456789012", "vars.AWS_REGION": "eu-central-1"}
DEPLOYED = {
    "needs.plan.outputs.environment": "dev",
    "needs.plan.outputs.tag": f"sha-{COMMIT}",
    "needs.image.outputs.digest": DIGEST,
    "inputs.reason": "",
    "github.event.head_commit.message": "Cache pools\n\nCo-authored-by: someone",
    "github.sha": COMMIT,
    **ACCOUNT,
}
ROLLED_BACK = {"inputs.environment": "dev", "inputs.release": "", "inputs.reason": "errors doubled", **ACCOUNT}
EVIL = [
    "$(touch x)",
    "`touch x`",
    "'; touch x; '",
    '"}, "force": true, {"',
    "\\",
    "%0A::error::fake",
    "two\nlines",
    "nul\x07bell",
    "ünïcödé 🚀",
    "long " * 200,
    "file:///etc/passwd",
    "--output",
    "--help",
]


@pytest.fixture(scope="module")
def world() -> Iterator[SimulatedEnvironment]:
    """One for all tests: what is started in it has no time to run."""
    with SimulatedEnvironment() as simulated:
        yield simulated


def given(simulated: SimulatedEnvironment) -> dict[str, Any]:
    """Return the input of the last start."""
    document: dict[str, Any] = json.loads(simulated.aws.runs[-1].input_json)
    return document


def test_a_deploy_names_commit_digest_person_and_reason(runner: Runner, world: SimulatedEnvironment) -> None:
    result = runner.answer("stepship").run(DEPLOY, DEPLOYED).typed_in(world)

    (run,) = world.aws.runs[-1:]
    assert result.code == 0, result.log
    assert given(world) == {
        "action": "deploy",
        "environment": "dev",
        "imageTag": f"sha-{COMMIT}",
        "imageDigest": DIGEST,
        "requestedBy": "github:octocat",
        "reason": "Cache pools",
    }
    assert run.name == "deploy-dev-abababababab-19876543210-1"
    assert result.outputs["execution"] == run.arn
    assert result.outputs["execution-url"].endswith(f"executions/details/{run.arn}")
    assert result.annotations == ()


@pytest.mark.parametrize(
    ("typed", "message", "reason"),
    [("hotfix", "Cache pools", "hotfix"), ("", "Cache pools", "Cache pools"), ("", "", COMMIT)],
)
def test_the_reason_is_what_was_typed_else_the_commit(runner: Runner, typed: str, message: str, reason: str) -> None:
    values = {**DEPLOYED, "inputs.reason": typed, "github.event.head_commit.message": message}

    (call,) = runner.answer("stepship").run(DEPLOY, values).calls

    assert f"--reason={reason}" in call


def test_a_rollback_without_a_release_leaves_the_target_to_the_machine(
    runner: Runner, world: SimulatedEnvironment
) -> None:
    result = runner.answer("stepship").run(ROLLBACK, ROLLED_BACK).typed_in(world)

    assert result.code == 0, result.log
    assert given(world) == {
        "action": "rollback",
        "environment": "dev",
        "requestedBy": "github:octocat",
        "reason": "errors doubled",
    }


def test_a_rollback_goes_to_the_release_that_is_named(runner: Runner, world: SimulatedEnvironment) -> None:
    values = {**ROLLED_BACK, "inputs.release": " r-20260105-090030-769acf "}

    runner.answer("stepship").run(ROLLBACK, values).typed_in(world)

    assert given(world)["releaseId"] == "r-20260105-090030-769acf"


@pytest.mark.parametrize(
    ("each", "values", "place", "text"),
    [
        *((DEPLOY, DEPLOYED, "github.event.head_commit.message", text) for text in EVIL),
        *((DEPLOY, DEPLOYED, "inputs.reason", text) for text in EVIL[:3]),
        *((ROLLBACK, ROLLED_BACK, "inputs.reason", text) for text in EVIL[:3]),
    ],
)
def test_foreign_text_is_data_and_nothing_else(
    runner: Runner, world: SimulatedEnvironment, each: Step, values: dict[str, str], place: str, text: str
) -> None:
    result = (
        runner.answer("stepship")
        .run(each, {**values, place: text})
        .typed_in(world, GITHUB_RUN_ID=str(len(world.aws.runs)))
    )

    assert result.code == 0, result.log
    document = given(world)
    assert set(document) <= {"action", "environment", "imageTag", "imageDigest", "requestedBy", "reason"}
    assert document["reason"].isprintable()
    assert document["reason"][:3].strip() in text
    assert "x" not in runner.files()
    assert result.annotations == ()


@pytest.mark.parametrize("text", [*EVIL[:3], "--force", "-e production"])
def test_a_release_id_is_data_and_nothing_else(runner: Runner, world: SimulatedEnvironment, text: str) -> None:
    result = (
        runner.answer("stepship")
        .run(ROLLBACK, {**ROLLED_BACK, "inputs.release": text})
        .typed_in(world, GITHUB_RUN_ID=str(len(world.aws.runs)))
    )

    assert result.code == 0, result.log
    assert (given(world)["releaseId"], given(world)["environment"]) == (text, "dev")
    assert "x" not in runner.files()


def test_a_job_that_is_run_again_follows_what_its_earlier_attempt_started(
    runner: Runner, world: SimulatedEnvironment
) -> None:
    typed = runner.answer("stepship").run(DEPLOY, DEPLOYED, GITHUB_RUN_ID="77")
    first = typed.typed_in(world).outputs["execution"]
    count = len(world.aws.runs)

    again = typed.typed_in(world, GITHUB_RUN_ATTEMPT="3", GITHUB_TRIGGERING_ACTOR="hubot").outputs["execution"]

    assert (again, len(world.aws.runs)) == (first, count)
    world.aws.runs[-1].stop()
    anew = typed.typed_in(world, GITHUB_RUN_ATTEMPT="4").outputs["execution"]
    assert anew == f"{first.removesuffix('-1')}-4"


def test_what_keeps_it_from_starting_ends_the_job(runner: Runner) -> None:
    result = runner.answer("stepship", code=1).run(DEPLOY, DEPLOYED)

    assert result.code == 1


@pytest.mark.parametrize("each", INSTALL, ids=lambda each: each.file)
def test_the_command_line_is_installed_from_the_lock_and_is_on_the_path(runner: Runner, each: Step) -> None:
    result = runner.answer("make").run(each, {})

    assert result.calls == (("make", ".venv/.ready"),)
    assert [Path(path).parts[-2:] for path in result.path] == [(".venv", "bin")]
    assert runner.answer("make", code=2).answers.pop(0) is not None
    assert runner.run(each, {}).code == 2


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
