"""What each step leaves in the state, walked through the real machine: it reads as its type, and says what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

import config
from lambdas.release import results
from lambdas.release.codec import decode, encode
from lambdas.release.history import Report
from lambdas.release.plan import Plan
from lambdas.release.results import StepResult, encode_result
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine import steps
from statemachine.steps import STEPS, Step
from tests.lambdas.handlers.flow import FUNCTION_OF, Flow, Json
from tests.lambdas.handlers.surroundings import ROLLBACK

KINDS: dict[Step, type[StepResult | Plan | Report]] = {
    steps.VERIFY_IMAGE: results.VerifiedRequest,
    steps.ACQUIRE_LOCK: results.LockResult,
    steps.PLAN: Plan,
    steps.REQUEST_APPROVAL: results.ApprovalRequest,
    steps.UPDATE_IMAGE_TAG: results.TagResult,
    steps.REGISTER_TASK_DEFINITIONS: results.RegisterResult,
    steps.RUN_MIGRATION: results.MigrationResult,
    steps.DEPLOY_WAVE: results.WaveResult,
    steps.CHECK_ROLLOUT: results.RolloutResult,
    steps.CHECK_HEALTH: results.HealthResult,
    steps.COMPLETE: results.DeployedReport,
    steps.ROLL_BACK: results.RollbackResult,
    steps.CHECK_ROLLBACK: results.RestoredResult,
    steps.RECORD_FAILURE: Report,
    steps.RECORD_OUTCOME: results.OutcomeReport,
}


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    dev = config.load("dev")
    asks = replace(dev, approval=replace(dev.approval, required=True))
    with SimulatedEnvironment(settings=asks, recovery=False) as simulated:
        yield simulated


def walk(flow: Flow) -> Iterator[tuple[Step, Json]]:
    """Walk to the end; yields each result, with the step that left it."""
    while not flow.ended:
        state, before = flow.at, len(flow.results)
        flow.step()
        for result in flow.results[before:]:
            yield FUNCTION_OF[state], result


def executions(simulated: SimulatedEnvironment) -> Iterator[Flow]:
    """Deploy, look, break and go back, one after the other."""
    simulated.push("v1")
    simulated.push("v2", ImageBehavior("crash"))
    simulated.push("v3", per_service={"migration": ImageBehavior(exit_code=1)})
    yield Flow(simulated, {"imageTag": "v1"}, "good")
    yield Flow(simulated, {"imageTag": "v1"}, "nothing")
    yield Flow(simulated, {"imageTag": "v2", "dryRun": True}, "dry")
    yield Flow(simulated, {"imageTag": "v2"}, "crashes")
    yield Flow(simulated, {"imageTag": "v3"}, "migration")
    yield Flow(simulated, {"imageTag": "gone"}, "refused")
    yield Flow(simulated, ROLLBACK, "first")


def test_each_result_reads_as_its_type_again_and_says_in_one_line_what_was_done(
    simulated: SimulatedEnvironment,
) -> None:
    seen = set()
    for flow in executions(simulated):
        for step, result in walk(flow):
            seen.add(step)
            sent = json.loads(json.dumps(result))
            read = decode(KINDS[step], sent)
            assert sent["message"].strip(), step.state
            assert "\n" not in sent["message"]
            assert sent["message"] == read.message
            again = encode(read) if isinstance(read, Report) else encode_result(read, step.state, sent["at"])
            assert again == sent
    assert seen == set(STEPS)
