"""The bake: services that were steady once are watched for some more time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.explanation import StoppedTask
from lambdas.release.rollout import Event, ServiceFacts, Watch, firing, judge_health, tasks_died
from lambdas.release.verdicts import Status
from tests.lambdas.release.examples import any_facts, arn, deployment, service, started

OLD, NEW, OTHER = (arn("api", revision) for revision in (1, 2, 3))
draining = deployment(OLD, id="ecs-svc/old", status="ACTIVE")
STOPPED_FOUR = "(service v3-backend-dev-api) has stopped 4 running tasks: (task 01) (task 02) (task 03) (task 04)."
WATCH = Watch(target=NEW, since=1000, desired=2, failed_tasks_limit=3)
baking = deployment(NEW)

HEALTH = {
    "nothing happens": (service(baking), Status.STEADY, "2 of 2 tasks run"),
    "gone": (None, Status.FAILED, "the service is gone"),
    "inactive": (service(baking, status="INACTIVE"), Status.FAILED, "the service is INACTIVE"),
    "somebody else deployed": (
        service(deployment(OTHER)),
        Status.SUPERSEDED,
        "somebody else deployed v3-backend-dev-api:3 during the bake",
    ),
    "no PRIMARY": (service(draining), Status.SUPERSEDED, "somebody else deployed v3-backend-dev-api:1 during the bake"),
    "tasks died up to the limit": (
        service(baking, events=(started(1050, 1), started(1040, 2))),
        Status.FAILED,
        "ECS had to replace 3 tasks during the bake",
    ),
    "a task died and its successor starts": (
        service(replace(baking, running=1), events=(started(1050, 1),)),
        Status.IN_PROGRESS,
        "1 of 2 tasks run",
    ),
    "a task died and its successor runs": (service(baking, events=(started(1050, 1),)), Status.STEADY, "2 of 2"),
    "scaled up by two, one died": (
        service(replace(baking, desired=4, running=3), events=(started(1050, 3),)),
        Status.IN_PROGRESS,
        "3 of 4 tasks run",
    ),
    "scaled up by two, three died": (
        service(replace(baking, desired=4, running=4), events=(started(1050, 5),)),
        Status.FAILED,
        "ECS had to replace 3 tasks during the bake",
    ),
    "scaled up and the new tasks start": (
        service(replace(baking, desired=9, running=2), events=(started(1050, 7),)),
        Status.STEADY,
        "2 of 9 tasks run",
    ),
    "scaled down": (service(replace(baking, desired=1, running=1)), Status.STEADY, "1 of 1 tasks run"),
    "starts before the bake do not count": (service(baking, events=(started(999, 9),)), Status.STEADY, "2 of 2"),
}


@pytest.mark.parametrize(("facts", "status", "reason"), HEALTH.values(), ids=HEALTH)
def test_the_bake_is_judged(facts: ServiceFacts | None, status: Status, reason: str) -> None:
    verdict = judge_health(facts, WATCH)
    assert verdict.status == status
    assert reason in verdict.reason


def test_scaling_out_and_in_again_within_the_bake_is_no_failure() -> None:
    facts = service(baking, events=(Event(1090, STOPPED_FOUR), started(1050, 4)))
    scaled_in = StoppedTask("t", NEW, "Scaling activity initiated by (deployment ecs-svc/1)", stopped_at=1090)
    assert judge_health(facts, WATCH, tasks_died([scaled_in] * 4, WATCH.since)).status == Status.STEADY


def test_tasks_that_end_by_themselves_within_the_bake_are_a_failure() -> None:
    facts = service(baking, events=(started(1050, 4),))
    crashed = StoppedTask("t", NEW, "Essential container in task exited", stopped_at=1090)
    before = replace(crashed, stopped_at=WATCH.since - 1)
    assert tasks_died([crashed, before], WATCH.since) == 1
    assert judge_health(facts, WATCH, tasks_died([crashed] * 4, WATCH.since)).status == Status.FAILED


@given(any_facts, st.integers(1, 5))
def test_only_the_target_passes_the_bake(facts: ServiceFacts | None, limit: int) -> None:
    verdict = judge_health(facts, replace(WATCH, failed_tasks_limit=limit))
    if verdict.status in {Status.STEADY, Status.IN_PROGRESS}:
        assert facts is not None
        assert facts.primary is not None
        assert facts.primary.task_definition == NEW


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"a": "OK", "b": "ALARM"}, ("b",)),
        ({"a": "ALARM", "b": "ALARM", "c": "ALARM"}, ("a", "b")),
        ({"a": "INSUFFICIENT_DATA"}, ()),
        ({}, ()),
    ],
    ids=["one", "only the named ones", "no data", "unknown alarms"],
)
def test_an_alarm_fires_in_the_state_alarm_alone(states: dict[str, str], expected: tuple[str, ...]) -> None:
    assert firing(states, ("a", "b")) == expected
