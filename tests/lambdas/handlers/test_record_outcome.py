from __future__ import annotations

import json

import pytest

from lambdas.aws.gateway import ATTEMPTS
from lambdas.release.codec import decode
from lambdas.release.plan import Plan
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, StepError, footprint
from tests.lambdas.handlers.surroundings import DEPLOY, deployed

HERE = "Record outcome"


def test_a_dry_run_ends_with_the_whole_plan(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, {**DEPLOY, "dryRun": True}).run_to(HERE)
    report = flow.call()
    assert report["outcome"] == "Planned"
    assert decode(Plan, report["plan"]) == decode(Plan, flow.state["plan"])
    assert simulated.table.read_lock().holder is None
    assert simulated.parameters() == {}


def test_a_plan_without_work_ends_as_nothing_to_do_on_the_live_release(simulated: SimulatedEnvironment) -> None:
    live = deployed(simulated, "v1", "one").state["report"]["release"]
    flow = Flow(simulated, DEPLOY, "two")
    assert flow.run_to_end() == "NothingToDo"
    assert flow.state["report"]["release"] == live
    assert simulated.table.history(1)[0].outcome == "NothingToDo"


def test_a_refused_input_ends_as_rejected_without_touching_the_lock(simulated: SimulatedEnvironment) -> None:
    flow = Flow(simulated, {"imageTag": 7, "requestedBy": "cli:ada"})
    assert flow.run_to_end() == "Rejected"
    report = flow.state["report"]
    assert (report["step"], report["errorType"]) == ("Verify image", "InvalidInput")
    record = simulated.table.history(1)[0]
    assert (record.outcome, record.requested_by, record.image_tag) == ("Rejected", "cli:ada", "7")
    assert simulated.table.read_lock().version == 0


@pytest.mark.parametrize("value", [None, 7, "text", [], [{"imageTag": "v1"}], {"action": {"a": 1}}, {"imageTag": None}])
def test_an_input_of_any_shape_ends_as_rejected_with_a_record(simulated: SimulatedEnvironment, value: object) -> None:
    flow = Flow(simulated, DEPLOY)
    flow.request = flow.state = value
    assert flow.run_to_end() == "Rejected"
    assert simulated.table.history(1)[0].outcome == "Rejected"


def test_a_refused_plan_frees_the_lock(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    simulated.aws.client("logs").delete_log_group(logGroupName="/v3-backend/dev/api")
    flow = Flow(simulated, DEPLOY)
    assert flow.run_to_end() == "Rejected"
    assert flow.state["report"]["step"] == "Plan"
    assert "log group exists" in flow.state["report"]["message"]
    assert simulated.table.read_lock().holder is None


def test_a_refusal_while_somebody_else_deploys_leaves_their_lock_alone(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    one = Flow(simulated, DEPLOY, "one").run_to("Register task definitions")
    simulated.aws.clock.sleep(1)
    lock = simulated.table.read_lock()
    assert Flow(simulated, {"imageTag": "gone"}, "two").run_to_end() == "Rejected"
    assert simulated.table.read_lock() == lock
    three = Flow(simulated, DEPLOY, "three").run_to("Wait for lock")
    three.wait(901)
    assert three.run_to_end() == "Rejected"
    assert three.state["report"]["errorType"] == "LockTimeout"
    holder = simulated.table.read_lock().holder
    assert holder is not None
    assert holder.execution == one.arn


def test_a_rejected_approval_ends_it_as_rejected(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to("Approval needed?")
    flow.at = "Wait for approval"
    flow.catch(StepError("ApprovalRejected", "not today"))
    assert flow.run_to_end() == "Rejected"
    assert flow.state["report"]["errorType"] == "ApprovalRejected"
    assert simulated.table.read_lock().holder is None


def test_who_lost_the_lease_meanwhile_ends_without_freeing_what_is_not_its_own(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, {**DEPLOY, "dryRun": True}).run_to(HERE)
    flow.lose_lock()
    holder = simulated.table.read_lock().holder
    assert flow.run_to_end() == "Planned"
    assert simulated.table.read_lock().holder == holder


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_an_answer_that_was_lost_changes_nothing(simulated: SimulatedEnvironment, times: int) -> None:
    simulated.push("v1")
    flow = Flow(simulated, {**DEPLOY, "dryRun": True}).run_to(HERE)
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=times))
    assert flow.run_to_end() == "Planned"
    assert len(simulated.table.history(9)) == 1


def test_an_event_tells_that_and_why_it_was_rejected(simulated: SimulatedEnvironment) -> None:
    Flow(simulated, {**DEPLOY, "reason": "a fix"}).run_to_end()
    (call,) = simulated.aws.calls.of("events", "PutEvents")
    detail = json.loads(call.params["Entries"][0]["Detail"])
    assert call.params["Entries"][0]["DetailType"] == "DeploymentRejected"
    assert (detail["errorType"], detail["reason"]) == ("ImageNotFound", "a fix")


def test_nothing_but_the_table_and_an_event_is_written(simulated: SimulatedEnvironment) -> None:
    before = footprint(simulated)
    Flow(simulated, DEPLOY).run_to_end()
    after = footprint(simulated)
    assert {key: value for key, value in after.items() if key != "items"} == {
        key: value for key, value in before.items() if key != "items"
    }
