"""A deploy from an image. The two ways back are in ``test_planning_back.py``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.catalog import MIGRATION, Catalog
from lambdas.release.codec import decode, encode
from lambdas.release.history import release_id_of
from lambdas.release.plan import (
    CHECKS_BYTES,
    MAX_STATE_BYTES,
    AbandonedTask,
    OnFailure,
    Plan,
    PlannedMigration,
    PlannedParameter,
    bytes_to_come,
    bytes_to_show,
    check_size,
    migration_started_by,
    room_for_checks,
)
from lambdas.release.planning import PlanInputs, RunningService, launch_on_demand, plan_deploy
from lambdas.release.policies import ApprovalPolicy
from lambdas.release.preflight import Result
from lambdas.release.request import Request
from lambdas.release.rollout import ServiceFacts
from lambdas.release.task_definition import TaskDefinition
from tests.lambdas.release.examples import (
    MIGRATION_TASK,
    POLICIES,
    REGISTRY,
    TAG,
    WAVES,
    arn,
    deployment,
    image,
    image_parameter,
    inputs,
    parameters,
    pinned,
    release,
    running,
    service,
)
from tests.lambdas.release.examples import plan as plan_of

NEW_ID = "r-20260106-090000-abcdef"


def deploy(inputs_: PlanInputs, version: int = 2, **fields: Any) -> Plan:
    request = Request(image_tag=f"v{version}", **fields)
    return plan_deploy(request, image(version), inputs_, POLICIES, NEW_ID)


def some(names: tuple[str, ...], **changes: Any) -> PlanInputs:
    """Return the inputs when only some services were asked for."""
    return inputs(catalog=REGISTRY.select(names), running={name: running(name, 1) for name in names}, **changes)


def test_a_deploy_moves_every_service_in_wave_order() -> None:
    plan = deploy(inputs())
    assert plan.waves == (("api",), ("scheduler", "worker"))
    assert [s.name for s in plan.in_order()] == ["api", "scheduler", "worker"]
    assert {s.target for s in plan.in_order()} == {None}
    assert {s.image for s in plan.in_order()} == {pinned(2)}
    assert {s.previous_image for s in plan.in_order()} == {pinned(1)}
    assert {s.name: s.previous for s in plan.in_order()} == {name: arn(name, 1) for name in WAVES}
    assert not plan.nothing_to_do


def test_a_deploy_carries_who_it_is_and_what_to_do_when_it_fails() -> None:
    plan = deploy(inputs())
    assert (plan.action, plan.release_id, plan.image_tag) == ("deploy", NEW_ID, "v2")
    assert (plan.on_failure, plan.recovers, plan.force) == (OnFailure.ROLL_BACK, False, False)
    assert deploy(inputs(), force=True).force


def test_a_planned_service_remembers_what_it_was_and_where_it_is() -> None:
    api = deploy(inputs()).services["api"]
    assert (api.cluster, api.service, api.family) == ("v3-backend-dev", "v3-backend-dev-api", "v3-backend-dev-api")
    assert (api.container, api.wave, api.desired, api.deployment) == ("v3-backend-api", 1, 2, "ecs-svc/api-1")


def test_a_service_without_a_primary_deployment_has_no_deployment_to_wait_for() -> None:
    bare = replace(running("api", 1), facts=service(task_definition=arn("api", 1)))
    assert deploy(inputs(running={"api": bare})).services["api"].deployment is None


def test_the_policies_of_the_environment_are_in_the_plan() -> None:
    rollout = deploy(inputs()).rollout
    assert (rollout.timeout_seconds, rollout.poll_seconds, rollout.rollback_timeout_seconds) == (600, 10, 900)
    assert (rollout.bake_seconds, rollout.bake_poll_seconds) == (60, 15)
    assert (rollout.failed_tasks_limit, rollout.alarms) == (3, ("v3-backend-dev-5xx",))
    policy = ApprovalPolicy(required=True, timeout_seconds=7200, requester_may_approve=False)
    careful = replace(POLICIES, approval=policy)
    approval = plan_deploy(Request(image_tag="v2"), image(2), inputs(), careful, NEW_ID).approval
    assert (approval.required, approval.timeout_seconds) == (True, 7200)


def test_the_tag_is_written_first_then_each_image() -> None:
    assert deploy(inputs()).parameters == (
        PlannedParameter(TAG, "v1", "v2"),
        *(PlannedParameter(image_parameter(name), pinned(1), pinned(2)) for name in WAVES),
    )


@pytest.mark.parametrize("missing", [{}, {TAG: None}], ids=["not read", "not there"])
def test_a_parameter_that_does_not_exist_has_no_previous_value(missing: dict[str, str | None]) -> None:
    plan = deploy(inputs(parameters=missing))
    assert {p.previous for p in plan.parameters} == {None}


def test_each_repository_has_its_own_digest() -> None:
    jobs = replace(running("worker", 1), registered=replace(running("worker", 1).registered, repository="jobs"))
    both = replace(image(2), pinned={"v3-backend": pinned(2), "jobs": pinned(9)})
    inputs_ = inputs(running={"api": running("api", 1), "worker": jobs})
    plan = plan_deploy(Request(image_tag="v2"), both, inputs_, POLICIES, NEW_ID)
    assert {s.name: s.image for s in plan.services.values()} == {"api": pinned(2), "worker": pinned(9)}


def test_only_the_services_that_were_asked_for_are_in_the_plan() -> None:
    plan = deploy(some(("worker",)))
    assert plan.waves == (("worker",),)
    assert [p.name for p in plan.parameters] == [TAG, image_parameter("worker")]


def test_a_service_that_has_the_image_keeps_its_task_definition() -> None:
    mixed = inputs(running={**inputs().running, "api": running("api", 2, revision=7)})
    plan = deploy(mixed)
    assert plan.services["api"].target == arn("api", 7)
    assert plan.services["worker"].target is None
    assert not plan.nothing_to_do


AT_REST = inputs(2)
ROLLING = running("api", 2, deployments=(deployment(arn("api", 2), rollout_state="IN_PROGRESS"),))

SAME_AGAIN: dict[str, tuple[PlanInputs, dict[str, Any], bool]] = {
    "everything is there": (AT_REST, {}, True),
    "infrastructure made a new revision": (
        inputs(2, running={name: running(name, 2, revision=9) for name in WAVES}),
        {},
        True,
    ),
    "forced": (AT_REST, {"force": True}, False),
    "the first release": (inputs(2, live=None), {}, False),
    "the live release lacks a service": (inputs(2, live=release(2, ("api", "worker"))), {}, False),
    "the live release is another one": (inputs(2, live=release(1)), {}, False),
    "a service runs something else": (inputs(2, running={**AT_REST.running, "api": running("api", 1)}), {}, False),
    "a rollout is under way": (inputs(2, running={**AT_REST.running, "api": ROLLING}), {}, False),
    "the tag parameter is behind": (inputs(2, parameters={**parameters(2), TAG: "v1"}), {}, False),
    "an image parameter is missing": (inputs(2, parameters={**parameters(2), image_parameter("api"): None}), {}, False),
    "a migration was never pinned": (inputs(2, catalog=replace(REGISTRY, migration=MIGRATION_TASK)), {}, False),
    "a migration that is left out": (
        inputs(2, catalog=replace(REGISTRY, migration=MIGRATION_TASK)),
        {"run_migration": False},
        True,
    ),
    "a migration that ran": (
        inputs(
            2,
            catalog=replace(REGISTRY, migration=MIGRATION_TASK),
            parameters=parameters(2, (*WAVES, MIGRATION)),
        ),
        {},
        True,
    ),
}


@pytest.mark.parametrize(("inputs_", "fields", "done"), SAME_AGAIN.values(), ids=SAME_AGAIN)
def test_the_same_again_is_nothing_to_do_only_if_all_of_it_is_there(
    inputs_: PlanInputs, fields: dict[str, Any], *, done: bool
) -> None:
    plan = deploy(inputs_, **fields)
    assert plan.nothing_to_do is done
    assert plan.release_id == (release(2).release_id if done else NEW_ID)


def test_the_same_again_for_some_services_looks_at_those_alone() -> None:
    behind = some(("worker",), parameters=parameters(2), live=replace(release(1), images={"worker": pinned(2)}))
    assert deploy(replace(behind, running={"worker": running("worker", 2)})).nothing_to_do


NOT_NEEDED = PlannedMigration(needed=False, poll_seconds=5, timeout_seconds=300)
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-service"]}}
LAUNCH = {"launchType": "FARGATE"}
PLACED = {name: running(name, 1, network=NETWORK, launch=LAUNCH) for name in WAVES}
NEEDED = PlannedMigration(
    needed=True,
    poll_seconds=5,
    timeout_seconds=300,
    cluster="v3-backend-dev",
    family="v3-backend-dev-migration",
    container="v3-backend-migration",
    image=pinned(2),
    launch=LAUNCH,
    network=NETWORK,
)
OWN_NETWORK = replace(MIGRATION_TASK, subnets=("subnet-own",), security_groups=("sg-own",))

MIGRATIONS: dict[str, tuple[Catalog, dict[str, Any], PlannedMigration]] = {
    "not registered": (REGISTRY, {}, NOT_NEEDED),
    "registered": (replace(REGISTRY, migration=MIGRATION_TASK), {}, NEEDED),
    "left out": (replace(REGISTRY, migration=MIGRATION_TASK), {"run_migration": False}, NOT_NEEDED),
    "with a network of its own": (
        replace(REGISTRY, migration=OWN_NETWORK),
        {},
        replace(
            NEEDED,
            network={
                "awsvpcConfiguration": {
                    "subnets": ["subnet-own"],
                    "securityGroups": ["sg-own"],
                    "assignPublicIp": "DISABLED",
                }
            },
        ),
    ),
}


@pytest.mark.parametrize(("catalog", "fields", "expected"), MIGRATIONS.values(), ids=MIGRATIONS)
def test_a_migration_is_planned(catalog: Catalog, fields: dict[str, Any], expected: PlannedMigration) -> None:
    plan = deploy(inputs(catalog=catalog, running=PLACED), **fields)
    assert plan.migration == expected
    pins_migration = image_parameter(MIGRATION) in {p.name for p in plan.parameters}
    assert pins_migration is expected.needed


def task(**document: Any) -> TaskDefinition:
    return TaskDefinition({"networkMode": "awsvpc", **document})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, NETWORK),
        ({"networkMode": "bridge"}, {}),
        ({"networkMode": "host"}, {}),
        ({"networkMode": "none"}, {}),
        ({"networkMode": None}, {}),
    ],
)
def test_a_migration_gets_the_network_that_its_own_mode_takes(document: Any, expected: Any) -> None:
    catalog = replace(REGISTRY, migration=MIGRATION_TASK)
    plan = deploy(inputs(catalog=catalog, running=PLACED, migration=task(**document)))
    assert plan.migration.network == expected


def test_a_migration_is_started_like_a_service_of_its_own_cluster() -> None:
    elsewhere = replace(MIGRATION_TASK, cluster="arn:aws:ecs:us-east-1:123456789012:cluster/jobs")
    catalog = replace(
        REGISTRY,
        services=tuple(replace(s, cluster="jobs") if s.name == "worker" else s for s in REGISTRY.services),
        migration=elsewhere,
    )
    here = {**PLACED, "worker": running("worker", 1, network=NETWORK, launch={"launchType": "EC2"})}
    assert deploy(inputs(catalog=catalog, running=here)).migration.launch == {"launchType": "EC2"}


def providers(*names: str, weight: int = 1) -> dict[str, Any]:
    return {"capacityProviderStrategy": [{"capacityProvider": name, "weight": weight} for name in names]}


ON_DEMAND = {"launchType": "FARGATE"}
LAUNCHES: dict[str, tuple[dict[str, Any], TaskDefinition | None, dict[str, Any]]] = {
    "as the service": (ON_DEMAND, None, ON_DEMAND),
    "Spot alone": (providers("FARGATE_SPOT"), None, ON_DEMAND),
    "Spot first": (providers("FARGATE_SPOT", "FARGATE", weight=0), None, providers("FARGATE")),
    "its platform stays": (
        {**providers("FARGATE_SPOT"), "platformVersion": "1.4.0"}, None, {**ON_DEMAND, "platformVersion": "1.4.0"}),
    "by the provider": (providers("FARGATE"), task(requiresCompatibilities=["FARGATE"]), providers("FARGATE")),
    "on instances": (providers("asg"), task(requiresCompatibilities=["EC2"]), providers("asg")),
    "for either": (providers("asg"), task(requiresCompatibilities=["EC2", "FARGATE"]), providers("asg")),
    "made for Fargate beside instances": ({"launchType": "EC2"}, task(requiresCompatibilities=["FARGATE"]), ON_DEMAND),
    "made for Fargate beside a provider": (providers("asg"), task(requiresCompatibilities=["FARGATE"]), ON_DEMAND),
    "made for Fargate where the cluster chooses": ({}, task(requiresCompatibilities=["FARGATE"]), ON_DEMAND),
    "made for instances beside Fargate": (
        {**ON_DEMAND, "platformVersion": "1.4.0"}, task(requiresCompatibilities=["EC2"]), {"launchType": "EC2"}),
    "a strategy that is none": ({"capacityProviderStrategy": "x"}, None, {"capacityProviderStrategy": "x"}),
}  # fmt: skip


@pytest.mark.parametrize(("launch", "definition", "expected"), LAUNCHES.values(), ids=LAUNCHES)
def test_a_one_off_task_is_launched_where_it_can_run_and_never_on_spot(
    launch: dict[str, Any], definition: TaskDefinition | None, expected: dict[str, Any]
) -> None:
    assert launch_on_demand(launch, definition) == expected


ABANDONED = AbandonedTask("jobs", "arn:aws:ecs:us-east-1:123456789012:task/jobs/1")


def test_a_migration_that_was_left_running_is_stopped_before_the_next_one_starts() -> None:
    catalog = replace(REGISTRY, migration=MIGRATION_TASK)
    plan = deploy(inputs(catalog=catalog, running=PLACED, abandoned=ABANDONED))
    assert plan.migration == replace(NEEDED, abandoned=ABANDONED)
    assert plan.migration.runs


def test_a_deploy_of_what_runs_still_stops_a_migration_that_was_left_running() -> None:
    at_rest = inputs(2)
    assert deploy(at_rest).nothing_to_do
    plan = deploy(replace(at_rest, abandoned=ABANDONED))
    assert not plan.nothing_to_do
    assert plan.migration == replace(NOT_NEEDED, needed=True, abandoned=ABANDONED)
    assert not plan.migration.runs
    assert image_parameter(MIGRATION) not in {p.name for p in plan.parameters}


def test_a_plan_of_an_older_version_has_no_migration_to_stop() -> None:
    written = encode(NEEDED)
    del written["abandoned"]
    assert decode(PlannedMigration, written) == NEEDED


def test_who_started_a_migration_is_told_in_what_ecs_takes() -> None:
    started_by = migration_started_by(release_id_of("arn:aws:states:us-east-1:123456789012:execution:m:ä+=@!.", 1.8e9))
    assert re.fullmatch(r"[A-Za-z0-9/_-]{1,128}", started_by)


versions = st.integers(1, 4)


@st.composite
def any_inputs(draw: st.DrawFn) -> PlanInputs:
    """Draw inputs in which each thing may be on another version, or missing."""
    names = draw(st.lists(st.sampled_from(sorted(WAVES)), min_size=1, unique=True).map(tuple))
    alive: dict[str, RunningService] = {}
    for name in names:
        settled = st.sampled_from(["COMPLETED", "IN_PROGRESS", None])
        facts: ServiceFacts = service(deployment(arn(name, draw(versions)), rollout_state=draw(settled)))
        alive[name] = RunningService(running(name, 1).registered, facts, draw(st.none() | versions.map(pinned)))
    written = st.dictionaries(
        st.sampled_from([image_parameter(n) for n in (*WAVES, MIGRATION)]), st.none() | versions.map(pinned)
    )
    tag = draw(st.none() | versions.map(lambda version: f"v{version}"))
    catalog = replace(REGISTRY, migration=draw(st.sampled_from([None, MIGRATION_TASK, OWN_NETWORK])))
    return PlanInputs(
        identity=inputs().identity,
        catalog=catalog.select(names),
        running=alive,
        parameters={TAG: tag, **draw(written)},
        live=draw(st.none() | versions.map(release)),
    )


def what_is_there(inputs_: PlanInputs) -> tuple[dict[str, str], dict[str, str]]:
    """Return the services' task definitions and the parameters that exist."""
    definitions = {name: one.facts.task_definition for name, one in inputs_.running.items()}
    return definitions, {name: value for name, value in inputs_.parameters.items() if value is not None}


def written(state: dict[str, str], values: dict[str, str | None]) -> dict[str, str]:
    """Return the parameters after these writes; None deletes."""
    return {name: value for name, value in {**state, **values}.items() if value is not None}


@given(any_inputs(), versions, st.booleans(), st.booleans())
def test_a_deploy_and_its_rollback_leave_everything_as_it_was(
    inputs_: PlanInputs, version: int, force: bool, run_migration: bool
) -> None:
    plan = deploy(inputs_, version, force=force, run_migration=run_migration)
    definitions, values = what_is_there(inputs_)
    there = {**definitions, **{name: s.target or f"{name}:new" for name, s in plan.services.items()}}
    moved = written(values, {p.name: p.target for p in plan.parameters})
    assert moved[TAG] == f"v{version}"
    assert there.keys() == definitions.keys()
    assert {**there, **{name: s.previous for name, s in plan.services.items()}} == definitions
    assert written(moved, {p.name: p.previous for p in plan.parameters}) == values


@given(any_inputs(), versions)
def test_nothing_to_do_means_that_nothing_would_be_written(inputs_: PlanInputs, version: int) -> None:
    plan = deploy(inputs_, version)
    if plan.nothing_to_do:
        definitions, values = what_is_there(inputs_)
        assert {name: s.target for name, s in plan.services.items()} == definitions
        assert written(values, {p.name: p.target for p in plan.parameters}) == values


@given(any_inputs(), versions)
def test_a_plan_survives_the_execution_s_state(inputs_: PlanInputs, version: int) -> None:
    plan = deploy(inputs_, version)
    assert decode(Plan, json.loads(json.dumps(encode(plan)))) == plan
    assert sorted(name for wave in plan.waves for name in wave) == sorted(plan.services)


def test_a_plan_has_room_for_what_the_later_steps_add_to_it() -> None:
    plan = deploy(some(("api", "worker", "scheduler")))
    room = MAX_STATE_BYTES - bytes_to_come(plan)
    fits, too_much = (check_size(plan, size, "dev") for size in (room, room + 1))
    assert (fits.result, fits.detail) == (Result.OK, f"{MAX_STATE_BYTES} bytes")
    assert too_much.result == Result.FAIL
    assert too_much.detail.endswith('deploy them in parts, with "services" in the input')


def test_a_longer_name_needs_more_room() -> None:
    plan = deploy(some(("api",)))
    longer = replace(plan, services={"api": replace(plan.services["api"], name="api-of-the-shop")})
    assert bytes_to_come(longer) == bytes_to_come(plan) + 14 * len("-of-the-shop")


def large_plan(count: int) -> Plan:
    """Return the plan of so many services, in which clusters, families and containers have long names."""
    plan = plan_of(tuple(f"service-{n}" for n in range(count)))
    long = {
        name: replace(each, cluster="c" * 255, family="f" * 255, container="a" * 255)
        for name, each in plan.services.items()
    }
    return replace(plan, services=long)


@pytest.mark.parametrize(("count", "by"), [(1, bytes_to_come), (200, bytes_to_show)], ids=["small", "large"])
def test_a_dry_run_needs_room_for_the_plan_a_second_time(count: int, by: Callable[[Plan], int]) -> None:
    plan = large_plan(count)
    room = MAX_STATE_BYTES - by(plan)
    fits, too_much = (check_size(plan, size, "dev", dry_run=True) for size in (room, room + 1))
    assert (fits.result, too_much.result) == ("OK", "FAIL")
    assert check_size(plan, MAX_STATE_BYTES - bytes_to_come(plan), "dev").result == "OK"


@pytest.mark.parametrize(
    ("state_bytes", "dry_run", "expected"),
    [
        (1_000, False, CHECKS_BYTES),
        (1_000, True, CHECKS_BYTES),
        (MAX_STATE_BYTES, False, 0),
        (MAX_STATE_BYTES, True, 0),
    ],
)
def test_checks_have_the_room_that_is_left_and_no_more(state_bytes: int, dry_run: bool, expected: int) -> None:
    assert room_for_checks(plan_of(("api",)), state_bytes, dry_run=dry_run) == expected


def test_the_checks_of_a_dry_run_stand_in_the_state_twice() -> None:
    plan = large_plan(200)
    state_bytes = MAX_STATE_BYTES - bytes_to_show(plan) - 1_000
    assert room_for_checks(plan, state_bytes, dry_run=True) == 500
