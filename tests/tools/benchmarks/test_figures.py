from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import config
from lambdas.release.policies import HOLD_SECONDS
from tools.benchmarks.dollars import LAMBDA_GB_SECOND, LAMBDA_REQUEST, TRANSITION, bill
from tools.benchmarks.peers.attempts import Attempt, mean_detection
from tools.benchmarks.peers.figures import MEMORY_GB, goals, machine_calls, production_dollars, take_apart
from tools.benchmarks.peers.record import Record, read
from tools.benchmarks.peers.tools import OURS

START = datetime(2026, 1, 5, tzinfo=UTC)


def event(second: float, kind: str, name: str) -> dict[str, Any]:
    key = "stateEnteredEventDetails" if kind.endswith("Entered") else "stateExitedEventDetails"
    return {"timestamp": START + timedelta(seconds=second), "type": kind, key: {"name": name}}


EVENTS = (
    event(0, "TaskStateEntered", "Check rollout"),
    event(9, "TaskStateExited", "Check rollout"),
    event(9, "WaitStateEntered", "Bake"),
    event(11, "WaitStateExited", "Bake"),
    event(11, "TaskStateEntered", "Complete"),
    event(12, "TaskStateExited", "Complete"),
)
FUNCTIONS = (
    {"name": "x-check-rollout", "memory_mib": 256, "seconds": 8.0},
    {"name": "x-complete", "memory_mib": 256, "seconds": 1.0},
)


def attempt(tool: str, *, crashes: bool = False, services: int = 1, **figures: Any) -> Attempt:
    made = Attempt(
        tool=tool,
        services=services,
        crashes=crashes,
        wall_seconds=12.0,
        detection_seconds=None if crashes else 1.0,
        mean_detection_seconds=None if crashes else 1.0,
        command_seconds=None if crashes else 1.0,
        failed_seconds=2.0 if crashes else None,
        back_seconds=None,
        left=0,
        calls=Counter({"ecs:DescribeServices": 10}),
        exits=(0,),
        rollout_seconds=None if crashes else 8.0,
        functions=FUNCTIONS if tool == "ours" else (),
        events=EVENTS if tool == "ours" else (),
    )
    return replace(made, **figures)


def test_the_overhead_is_what_is_neither_rollout_nor_bake() -> None:
    found = take_apart(attempt("ours"))
    assert (found.transitions, found.invocations) == (3, 2)
    assert found.execution_seconds == pytest.approx(12)
    assert found.overhead_seconds == pytest.approx(12 - 8 - 2)
    assert found.function_seconds == pytest.approx(1)


def test_a_function_that_waits_for_ecs_does_not_count_as_work() -> None:
    waits = {"name": "x-check-rollback", "memory_mib": 256, "seconds": 8.0}
    assert take_apart(attempt("ours", functions=(*FUNCTIONS, waits))).function_seconds == pytest.approx(1)


def test_a_lucky_look_does_not_make_the_overhead_smaller() -> None:
    lucky = attempt("ours", detection_seconds=0.5, mean_detection_seconds=5.0)
    assert take_apart(lucky).overhead_seconds == pytest.approx(2 + 4.5)


def test_production_pays_for_every_visit_and_every_second_that_a_rollout_may_take() -> None:
    machine = take_apart(attempt("ours"))
    rollout = config.load("production").rollout
    visits = rollout.timeout_seconds // (HOLD_SECONDS + rollout.poll_seconds)
    looks_of_bake = rollout.bake_seconds // rollout.bake_poll_seconds
    least = (visits + looks_of_bake) * 3 * TRANSITION + rollout.timeout_seconds * MEMORY_GB * LAMBDA_GB_SECOND
    assert least < production_dollars(machine) - machine.bill.total < 1.2 * least


def test_the_memory_that_is_paid_for_is_the_functions() -> None:
    from statemachine.deployment import MEMORY_MB

    assert MEMORY_GB * 1024 == MEMORY_MB


def test_a_bill_adds_transitions_gigabyte_seconds_requests_and_calls() -> None:
    found = bill(10, FUNCTIONS, Counter({"events:PutEvents": 1, "ecs:DescribeServices": 1000}))
    assert found.transitions == pytest.approx(10 * TRANSITION)
    assert found.functions == pytest.approx(9 / 4 * LAMBDA_GB_SECOND + 2 * LAMBDA_REQUEST)
    assert found.total == pytest.approx(found.transitions + found.functions + 1e-6)


def test_what_shows_a_deployment_to_a_person_is_not_the_machine_s() -> None:
    calls = Counter({"states:DescribeExecution": 5, "ecs:UpdateService": 2})
    assert machine_calls(attempt("ours", calls=calls)) == 2


def judged(*found: Attempt) -> list[str]:
    return goals(found, take_apart(attempt("ours")), "ours", ["peer"])


def pair(services: int = 1, **ours: Any) -> list[Attempt]:
    good: dict[str, Any] = {}
    bad: dict[str, Any] = {}
    for key, value in ours.items():
        (bad if key == "failed_seconds" else good)[key] = value
    return [
        attempt("ours", services=services, **good),
        attempt("peer", services=services),
        attempt("ours", services=services, crashes=True, **bad),
        attempt("peer", services=services, crashes=True),
    ]


def words(lines: Sequence[str]) -> list[str]:
    return ["ok" if ": ok: " in line else "missed" for line in lines]


def test_half_of_the_best_peer_meets_the_goal() -> None:
    assert words(judged(*pair(mean_detection_seconds=0.5, failed_seconds=1.0))) == ["ok"] * 6


def test_the_number_of_services_that_is_worst_for_us_decides() -> None:
    lines = judged(
        *pair(mean_detection_seconds=0.4, failed_seconds=1.0), *pair(3, mean_detection_seconds=0.9, failed_seconds=1.9)
    )
    assert words(lines) == ["missed", "missed", "ok", "ok", "ok", "ok"]
    assert "0.90" in lines[0]
    assert "0.95" in lines[1]


def test_a_peer_that_is_no_yardstick_does_not_count() -> None:
    quick = attempt("never pauses", mean_detection_seconds=0.01)
    assert words(judged(*pair(mean_detection_seconds=0.5, failed_seconds=1.0), quick))[0] == "ok"


def test_a_peer_that_never_says_failed_is_not_the_best() -> None:
    silent = attempt("peer", crashes=True, failed_seconds=None)
    assert words(judged(*pair(mean_detection_seconds=0.5, failed_seconds=1.0), silent))[1] == "ok"


def look(at: float) -> dict[str, Any]:
    return {"at": at, "arrived": at, "kind": "call", "service": "ecs", "operation": "DescribeServices"}


@pytest.mark.parametrize(
    ("pause", "looks_after", "mean"),
    [(10.0, 0, 5.4), (15.0, 1, 7.5 + 10.4)],
    ids=["knew by its last look", "asked something else after it"],
)
def test_the_mean_detection_does_not_depend_on_luck(pause: float, looks_after: int, mean: float) -> None:
    tool = replace(OURS, look_seconds=pause, looks_after=looks_after)
    # A look that came later, such as that of the bake, is none that knew.
    seen = Record((look(100.0), look(110.0), look(120.0)))
    assert mean_detection(tool, seen, knew_at=110.4) == pytest.approx(mean)


def test_the_record_is_read_between_two_moments(tmp_path: Path) -> None:
    facts = [
        {"at": 1.0, "kind": "steady", "service": "s1"},
        {"at": 5.5, "arrived": 5.0, "kind": "call", "service": "ecs", "operation": "UpdateService"},
        {"at": 6.0, "kind": "task failed", "service": "s1"},
        {"at": 7.0, "kind": "steady", "service": "s1"},
        {"at": 8.0, "kind": "steady", "service": "s2"},
        # It arrived within and was answered after.
        {"at": 9.5, "arrived": 8.9, "kind": "call", "service": "ecs", "operation": "DescribeServices"},
        {"at": 9.9, "arrived": 9.6, "kind": "call", "service": "ecs", "operation": "DescribeServices"},
    ]
    file = tmp_path / "record.jsonl"
    file.write_text("".join(json.dumps(fact) + "\n" for fact in facts) + '{"at": 9.')
    found = read(file, 4.0, 9.0)
    assert found.calls() == {"ecs:UpdateService": 1, "ecs:DescribeServices": 1}
    assert found.first_failure_at() == 6.0
    assert found.last_steady_at(["s1", "s2"]) == 8.0
    assert found.last_steady_at(["s1", "s3"]) is None
