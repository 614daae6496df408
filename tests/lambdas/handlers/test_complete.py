from __future__ import annotations

import json

import pytest

from lambdas.aws.gateway import ATTEMPTS
from simulator.environment.simulated_environment import LOGS, SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, footprint, table_items
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, denied, deployed, push

HERE = "Complete"


def at_complete(simulated: SimulatedEnvironment, tag: str = "v1", name: str = "one", **request: object) -> Flow:
    push(simulated, tag)
    return Flow(simulated, {"imageTag": tag, "requestedBy": "cli:ada", "reason": "a fix", **request}, name).run_to(HERE)


def test_record_release_live_pointer_and_free_lock_are_one_transaction(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    start = len(simulated.aws.calls)
    report = flow.call()
    release = flow.state["plan"]["releaseId"]
    (call,) = [call for call in simulated.aws.calls[start:] if call.operation == "TransactWriteItems"]
    assert len(call.params["TransactItems"]) == 4
    assert report["outcome"] == "Deployed"
    assert report["release"] == release
    live = simulated.table.live()
    assert live is not None
    assert live.release_id == release
    assert simulated.table.read_lock().holder is None
    assert simulated.table.read_lock().journal is None


def test_the_record_says_who_what_when_why_and_how_long(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    flow.call()
    (record,) = simulated.table.history(10)
    assert record.execution == flow.arn
    assert (record.action, record.outcome, record.image_tag) == ("deploy", "Deployed", "v1")
    assert (record.requested_by, record.reason) == ("cli:ada", "a fix")
    assert (record.started_at, record.release_id) == ("2026-01-05T09:00:30Z", flow.state["plan"]["releaseId"])
    assert list(record.durations)[:3] == ["Verify image", "Acquire lock", "Plan"]
    assert record.durations["Check health"] >= simulated.settings.rollout.bake_seconds - 1


def test_the_report_says_for_each_service_what_it_was_on_and_is_on(simulated: SimulatedEnvironment) -> None:
    services = at_complete(simulated).call()["services"]
    assert services["api"]["previous"] == "v3-backend-dev-api:1"
    assert services["api"]["taskDefinition"] == "v3-backend-dev-api:2"
    assert "@sha256:" in services["api"]["image"]


def test_a_release_of_one_service_carries_the_others_over(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    before = simulated.table.live()
    deployed(simulated, "v2", "two", services=["worker"])
    live = simulated.table.live()
    assert before is not None
    assert live is not None
    assert live.services["api"] == before.services["api"]
    assert live.services["worker"] != before.services["worker"]
    assert live.image_tag == "v2"


def test_a_rollback_makes_its_release_the_live_one(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    first = simulated.table.live()
    deployed(simulated, "v2", "two")
    assert Flow(simulated, ROLLBACK, "three").run_to_end() == "Deployed"
    assert simulated.table.live() == first
    assert [record.outcome for record in simulated.table.history(9)] == ["Deployed"] * 3


def test_a_recovery_moves_no_release_and_writes_the_record_of_the_stopped_execution(
    simulated: SimulatedEnvironment,
) -> None:
    deployed(simulated, "v1", "one")
    live = simulated.table.live()
    push(simulated, "v2")
    two = Flow(simulated, {"imageTag": "v2", "requestedBy": "cli:ada"}, "two").run_to("Check rollout")
    two.stop()
    simulated.aws.clock.sleep(120)
    assert Flow(simulated, {**ROLLBACK, "takeover": two.arn}, "recovery").run_to_end() == "Deployed"
    assert simulated.table.live() == live
    recovery, stopped, _ = simulated.table.history(9)
    assert (recovery.outcome, recovery.action) == ("Deployed", "rollback")
    assert (stopped.execution, stopped.outcome, stopped.requested_by) == (two.arn, "Stopped", "cli:ada")


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_an_answer_that_was_lost_after_the_transaction_ends_as_deployed(
    simulated: SimulatedEnvironment, times: int
) -> None:
    flow = at_complete(simulated)
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=times))
    assert flow.run_to_end() == "Deployed"
    assert len(simulated.table.history(9)) == 1
    assert flow.state["report"]["outcome"] == "Deployed"


def test_what_is_recorded_as_deployed_is_not_rolled_back(simulated: SimulatedEnvironment) -> None:
    """Every try takes effect and none is answered: the state machine rolls back, and finds the record."""
    flow = at_complete(simulated)
    simulated.aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=7 * ATTEMPTS))
    flow.step()
    running = footprint(simulated)["services"]
    assert flow.at == "Roll back"
    assert flow.run_to_end() == "Deployed"
    assert footprint(simulated)["services"] == running
    assert simulated.parameters()[simulated.identity.tag_parameter] == "v1"


def test_a_transaction_that_is_in_the_way_of_another_waits_for_it(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    conflict = CallFault(
        CallAction.ERROR,
        operation="TransactWriteItems",
        times=ATTEMPTS,
        code="TransactionInProgressException",
        http_status=400,
    )
    simulated.aws.faults.add(conflict)
    assert flow.run_to_end() == "Deployed"
    assert flow.retried == []
    assert [call.error for call in simulated.aws.calls.of(operation="TransactWriteItems")] == [conflict.code, None]


def test_an_event_tells_the_outcome(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    start = len(simulated.aws.calls)
    flow.call()
    (call,) = [call for call in simulated.aws.calls[start:] if call.operation == "PutEvents"]
    (entry,) = call.params["Entries"]
    assert (entry["Source"], entry["DetailType"]) == ("stepship", "DeploymentDeployed")
    detail = json.loads(entry["Detail"])
    assert detail["outcome"] == "Deployed"
    assert (detail["requestedBy"], detail["reason"], detail["imageTag"]) == ("cli:ada", "a fix", "v1")


def test_one_line_of_embedded_metrics_is_written(simulated: SimulatedEnvironment) -> None:
    at_complete(simulated).call()
    lines = [json.loads(line) for line in LOGS.lines if '"_aws"' in line]
    (line,) = lines
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Stepship"
    assert line["outcome"] == "Deployed"
    assert line["environment"] == "dev"
    assert line["Deployments"] == [1.0]
    assert line["DeploymentDuration"][0] > simulated.settings.rollout.bake_seconds


def test_an_event_bus_that_is_down_does_not_change_the_outcome(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    simulated.aws.faults.add(CallFault(CallAction.ERROR, service="events", times=99))
    assert flow.run_to_end() == "Deployed"
    assert any("event not published" in line for line in LOGS.lines)
    assert any('"_aws"' in line for line in LOGS.lines)


def test_who_lost_the_lease_leaves_no_half_report(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    flow.lose_lock()
    assert flow.run_to_end() == "RollbackFailed"
    assert simulated.table.live() is None
    assert [key for key in table_items(simulated) if key.startswith("release/")] == []
    (record,) = simulated.table.history(9)
    assert record.report.error_type == "LeaseLost"
    assert simulated.table.read_lock().holder is not None, "it is not ours to free"


def test_deploying_the_same_again_has_nothing_to_do(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    assert Flow(simulated, DEPLOY, "two").run_to_end() == "NothingToDo"


def edit(simulated: SimulatedEnvironment, name: str, value: str | None) -> None:
    """Change a parameter by hand."""
    client = simulated.aws.client("ssm")
    if value is None:
        client.delete_parameter(Name=name)
    else:
        client.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def stands(simulated: SimulatedEnvironment, flow: Flow) -> bool:
    """Whether every parameter has the value of the plan."""
    wanted = {each["name"]: each["target"] for each in flow.state["plan"]["parameters"]}
    return {name: simulated.parameters().get(name) for name in wanted} == wanted


@pytest.mark.parametrize("which", ["tag", "image", "deleted image", "both"])
def test_a_parameter_that_was_edited_in_mid_rollout_is_set_again_and_named(
    simulated: SimulatedEnvironment, which: str
) -> None:
    tag, image = simulated.identity.tag_parameter, f"{simulated.identity.images_path}api"
    push(simulated, "v1")
    flow = Flow(simulated, DEPLOY).run_to("Check health")
    edits: dict[str, dict[str, str | None]] = {
        "tag": {tag: "v0"},
        "image": {image: "x@sha256:0"},
        "deleted image": {image: None},
        "both": {tag: "v0", image: "x"},
    }
    edited = edits[which]
    for name, value in edited.items():
        edit(simulated, name, value)
    assert flow.run_to_end() == "Deployed"
    assert stands(simulated, flow)
    message = flow.state["report"]["message"]
    assert message.startswith(f"{flow.state['plan']['releaseId']} is live; {len(edited)} parameter")
    assert all(name in message for name in edited)
    assert "changed meanwhile and set again" in message
    assert simulated.table.history(1)[0].report.message == message


def test_nothing_is_written_where_the_parameters_are_right(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    start = len(simulated.aws.calls)
    report = flow.call()
    made = [call.operation for call in simulated.aws.calls[start:]]
    assert made.count("GetParameters") == 1
    assert not {"PutParameter", "DeleteParameter", "UpdateItem"} & set(made)
    assert report["message"] == f"{flow.state['plan']['releaseId']} is live"


@pytest.mark.parametrize("request_", [ROLLBACK, {**ROLLBACK, "releaseId": "live"}])
def test_after_a_rollback_too(simulated: SimulatedEnvironment, request_: dict[str, str]) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    edit(simulated, simulated.identity.tag_parameter, "v7")
    flow = Flow(simulated, request_, "back").run_to("Check health")
    edit(simulated, f"{simulated.identity.images_path}worker", "by hand")
    assert flow.run_to_end() == "Deployed"
    assert stands(simulated, flow)
    assert "images/worker" in flow.state["report"]["message"]


def test_what_a_recovery_finds_too_much_is_named(simulated: SimulatedEnvironment) -> None:
    """``Complete`` may delete nothing."""
    push(simulated, "v1")
    one = Flow(simulated, DEPLOY, "one").run_to("Check rollout")
    one.stop()
    simulated.aws.clock.sleep(120)
    recovery = Flow(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery").run_to("Check health")
    name = f"{simulated.identity.images_path}api"
    edit(simulated, name, "by hand")
    assert recovery.run_to_end() == "Deployed"
    assert recovery.state["report"]["message"] == (
        f"the release before is live again; 1 parameter ({name}) was made meanwhile, delete it by hand"
    )


@pytest.mark.parametrize(
    ("operation", "said"),
    [("PutParameter", "could not be set again (ssm:put_parameter"), ("GetParameters", "could not be looked up")],
)
def test_a_repair_that_fails_rolls_no_healthy_release_back_and_says_what_to_do(
    simulated: SimulatedEnvironment, operation: str, said: str
) -> None:
    flow = at_complete(simulated)
    tag = simulated.identity.tag_parameter
    edit(simulated, tag, "v7")
    simulated.aws.faults.add(denied(operation))
    assert flow.run_to_end() == "Deployed"
    message = flow.state["report"]["message"]
    assert said in message
    assert (f"set {tag} = v1 by hand" in message) is (operation == "PutParameter")


def test_who_has_lost_the_lease_repairs_nothing(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    edit(simulated, simulated.identity.tag_parameter, "of the other one")
    flow.lose_lock()
    assert flow.fails().error_type == "LeaseLost"
    assert simulated.parameters()[simulated.identity.tag_parameter] == "of the other one"


def test_a_second_run_finds_what_the_first_has_repaired(simulated: SimulatedEnvironment) -> None:
    flow = at_complete(simulated)
    edit(simulated, simulated.identity.tag_parameter, "v7")
    first = flow.call()
    before = footprint(simulated)
    assert flow.call() == first
    assert footprint(simulated) == before
