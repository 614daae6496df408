from __future__ import annotations

from typing import Any

import pytest

from lambdas.aws.executions import Executions, machine_of
from simulator.engine.machine import SimulatedAws

WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
PREFIX = "arn:aws:states:us-east-1:123456789012"


def started(aws: SimulatedAws, request: object) -> str:
    aws.deploy_machine("m", WAITS)
    return aws.start(request, "one").arn


def test_an_execution_runs_until_it_has_ended(aws: SimulatedAws) -> None:
    arn = started(aws, {"imageTag": "v1"})
    assert Executions().is_running(arn)
    aws.run_until_idle()
    assert not Executions().is_running(arn)
    facts = Executions().describe(arn)
    assert facts is not None
    assert facts.status == "SUCCEEDED"


def test_a_stopped_execution_does_not_run(aws: SimulatedAws) -> None:
    arn = started(aws, {})
    aws.client("stepfunctions").stop_execution(executionArn=arn)
    assert not Executions().is_running(arn)


def test_an_execution_is_described_with_its_start_and_its_input(aws: SimulatedAws) -> None:
    now = aws.clock.now()
    facts = Executions().describe(started(aws, {"imageTag": "v1"}))
    assert facts is not None
    assert facts.started_at == pytest.approx(now, abs=1)
    assert facts.request == {"imageTag": "v1"}


@pytest.mark.parametrize("request_", [[1], "text", 7, None])
def test_an_input_that_is_no_object_is_read_as_an_empty_one(aws: SimulatedAws, request_: Any) -> None:
    facts = Executions().describe(started(aws, request_))
    assert facts is not None
    assert facts.request == {}


@pytest.mark.parametrize("arn", [f"{PREFIX}:execution:m:gone", f"{PREFIX}:execution:gone:gone", "no arn at all"])
def test_an_execution_that_nobody_knows_does_not_run(aws: SimulatedAws, arn: str) -> None:
    assert Executions().describe(arn) is None
    assert not Executions().is_running(arn)


def test_an_execution_is_started_once_by_its_name(aws: SimulatedAws) -> None:
    machine = aws.deploy_machine("m", WAITS)
    executions = Executions()
    assert executions.start(machine, "again", {"a": 1})
    assert executions.start(machine, "again", {"a": 1})
    assert [run.name for run in aws.runs] == ["again"]
    aws.run_until_idle()
    assert not executions.start(machine, "again", {"a": 1})
    assert executions.start(machine, "again-2", {"a": 1})
    aws.run_until_idle()


def test_the_machine_of_an_execution_is_known_by_its_arn() -> None:
    assert machine_of(f"{PREFIX}:execution:app-dev-deploy:one") == f"{PREFIX}:stateMachine:app-dev-deploy"


def test_a_redriven_execution_knows_it_before_the_redrive_can_be_seen(aws: SimulatedAws) -> None:
    arn = started(aws, {})
    run, client = aws.runs[0], aws.client("stepfunctions")
    aws.clock.sleep(5)
    client.stop_execution(executionArn=arn)
    facts = Executions().describe(arn)
    assert facts is not None
    now = aws.clock.now()
    # A late function of a state from before the end, and a state that was entered after it.
    assert (facts.was_redriven(now - 1), facts.was_redriven(now + 1)) == (False, True)
    run.redrive()
    facts = Executions().describe(arn)
    assert facts is not None
    assert (facts.status, facts.redrives, facts.was_redriven(now)) == ("RUNNING", 1, True)
    aws.run_until_idle()
