from __future__ import annotations

import json
import re

import pytest

from lambdas.release.recovery import RECOVERY_TRIES, TERMINAL, ended_by_itself, may_run, recovery_input, recovery_names
from lambdas.request_schema import validate

LONGEST = 7200.0


@pytest.mark.parametrize(
    ("status", "age", "alive"),
    [
        ("RUNNING", 0.0, True),
        ("RUNNING", 99_999.0, True),
        *((status, 0.0, False) for status in sorted(TERMINAL)),
        (None, 0.5, True),
        (None, LONGEST, True),
        (None, LONGEST + 1, False),
        ("PENDING_REDRIVE", 10.0, True),
        ("PENDING_REDRIVE", LONGEST + 1, False),
        ("SOMETHING_NEW", 10.0, True),
    ],
)
def test_only_a_terminal_status_makes_an_execution_dead(status: str | None, age: float, alive: bool) -> None:
    assert may_run(status, age, LONGEST) is alive


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        ("FAILED", "Rejected", "Rejected"),
        ("FAILED", "RolledBack", "RolledBack"),
        ("FAILED", "RollbackFailed", "RollbackFailed"),
        ("SUCCEEDED", "", "SUCCEEDED"),
        ("FAILED", "States.Runtime", None),
        ("FAILED", "States.DataLimitExceeded", None),
        ("FAILED", "", None),
        ("ABORTED", "Rejected", None),
        ("TIMED_OUT", "", None),
        ("RUNNING", "", None),
        (None, "", None),
    ],
)
def test_who_came_to_an_end_state_needs_no_recovery(status: str | None, error: str, outcome: str | None) -> None:
    assert ended_by_itself(status, error) == outcome


@pytest.mark.parametrize("holder", ["deploy-7", "x" * 80, f"{'a' * 36}_{'b' * 36}", "stopped-recovery-1"])
def test_the_names_of_recoveries_are_made_from_the_holders(holder: str) -> None:
    names = recovery_names(holder)
    assert names == recovery_names(holder)
    assert len(set(names)) == RECOVERY_TRIES
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) for name in names)
    assert all(name.startswith(holder[:40]) for name in names)


def test_two_long_names_that_begin_the_same_have_different_recoveries() -> None:
    assert recovery_names("x" * 79 + "1") != recovery_names("x" * 79 + "2")


def test_the_input_of_a_recovery_is_a_valid_one_and_always_the_same() -> None:
    arn = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:one"
    request = validate(recovery_input(arn), "dev")
    assert (request.action, request.takeover) == ("rollback", arn)
    assert json.dumps(recovery_input(arn)) == json.dumps(recovery_input(arn))
