from __future__ import annotations

import json

import pytest

from lambdas.aws.gateway import ATTEMPTS
from simulator.environment.simulated_environment import LOGS, World
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, footprint, table_items
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed, push

HERE = "Complete"


def at_complete(world: World, tag: str = "v1", name: str = "one", **request: object) -> Flow:
    push(world, tag)
    return Flow(world, {"imageTag": tag, "requestedBy": "cli:ada", "reason": "a fix", **request}, name).run_to(HERE)


def test_record_release_live_pointer_and_free_lock_are_one_transaction(world: World) -> None:
    flow = at_complete(world)
    start = len(world.aws.calls)
    report = flow.call()
    release = flow.state["plan"]["releaseId"]
    (call,) = [call for call in world.aws.calls[start:] if call.operation == "TransactWriteItems"]
    assert len(call.params["TransactItems"]) == 4
    assert report["outcome"] == "Deployed"
    assert report["release"] == release
    live = world.table.live()
    assert live is not None
    assert live.release_id == release
    assert world.table.read_lock().holder is None
    assert world.table.read_lock().journal is None


def test_the_record_says_who_what_when_why_and_how_long(world: World) -> None:
    flow = at_complete(world)
    flow.call()
    (record,) = world.table.history(10)
    assert record.execution == flow.arn
    assert (record.action, record.outcome, record.image_tag) == ("deploy", "Deployed", "v1")
    assert (record.requested_by, record.reason) == ("cli:ada", "a fix")
    assert (record.started_at, record.release_id) == ("2026-01-05T09:00:30Z", flow.state["plan"]["releaseId"])
    assert list(record.durations)[:3] == ["Verify image", "Acquire lock", "Plan"]
    assert record.durations["Check health"] >= world.settings.rollout.bake_seconds - 1


def test_the_report_says_for_each_service_what_it_was_on_and_is_on(world: World) -> None:
    services = at_complete(world).call()["services"]
    assert services["api"]["previous"] == "v3-backend-dev-api:1"
    assert services["api"]["taskDefinition"] == "v3-backend-dev-api:2"
    assert "@sha256:" in services["api"]["image"]


def test_a_release_of_one_service_carries_the_others_over(world: World) -> None:
    deployed(world, "v1", "one")
    before = world.table.live()
    deployed(world, "v2", "two", services=["worker"])
    live = world.table.live()
    assert before is not None
    assert live is not None
    assert live.services["api"] == before.services["api"]
    assert live.services["worker"] != before.services["worker"]
    assert live.image_tag == "v2"


def test_a_rollback_makes_its_release_the_live_one(world: World) -> None:
    deployed(world, "v1", "one")
    first = world.table.live()
    deployed(world, "v2", "two")
    assert Flow(world, ROLLBACK, "three").run_to_end() == "Deployed"
    assert world.table.live() == first
    assert [record.outcome for record in world.table.history(9)] == ["Deployed"] * 3


def test_a_recovery_moves_no_release_and_writes_the_record_of_the_stopped_execution(world: World) -> None:
    deployed(world, "v1", "one")
    live = world.table.live()
    push(world, "v2")
    two = Flow(world, {"imageTag": "v2", "requestedBy": "cli:ada"}, "two").run_to("Check rollout")
    two.stop()
    world.aws.clock.sleep(120)
    assert Flow(world, {**ROLLBACK, "takeover": two.arn}, "recovery").run_to_end() == "Deployed"
    assert world.table.live() == live
    recovery, stopped, _ = world.table.history(9)
    assert (recovery.outcome, recovery.action) == ("Deployed", "rollback")
    assert (stopped.execution, stopped.outcome, stopped.requested_by) == (two.arn, "Stopped", "cli:ada")


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_an_answer_that_was_lost_after_the_transaction_ends_as_deployed(world: World, times: int) -> None:
    flow = at_complete(world)
    world.aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=times))
    assert flow.run_to_end() == "Deployed"
    assert len(world.table.history(9)) == 1
    assert flow.state["report"]["outcome"] == "Deployed"


def test_what_is_recorded_as_deployed_is_not_rolled_back(world: World) -> None:
    """Every try takes effect and none is answered: the state machine goes the way back, and finds the record."""
    flow = at_complete(world)
    world.aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=7 * ATTEMPTS))
    flow.step()
    running = footprint(world)["services"]
    assert flow.at == "Roll back"
    assert flow.run_to_end() == "Deployed"
    assert footprint(world)["services"] == running
    assert world.parameters()[world.identity.tag_parameter] == "v1"


def test_a_transaction_that_is_in_the_way_of_another_waits_for_it(world: World) -> None:
    flow = at_complete(world)
    conflict = CallFault(
        CallAction.ERROR,
        operation="TransactWriteItems",
        times=ATTEMPTS,
        code="TransactionInProgressException",
        http_status=400,
    )
    world.aws.faults.add(conflict)
    assert flow.run_to_end() == "Deployed"
    assert flow.retried == []
    assert [call.error for call in world.aws.calls.of(operation="TransactWriteItems")] == [conflict.code, None]


def test_an_event_tells_the_outcome(world: World) -> None:
    flow = at_complete(world)
    start = len(world.aws.calls)
    flow.call()
    (call,) = [call for call in world.aws.calls[start:] if call.operation == "PutEvents"]
    (entry,) = call.params["Entries"]
    assert (entry["Source"], entry["DetailType"]) == ("stepship", "DeploymentDeployed")
    detail = json.loads(entry["Detail"])
    assert detail["outcome"] == "Deployed"
    assert (detail["requestedBy"], detail["reason"], detail["imageTag"]) == ("cli:ada", "a fix", "v1")


def test_one_line_of_embedded_metrics_is_written(world: World) -> None:
    at_complete(world).call()
    lines = [json.loads(line) for line in LOGS.lines if '"_aws"' in line]
    (line,) = lines
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Stepship"
    assert line["outcome"] == "Deployed"
    assert line["environment"] == "dev"
    assert line["Deployments"] == [1.0]
    assert line["DeploymentDuration"][0] > world.settings.rollout.bake_seconds


def test_an_event_bus_that_is_down_does_not_change_the_outcome(world: World) -> None:
    flow = at_complete(world)
    world.aws.faults.add(CallFault(CallAction.ERROR, service="events", times=99))
    assert flow.run_to_end() == "Deployed"
    assert any("event not published" in line for line in LOGS.lines)
    assert any('"_aws"' in line for line in LOGS.lines)


def test_who_lost_the_lease_leaves_no_half_ending(world: World) -> None:
    flow = at_complete(world)
    flow.lose_lock()
    assert flow.run_to_end() == "RollbackFailed"
    assert world.table.live() is None
    assert [key for key in table_items(world) if key.startswith("release/")] == []
    (record,) = world.table.history(9)
    assert record.report.error_type == "LeaseLost"
    assert world.table.read_lock().holder is not None, "it is not ours to free"


def test_deploying_the_same_again_has_nothing_to_do(world: World) -> None:
    deployed(world, "v1", "one")
    assert Flow(world, DEPLOY, "two").run_to_end() == "NothingToDo"
