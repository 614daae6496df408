from __future__ import annotations

from typing import Any

import pytest

from lambdas.aws.cloudwatch import Alarms
from simulator.engine.machine import SimulatedAws
from tests.lambdas.aws.conftest import Inside


def put(aws: SimulatedAws, name: str, state: str) -> None:
    client = aws.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName=name,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        MetricName="Errors",
        Namespace="App",
        Period=60,
        Statistic="Sum",
        Threshold=1.0,
    )
    client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


def test_alarms_have_a_state_and_what_does_not_exist_has_none(aws: SimulatedAws) -> None:
    put(aws, "errors", "ALARM")
    put(aws, "latency", "OK")
    assert Alarms().states(["errors", "latency", "gone"]) == {"errors": "ALARM", "latency": "OK"}


class Composite(Alarms):
    """CloudWatch with a composite alarm, which moto does not have."""

    @property
    def client(self) -> Any:
        return self

    def describe_alarms(self, **request: Any) -> dict[str, Any]:
        assert "CompositeAlarm" in request["AlarmTypes"]
        return {"MetricAlarms": [], "CompositeAlarms": [{"AlarmName": "either", "StateValue": "ALARM"}]}


def test_a_composite_alarm_is_an_alarm() -> None:
    assert Composite().states(["errors", "either"]) == {"either": "ALARM"}


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_alarms_are_described_a_hundred_at_a_time(aws: SimulatedAws, inside: Inside, count: int, calls: int) -> None:
    inside(lambda: Alarms().states([f"alarm-{number}" for number in range(count)]))
    assert [len(call.params["AlarmNames"]) <= 100 for call in aws.calls] == [True] * calls


def test_a_name_that_is_given_twice_is_asked_for_once(aws: SimulatedAws, inside: Inside) -> None:
    inside(lambda: Alarms().states(["a"] * 300))
    assert [call.params["AlarmNames"] for call in aws.calls] == [["a"]]
