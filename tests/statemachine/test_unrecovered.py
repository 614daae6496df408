"""The alarm on executions that nobody looked after: the expressions of the template, worked out on made-up minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import config
from statemachine.unrecovered import period_seconds

ALARM = "v3-backend-dev-unrecovered-executions"


class Series(list[float]):
    """A time series, and what CloudWatch's metric math makes of it."""

    def __add__(self, other: Series) -> Series:  # type: ignore[override]  # lists are joined, series are added
        return Series(left + right for left, right in zip(self, other, strict=True))

    def __sub__(self, other: Series) -> Series:
        return Series(left - right for left, right in zip(self, other, strict=True))

    def __rmul__(self, factor: float) -> Series:  # type: ignore[override]  # lists are repeated, series are multiplied
        return Series(factor * value for value in self)


def fill(series: Series, value: float) -> Series:
    return Series(value if each != each else each for each in series)  # noqa: PLR0124 (NaN is not itself)


def diff(series: Series) -> Series:
    return Series([float("nan"), *(after - before for before, after in pairwise(series))])


@pytest.fixture(scope="module")
def alarm(templates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    resources = templates["dev"]["Resources"].values()
    found: dict[str, Any]
    (found,) = (each["Properties"] for each in resources if each["Properties"].get("AlarmName") == ALARM)
    return found


MISSING = float("nan")
PERIODS = 12


def rings(alarm: dict[str, Any], **minutes: list[float]) -> bool:
    """Whether the alarm rings, when things happen at these minutes: by the name of the metric or the outcome."""
    length = minutes_of(alarm)
    values: dict[str, Series] = {}
    for query in reversed(alarm["Metrics"]):
        if "MetricStat" not in query:
            continue
        metric = query["MetricStat"]["Metric"]
        dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
        happened = minutes.get(dimensions.get("outcome", metric["MetricName"]), [])
        counts = [sum(length * at <= minute < length * (at + 1) for minute in happened) for at in range(PERIODS)]
        values[query["Id"]] = Series(float(count) if count else MISSING for count in counts)
    expressions = [query for query in alarm["Metrics"] if "Expression" in query]
    while expressions:
        query = expressions.pop()
        try:
            functions = {"FILL": fill, "DIFF": diff}
            values[query["Id"]] = eval(query["Expression"], functions, dict(values))  # noqa: S307 (our own template)
        except NameError:
            expressions.insert(0, query)
    (shown,) = (query["Id"] for query in alarm["Metrics"] if query.get("ReturnData", True))
    above = [value > alarm["Threshold"] for value in values[shown]]
    return any(first and second for first, second in pairwise(above))


def minutes_of(alarm: dict[str, Any]) -> float:
    (seconds,) = {query["MetricStat"]["Period"] for query in alarm["Metrics"] if "MetricStat" in query}
    return float(seconds) / 60


def test_it_wants_two_periods_in_a_row_and_counts_no_data_as_good(alarm: dict[str, Any]) -> None:
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (2, 2)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert len(alarm["Metrics"]) <= 10, "CloudWatch's limit for metric math"
    assert minutes_of(alarm) == 15


@pytest.mark.parametrize("name", ["ExecutionsAborted", "ExecutionsTimedOut", "ExecutionsFailed"])
@pytest.mark.parametrize("minute", [31, 44.9, 45])
def test_one_that_nobody_looks_after_rings(alarm: dict[str, Any], name: str, minute: float) -> None:
    assert rings(alarm, **{name: [minute]})


# Name: (what Step Functions counts, what Stepship counts).
QUIET: dict[str, dict[str, list[float]]] = {
    "nothing": {},
    "a stop that was recovered, counted at its own minute": {"ExecutionsAborted": [40], "LookedAfter": [40]},
    "a rejected one": {"ExecutionsFailed": [40], "LookedAfter": [40]},
    "one that was rolled back": {"ExecutionsFailed": [40], "LookedAfter": [40]},
    "a report just before the border of two periods": {"ExecutionsFailed": [45], "LookedAfter": [44.99]},
    "a time-out that was recovered": {"ExecutionsTimedOut": [50], "LookedAfter": [50]},
    "a redrive that was refused": {
        "ExecutionsAborted": [40],
        "ExecutionsFailed": [60],
        "LookedAfter": [40, 60],
    },
    "many": {
        "ExecutionsAborted": [31, 47],
        "ExecutionsFailed": [33, 60],
        "LookedAfter": [31, 47, 33, 60],
    },
    "deployments that are good": {"Deployed": [30, 40, 50]},
}


@pytest.mark.parametrize("minutes", QUIET.values(), ids=QUIET)
def test_what_was_reported_or_recovered_does_not_ring(alarm: dict[str, Any], minutes: dict[str, list[float]]) -> None:
    assert not rings(alarm, **minutes)


def test_a_recovery_that_comes_hides_no_other_stop(alarm: dict[str, Any]) -> None:
    assert rings(alarm, ExecutionsAborted=[40, 55], LookedAfter=[40])
    assert rings(alarm, ExecutionsAborted=[40, 41], LookedAfter=[41])


def test_a_failed_rollback_rings_though_it_is_reported(alarm: dict[str, Any]) -> None:
    assert rings(alarm, ExecutionsFailed=[40], RollbackFailed=[40])


@pytest.mark.parametrize("environment", config.environments())
def test_a_recovery_has_the_time_that_it_may_take(environment: str) -> None:
    settings = config.load(environment)
    period = period_seconds(settings)
    assert period % 300 == 0
    assert period > settings.rollout.rollback_timeout_seconds + settings.rollout.bake_seconds + 125
    assert 2 * period <= 24 * 3600
