"""deploy-code.yml: which environment and method, the image, and what is said when the coupled way is chosen."""

from __future__ import annotations

import pytest

from tests.workflows.runner import Runner
from tests.workflows.workflow import WORKFLOWS, step

FILE = "deploy-code.yml"
PLAN = step("deploy-code.yml", "plan", "Choose environment and method")
LOOK = step("deploy-code.yml", "image", "Look for the image")
MOVE = step("deploy-code.yml", "image", "Move the latest tag")
BY_HAND = step("deploy-code.yml", "by-hand", "Say what to run")

TAG = "sha-6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"
DIGEST = f"sha256:{'ab' * 32}"
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
MISSING = "An error occurred (ImageNotFoundException) when calling the DescribeImages operation: it is not there"

PUSHED = {
    "inputs.environment": "",
    "github.ref_name": "develop",
    "vars.DEPLOYMENT_METHOD_DEV": "",
    "vars.DEPLOYMENT_METHOD_STAGING": "",
    "vars.DEPLOYMENT_METHOD_PRODUCTION": "",
}


@pytest.mark.parametrize(
    ("branch", "environment"), [("develop", "dev"), ("staging", "staging"), ("main", "production")]
)
def test_a_branch_goes_to_its_environment_by_the_state_machine(runner: Runner, branch: str, environment: str) -> None:
    result = runner.run(PLAN, {**PUSHED, "github.ref_name": branch})

    assert result.code == 0
    assert result.outputs == {"environment": environment, "method": "stepfunctions"}


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_by_hand_any_branch_goes_to_the_environment_that_was_chosen(runner: Runner, environment: str) -> None:
    result = runner.run(PLAN, {**PUSHED, "inputs.environment": environment, "github.ref_name": "feature/x"})

    assert result.outputs["environment"] == environment


def test_a_branch_of_no_environment_is_told_which_there_are(runner: Runner) -> None:
    result = runner.run(PLAN, {**PUSHED, "github.ref_name": "feature/x"})

    assert result.code == 1
    assert result.outputs == {}
    assert "feature/x" in result.error.text
    assert "main is production" in result.error.text


def test_each_environment_has_its_own_method(runner: Runner) -> None:
    values = {**PUSHED, "vars.DEPLOYMENT_METHOD_STAGING": "cdk"}

    methods = {
        branch: runner.run(PLAN, {**values, "github.ref_name": branch}).outputs["method"]
        for branch in ("develop", "staging", "main")
    }

    assert methods == {"develop": "stepfunctions", "staging": "cdk", "main": "stepfunctions"}


@pytest.mark.parametrize("method", ["CDK", "codedeploy", "stepfunctions ", "cdk stepfunctions", "$(touch x)", "*"])
def test_an_unknown_method_names_the_variable_and_the_words(runner: Runner, method: str) -> None:
    values = {**PUSHED, "github.ref_name": "main", "vars.DEPLOYMENT_METHOD_PRODUCTION": method}

    result = runner.run(PLAN, values)

    assert (result.code == 1, result.outputs) == (True, {})
    assert "DEPLOYMENT_METHOD_PRODUCTION" in result.error.text
    assert "one of: stepfunctions cdk" in result.error.text
    assert "x" not in runner.files()


@pytest.mark.parametrize("branch", ["$(touch x)", "`touch x`", '";touch x;"', "a' && touch x #", "develop\nmain"])
def test_a_branch_name_is_never_run(runner: Runner, branch: str) -> None:
    result = runner.run(PLAN, {**PUSHED, "github.ref_name": branch})

    assert result.code == 1
    assert result.outputs == {}
    assert "x" not in runner.files()


def test_an_image_that_is_there_is_not_built_again(runner: Runner) -> None:
    runner.answer("aws", "describe-images", output=f"{DIGEST}\n")

    result = runner.run(LOOK, {"needs.plan.outputs.tag": TAG})

    assert result.outputs["digest"] == DIGEST
    assert f"imageTag={TAG}" in result.calls[0]
    assert "v3-backend" in result.calls[0]
    (build,) = (each for each in WORKFLOWS[FILE]["jobs"]["image"]["steps"] if each.get("id") == "build")
    assert build["if"] == "steps.existing.outputs.digest == ''"


@pytest.mark.parametrize(
    "answer", [{"error": MISSING, "code": 254}, {"output": "None\n"}], ids=["refused", "nothing found"]
)
def test_an_image_that_is_missing_will_be_built(runner: Runner, answer: dict[str, object]) -> None:
    runner.answer("aws", "describe-images", **answer)  # type: ignore[arg-type]

    result = runner.run(LOOK, {"needs.plan.outputs.tag": TAG})

    assert result.code == 0
    assert result.outputs["digest"] == ""
    assert result.outputs["now"].endswith("Z")
    assert result.annotations == ()


def test_when_ecr_does_not_answer_nothing_is_built(runner: Runner) -> None:
    refusal = "An error occurred (AccessDeniedException) when calling the DescribeImages operation: no\nand no"
    runner.answer("aws", "describe-images", error=refusal, code=254)

    result = runner.run(LOOK, {"needs.plan.outputs.tag": TAG})

    assert result.code != 0
    assert result.outputs == {}
    assert "AccessDeniedException" in result.error.text


@pytest.mark.parametrize(("found", "built"), [(DIGEST, ""), ("", DIGEST)])
def test_the_latest_tag_names_the_digest_that_is_deployed(runner: Runner, found: str, built: str) -> None:
    runner.answer("docker", "imagetools")
    values = image_values(found, built)

    result = runner.run(MOVE, values)

    image = f"{REGISTRY}/v3-backend"
    assert result.outputs == {"digest": DIGEST}
    assert result.calls == (
        ("docker", "buildx", "imagetools", "create", "--tag", f"{image}:staging-latest", f"{image}@{DIGEST}"),
    )
    assert ("Already there" if found else "Pushed") in result.summary
    assert TAG in result.summary


def test_a_latest_tag_that_cannot_move_stops_before_anything_is_deployed(runner: Runner) -> None:
    runner.answer("docker", "imagetools", error="ERROR: tag is immutable\n", code=1)

    result = runner.run(MOVE, image_values("", DIGEST))

    assert result.code == 1
    assert result.outputs == {}
    assert "*-latest" in result.error.text


def image_values(found: str, built: str) -> dict[str, str]:
    return {
        "steps.registry.outputs.registry": REGISTRY,
        "env.APP": "v3-backend",
        "needs.plan.outputs.environment": "staging",
        "needs.plan.outputs.tag": TAG,
        "steps.existing.outputs.digest": found,
        "steps.build.outputs.digest": built,
    }


def test_production_is_coupled_by_a_person_who_is_told_how(runner: Runner) -> None:
    result = runner.run(BY_HAND, {"needs.plan.outputs.tag": TAG})

    assert result.code == 1
    assert "Deploy infrastructure" in result.error.text
    assert TAG in result.error.text
    assert WORKFLOWS["deploy-infra.yml"]["name"] == "Deploy infrastructure"


@pytest.mark.parametrize(
    ("method", "environment", "job"),
    [
        ("stepfunctions", "dev", "deploy"),
        ("stepfunctions", "production", "deploy"),
        ("cdk", "dev", "coupled"),
        ("cdk", "staging", "coupled"),
        ("cdk", "production", "by-hand"),
    ],
)
def test_a_method_chooses_one_job(method: str, environment: str, job: str) -> None:
    values = {"needs.plan.outputs.method": method, "needs.plan.outputs.environment": environment}

    def holds(condition: str) -> bool:
        name, operator, word = condition.split(" ")
        return (values[name] == word.strip("'")) is (operator == "==")

    conditions = {name: each["if"] for name, each in WORKFLOWS[FILE]["jobs"].items() if "if" in each}

    assert [name for name, text in conditions.items() if all(map(holds, text.split(" && ")))] == [job]
