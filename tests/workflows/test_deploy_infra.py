"""deploy-infra.yml: the words for production, the image, the differences, the deploy, and what is kept of it."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.constructs.carried_image import WORKLOADS
from tests.workflows.runner import Runner
from tests.workflows.workflow import WORKFLOWS, step

FILE = "deploy-infra.yml"
CONFIRM = step("deploy-infra.yml", "check", "Check the confirmation")
INSTALL = step("deploy-infra.yml", "deploy", "Install")
FIND = step("deploy-infra.yml", "deploy", "Find the image")
SYNTH = step("deploy-infra.yml", "deploy", "Synthesise")
DIFF = step("deploy-infra.yml", "deploy", "Show the differences")
DEPLOY = step("deploy-infra.yml", "deploy", "Deploy")
KEEP = step("deploy-infra.yml", "deploy", "Keep the image")

TAG = "sha-6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"
DIGEST = f"sha256:{'ab' * 32}"
URI = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/v3-backend@{DIGEST}"
ACCOUNT = {"vars.AWS_ACCOUNT_ID": "123456789012", "vars.AWS_REGION": "eu-central-1"}
WRONG_WORDS = [
    "",
    "yes",
    "deploy to production",
    "Deploy To Production",
    "DEPLOY TO PRODUCTION ",
    " DEPLOY TO PRODUCTION",
    "DEPLOY  TO PRODUCTION",
    "DEPLOY TO PRODUCTION!",
    "DEPLOY TO PRODUCTION\nDEPLOY TO PRODUCTION",
    "DEPLOY*",
    '" = "" ] || [ "a',
    "$(touch x)",
]


def confirm(environment: str, words: str) -> dict[str, str]:
    return {"inputs.environment": environment, "inputs.confirmation": words}


def test_production_is_deployed_with_the_exact_words(runner: Runner) -> None:
    assert runner.run(CONFIRM, confirm("production", "DEPLOY TO PRODUCTION")).code == 0


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_production_is_not_deployed_with_other_words(runner: Runner, words: str) -> None:
    result = runner.run(CONFIRM, confirm("production", words))

    assert result.code == 1
    assert "DEPLOY TO PRODUCTION" in result.error.text
    assert "x" not in runner.files()


@pytest.mark.parametrize("environment", ["dev", "staging"])
def test_other_environments_need_no_words(runner: Runner, environment: str) -> None:
    assert runner.run(CONFIRM, confirm(environment, "")).code == 0


@pytest.mark.parametrize("environment", ["", "prod", "Production", "dev production", "$(touch x)"])
def test_an_environment_that_there_is_not_is_refused(runner: Runner, environment: str) -> None:
    result = runner.run(CONFIRM, confirm(environment, "DEPLOY TO PRODUCTION"))

    assert result.code == 1
    assert "x" not in runner.files()


def test_nothing_has_credentials_before_the_words_were_right() -> None:
    jobs = WORKFLOWS[FILE]["jobs"]

    assert jobs["check"]["permissions"] == {}
    assert "environment" not in jobs["check"]
    assert set(jobs) == {"check", "deploy"}
    assert jobs["deploy"]["needs"] == "check"


def test_the_steps_come_in_an_order_in_which_a_missing_image_changes_nothing() -> None:
    names = [each["name"] for each in WORKFLOWS[FILE]["jobs"]["deploy"]["steps"]]
    order = ["Install", "Get AWS credentials", "Find the image", "Synthesise", "Show the differences", "Deploy"]

    assert [name for name in names if name in order] == order
    assert names[-1] == "Keep the image"


def test_what_is_installed_comes_from_the_lock_files_and_goes_into_the_path(runner: Runner) -> None:
    runner.answer("make")

    result = runner.run(INSTALL, {})

    assert result.calls == (("make", ".venv/.ready", "node_modules/.ready"),)
    assert [each.rsplit("/", 2)[1:] for each in result.path] == [[".venv", "bin"]]


def find_values(tag: str) -> dict[str, str]:
    return {"inputs.image_tag": tag, **ACCOUNT}


def test_an_image_tag_becomes_a_digest(runner: Runner) -> None:
    runner.answer("aws", "describe-images", output=f"{DIGEST}\n")

    result = runner.run(FIND, find_values(TAG))

    assert result.outputs == {"uri": URI}


@pytest.mark.parametrize(
    "answer",
    [{"error": "An error occurred (ImageNotFoundException) when calling it", "code": 254}, {"output": "None\n"}],
    ids=["refused", "nothing found"],
)
def test_an_image_that_is_missing_stops_the_deploy(runner: Runner, answer: dict[str, Any]) -> None:
    runner.answer("aws", "describe-images", **answer)

    result = runner.run(FIND, find_values(TAG))

    assert result.code != 0
    assert result.outputs == {}
    assert TAG in result.error.text
    assert "v3-backend" in result.error.text
    assert "Give a tag that it has" in result.error.text


@pytest.mark.parametrize(
    "tag",
    [
        "$(touch x)",
        "`touch x`",
        "a;touch x",
        "a,imageDigest=sha256:0",
        "../x",
        "-rf",
        "a\ntouch x",
        "file://secret",
        "a" * 129,
        "tág",
    ],
)
def test_a_tag_that_is_none_reaches_no_command(runner: Runner, tag: str) -> None:
    result = runner.run(FIND, find_values(tag))

    assert result.code != 0
    assert result.calls == ()
    assert result.error.title == "Not a tag"
    assert "x" not in runner.files()


def test_when_ecr_does_not_answer_nothing_is_deployed(runner: Runner) -> None:
    runner.answer("aws", "describe-images", error="Could not connect to the endpoint URL", code=255)

    result = runner.run(FIND, find_values(TAG))

    assert result.code != 0
    assert "Could not connect" in result.error.text


def infra_values(uri: str = "") -> dict[str, str]:
    return {
        "inputs.environment": "staging",
        "inputs.image_tag": TAG if uri else "",
        "inputs.without_lock": "false",
        "steps.image.outputs.uri": uri,
    }


def test_without_an_image_the_stacks_keep_what_runs(runner: Runner) -> None:
    runner.answer("cdk", "synth")

    (call,) = runner.run(SYNTH, infra_values()).calls

    assert "environment=staging" in call
    assert "imageUri" not in " ".join(call)


def test_an_image_reaches_the_stacks_by_its_digest(runner: Runner) -> None:
    runner.answer("cdk", "synth")

    (call,) = runner.run(SYNTH, infra_values(URI)).calls

    assert call[-2:] == ("--context", f"imageUri={URI}")


def test_the_differences_are_in_the_summary(runner: Runner) -> None:
    runner.answer("cdk", "diff", output="Stack v3-backend-staging-network\n[+] AWS::EC2::VPC\n")

    result = runner.run(DIFF, infra_values(URI))

    assert result.code == 0
    assert "[+] AWS::EC2::VPC" in result.summary
    assert "[+] AWS::EC2::VPC" in result.log
    assert URI in result.summary
    assert "Cut after" not in result.summary
    assert result.summary.count("~~~~~~") == 2


def test_many_differences_are_cut_to_what_github_shows_and_it_says_so(runner: Runner) -> None:
    lines = "".join(f"[~] é {number:08}\n" for number in range(80_000))
    runner.answer("cdk", "diff", output=lines)

    result = runner.run(DIFF, infra_values())

    assert len(result.summary.encode()) < 2**20
    assert "Cut after 1000000 bytes" in result.summary
    assert result.summary.count("~~~~~~") == 2
    assert result.log.count("[~]") == 80_000


def test_differences_that_cannot_be_told_stop_the_deploy(runner: Runner) -> None:
    runner.answer("cdk", "diff", error="no bootstrap stack\n", code=1)

    result = runner.run(DIFF, infra_values())

    assert result.code == 1
    assert "no bootstrap stack" in result.log
    assert result.error.title == "cdk diff failed"


@pytest.mark.parametrize("without_lock", ["false", ""], ids=["by hand", "called by a push"])
def test_what_was_shown_is_deployed_with_the_lock_held(runner: Runner, without_lock: str) -> None:
    runner.answer("stepship", "deploy")

    result = runner.run(DEPLOY, {**infra_values(URI), "inputs.without_lock": without_lock})

    (call,) = result.calls
    assert result.code == 0
    assert call == ("stepship", "infra", "deploy", "--env", "staging", "--assembly", "cdk.out")
    assert result.annotations == ()


def test_a_person_can_do_without_a_lock_that_is_broken_and_is_warned(runner: Runner) -> None:
    runner.answer("cdk", "deploy")

    result = runner.run(DEPLOY, {**infra_values(URI), "inputs.without_lock": "true"})

    (call,) = result.calls
    assert result.code == 0
    assert call[:4] == ("cdk", "deploy", "--app", "cdk.out")
    assert {"--all", "never", "3"} <= set(call)
    assert [each.level for each in result.annotations] == ["warning"]


def test_only_a_person_can_do_without_the_lock() -> None:
    asked = WORKFLOWS[FILE]["on"]["workflow_dispatch"]["inputs"]["without_lock"]

    assert asked["type"] == "boolean"
    assert not asked.get("default")
    assert "without_lock" not in WORKFLOWS[FILE]["on"]["workflow_call"]["inputs"]


@pytest.mark.parametrize(("uri", "hint"), [("", "again."), (URI, "again with the same image_tag.")])
@pytest.mark.parametrize(("without_lock", "command"), [("false", "stepship"), ("true", "cdk")])
def test_a_deploy_that_fails_says_what_to_do(
    runner: Runner, without_lock: str, command: str, uri: str, hint: str
) -> None:
    runner.answer(command, "deploy", error="UPDATE_ROLLBACK_COMPLETE\n", code=130)

    result = runner.run(DEPLOY, {**infra_values(uri), "inputs.without_lock": without_lock})

    assert result.code == 130
    assert "without_lock" in result.error.text
    assert result.error.text.endswith(hint)


def test_the_image_is_kept_for_every_workload(runner: Runner) -> None:
    runner.answer("aws", "put-parameter", output="{}")

    result = runner.run(KEEP, infra_values(URI))

    written = {call[call.index("--name") + 1]: call[call.index("--value") + 1] for call in result.calls}
    assert result.code == 0
    assert written == {
        **{f"/v3-backend/staging/images/{workload}": URI for workload in WORKLOADS},
        "/v3-backend/staging/compute/currentImageTag": TAG,
    }
    assert all("--overwrite" in call for call in result.calls)


def test_parameters_that_cannot_be_written_fail_loudly_with_the_commands_to_repeat(runner: Runner) -> None:
    failing = "/v3-backend/staging/images/worker"
    runner.answer("aws", "put-parameter", failing, error="An error occurred (InternalServerError)\n", code=254)
    runner.answer("aws", "put-parameter", output="{}")

    result = runner.run(KEEP, infra_values(URI))

    command = f"aws ssm put-parameter --overwrite --type String --name {failing} --value {URI}"
    assert result.code == 1
    assert len(result.calls) == 5
    assert result.summary.count("aws ssm put-parameter") == 1
    assert command in result.summary
    assert command in result.log
    assert "not on record" in result.error.title
