from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lambdas.aws.gateway import ATTEMPTS
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import LOGS, SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, StepError, footprint
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed
from tests.simulator.quick import few_looks

HERE = "Record failure"


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(settings=few_looks(), recovery=False, circuit_breaker=False) as simulated:
        deployed(simulated, "v0", "zero")
        yield simulated


def at_failure(simulated: SimulatedEnvironment, behavior: ImageBehavior | None = None) -> Flow:
    simulated.push("v1", behavior or ImageBehavior("crash", exit_code=3, logs=("KeyError: 'URL'",)))
    return Flow(simulated, {**DEPLOY, "requestedBy": "cli:ada", "reason": "a fix"}).run_to(HERE)


APPLIED = "The migration was applied and stays applied: what runs now meets the new schema."


def test_the_report_says_what_failed_why_and_what_was_done(simulated: SimulatedEnvironment) -> None:
    report = at_failure(simulated).call()
    assert (report["outcome"], report["step"], report["errorType"]) == ("RolledBack", "Check rollout", "RolloutFailed")
    explanation = report["explanation"]
    assert explanation["causes"][0]["cause"] == "exit-code"
    assert explanation["logLines"] == ["KeyError: 'URL'"]
    assert explanation["done"] == [
        APPLIED,
        "Rolled back to their previous task definitions: api.",
        "Restored 5 parameters.",
        "All services are steady on what they ran before.",
    ]


def test_a_caught_error_is_reported_with_its_step_and_without_its_stack(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to("Deploy wave")
    flow.catch(StepError("KeyError", "Deploy wave: 'api'"))
    report = flow.run_to(HERE).call()
    assert (report["step"], report["errorType"], report["message"]) == ("Deploy wave", "KeyError", "'api'")


def test_record_and_free_lock_are_one_transaction_and_the_live_release_stays(simulated: SimulatedEnvironment) -> None:
    live = simulated.table.live()
    flow = at_failure(simulated)
    start = len(simulated.aws.calls)
    flow.call()
    (call,) = [call for call in simulated.aws.calls[start:] if call.operation == "TransactWriteItems"]
    assert len(call.params["TransactItems"]) == 2
    assert simulated.table.live() == live
    assert simulated.table.read_lock().holder is None
    record = simulated.table.history(1)[0]
    assert (record.outcome, record.requested_by, record.reason) == ("RolledBack", "cli:ada", "a fix")
    assert record.report.explanation is not None


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_an_answer_that_was_lost_changes_nothing(simulated: SimulatedEnvironment, times: int) -> None:
    flow = at_failure(simulated)
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=times))
    assert flow.run_to_end() == "RolledBack"
    assert [record.outcome for record in simulated.table.history(9)] == ["RolledBack", "Deployed"]


def test_an_event_and_a_metric_tell_the_outcome(simulated: SimulatedEnvironment) -> None:
    flow = at_failure(simulated)
    start = len(simulated.aws.calls)
    LOGS.lines.clear()
    flow.call()
    (call,) = [call for call in simulated.aws.calls[start:] if call.operation == "PutEvents"]
    (entry,) = call.params["Entries"]
    assert entry["DetailType"] == "DeploymentRolledBack"
    assert json.loads(entry["Detail"])["explanation"]["causes"][0]["cause"] == "exit-code"
    (metrics,) = [json.loads(line) for line in LOGS.lines if '"_aws"' in line]
    assert metrics["outcome"] == "RolledBack"


def test_an_event_bus_that_is_down_does_not_change_the_outcome(simulated: SimulatedEnvironment) -> None:
    flow = at_failure(simulated)
    simulated.aws.faults.add(CallFault(CallAction.ERROR, service="events", times=99))
    assert flow.run_to_end() == "RolledBack"


def test_a_rollback_that_failed_says_both_failures(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", ImageBehavior("crash"))
    flow = Flow(simulated, DEPLOY).run_to("Roll back")
    flow.catch(StepError("AccessDenied", "Roll back: ecs:update_service: no"))
    assert flow.at == HERE
    report = flow.call()
    assert report["outcome"] == "RollbackFailed"
    assert report["errorType"] == "RolloutFailed"
    assert "The rollback failed: AccessDenied: ecs:update_service: no" in report["explanation"]["done"]
    assert flow.run_to_end() == "RollbackFailed"
    assert simulated.table.read_lock().holder is None


def test_who_lost_the_lease_writes_its_record_and_leaves_the_lock_alone(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to("Deploy wave")
    flow.lose_lock()
    running = footprint(simulated)["services"]
    assert flow.run_to_end() == "RollbackFailed"
    assert footprint(simulated)["services"] == running
    holder = simulated.table.read_lock().holder
    assert holder is not None
    assert holder.execution != flow.arn
    record = simulated.table.history(1)[0]
    assert (record.outcome, record.report.error_type, record.report.step) == (
        "RollbackFailed",
        "LeaseLost",
        "Deploy wave",
    )
    assert record.report.explanation is not None
    assert record.report.explanation.done == (APPLIED, "Nothing was rolled back.")


def test_who_loses_the_lease_at_the_very_end_still_leaves_a_record(simulated: SimulatedEnvironment) -> None:
    flow = at_failure(simulated)
    flow.lose_lock()
    assert flow.call()["outcome"] == "RolledBack"
    assert simulated.table.history(1)[0].execution == flow.arn


def test_a_failed_rollback_is_recorded_as_such(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v2", "two")
    flow = Flow(simulated, ROLLBACK, "three").run_to("Check rollout")
    flow.catch(StepError("KeyError", "Check rollout: a bug"))
    assert flow.run_to_end() == "RollbackFailed"
    assert flow.state["report"]["explanation"]["done"][-1].startswith("The rollback failed: NothingToReturnTo")


def test_the_report_fits_into_the_cause_of_a_fail_state(simulated: SimulatedEnvironment) -> None:
    logs = tuple("x" * 5000 for _ in range(100))
    report = at_failure(simulated, ImageBehavior("crash", logs=logs)).call()
    assert len(json.dumps(report)) < 32_768


def test_the_journal_stays_when_the_rollback_failed_and_goes_when_it_did_not(simulated: SimulatedEnvironment) -> None:
    """It is all that says what every service ran before: a release says that only of those that were verified."""
    simulated.push("v1", ImageBehavior("crash"))
    failed = Flow(simulated, DEPLOY, "one").run_to("Roll back")
    failed.catch(StepError("AwsError", "Roll back: no"))
    assert failed.run_to_end() == "RollbackFailed"
    journal = simulated.table.read_journal()
    assert journal is not None
    assert journal.release_id == failed.state["plan"]["releaseId"]
    assert {name: each.previous for name, each in journal.services.items()} == {
        name: each["previous"] for name, each in failed.state["plan"]["services"].items()
    }
    refused = Flow(simulated, DEPLOY, "two").run_to("Acquire lock").fails()
    assert refused.error_type == "UnfinishedRollback"
    assert Flow(simulated, ROLLBACK, "three").run_to_end() == "Deployed"
    assert simulated.table.read_journal() is None
