"""Whatever AWS says about it: a deployment's state stays below what its plan has made room for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lambdas.release.codec import encode
from lambdas.release.explanation import Evidence, explain
from lambdas.release.failure import Failure, with_done
from lambdas.release.history import Report
from lambdas.release.plan import (
    ENVELOPE_BYTES,
    MAX_DIED,
    MAX_REASON,
    MAX_STATE_BYTES,
    MIN_REASON,
    Plan,
    bytes_to_come,
    check_size,
    reason_limit,
)
from lambdas.release.results import (
    HealthResult,
    MovedService,
    RegisterResult,
    RestoredResult,
    RollbackResult,
    RolloutResult,
    SteadyService,
    StepResult,
    TaskCount,
    WaveResult,
    encode_result,
)
from lambdas.release.rollout import Verdict
from lambdas.release.stopped_task import StoppedContainer, StoppedTask
from lambdas.release.verdicts import HealthStatus, RollbackStatus, Status
from tests.lambdas.release.examples import arn, pinned, planned
from tests.lambdas.release.examples import plan as plan_of

AT = 1767603796.123456


def plan_with(count: int) -> Plan:
    """Return the plan of so many services with names of 19 characters, as large as a real one."""
    names = tuple(f"service-number-{n:04d}" for n in range(count))
    services = {name: replace(planned(name), image=pinned(2), previous_image=pinned(1)) for name in names}
    return replace(plan_of(names), services=services)


def all_results(plan: Plan, said: str) -> dict[str, Any]:
    """Return what the steps leave of a deployment in which every service has a twin, dies and is rolled back."""
    names = tuple(plan.services)
    new = {name: arn(name, 9_999) for name in names}
    verdicts = {name: Verdict(Status.SUPERSEDED, said, 100, 100) for name in names}
    stopped = tuple(
        StoppedTask(f"t{n}", "td", said, 100.0, (StoppedContainer("main", n, said),), "EssentialContainerExited")
        for n in range(9)
    )
    gathered = [Evidence(n, said, "main", stopped, (said,) * 9, (said,) * 20, (said,) * 9) for n in names[:5]]
    why = explain(gathered, ["an-alarm"])
    failure = with_done(Failure("Check health", "Unhealthy", why.summary, why), (f"Rolled back: {', '.join(names)}.",))
    moved = {n: MovedService(new[n], "ecs-svc/0514405127175179144", "ecs-svc/0514405127175179143") for n in names}
    results: dict[str, StepResult | Report] = {
        "registered": RegisterResult(new, None, len(names), new, names),
        "wave": WaveResult(0, AT, moved),
        "rollout": RolloutResult(
            Status.SUPERSEDED, 0, False, verdicts, steady={n: SteadyService(AT, 100) for n in names}
        ),
        "health": HealthResult(HealthStatus.UNHEALTHY, verdicts, (), why, dict.fromkeys(names, said)),
        "rollback": RollbackResult(AT, names, dict.fromkeys(names, said), new, parameters=names),
        "restored": RestoredResult(RollbackStatus.IN_PROGRESS, {n: TaskCount(100, 100) for n in names}, names),
        "report": Report("RolledBack", "Check health", "Unhealthy", failure.message, failure.explanation),
    }
    return {key: encode_result(result, "Register task definitions", AT) for key, result in results.items()}


@given(st.integers(0, 120), st.text(max_size=20), st.sampled_from([1, 20, 400]))
@example(1, "\U0001f525", 400)
@example(100, "\U0001f525", 400)
@example(100, "x", 400)
def test_a_state_with_all_results_stays_below_what_the_plan_has_made_room_for(
    count: int, words: str, times: int
) -> None:
    plan = plan_with(count)
    error = {"Error": "ServiceUnavailable", "Cause": "x" * 3_000}
    state = {"plan": encode(plan), **all_results(plan, words * times), "error": error}
    before = len(json.dumps({"plan": encode(plan)}))
    for ensure_ascii in (True, False):
        size = len(json.dumps(state, ensure_ascii=ensure_ascii).encode("utf-8", "surrogatepass"))
        assert size + ENVELOPE_BYTES <= before + bytes_to_come(plan)


def test_a_hundred_services_with_names_of_19_characters_fit() -> None:
    plan = plan_with(100)
    assert check_size(plan, 112_000, "dev").result == "OK"
    assert 112_000 + bytes_to_come(plan) <= MAX_STATE_BYTES


@pytest.mark.parametrize(("services", "limit"), [(0, 300), (1, 300), (13, 300), (40, 100), (100, 50), (1000, 50)])
def test_reasons_share_their_room(services: int, limit: int) -> None:
    assert reason_limit(services) == limit


def test_few_services_keep_what_was_said_and_many_its_beginning() -> None:
    said = "tasks keep dying: 3 tasks died: container v3-backend-api exited with 3"
    few, many = (all_results(plan_with(count), said) for count in (3, 100))
    for key in ("rollout", "health"):
        assert {one["reason"] for one in few[key]["services"].values()} == {said}
        assert {one["reason"] for one in many[key]["services"].values()} == {f"{said[: MIN_REASON - 6]}…"}
    assert set(few["health"]["died"].values()) == {said}
    assert len(many["health"]["died"]) == MAX_DIED
    assert len(all_results(plan_with(1), "é" * 400)["health"]["died"]["service-number-0000"]) == MAX_REASON // 6
