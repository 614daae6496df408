"""The bake: services that were steady once are watched for some more time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.bake import Bake, Watch, judge_bake, judge_health, needs_a_look_at_deaths
from lambdas.release.rollout import Deployment, Event, ServiceFacts, Verdict, firing
from lambdas.release.stopped_task import Deaths, StoppedContainer, StoppedTask, deaths
from lambdas.release.verdicts import HealthStatus, Status
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
    "no task at all": (service(replace(baking, running=0)), Status.IN_PROGRESS, "0 of 2 tasks run"),
    "a task is missing, and nothing says why": (service(replace(baking, running=1)), Status.IN_PROGRESS, "1 of 2"),
    "scaled to nothing": (service(replace(baking, desired=0, running=0)), Status.STEADY, "0 of 0 tasks run"),
    "scaled down": (service(replace(baking, desired=1, running=1)), Status.STEADY, "1 of 1 tasks run"),
    "starts before the bake do not count": (service(baking, events=(started(999, 9),)), Status.STEADY, "2 of 2"),
}


@pytest.mark.parametrize(("facts", "status", "reason"), HEALTH.values(), ids=HEALTH)
def test_the_bake_is_judged(facts: ServiceFacts | None, status: Status, reason: str) -> None:
    verdict = judge_health(facts, WATCH)
    assert verdict.status == status
    assert reason in verdict.reason


SCALED_IN = StoppedTask("t", NEW, "Scaling activity initiated by (deployment ecs-svc/1)", stopped_at=1090)
EXITED = StoppedTask(
    "t", NEW, "Essential container in task exited", 1090, (StoppedContainer("main", 137),), "EssentialContainerExited"
)
SPOT = replace(SCALED_IN, stopped_reason="Your Spot Task was interrupted.", stop_code="SpotInterruption")
DIED = "1 task died: container main exited with 137 (killed)"

DEATHS = {
    "none": (WATCH, baking, [], Status.STEADY, "2 of 2 tasks run"),
    "one of two": (WATCH, baking, [EXITED], Status.STEADY, f"2 of 2 tasks run; {DIED}"),
    "one of two, and its successor starts": (
        WATCH,
        replace(baking, running=1),
        [EXITED],
        Status.IN_PROGRESS,
        f"1 of 2 tasks run; {DIED}",
    ),
    "both": (
        WATCH,
        baking,
        [EXITED] * 2,
        Status.FAILED,
        "ECS had to replace 2 tasks during the bake: container main exited with 137 (killed)",
    ),
    "the only one": (
        replace(WATCH, desired=1),
        replace(baking, desired=1, running=1),
        [EXITED],
        Status.FAILED,
        "ECS had to replace 1 task during the bake: container main exited with 137 (killed)",
    ),
    "of a service that had none": (
        replace(WATCH, desired=0),
        replace(baking, desired=1, running=1),
        [EXITED],
        Status.FAILED,
        "ECS had to replace 1 task during the bake: container main exited with 137 (killed)",
    ),
    "fewer than the limit of many": (
        replace(WATCH, desired=9),
        replace(baking, desired=9, running=9),
        [EXITED] * 2,
        Status.STEADY,
        "2 tasks died",
    ),
    "as many as the limit of many": (
        replace(WATCH, desired=9),
        replace(baking, desired=9, running=9),
        [EXITED] * 3,
        Status.FAILED,
        "ECS had to replace 3 tasks",
    ),
    "of a growing service that is not complete": (
        WATCH,
        replace(baking, desired=4, running=3),
        [EXITED],
        Status.IN_PROGRESS,
        f"3 of 4 tasks run; {DIED}",
    ),
    "scaled out and in again": (WATCH, baking, [SCALED_IN] * 4, Status.STEADY, "2 of 2 tasks run"),
    "interrupted, all of them": (WATCH, replace(baking, running=0), [SPOT] * 2, Status.IN_PROGRESS, "0 of 2 tasks run"),
    "interrupted, and back": (WATCH, baking, [SPOT] * 4, Status.STEADY, "2 of 2 tasks run"),
}


@pytest.mark.parametrize(("watch", "primary", "stopped", "status", "reason"), DEATHS.values(), ids=DEATHS)
def test_deaths_of_its_own_making_are_told_and_end_the_bake(
    watch: Watch, primary: Deployment, stopped: list[StoppedTask], status: Status, reason: str
) -> None:
    facts = service(primary, events=(Event(1095, STOPPED_FOUR), started(1050, 4)))
    verdict = judge_health(facts, watch, deaths(stopped, watch.since))
    assert verdict.status == status
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("facts", "needed"),
    [
        (None, False),
        (service(baking), False),
        (service(replace(baking, desired=4, running=4), events=(started(1050, 2),)), False),
        (service(replace(baking, desired=1, running=1)), False),
        (service(baking, events=(started(1050, 1),)), True),
        (service(replace(baking, running=1)), True),
        (service(replace(baking, desired=9, running=0)), True),
    ],
    ids=["gone", "nothing", "scaled out", "scaled in", "replaced", "one is missing", "none is left"],
)
def test_stopped_tasks_are_read_only_when_something_may_have_died(facts: ServiceFacts | None, *, needed: bool) -> None:
    assert needs_a_look_at_deaths(facts, WATCH) is needed


@given(any_facts, st.integers(0, 5), st.integers(0, 5), st.integers(1, 5))
def test_a_bake_is_steady_only_with_as_many_tasks_as_were_verified_or_are_wanted(
    facts: ServiceFacts | None, verified: int, died: int, limit: int
) -> None:
    watch = replace(WATCH, desired=verified, failed_tasks_limit=limit)
    verdict = judge_health(facts, watch, Deaths((EXITED,) * died))
    if verdict.status == Status.STEADY:
        assert facts is not None
        assert facts.running >= min(verified, facts.desired)
        assert facts.running or not facts.desired
        assert died < max(1, min(limit, verified))
        assert ("died" in verdict.reason) == (died > 0)


@given(any_facts, st.integers(1, 5))
def test_only_the_target_passes_the_bake(facts: ServiceFacts | None, limit: int) -> None:
    verdict = judge_health(facts, replace(WATCH, failed_tasks_limit=limit))
    if verdict.status in {Status.STEADY, Status.IN_PROGRESS}:
        assert facts is not None
        assert facts.primary is not None
        assert facts.primary.task_definition == NEW


steady, waits, failed, replaced = (
    Verdict(status, "r") for status in (Status.STEADY, Status.IN_PROGRESS, Status.FAILED, Status.SUPERSEDED)
)
BAKES = {
    "it goes on": ({"a": steady}, (), 1059, HealthStatus.BAKING, ()),
    "it is over": ({"a": steady}, (), 1060, HealthStatus.HEALTHY, ()),
    "it is over, but a task is missing": ({"a": steady, "b": waits}, (), 1060, HealthStatus.BAKING, ()),
    "the last moment to wait": ({"a": steady, "b": waits}, (), 1659, HealthStatus.BAKING, ()),
    "waited long enough": ({"a": steady, "b": waits}, (), 1660, HealthStatus.UNHEALTHY, ("b",)),
    "seen late, and complete": ({"a": steady}, (), 9999, HealthStatus.HEALTHY, ()),
    "one failed": ({"a": failed, "b": steady}, (), 1000, HealthStatus.UNHEALTHY, ("a",)),
    "one was replaced": ({"a": steady, "b": replaced}, (), 1000, HealthStatus.UNHEALTHY, ("b",)),
    "one failed, and another waits": ({"a": failed, "b": waits}, (), 1000, HealthStatus.UNHEALTHY, ("a",)),
    "an alarm": ({"a": steady, "b": waits}, ("5xx",), 1000, HealthStatus.UNHEALTHY, ()),
    "no service": ({}, (), 1060, HealthStatus.HEALTHY, ()),
}


@pytest.mark.parametrize(("verdicts", "alarms", "now", "status", "bad"), BAKES.values(), ids=BAKES)
def test_a_bake_ends_at_its_time_or_waits_for_what_is_missing(
    verdicts: dict[str, Verdict], alarms: tuple[str, ...], now: float, status: HealthStatus, bad: tuple[str, ...]
) -> None:
    assert judge_bake(verdicts, alarms, now=now, ends_at=1060, timeout_seconds=600) == Bake(status, bad)


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
