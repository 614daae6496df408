"""The two ways back: to a release on record, and to what ran before a deployment that was stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.catalog import MIGRATION, Catalog, Service
from lambdas.release.history import Release
from lambdas.release.plan import AbandonedTask, OnFailure, Plan, PlannedParameter
from lambdas.release.planning import PlanInputs, left_behind, plan_deploy, plan_recovery, plan_rollback, with_moved
from lambdas.release.request import Request
from tests.lambdas.release.examples import (
    MIGRATION_TASK,
    POLICIES,
    REGISTRY,
    TAG,
    WAVES,
    arn,
    dead,
    image,
    image_parameter,
    inputs,
    parameters,
    pinned,
    registered,
    release,
    rolling,
    running,
)

ROLLBACK = Request(action="rollback")
TO_V1 = replace(ROLLBACK, release_id=release(1).release_id)
RECOVERY = replace(ROLLBACK, takeover="arn:stopped")

JOURNAL = plan_deploy(Request(image_tag="v2"), image(2), inputs(1), POLICIES, "r-20260105-090002-abc123")
"""The plan of a deployment from v1 to v2 that was stopped somewhere."""


def go_back(inputs_: PlanInputs, to: Release, request: Request = ROLLBACK) -> Plan:
    return plan_rollback(request, to, inputs_, POLICIES)


def test_a_rollback_walks_the_waves_backwards_to_the_release_s_task_definitions() -> None:
    plan = go_back(inputs(2), release(1))
    assert plan.waves == (("scheduler", "worker"), ("api",))
    assert {s.name: s.target for s in plan.in_order()} == {name: arn(name, 1) for name in WAVES}
    assert {s.name: s.previous for s in plan.in_order()} == {name: arn(name, 2) for name in WAVES}
    assert {s.image for s in plan.in_order()} == {pinned(1)}
    assert (plan.action, plan.release_id, plan.image_tag) == ("rollback", release(1).release_id, "v1")
    assert not plan.nothing_to_do
    assert not plan.recovers


def test_a_rollback_restores_the_parameters_of_the_release() -> None:
    assert go_back(inputs(2), release(1)).parameters == (
        PlannedParameter(TAG, "v2", "v1"),
        *(PlannedParameter(image_parameter(name), pinned(2), pinned(1)) for name in WAVES),
    )


def test_a_rollback_pins_the_migration_of_the_release_and_runs_none() -> None:
    migrated = replace(release(1), images={**release(1).images, MIGRATION: pinned(1)})
    plan = go_back(inputs(2, catalog=replace(REGISTRY, migration=MIGRATION_TASK)), migrated)
    assert plan.parameters[-1] == PlannedParameter(image_parameter(MIGRATION), None, pinned(1))
    assert not plan.migration.needed
    assert MIGRATION not in plan.services


def test_a_rollback_asks_nobody_and_ignores_alarms() -> None:
    careful = replace(POLICIES, approval=replace(POLICIES.approval, required=True))
    plan = plan_rollback(ROLLBACK, release(1), inputs(2), careful)
    assert not plan.approval.required
    assert plan.rollout.alarms == ()
    assert plan.rollout.failed_tasks_limit == 3


@pytest.mark.parametrize(
    ("request_", "expected"),
    [(ROLLBACK, OnFailure.NO_ROLLBACK_POSSIBLE), (TO_V1, OnFailure.ROLL_BACK)],
    ids=["the rollback itself", "to a chosen release"],
)
def test_what_follows_a_failed_rollback_depends_on_who_chose_the_release(request_: Request, expected: str) -> None:
    assert go_back(inputs(2), release(1), request_).on_failure == expected


def test_a_service_that_the_release_does_not_know_stays_where_it_is() -> None:
    plan = go_back(inputs(2), release(1, ("api",)))
    assert plan.waves == (("api",),)
    assert [p.name for p in plan.parameters] == [TAG, image_parameter("api")]


def test_a_service_that_joined_after_the_release_is_named_with_what_it_stays_on() -> None:
    at_v2 = inputs(2)
    plan = go_back(at_v2, release(1, ("api", "worker")))
    (check,) = left_behind(plan, at_v2)
    assert str(check) == (
        f"SKIP scheduler: not rolled back — {release(1).release_id} does not know it: "
        "it joined later, and stays on v3-backend-dev-scheduler:2"
    )
    assert left_behind(go_back(at_v2, release(1)), at_v2) == ()


def test_the_others_go_back_where_a_service_was_deleted_and_its_image_is_pinned_for_who_creates_it_anew() -> None:
    left = {name: running(name, 2) for name in ("api", "worker")}
    plan = go_back(inputs(2, running=left), release(1))
    assert plan.waves == (("worker",), ("api",))
    assert {p.name: p.target for p in plan.parameters} == parameters(1)
    unknown = go_back(inputs(2, running=left), release(1, ("api", "worker")))
    assert {p.name: p.target for p in unknown.parameters} == parameters(1, ("api", "worker"))


CATALOGS: dict[str, tuple[tuple[Service, ...], list[tuple[str, str]]]] = {
    "as it was": (REGISTRY.services, []),
    "a parameter was removed": (tuple(s for s in REGISTRY.services if s.name != "api"), []),
    "all of them": ((), []),
    "a parameter was renamed": (
        (*(s for s in REGISTRY.services if s.name != "api"), replace(registered("api"), name="web")),
        [],
    ),
    "the cluster is an ARN now": (
        (replace(registered("api"), name="web", cluster="arn:aws:ecs:us-east-1:1:cluster/v3-backend-dev"),),
        [],
    ),
    "a parameter names another service": ((replace(registered("api"), service="other"),), []),
    "a service joined": ((*REGISTRY.services, replace(registered("new"), wave=0)), [("new", "v3-backend-dev-new")]),
}


@pytest.mark.parametrize(("services", "more"), CATALOGS.values(), ids=CATALOGS)
def test_what_the_journal_says_of_a_service_that_was_moved_counts_whatever_the_catalog_says_today(
    services: tuple[Service, ...], more: list[tuple[str, str]]
) -> None:
    made = with_moved(Catalog(services, MIGRATION_TASK), JOURNAL)
    assert [(s.name, s.service) for s in made.services] == [*more, *((s.name, s.service) for s in REGISTRY.services)]
    assert made.services[-3:] == REGISTRY.services
    assert made.migration == MIGRATION_TASK


def test_the_catalog_takes_the_repository_of_a_moved_service_from_any_image_that_the_journal_has() -> None:
    def repository(image: str | None = None, previous_image: str | None = None) -> str:
        api = replace(JOURNAL.services["api"], image=image, previous_image=previous_image)
        return with_moved(REGISTRY, replace(JOURNAL, services={"api": api})).services[0].repository

    assert repository(previous_image="host/team/api@sha256:1") == "team/api"
    assert repository(image="host/api@sha256:1", previous_image="host/old@sha256:1") == "api"
    assert repository() == ""


def test_a_service_on_the_release_s_image_keeps_what_infrastructure_made_of_it() -> None:
    changed = {**inputs(2).running, "api": running("api", 1, revision=9)}
    assert go_back(inputs(2, running=changed), release(1)).services["api"].target == arn("api", 9)


ROLLING: dict[str, tuple[dict[str, Any], Request, bool]] = {
    "on its way": ({}, TO_V1, True),
    "a task has failed": ({"failed_tasks": 2}, TO_V1, True),
    "its tasks fail": ({"failed_tasks": 3}, TO_V1, False),
    "ECS gave it up": ({"rollout_state": "FAILED"}, TO_V1, False),
    "not made by ECS": ({"status": "ACTIVE"}, TO_V1, False),
    "forced": ({}, replace(TO_V1, force=True), False),
    "forced, and at rest": ({"rollout_state": "COMPLETED"}, replace(TO_V1, force=True), True),
    "at rest after failures": ({"rollout_state": "COMPLETED", "failed_tasks": 3}, TO_V1, True),
}


@pytest.mark.parametrize(("changes", "request_", "stays"), ROLLING.values(), ids=ROLLING)
def test_a_rollout_of_the_release_s_image_is_waited_for_unless_it_will_not_come_to_rest(
    changes: dict[str, Any], request_: Request, *, stays: bool
) -> None:
    moving = {**inputs(2).running, "api": rolling("api", 1, revision=9, **changes)}
    plan = go_back(inputs(2, running=moving), release(1), request_)
    assert plan.services["api"].target == arn("api", 9 if stays else 1)
    assert not plan.nothing_to_do
    if not request_.force:
        recovery = plan_recovery(RECOVERY, inputs(2, running=moving, journal=JOURNAL), POLICIES)
        assert recovery.services["api"].target == arn("api", 9 if stays else 1)


DONE: dict[str, tuple[PlanInputs, Request, bool]] = {
    "everything is there": (inputs(1), TO_V1, True),
    "forced": (inputs(1), replace(TO_V1, force=True), False),
    "a service is elsewhere": (inputs(1, running={**inputs(1).running, "api": running("api", 2)}), TO_V1, False),
    "a service still moves": (inputs(1, running={**inputs(1).running, "api": rolling("api", 1)}), TO_V1, False),
    "a service runs nothing": (inputs(1, running={**inputs(1).running, "worker": dead("worker", 1)}), TO_V1, False),
    "a service is scaled to zero": (
        inputs(1, running={**inputs(1).running, "worker": running("worker", 1, running=0, desired=0)}),
        TO_V1,
        True,
    ),
    "the tag is elsewhere": (inputs(1, parameters={**parameters(1), TAG: "v2"}), TO_V1, False),
    "an image is not pinned": (inputs(1, parameters={**parameters(1), image_parameter("api"): None}), TO_V1, False),
    "stopped after the tag was written": (
        inputs(1, parameters={**parameters(1), TAG: "v2"}, journal=JOURNAL),
        TO_V1,
        False,
    ),
    "stopped before the tag was written": (inputs(1, journal=JOURNAL), TO_V1, True),
}


@pytest.mark.parametrize(("inputs_", "request_", "done"), DONE.values(), ids=DONE)
def test_a_rollback_has_nothing_to_do_only_if_all_of_it_is_there(
    inputs_: PlanInputs, request_: Request, *, done: bool
) -> None:
    assert go_back(inputs_, release(1), request_).nothing_to_do is done


def test_a_recovery_rolls_back_to_before_the_stopped_deployment() -> None:
    stopped = inputs(2, running={**inputs(1).running, "api": running("api", 2)}, journal=JOURNAL)
    plan = go_back(stopped, release(3), replace(ROLLBACK, release_id=release(3).release_id))
    assert {s.name: s.previous for s in plan.in_order()} == {name: arn(name, 1) for name in WAVES}
    assert {s.previous_image for s in plan.in_order()} == {pinned(1)}
    assert {p.name: p.previous for p in plan.parameters} == parameters(1)
    assert {p.name: p.target for p in plan.parameters} == parameters(3)


def test_a_recovery_rolls_back_a_service_too_that_the_release_does_not_know() -> None:
    plan = go_back(inputs(2, journal=JOURNAL), release(3, ("api",)))
    assert plan.services["api"].target == arn("api", 3)
    assert {plan.services[name].target for name in ("worker", "scheduler")} == {arn("worker", 1), arn("scheduler", 1)}
    assert plan.services["worker"].image == pinned(1)


def test_a_recovery_restores_a_parameter_too_that_the_release_does_not_know() -> None:
    migrating = inputs(1, catalog=replace(REGISTRY, migration=MIGRATION_TASK))
    journal = plan_deploy(Request(image_tag="v2"), image(2), migrating, POLICIES, "r-1")
    written = parameters(2, (*WAVES, MIGRATION))
    plan = go_back(inputs(1, parameters=written, journal=journal), release(1), TO_V1)
    assert {p.name: p.target for p in plan.parameters} == {**parameters(1), image_parameter(MIGRATION): None}
    assert plan.parameters[0].name == TAG
    assert not plan.nothing_to_do


def test_a_recovery_goes_back_in_reverse_to_what_the_journal_saw() -> None:
    stopped = inputs(2, running={**inputs(1).running, "api": running("api", 2)}, journal=JOURNAL)
    plan = plan_recovery(RECOVERY, stopped, POLICIES)
    assert plan.waves == (("scheduler", "worker"), ("api",))
    assert {s.name: s.target for s in plan.in_order()} == {name: arn(name, 1) for name in WAVES}
    assert {p.name: p.target for p in plan.parameters} == parameters(1)
    assert {p.name: p.previous for p in plan.parameters} == parameters(2)
    assert (plan.release_id, plan.image_tag, plan.on_failure, plan.recovers) == (
        None,
        "v1",
        OnFailure.NO_ROLLBACK_POSSIBLE,
        True,
    )
    assert plan.rollout.alarms == ()
    assert not plan.migration.needed
    assert not plan.approval.required
    assert not plan.nothing_to_do


def test_a_recovery_stops_the_migration_that_was_left_running_even_if_all_else_is_back() -> None:
    task = AbandonedTask("v3-backend-dev", "arn:aws:ecs:us-east-1:123456789012:task/v3-backend-dev/1")
    back = inputs(1, journal=JOURNAL)
    assert plan_recovery(RECOVERY, back, POLICIES).nothing_to_do
    plan = plan_recovery(RECOVERY, replace(back, abandoned=task), POLICIES)
    assert not plan.nothing_to_do
    assert plan.migration.needed
    assert not plan.migration.runs
    assert plan.migration.abandoned == task


def test_a_recovery_deletes_the_parameters_that_did_not_exist_before() -> None:
    first = plan_deploy(Request(image_tag="v2"), image(2), inputs(1, parameters={}), POLICIES, "r-1")
    plan = plan_recovery(RECOVERY, inputs(2, journal=first), POLICIES)
    assert {p.target for p in plan.parameters} == {None}
    assert plan.image_tag is None


def test_a_recovery_leaves_out_a_service_that_is_no_longer_registered() -> None:
    plan = plan_recovery(RECOVERY, inputs(2, running={"api": running("api", 2)}, journal=JOURNAL), POLICIES)
    assert set(plan.services) == {"api"}
    assert [name for wave in plan.waves for name in wave] == ["api"]


RECOVERED: dict[str, tuple[PlanInputs, bool]] = {
    "stopped before its first write took effect": (inputs(1, journal=JOURNAL), True),
    "stopped before its journal": (inputs(1), True),
    "only the tag was written": (inputs(1, parameters={**parameters(1), TAG: "v2"}, journal=JOURNAL), False),
    "a service was moved": (
        inputs(1, running={**inputs(1).running, "api": running("api", 2)}, journal=JOURNAL),
        False,
    ),
    "a service is rolling back": (
        inputs(1, running={**inputs(1).running, "api": rolling("api", 1)}, journal=JOURNAL),
        False,
    ),
    "a service runs nothing": (
        inputs(1, running={**inputs(1).running, "api": dead("api", 1)}, journal=JOURNAL),
        False,
    ),
}


@pytest.mark.parametrize(("inputs_", "done"), RECOVERED.values(), ids=RECOVERED)
def test_a_recovery_has_nothing_to_do_only_if_nothing_was_moved(inputs_: PlanInputs, *, done: bool) -> None:
    assert plan_recovery(RECOVERY, inputs_, POLICIES).nothing_to_do is done


def test_a_recovery_without_a_journal_touches_nothing() -> None:
    plan = plan_recovery(RECOVERY, inputs(1), POLICIES)
    assert (plan.waves, plan.services, plan.parameters) == ((), {}, ())


@given(
    st.lists(st.sampled_from(sorted(WAVES)), unique=True), st.lists(st.sampled_from(sorted(parameters(2))), unique=True)
)
def test_a_recovery_rolls_back_from_wherever_the_deployment_was_stopped(moved: list[str], written: list[str]) -> None:
    half = inputs(
        1,
        running={name: running(name, 2 if name in moved else 1) for name in WAVES},
        parameters={name: (parameters(2) if name in written else parameters(1))[name] for name in parameters(1)},
        journal=JOURNAL,
    )
    plan = plan_recovery(RECOVERY, half, POLICIES)
    assert {name: s.target for name, s in plan.services.items()} == {name: arn(name, 1) for name in WAVES}
    assert {p.name: p.target for p in plan.parameters} == parameters(1)
    assert plan.nothing_to_do is not bool(moved or written)
    chosen = go_back(half, release(1), TO_V1)
    assert chosen.nothing_to_do is not bool(moved or written)


def test_a_recovery_leaves_an_infrastructure_change_that_runs_the_code_of_before() -> None:
    changed = {**inputs(2).running, "api": running("api", 1, revision=7)}
    plan = plan_recovery(RECOVERY, inputs(2, running=changed, journal=JOURNAL), POLICIES)
    assert plan.services["api"].target == arn("api", 7)
    assert plan.services["worker"].target == arn("worker", 1)
