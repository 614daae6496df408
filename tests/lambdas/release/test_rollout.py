from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.rollout import (
    Event,
    Goal,
    ServiceDeployment,
    ServiceFacts,
    Verdict,
    is_rollback_of_ecs,
    judge_rollout,
    judge_wave,
    needs_stopped_tasks,
)
from lambdas.release.stopped_task import StoppedContainer, StoppedTask
from lambdas.release.verdicts import Status
from tests.lambdas.release.examples import any_facts, arn, deployment, moments, service, started

OLD, NEW, OTHER = (arn("api", revision) for revision in (1, 2, 3))
GOAL = Goal(
    target=NEW,
    previous=OLD,
    replaced_deployment="ecs-svc/old",
    started_at=1000,
    deadline=1600,
    failed_tasks_limit=3,
    desired=2,
)
EARLY, LATE = 1100, 1600
ROLLING_BACK = Event(
    1050, "(service v3-backend-dev-api) (deployment ecs-svc/new) rolling back to deployment ecs-svc/old."
)

going = deployment(NEW, rollout_state="IN_PROGRESS", running=1, pending=1)
replaced = deployment(OLD, id="ecs-svc/old")
draining = deployment(OLD, id="ecs-svc/old", status="ACTIVE")
rolled_back = deployment(OLD, id="ecs-svc/back")
given_up = deployment(
    NEW, status="INACTIVE", running=0, rollout_state="FAILED", rollout_reason="tasks failed to start."
)

ROLLOUT = {
    # Steady.
    "all tasks run": (service(deployment(NEW)), EARLY, Status.STEADY, "steady"),
    "steady counts even when it was seen late": (service(deployment(NEW)), LATE, Status.STEADY, "steady"),
    "failed tasks before the end do not count": (
        service(deployment(NEW, failed_tasks=3)),
        EARLY,
        Status.STEADY,
        "steady",
    ),
    "desired count 0": (service(deployment(NEW, desired=0, running=0)), EARLY, Status.STEADY, "steady"),
    "desired count 0, rolloutState absent": (
        service(deployment(NEW, desired=0, running=0, rollout_state=None)),
        EARLY,
        Status.STEADY,
        "steady",
    ),
    "rolloutState absent and all run": (service(deployment(NEW, rollout_state=None)), EARLY, Status.STEADY, "steady"),
    "old deployment without tasks is still listed": (
        service(deployment(NEW), replace(draining, running=0)),
        EARLY,
        Status.STEADY,
        "steady",
    ),
    # In progress.
    "a task is pending": (service(going), EARLY, Status.IN_PROGRESS, "1 of 2 tasks run"),
    "completed but old tasks drain": (
        service(deployment(NEW), draining),
        EARLY,
        Status.IN_PROGRESS,
        "2 of 2 tasks run, 2 old draining",
    ),
    "rolloutState absent and a task is missing": (
        service(deployment(NEW, rollout_state=None, running=1)),
        EARLY,
        Status.IN_PROGRESS,
        "1 of 2 tasks run",
    ),
    "rolloutState absent and a task is pending": (
        service(deployment(NEW, rollout_state=None, pending=1)),
        EARLY,
        Status.IN_PROGRESS,
        "2 of 2 tasks run",
    ),
    "rolloutState absent and the old deployment is still listed": (
        service(deployment(NEW, rollout_state=None), replace(draining, running=0)),
        EARLY,
        Status.IN_PROGRESS,
        "2 of 2 tasks run",
    ),
    "fewer failed tasks than the limit": (
        service(replace(going, failed_tasks=2)),
        EARLY,
        Status.IN_PROGRESS,
        "1 of 2 tasks run",
    ),
    "scaled up: more starts for more tasks": (
        service(replace(going, desired=8), events=(started(1050, 8),)),
        EARLY,
        Status.IN_PROGRESS,
        "1 of 8 tasks run",
    ),
    "scaled down: more tasks run than wanted": (
        service(replace(going, desired=1, running=4), events=(started(1050, 8),)),
        EARLY,
        Status.IN_PROGRESS,
        "4 of 1 tasks run",
    ),
    "a few restarts": (
        service(going, events=(started(1080, 1), started(1070, 1), started(1050, 2))),
        EARLY,
        Status.IN_PROGRESS,
        "1 of 2 tasks run",
    ),
    "starts before ours belong to somebody else": (
        service(going, events=(started(1050, 2), started(999, 9))),
        EARLY,
        Status.IN_PROGRESS,
        "1 of 2 tasks run",
    ),
    "restarts that led to enough tasks": (
        service(replace(going, running=2), events=(started(1050, 9),)),
        EARLY,
        Status.IN_PROGRESS,
        "2 of 2 tasks run",
    ),
    "ECS still shows the replaced deployment": (
        service(replaced),
        EARLY,
        Status.IN_PROGRESS,
        "ECS does not show the new deployment yet",
    ),
    # Failed.
    "gone": (None, EARLY, Status.FAILED, "the service is gone"),
    "inactive": (service(deployment(NEW), status="INACTIVE"), EARLY, Status.FAILED, "the service is INACTIVE"),
    "draining service": (service(deployment(NEW), status="DRAINING"), EARLY, Status.FAILED, "the service is DRAINING"),
    "no deployments": (service(), EARLY, Status.FAILED, "its deployments are not made by ECS"),
    "no PRIMARY": (service(draining), EARLY, Status.FAILED, "its deployments are not made by ECS"),
    "ECS gave up, with a reason": (
        service(deployment(NEW, rollout_state="FAILED", rollout_reason="tasks failed to start.")),
        EARLY,
        Status.FAILED,
        "ECS gave the rollout up: tasks failed to start.",
    ),
    "ECS gave up, without a reason": (
        service(deployment(NEW, rollout_state="FAILED")),
        EARLY,
        Status.FAILED,
        "ECS gave the rollout up: no reason given",
    ),
    "failed tasks at the limit": (
        service(replace(going, failed_tasks=3)),
        EARLY,
        Status.FAILED,
        "3 tasks failed to start or to stay healthy",
    ),
    "tasks flap: failedTasks is 0 again, the events tell": (
        service(going, events=(started(1080, 1), started(1070, 2), started(1050, 2))),
        EARLY,
        Status.FAILED,
        "tasks keep dying: 5 started for 2 wanted",
    ),
    "deadline reached": (service(going), LATE, Status.FAILED, "not steady after 600 s: 1 of 2 tasks run"),
    "old tasks drain past the deadline": (
        service(deployment(NEW), draining),
        LATE,
        Status.FAILED,
        "not steady after 600 s: 2 of 2 tasks run, 2 old tasks still drain",
    ),
    "one old task drains past the deadline": (
        service(deployment(NEW), replace(draining, running=1)),
        LATE,
        Status.FAILED,
        "1 old task still drains",
    ),
    "ECS rolled back: ours is FAILED beside a new deployment": (
        service(rolled_back, given_up, events=(ROLLING_BACK,)),
        EARLY,
        Status.FAILED,
        "ECS rolled back to the previous task definition: tasks failed to start.",
    ),
    "ECS rolled back: ours is FAILED without a reason": (
        service(rolled_back, replace(given_up, rollout_reason="")),
        EARLY,
        Status.FAILED,
        "rolled back to the previous task definition: its deployment circuit breaker, an alarm, or somebody else",
    ),
    "ECS rolled back: only the event tells": (
        service(rolled_back, events=(Event(1060, "has reached a steady state."), ROLLING_BACK)),
        EARLY,
        Status.FAILED,
        f"ECS rolled back to the previous task definition: {ROLLING_BACK.message}",
    ),
    "rolled back, and nothing says why": (
        service(rolled_back, events=(replace(ROLLING_BACK, at=999),)),
        EARLY,
        Status.FAILED,
        "rolled back to the previous task definition: its deployment circuit breaker, an alarm, or somebody else",
    ),
    "somebody rolled back while ours was under way": (
        service(rolled_back, replace(going, status="ACTIVE", rollout_reason="ECS deployment in progress.")),
        EARLY,
        Status.FAILED,
        "rolled back to the previous task definition: its deployment circuit breaker, an alarm, or somebody else",
    ),
    "ECS rolled back to the replaced deployment itself: ours is FAILED": (
        service(replaced, given_up),
        EARLY,
        Status.FAILED,
        "ECS rolled back to the previous task definition: tasks failed to start.",
    ),
    "ECS rolled back to the replaced deployment itself: the event tells": (
        service(replaced, events=(ROLLING_BACK,)),
        EARLY,
        Status.FAILED,
        "ECS rolled back to the previous task definition: (service",
    ),
    "ECS never showed the new deployment": (
        service(replaced),
        LATE,
        Status.FAILED,
        "after 600 s ECS still does not show the new deployment",
    ),
    "ECS rolled back to an older one: the event leads there": (
        service(deployment(OTHER, id="ecs-svc/old"), events=(ROLLING_BACK,)),
        EARLY,
        Status.FAILED,
        "ECS rolled back to v3-backend-dev-api:3: (service",
    ),
    "ECS rolled back to an older one: its own reason says so": (
        service(deployment(OTHER, id="ecs-svc/b", rollout_reason="ECS: rolling back to deploymentId ecs-svc/b.")),
        EARLY,
        Status.FAILED,
        "ECS rolled back to v3-backend-dev-api:3: ECS: rolling back",
    ),
    "ECS rolled back to an older one: ours is FAILED": (
        service(deployment(OTHER, id="ecs-svc/b"), given_up),
        EARLY,
        Status.FAILED,
        "ECS rolled back to v3-backend-dev-api:3: tasks failed to start.",
    ),
    # Superseded.
    "ECS rolled back, and then somebody else deployed": (
        service(deployment(OTHER, id="ecs-svc/other"), given_up, events=(ROLLING_BACK,)),
        EARLY,
        Status.SUPERSEDED,
        "somebody else deployed v3-backend-dev-api:3 meanwhile",
    ),
    "somebody else deployed": (
        service(deployment(OTHER, id="ecs-svc/other"), replace(going, status="ACTIVE")),
        EARLY,
        Status.SUPERSEDED,
        "somebody else deployed v3-backend-dev-api:3 meanwhile",
    ),
    "somebody else deployed, seen late": (
        service(deployment(OTHER, id="ecs-svc/other")),
        LATE,
        Status.SUPERSEDED,
        "somebody else deployed v3-backend-dev-api:3 meanwhile",
    ),
}


@pytest.mark.parametrize(("facts", "now", "status", "reason"), ROLLOUT.values(), ids=ROLLOUT)
def test_a_rollout_is_judged(facts: ServiceFacts | None, now: float, status: Status, reason: str) -> None:
    verdict = judge_rollout(facts, GOAL, now)
    assert verdict.status == status
    assert reason in verdict.reason


SCALED_IN = StoppedTask("t", NEW, "Scaling activity initiated by (deployment ecs-svc/new)", stopped_at=1090)
SPOT = replace(SCALED_IN, stopped_reason="Your Spot Task was interrupted.", stop_code="SpotInterruption", started_at=1)
EXITED = StoppedTask(
    "t", NEW, "Essential container in task exited", 1090, (StoppedContainer("main", 3),), "EssentialContainerExited", 1
)
GONE = service(going, events=(started(1080, 3), started(1050, 2)))

STOPPED = {
    "autoscaled out and in": (GONE, [SCALED_IN] * 3, Status.IN_PROGRESS, "1 of 2 tasks run"),
    "interrupted": (GONE, [SPOT] * 3, Status.IN_PROGRESS, "1 of 2 tasks run"),
    "died": (GONE, [EXITED] * 3, Status.FAILED, "tasks keep dying: 3 tasks died: container main exited with 3"),
    "died, but fewer than the limit": (GONE, [EXITED, EXITED, SPOT], Status.IN_PROGRESS, "1 of 2 tasks run"),
    "died before it began": (GONE, [replace(EXITED, stopped_at=999)] * 3, Status.IN_PROGRESS, "1 of 2 tasks run"),
    "died, and enough run now": (
        service(replace(going, running=2), events=(started(1050, 9),)),
        [EXITED] * 3,
        Status.IN_PROGRESS,
        "2 of 2 tasks run",
    ),
    "ECS counts what never ran": (
        service(replace(going, failed_tasks=3)),
        [replace(SPOT, started_at=0)],
        Status.IN_PROGRESS,
        "1 of 2 tasks run",
    ),
    "ECS counts what found no place, of which there is no task": (
        service(replace(going, failed_tasks=3)),
        [],
        Status.FAILED,
        "3 tasks failed to start or to stay healthy",
    ),
    "ECS counts nothing that it interrupted after it ran": (
        service(replace(going, failed_tasks=3)),
        [SPOT] * 3,
        Status.FAILED,
        "3 tasks failed to start or to stay healthy",
    ),
}


@pytest.mark.parametrize(("facts", "stopped", "status", "reason"), STOPPED.values(), ids=STOPPED)
def test_stopped_tasks_say_whether_tasks_die(
    facts: ServiceFacts, stopped: list[StoppedTask], status: Status, reason: str
) -> None:
    assert needs_stopped_tasks(facts, GOAL)
    verdict = judge_rollout(facts, GOAL, EARLY, stopped)
    assert verdict.status == status
    assert reason in verdict.reason


NOT_ASKED = {
    "gone": None,
    "inactive": service(deployment(NEW), status="INACTIVE"),
    "no PRIMARY": service(draining),
    "under way": service(going, events=(started(1050, 2),)),
    "steady, after some deaths": service(deployment(NEW), events=(started(1050, 9),)),
    "not ours": service(replaced, events=(started(1050, 9),)),
    "fewer are gone than the limit": service(going, events=(started(1050, 4),)),
    "scaled out": service(replace(going, desired=8, pending=7), events=(started(1050, 8),)),
}


@pytest.mark.parametrize("facts", NOT_ASKED.values(), ids=NOT_ASKED)
def test_nobody_asks_for_stopped_tasks_where_nothing_dies(facts: ServiceFacts | None) -> None:
    assert not needs_stopped_tasks(facts, GOAL)


elsewhere = service(deployment(OTHER, id="ecs-svc/other"), replace(going, status="ACTIVE"))


@pytest.mark.parametrize(
    ("facts", "theirs", "status", "reason"),
    [
        (elsewhere, ServiceDeployment("ROLLBACK_SUCCESSFUL", "the breaker"), Status.FAILED, "api:3: the breaker"),
        (elsewhere, ServiceDeployment("ROLLBACK_IN_PROGRESS"), Status.FAILED, "its service deployment is ROLLBACK_IN"),
        (elsewhere, ServiceDeployment("STOPPED"), Status.SUPERSEDED, "somebody else"),
        (elsewhere, None, Status.SUPERSEDED, "somebody else"),
        (service(rolled_back), ServiceDeployment("ROLLBACK_FAILED", "no"), Status.FAILED, "definition: no"),
        (service(deployment(NEW)), ServiceDeployment("ROLLBACK_FAILED", "no"), Status.STEADY, "steady"),
    ],
    ids=["rolled back", "rolls back", "replaced", "not known", "to the previous one", "ours is there"],
)
def test_ecs_s_own_deployment_says_who_put_another_in_the_place_of_ours(
    facts: ServiceFacts, theirs: ServiceDeployment | None, status: Status, reason: str
) -> None:
    verdict = judge_rollout(facts, GOAL, EARLY, None, theirs)
    assert verdict.status == status
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (ServiceDeployment("IN_PROGRESS", failed_tasks=1, threshold=3), "ECS counts 1 failed task, and gives up at 3"),
        (ServiceDeployment("IN_PROGRESS", failed_tasks=3), ""),
        (ServiceDeployment("IN_PROGRESS", threshold=3), ""),
    ],
)
def test_ecs_s_own_count_is_told_where_it_counts(theirs: ServiceDeployment, said: str) -> None:
    assert theirs.message == said


@pytest.mark.parametrize(
    ("facts", "is_its_own"),
    [
        (service(deployment(OLD, id="ecs-svc/old"), events=(ROLLING_BACK,)), True),
        (service(deployment(OLD, id="ecs-svc/old"), events=(replace(ROLLING_BACK, at=999),)), False),
        (service(deployment(OLD, id="ecs-svc/x"), events=(ROLLING_BACK,)), False),
        (service(deployment(OLD, id="ecs-svc/x", rollout_reason="rolling back to deploymentId ecs-svc/x.")), True),
        (service(draining, events=(ROLLING_BACK,)), False),
    ],
    ids=["the event leads there", "an older event", "the event leads elsewhere", "its own reason", "no PRIMARY"],
)
def test_what_ecs_went_back_to_is_told_by_its_own_words(facts: ServiceFacts, *, is_its_own: bool) -> None:
    assert is_rollback_of_ecs(facts, 1000) is is_its_own


FORCED = replace(GOAL, target=OLD)

FORCED_ROLLOUT = {
    "ECS still shows the replaced one": (service(replaced), EARLY, Status.IN_PROGRESS),
    "ECS never showed another one": (service(replaced), LATE, Status.FAILED),
    "the new one is done": (service(rolled_back), EARLY, Status.STEADY),
    "the new one is under way": (
        service(replace(rolled_back, running=1, rollout_state="IN_PROGRESS"), draining),
        EARLY,
        Status.IN_PROGRESS,
    ),
}


@pytest.mark.parametrize(("facts", "now", "status"), FORCED_ROLLOUT.values(), ids=FORCED_ROLLOUT)
def test_a_forced_deployment_of_the_same_task_definition_waits_for_its_own(
    facts: ServiceFacts, now: float, status: Status
) -> None:
    assert judge_rollout(facts, FORCED, now).status == status


def test_a_return_that_interrupts_a_rollout_is_not_mistaken_for_one_that_ecs_undid() -> None:
    """The stale answer lists a deployment on the target: the one that the interrupted rollout was replacing."""
    stale = service(deployment(OTHER, id="ecs-svc/old", rollout_state="IN_PROGRESS"), deployment(NEW, status="ACTIVE"))
    assert judge_rollout(stale, replace(GOAL, previous=OTHER), EARLY).status == Status.IN_PROGRESS


def test_tasks_that_were_started_before_a_scale_in_did_not_die() -> None:
    """Six were wanted when it began and six were started; now two are, and one of them is still starting."""
    facts = service(going, events=(started(1050, 6),))
    assert judge_rollout(facts, replace(GOAL, desired=6), EARLY).status == Status.IN_PROGRESS


def test_the_verdict_counts_the_tasks_of_the_deployment_that_is_watched() -> None:
    verdict = judge_rollout(service(replace(going, running=1, desired=4), draining), GOAL, EARLY)
    assert (verdict.running, verdict.desired) == (1, 4)


goals = st.builds(
    Goal,
    target=st.just(NEW),
    previous=st.sampled_from([OLD, NEW]),
    replaced_deployment=st.sampled_from([None, "ecs-svc/old"]),
    started_at=st.just(1000),
    deadline=st.integers(1000, 2000),
    failed_tasks_limit=st.integers(1, 10),
    desired=st.integers(0, 10),
)


@given(any_facts, goals, moments)
def test_steady_is_only_said_of_the_target(facts: ServiceFacts | None, goal: Goal, now: int) -> None:
    verdict = judge_rollout(facts, goal, now)
    assert verdict.reason
    if verdict.status == Status.STEADY:
        assert facts is not None
        assert facts.primary is not None
        assert facts.primary.task_definition == goal.target
        assert facts.primary.id != goal.replaced_deployment
        assert facts.status == "ACTIVE"
        assert facts.is_settled


@given(any_facts, goals, moments, st.integers(0, 5000))
def test_what_has_failed_or_ended_stays_so_with_time(
    facts: ServiceFacts | None, goal: Goal, now: int, later: int
) -> None:
    before, after = judge_rollout(facts, goal, now), judge_rollout(facts, goal, now + later)
    if before.status != Status.IN_PROGRESS:
        assert after.status == before.status


@given(any_facts, goals)
def test_the_deadline_ends_every_wait(facts: ServiceFacts | None, goal: Goal) -> None:
    assert judge_rollout(facts, goal, goal.deadline).status != Status.IN_PROGRESS


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([Status.STEADY], Status.STEADY),
        ([Status.STEADY, Status.IN_PROGRESS], Status.IN_PROGRESS),
        ([Status.IN_PROGRESS, Status.FAILED], Status.FAILED),
        ([Status.STEADY, Status.SUPERSEDED], Status.FAILED),
        ([], Status.STEADY),
    ],
    ids=["all steady", "one on its way", "one failed", "one superseded", "a wave without services"],
)
def test_a_wave_is_as_good_as_its_worst_service(statuses: list[Status], expected: Status) -> None:
    assert judge_wave({str(i): Verdict(status, "") for i, status in enumerate(statuses)}) == expected


@pytest.mark.parametrize(
    ("message", "tasks"),
    [
        ("(service api) has started 1 tasks: (task 0123456789abcdef0123456789abcdef).", 1),
        ("(service api) has started 2 tasks: (task 0a1b) (task 2c3d).", 2),
        ("(service api, taskSet ecs-svc/1) has started 1 tasks: (task 0123-ab).", 1),
        ("(service api) has stopped 2 running tasks: (task 0a1b) (task 2c3d).", 0),
        ("(service api) (task 0a1b) failed container health checks.", 0),
        ("(service api) has reached a steady state.", 0),
    ],
    ids=["one", "two", "with a task set", "stopped", "unhealthy", "steady"],
)
def test_started_tasks_are_counted_from_the_events(message: str, tasks: int) -> None:
    facts = service(deployment(NEW), events=(Event(1000, message), Event(999, message)))
    assert facts.tasks_started_since(1000) == tasks
