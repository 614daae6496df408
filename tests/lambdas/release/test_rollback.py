from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.errors import RollbackTimeout
from lambdas.release.plan import Plan
from lambdas.release.rollback import is_back, judge_rollback, next_wave_back, to_restore, was_put_back_by_ecs
from lambdas.release.rollout import Deployment, Event, ServiceFacts
from lambdas.release.verdicts import RollbackStatus
from tests.lambdas.release.examples import arn, deployment, plan, planned, service

PLAN = plan(("api",), ("worker", "scheduler"))
NAMES = ("api", "worker", "scheduler")


def back(name: str) -> ServiceFacts:
    """Return a service that is steady on what it had."""
    return service(deployment(arn(name, 1)))


def moved(name: str) -> ServiceFacts:
    """Return a service that the failed deployment moved."""
    return service(deployment(arn(name, 2)), deployment(arn(name, 1), status="ACTIVE"))


def returning(name: str) -> ServiceFacts:
    """Return a service that is rolling back."""
    return service(
        deployment(arn(name, 1), running=0, pending=2, rollout_state="IN_PROGRESS"),
        deployment(arn(name, 2), status="ACTIVE"),
    )


def given_up(name: str) -> ServiceFacts:
    """Return a service whose previous task definition does not run any more."""
    return service(deployment(arn(name, 1), running=0, rollout_state="FAILED"))


def draining(name: str) -> ServiceFacts:
    """Return a service that is back but for the failed deployment's last task."""
    return service(deployment(arn(name, 1)), deployment(arn(name, 2), status="ACTIVE", running=1))


DELETED = service(status="INACTIVE")
BACK, GOING, NEXT = RollbackStatus.STEADY, RollbackStatus.IN_PROGRESS, RollbackStatus.NEXT_WAVE

# Name: (facts of api, worker, scheduler, the wave to work on, what of it is to be rolled back, the verdict).
ROWS: dict[str, tuple[ServiceFacts | None, ServiceFacts | None, ServiceFacts | None, str, str, RollbackStatus]] = {
    "all back": (back("api"), back("worker"), back("scheduler"), "", "", BACK),
    "all moved": (moved("api"), moved("worker"), moved("scheduler"), "worker scheduler", "worker scheduler", NEXT),
    "only the first wave was moved": (moved("api"), back("worker"), back("scheduler"), "api", "api", NEXT),
    "the last wave returns": (
        moved("api"),
        returning("worker"),
        returning("scheduler"),
        "worker scheduler",
        "",
        GOING,
    ),
    "one of the last wave was not updated yet": (
        moved("api"),
        returning("worker"),
        moved("scheduler"),
        "worker scheduler",
        "scheduler",
        NEXT,
    ),
    "the last wave drains": (moved("api"), draining("worker"), back("scheduler"), "worker scheduler", "", GOING),
    "the last wave is back, the first is next": (moved("api"), back("worker"), back("scheduler"), "api", "api", NEXT),
    "the first wave returns": (returning("api"), back("worker"), back("scheduler"), "api", "", GOING),
    "one is gone": (back("api"), None, back("scheduler"), "", "", BACK),
    "one is gone and its neighbour was moved": (
        back("api"),
        None,
        moved("scheduler"),
        "worker scheduler",
        "scheduler",
        NEXT,
    ),
    "one was deleted and ECS still lists it": (back("api"), DELETED, back("scheduler"), "", "", BACK),
    "one is being deleted": (replace(moved("api"), status="DRAINING"), back("worker"), back("scheduler"), "", "", BACK),
    "one has no PRIMARY": (service(), back("worker"), back("scheduler"), "api", "api", NEXT),
}


@pytest.mark.parametrize(("api", "worker", "scheduler", "wave", "restore", "status"), ROWS.values(), ids=ROWS)
def test_a_rollback_is_decided_on_what_runs_alone(
    api: ServiceFacts | None,
    worker: ServiceFacts | None,
    scheduler: ServiceFacts | None,
    wave: str,
    restore: str,
    status: RollbackStatus,
) -> None:
    facts = {
        name: one for name, one in {"api": api, "worker": worker, "scheduler": scheduler}.items() if one is not None
    }
    services = next_wave_back(PLAN, facts)
    assert [s.name for s in services] == wave.split()
    assert [s.name for s in to_restore(services, facts)] == restore.split()
    assert judge_rollback(PLAN, facts, started_at=0, now=899) == status


def test_a_service_is_back_on_exactly_what_it_had() -> None:
    api = planned("api")
    assert is_back(api, back("api"))
    assert is_back(api, None)
    assert not is_back(api, moved("api"))
    assert not is_back(api, returning("api"))
    assert not is_back(replace(api, previous=arn("api", 9)), back("api"))


LATE: dict[str, tuple[dict[str, ServiceFacts], float, str]] = {
    "too late": (
        {"api": moved("api"), "worker": returning("worker"), "scheduler": back("scheduler")},
        900,
        "worker: not steady after 900 s on the previous task definition; not back yet either: api",
    ),
    "two too late": (
        {"api": moved("api"), "worker": returning("worker"), "scheduler": moved("scheduler")},
        1000.4,
        "worker, scheduler: not steady after 1000 s on the previous task definition; not back yet either: api",
    ),
    "ECS gave one up": (
        {"api": moved("api"), "worker": given_up("worker"), "scheduler": moved("scheduler")},
        10,
        "worker: ECS gave it up on the previous task definition; not back yet either: api, scheduler",
    ),
    "ECS gave one up, and it is late": (
        {"api": back("api"), "worker": given_up("worker"), "scheduler": back("scheduler")},
        2000,
        "worker: ECS gave it up on the previous task definition",
    ),
}


@pytest.mark.parametrize(("facts", "now", "words"), LATE.values(), ids=LATE)
def test_a_rollback_that_does_not_become_steady_has_failed(
    facts: dict[str, ServiceFacts], now: float, words: str
) -> None:
    with pytest.raises(RollbackTimeout, match=f"^{words}$"):
        judge_rollback(PLAN, facts, started_at=0, now=now)


def test_a_deployment_that_ecs_gave_up_is_no_reason_to_give_the_rollback_up() -> None:
    failed = service(deployment(arn("worker", 2), running=0, rollout_state="FAILED"))
    facts = {"api": moved("api"), "worker": failed, "scheduler": moved("scheduler")}
    assert judge_rollback(PLAN, facts, started_at=0, now=10) == NEXT


def test_all_that_arrived_late_is_still_all() -> None:
    assert judge_rollback(PLAN, {name: back(name) for name in NAMES}, started_at=0, now=9999) == BACK


class EcsContext:
    """Services that do what they are asked a moment later."""

    def __init__(self, facts: dict[str, ServiceFacts]) -> None:
        self.facts = facts
        self.updates: list[str] = []
        self.ids = (f"ecs-svc/{n}" for n in count())

    def update(self, name: str, task_definition: str) -> None:
        """Take a new PRIMARY; what ran drains beside it."""
        self.updates.append(name)
        before = self.facts[name]
        assert before.primary is None or before.primary.task_definition != task_definition, "already returning"
        ours = Deployment(next(self.ids), "PRIMARY", task_definition, 2, 2, 0, 0, "IN_PROGRESS")
        old = tuple(replace(d, status="ACTIVE") for d in before.deployments)
        self.facts[name] = replace(before, task_definition=task_definition, deployments=(ours, *old))

    def settle(self, name: str) -> None:
        """Let one service come to rest."""
        one = self.facts[name]
        if one.primary is not None:
            done = replace(one.primary, running=2, pending=0, rollout_state="COMPLETED")
            self.facts[name] = replace(one, deployments=(done,), running=2, pending=0)


def any_state(name: str) -> st.SearchStrategy[ServiceFacts]:
    return st.sampled_from([back(name), moved(name), returning(name), draining(name), service(desired=2)])


mixed_states = st.fixed_dictionaries({}, optional={name: any_state(name) for name in NAMES})
shapes = st.sampled_from([(("api",), ("worker", "scheduler")), (NAMES,), tuple((name,) for name in NAMES)])


def roll_back(plan_: Plan, ecs: EcsContext, *, only: int | None = None) -> None:
    """Do one ``Roll back`` step; ``only`` some of its updates when the function dies half-way."""
    for one in to_restore(next_wave_back(plan_, ecs.facts), ecs.facts)[:only]:
        ecs.update(one.name, one.previous)


@given(mixed_states, shapes, st.data())
def test_from_any_point_a_rollback_becomes_steady_and_updates_no_service_twice(
    facts: dict[str, ServiceFacts], waves: tuple[tuple[str, ...], ...], data: st.DataObject
) -> None:
    plan_, ecs = plan(*waves), EcsContext(dict(facts))
    wave_of = {name: number for number, wave in enumerate(waves) for name in wave}
    for _ in range(4 * len(NAMES)):
        before = len(ecs.updates)
        roll_back(plan_, ecs, only=data.draw(st.sampled_from([None, 0, 1])))
        roll_back(plan_, ecs)
        for name in ecs.updates[before:]:
            later = [n for n in ecs.facts if wave_of[n] > wave_of[name]]
            assert all(is_back(plan_.services[n], ecs.facts[n]) for n in later), (
                "a wave began before the later was back"
            )
        assert judge_rollback(plan_, ecs.facts, 0, 1) != NEXT or not ecs.facts
        for name in data.draw(st.sets(st.sampled_from(NAMES))) & ecs.facts.keys():
            ecs.settle(name)
        if judge_rollback(plan_, ecs.facts, 0, 1) == GOING:
            for name in ecs.facts:
                ecs.settle(name)
    assert judge_rollback(plan_, ecs.facts, 0, 1) == BACK
    assert all(is_back(plan_.services[name], ecs.facts[name]) for name in ecs.facts)
    assert len(ecs.updates) == len(set(ecs.updates))
    roll_back(plan_, ecs)
    assert len(ecs.updates) == len(set(ecs.updates))


BY_ECS = Event(1.0, "(service v3-backend-dev-api) rolling back to deployment ecs-svc/new.")


@pytest.mark.parametrize(
    ("facts", "planned_deployment", "by_ecs"),
    [
        (service(deployment(arn("api", 1)), events=(BY_ECS,)), "ecs-svc/old", True),
        (service(deployment(arn("api", 3)), events=(BY_ECS,)), "ecs-svc/old", True),
        (service(deployment(arn("api", 1)), events=(BY_ECS,)), "ecs-svc/new", False),
        (service(deployment(arn("api", 1))), "ecs-svc/old", False),
        (service(deployment(arn("api", 1), status="ACTIVE"), events=(BY_ECS,)), "ecs-svc/old", False),
        (DELETED, "ecs-svc/old", False),
        (None, "ecs-svc/old", False),
    ],
    ids=["back", "to an older one", "before it was planned", "nothing says so", "no PRIMARY", "deleted", "gone"],
)
def test_what_ecs_itself_put_back_is_told_by_its_event(
    facts: ServiceFacts | None, planned_deployment: str, *, by_ecs: bool
) -> None:
    assert was_put_back_by_ecs(replace(planned("api"), deployment=planned_deployment), facts) is by_ecs
