from __future__ import annotations

from typing import Any

import pytest

from lambdas.aws.executions import Executions
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
