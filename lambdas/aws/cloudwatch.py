"""CloudWatch: the state of alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lambdas.aws.gateway import Gateway, batches

ALARMS_LIMIT = 100
"""Names per DescribeAlarms (CloudWatch API Reference)."""


class Alarms(Gateway):
    """Alarms by name."""

    service: ClassVar[str] = "cloudwatch"

    def states(self, names: Sequence[str]) -> dict[str, str]:
        """Return name to OK, ALARM or INSUFFICIENT_DATA; an alarm that does not exist is missing.

        No call is made for no names.
        """
        found = {}
        for batch in batches(sorted(set(names)), ALARMS_LIMIT):
            answer = self.call(
                "describe_alarms", AlarmNames=batch, AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
            )
            for kind in ("MetricAlarms", "CompositeAlarms"):
                found.update({alarm["AlarmName"]: alarm["StateValue"] for alarm in answer.get(kind, ())})
        return found
