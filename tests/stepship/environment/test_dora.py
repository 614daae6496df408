"""The figures, by the worked example of the module and by the cases in which there is nothing to say."""

from dataclasses import replace

import pytest

from lambdas.release.history import DeploymentRecord, Report, parse_timestamp, timestamp
from stepship.environment.dora import Figures, figures, usual_seconds

NOW = parse_timestamp("2026-01-05T12:00:00Z")


def record(start: str, outcome: str, minutes: float, action: str = "deploy") -> DeploymentRecord:
    started = parse_timestamp(f"2026-01-05T{start}:00Z")
    return DeploymentRecord(
        execution=f"arn:{start}",
        action=action,
        outcome=outcome,
        started_at=timestamp(started),
        ended_at=timestamp(started + minutes * 60),
        requested_by=None,
        reason=None,
        release_id=None,
        image_tag=None,
        report=Report(outcome),
    )


EXAMPLE = [
    record("09:00", "Deployed", 4),
    record("10:00", "RolledBack", 3),
    record("10:20", "Rejected", 0),
    record("10:25", "Deployed", 6),
]


def test_the_worked_example() -> None:
    assert figures(EXAMPLE, 1, NOW) == Figures(1, 2, 2.0, 300.0, 1 / 3, 28 * 60.0)


def test_the_order_of_the_records_does_not_matter() -> None:
    assert figures(reversed(EXAMPLE), 1, NOW) == figures(EXAMPLE, 1, NOW)


@pytest.mark.parametrize(
    ("records", "failure_rate", "restore_minutes"),
    [
        ([], None, None),
        ([record("09:00", "NothingToDo", 0), record("09:05", "Planned", 0)], None, None),
        ([record("09:00", "Deployed", 1)], 0.0, None),
        ([record("09:00", "RolledBack", 1)], 1.0, None),
        # Two failures in a row are one trouble, which began with the first.
        (
            [record("09:00", "RolledBack", 1), record("09:10", "RollbackFailed", 1), record("09:30", "Deployed", 1)],
            2 / 3,
            30,
        ),
        # A stop is a failure, and its recovery restores.
        ([record("09:00", "Stopped", 1), record("09:02", "Deployed", 3, action="rollback")], 1.0, 4),
        # A rollback that fails is no failed change: the change before it is.
        ([record("09:00", "Deployed", 1), record("09:10", "RollbackFailed", 1, action="rollback")], 0.0, None),
    ],
)
def test_rates(records: list[DeploymentRecord], failure_rate: float | None, restore_minutes: float | None) -> None:
    found = figures(records, 1, NOW)
    assert found.change_failure_rate == failure_rate
    assert found.median_restore_seconds == (None if restore_minutes is None else restore_minutes * 60)


def test_what_is_older_than_the_days_does_not_count() -> None:
    old = [replace(each, started_at="2025-12-01T09:00:00Z", ended_at="2025-12-01T09:04:00Z") for each in EXAMPLE]
    assert figures(old, 30, NOW) == Figures(30, 0, 0.0, None, None, None)


def test_the_expectation_is_the_median_of_the_newest_ten_good_ones_of_the_action() -> None:
    newest = [record("11:00", "Deployed", minutes) for minutes in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)]
    others = [
        record("10:00", "Deployed", 600),
        record("10:00", "RolledBack", 1),
        record("10:00", "Deployed", 1, "rollback"),
    ]
    assert usual_seconds([others[1], *newest, others[0]], "deploy") == 5.5 * 60
    assert usual_seconds(others, "rollback") == 60
    assert usual_seconds([], "deploy") is None
