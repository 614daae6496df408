"""Following an execution from a workflow: exit codes, what other jobs get, and a workflow that is cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.workflows.runner import Result, Runner
from tests.workflows.workflow import WORKFLOWS, Step, step

DEPLOY = step("deploy-code.yml", "deploy", "Follow")
ROLLBACK = step("rollback-code.yml", "rollback", "Follow")
BOTH = pytest.mark.parametrize("each", [DEPLOY, ROLLBACK], ids=["deploy", "rollback"])
GOES_ON = [
    step("deploy-code.yml", "deploy", "Say that the execution goes on"),
    step("rollback-code.yml", "rollback", "Say that the execution goes on"),
]

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:deploy-dev-1-1"
VALUES = {
    "needs.plan.outputs.environment": "dev",
    "inputs.environment": "dev",
    "steps.start.outputs.execution": EXECUTION,
    "steps.start.outputs.execution-url": "https://console.example/execution",
    "vars.AWS_ACCOUNT_ID": "123456789012",
    "vars.AWS_REGION": "us-east-1",
    "env.APP": "v3-backend",
}
CRASH = ImageBehavior(
    outcome="crash", exit_code=3, logs=("starting", 'KeyError: "QUEUE_URL" <b>', "::error::fake", "```")
)


@pytest.fixture
def world(simulated: SimulatedEnvironment) -> Iterator[SimulatedEnvironment]:
    """A world in which v1 is live; v2 is good, v3 crashes."""
    for tag in ("v1", "v2"):
        simulated.push(tag)
    simulated.push("v3", per_service={"worker": CRASH})
    simulated.run({"imageTag": "v1"}, "first")
    yield simulated
    simulated.settle()


def followed(runner: Runner, each: Step, world: SimulatedEnvironment, execution: str) -> Result:
    values = {**VALUES, "steps.start.outputs.execution": execution}
    return runner.answer("stepship").run(each, values).typed_in(world)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 130])
@BOTH
def test_the_step_exits_as_the_command_does(runner: Runner, each: Step, code: int) -> None:
    assert runner.answer("stepship", "watch", code=code).run(each, VALUES).code == code


def test_a_deploy_that_a_newer_one_has_overtaken_is_a_warning_and_a_rollback_fails(runner: Runner) -> None:
    runner.answer("stepship", "watch", code=5)

    assert runner.run(DEPLOY, VALUES).code == 0
    assert runner.run(ROLLBACK, VALUES).code == 5


@BOTH
def test_following_ends_before_the_job_does(runner: Runner, each: Step) -> None:
    (call,) = runner.answer("stepship").run(each, VALUES).calls
    minutes = int(call[call.index("--timeout") + 1].removesuffix("m"))
    limit = WORKFLOWS[each.file]["jobs"][each.job]["timeout-minutes"]

    assert call[:3] == ("stepship", "watch", EXECUTION)
    assert minutes == limit - 15


@BOTH
def test_a_good_end_is_green_and_is_handed_on(runner: Runner, each: Step, world: SimulatedEnvironment) -> None:
    result = followed(runner, each, world, world.start({"imageTag": "v2"}, "second").arn)

    assert result.code == 0, result.log
    assert result.annotations == ()
    assert result.outputs["outcome"] == "Deployed"
    assert result.outputs["release-id"].startswith("r-")
    assert result.outputs["release-id"] in result.summary.replace("\\", "")
    assert result.outputs["execution-url"] in result.summary


def test_a_bad_end_has_its_exit_code_and_explains_itself(runner: Runner, world: SimulatedEnvironment) -> None:
    result = followed(runner, DEPLOY, world, world.start({"imageTag": "v3"}, "second").arn)

    assert (result.code, result.outputs["outcome"]) == (3, "RolledBack")
    assert result.error.title.startswith("dev: Failed, and rolled back")
    for shown in ("worker: exit-code", "container v3-backend-worker exited with 3", "::error::fake"):
        assert shown in result.error.text
        assert shown in result.summary
    assert "<pre>" in result.summary
    assert "<b>" not in result.summary


def test_an_execution_that_was_stopped_is_followed_until_all_is_rolled_back(
    runner: Runner, world: SimulatedEnvironment
) -> None:
    run = world.start({"imageTag": "v2"}, "second")
    world.aws.clock.sleep(60)
    run.stop(cause="somebody else")

    result = followed(runner, DEPLOY, world, run.arn)

    assert (result.code, result.outputs["outcome"]) == (1, "Stopped")
    assert "somebody stopped it (somebody else)" in result.error.text
    assert "recovery-1 does it" in result.log
    assert world.snapshot().live_tag == "v1"


def test_what_the_job_gives_to_other_jobs_is_what_the_command_line_writes() -> None:
    outputs = WORKFLOWS["deploy-code.yml"]["jobs"]["deploy"]["outputs"]

    assert outputs == {
        "outcome": "${{ steps.follow.outputs.outcome }}",
        "release": "${{ steps.follow.outputs.release-id }}",
        "digest": "${{ needs.image.outputs.digest }}",
        "url": "${{ steps.start.outputs.execution-url }}",
    }


@pytest.mark.parametrize("each", GOES_ON, ids=lambda each: each.file)
def test_a_cancelled_workflow_says_that_the_execution_goes_on(runner: Runner, each: Step) -> None:
    result = runner.run(each, VALUES)

    (warning,) = result.annotations
    assert result.code == 0
    assert "did not stop it" in warning.text
    assert "stepship watch deploy-dev-1-1 --env dev" in result.summary
    assert "stepship stop deploy-dev-1-1 --env dev" in result.summary
    assert result.calls == ()
