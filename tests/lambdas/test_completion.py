from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import LOGS, SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json, StepError, footprint
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed, push
from tests.simulator.quick import few_looks

ENDS = ("Complete", "Record failure", "Record outcome")


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(settings=few_looks(), recovery=False) as simulated:
        yield simulated


def at_end(simulated: SimulatedEnvironment, state: str, name: str = "one") -> Flow:
    """Walk to one of the three last steps."""
    push(simulated, "v1")
    flow = Flow(simulated, {**DEPLOY, "dryRun": state == "Record outcome", "requestedBy": "cli:ada"}, name)
    if state == "Record failure":
        flow.run_to("Deploy wave").catch(StepError("KeyError", "Deploy wave: a bug"))
    return flow.run_to(state)


def events(simulated: SimulatedEnvironment) -> list[Json]:
    calls = simulated.aws.calls.of("events", "PutEvents")
    return [json.loads(call.params["Entries"][0]["Detail"]) for call in calls]


def metrics() -> list[Json]:
    return [json.loads(line) for line in LOGS.lines if '"_aws"' in line]


@pytest.mark.parametrize("state", ENDS)
def test_a_report_is_written_once_and_published_each_time(simulated: SimulatedEnvironment, state: str) -> None:
    flow = at_end(simulated, state)
    first = flow.call()
    after = footprint(simulated)
    second = flow.call()
    assert footprint(simulated) == after
    assert second["outcome"] == first["outcome"]
    assert [event["outcome"] for event in events(simulated)] == [first["outcome"]] * 2
    assert [line["outcome"] for line in metrics()] == [first["outcome"]] * 2


@pytest.mark.parametrize("state", ENDS)
def test_nothing_is_published_of_a_report_that_was_not_written(simulated: SimulatedEnvironment, state: str) -> None:
    flow = at_end(simulated, state)
    simulated.aws.faults.add(CallFault(CallAction.THROTTLE, operation="TransactWriteItems", times=1000))
    assert flow.fails().error_type == "Throttled"
    assert events(simulated) == []
    assert metrics() == []
    assert simulated.table.history(9) == ()


@pytest.mark.parametrize("state", ENDS)
def test_an_event_names_application_environment_execution_and_who(simulated: SimulatedEnvironment, state: str) -> None:
    flow = at_end(simulated, state)
    flow.call()
    (event,) = events(simulated)
    assert (event["app"], event["environment"], event["execution"]) == ("v3-backend", "dev", flow.arn)
    assert (event["action"], event["requestedBy"], event["imageTag"]) == ("deploy", "cli:ada", "v1")
    assert {"outcome", "step", "errorType", "message", "explanation", "release"} <= set(event)


def test_the_durations_add_up_to_the_whole_deployment(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    (record,) = simulated.table.history(9)
    (line,) = metrics()
    whole = line["DeploymentDuration"][0]
    assert 0 <= whole - sum(record.durations.values()) < 2


def test_a_cancelled_deployment_that_nobody_looked_after_leaves_no_record(simulated: SimulatedEnvironment) -> None:
    flow = at_end(simulated, "Complete")
    flow.stop()
    assert simulated.table.history(9) == ()


def test_a_recovery_writes_the_records_of_all_that_were_stopped_in_a_row(simulated: SimulatedEnvironment) -> None:
    one = at_end(simulated, "Complete")
    one.stop()
    simulated.aws.clock.sleep(120)
    first = Flow(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery-1").run_to("Check rollout")
    first.stop()
    simulated.aws.clock.sleep(120)
    second = Flow(simulated, {**ROLLBACK, "takeover": first.arn}, "recovery-2")
    assert second.run_to_end() == "Deployed"
    found = {record.execution.rsplit(":", 1)[-1]: record for record in simulated.table.history(9)}
    assert {name: record.outcome for name, record in found.items()} == {
        "one": "Stopped",
        "recovery-1": "Stopped",
        "recovery-2": "Deployed",
    }
    assert found["one"].requested_by == "cli:ada"
    assert found["one"].report.error_type == "ABORTED"
    assert simulated.parameters() == {}


def test_whoever_gets_the_lock_after_an_execution_that_could_not_write_its_record_writes_it(
    simulated: SimulatedEnvironment,
) -> None:
    simulated.aws.faults.add(
        CallFault(CallAction.ERROR, "dynamodb", "TransactWriteItems", times=99, code="AccessDenied", http_status=400)
    )
    simulated.push("crashing", per_service={"worker": ImageBehavior(outcome="crash")})
    assert simulated.run({"imageTag": "crashing"}, "unrecorded").state == "RollbackFailed"
    assert simulated.table.history(9) == ()
    simulated.aws.faults.clear()
    simulated.run({"action": "rollback"}, "by-a-person")
    found = {record.execution.rsplit(":", 1)[-1]: record for record in simulated.table.history(9)}
    assert {name: record.outcome for name, record in found.items()} == {
        "unrecorded": "RollbackFailed",
        "by-a-person": "NothingToDo",
    }
    assert "by-a-person recorded it" in str(found["unrecorded"].report.message)


def test_two_in_a_row_that_could_not_write_their_records_both_get_one(simulated: SimulatedEnvironment) -> None:
    simulated.aws.faults.add(
        CallFault(CallAction.ERROR, "dynamodb", "TransactWriteItems", times=99, code="AccessDenied", http_status=400)
    )
    for name in ("one", "two"):
        assert simulated.run({"imageTag": "missing", "dryRun": True}, name).state == "Rejected"
    push(simulated, "v1")
    for name in ("three", "four"):
        assert simulated.run({"imageTag": "v1", "dryRun": True}, name).state == "Rejected"
    assert simulated.table.history(9) == ()
    simulated.aws.faults.clear()
    assert simulated.run({"imageTag": "v1", "dryRun": True}, "five").state == "Planned"
    found = {record.execution.rsplit(":", 1)[-1]: record.outcome for record in simulated.table.history(9)}
    # The first two never had the lock, so nobody after them knows of them.
    assert found == {"three": "Rejected", "four": "Rejected", "five": "Planned"}


def test_a_stopped_execution_is_counted_once_and_at_the_moment_of_its_end(simulated: SimulatedEnvironment) -> None:
    """Step Functions counts it then too: the alarm on the difference wants both in one period."""
    one = at_end(simulated, "Complete")
    one.stop()
    ended_at = simulated.aws.clock.now()
    simulated.aws.clock.sleep(120)
    LOGS.lines.clear()
    for name in ("recovery-1", "recovery-2"):
        Flow(simulated, {**ROLLBACK, "takeover": one.arn}, name).run_to_end()
    lines = [line for line in metrics() if line["outcome"] == "Stopped"]
    assert [line["Deployments"] for line in lines] == [[1.0]]
    assert "DeploymentDuration" not in lines[0]
    assert lines[0]["LookedAfter"] == [1.0]
    assert [line["outcome"] for line in metrics() if "LookedAfter" not in line] == ["Deployed", "NothingToDo"]
    assert lines[0]["_aws"]["Timestamp"] == int(ended_at) * 1000


def test_no_record_is_written_for_a_takeover_that_succeeded(simulated: SimulatedEnvironment) -> None:
    """It has written its own; where that is not in the table any more, nobody makes a stopped one of it."""
    machine = simulated.aws.deploy_machine("good", {"StartAt": "Good", "States": {"Good": {"Type": "Succeed"}}})
    good = simulated.aws.start({"imageTag": "v1"}, "good", machine=machine)
    simulated.aws.wait_for(lambda: good.ended)
    assert good.status == "SUCCEEDED"
    assert Flow(simulated, {**ROLLBACK, "takeover": good.arn}, "recovery").run_to_end() == "NothingToDo"
    assert [record.execution.rsplit(":", 1)[-1] for record in simulated.table.history(9)] == ["recovery"]


def test_no_record_is_written_for_a_takeover_that_still_runs(simulated: SimulatedEnvironment) -> None:
    one = Flow(simulated, DEPLOY, "one")
    assert Flow(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery").run_to_end() == "NothingToDo"
    assert [record.execution.rsplit(":", 1)[-1] for record in simulated.table.history(9)] == ["recovery"]


def test_an_execution_that_ended_by_itself_keeps_its_own_record(simulated: SimulatedEnvironment) -> None:
    flow = at_end(simulated, "Record outcome")
    flow.call()
    flow.stop()
    assert Flow(simulated, {**ROLLBACK, "takeover": flow.arn}, "recovery").run_to_end() == "NothingToDo"
    assert [record.outcome for record in simulated.table.history(9)] == ["NothingToDo", "Planned"]


JUNK: list[Any] = [{"requestedBy": {"a": [1] * 9999}, "reason": ["x" * 9999], "action": "y" * 9999, "imageTag": 5}, []]


@pytest.mark.parametrize("value", JUNK)
def test_a_record_keeps_little_of_an_input_that_never_became_a_request(
    simulated: SimulatedEnvironment, value: Any
) -> None:
    flow = Flow(simulated, DEPLOY)
    flow.request = flow.state = value
    assert flow.run_to_end() == "Rejected"
    (record,) = simulated.table.history(9)
    assert all(len(text or "") <= 256 for text in (record.requested_by, record.reason, record.action, record.image_tag))
    assert len(json.dumps(events(simulated))) < 3000
