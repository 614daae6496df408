"""A small environment to decide on, and strategies for all that ECS may say about a service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from lambdas.release.catalog import Catalog, MigrationTask, Service
from lambdas.release.history import DeploymentRecord, Outcome, Release, Report
from lambdas.release.image import ReleaseImage
from lambdas.release.plan import OnFailure, Plan, PlannedApproval, PlannedMigration, PlannedRollout, PlannedService
from lambdas.release.planning import PlanInputs, Policies, RunningService
from lambdas.release.policies import (
    ApprovalPolicy,
    CircuitBreakerPolicy,
    Identity,
    MigrationPolicy,
    RolloutPolicy,
)
from lambdas.release.rollout import Deployment, Event, ServiceFacts

IDENTITY = Identity("v3-backend", "dev", "v3-backend-dev-releases")
TAG = IDENTITY.tag_parameter
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend"
WAVES = {"api": 1, "worker": 2, "scheduler": 2}


def arn(family: str, revision: int) -> str:
    """Return a task definition's ARN."""
    return f"arn:aws:ecs:us-east-1:123456789012:task-definition/v3-backend-dev-{family}:{revision}"


def pinned(version: int) -> str:
    """Return the image of a version, by digest."""
    return f"{URI}@sha256:{version:064x}"


def image_parameter(name: str) -> str:
    """Return the SSM parameter with a service's pinned image."""
    return IDENTITY.images_path + name


def deployment(task_definition: str, **changes: Any) -> Deployment:
    """Return a PRIMARY deployment that is done: two of two tasks run."""
    done = Deployment("ecs-svc/new", "PRIMARY", task_definition, 2, 0, 2, 0, "COMPLETED")
    return replace(done, **changes)


def service(*deployments: Deployment, **changes: Any) -> ServiceFacts:
    """Return an ACTIVE service with these deployments; its counts are those of the first."""
    first = deployments[0] if deployments else Deployment("", "", "")
    facts = ServiceFacts(
        name="v3-backend-dev-api",
        cluster="v3-backend-dev",
        task_definition=first.task_definition,
        desired=first.desired,
        running=sum(one.running for one in deployments),
        pending=first.pending,
        deployments=deployments,
    )
    return replace(facts, **changes)


def started(at: float, tasks: int) -> Event:
    """Return the event with which ECS says that it started tasks."""
    mentions = " ".join(f"(task {number:032x})" for number in range(tasks))
    return Event(at, f"(service v3-backend-dev-api) has started {tasks} tasks: {mentions}.")


def registered(name: str, **changes: Any) -> Service:
    """Return a service as its catalog parameter describes it."""
    prefix = f"v3-backend-dev-{name}"
    return replace(
        Service(name, "v3-backend-dev", prefix, prefix, f"v3-backend-{name}", "v3-backend", WAVES.get(name, 1)),
        **changes,
    )


MIGRATION_TASK = MigrationTask("v3-backend-dev", "v3-backend-dev-migration", "v3-backend-migration", "v3-backend")
SERVICES = tuple(sorted((registered(name) for name in WAVES), key=lambda s: (s.wave, s.name)))
REGISTRY = Catalog(SERVICES, None)

POLICIES = Policies(
    RolloutPolicy(600, 10, 60, 15, 900),
    CircuitBreakerPolicy(3, ("v3-backend-dev-5xx",)),
    MigrationPolicy(300, 5),
    ApprovalPolicy(required=False, timeout_seconds=3600, requester_may_approve=False),
)


def running(name: str, version: int, revision: int | None = None, **changes: Any) -> RunningService:
    """Return a service that runs a version steadily; the revision is the version's own unless told."""
    task_definition = arn(name, version if revision is None else revision)
    facts = replace(service(deployment(task_definition, id=f"ecs-svc/{name}-{version}")), **changes)
    return RunningService(registered(name), facts, pinned(version))


def release(version: int, names: tuple[str, ...] = tuple(WAVES), **changes: Any) -> Release:
    """Return the verified release of a version."""
    return replace(
        Release(
            release_id=f"r-20260105-09000{version}-abc123",
            image_tag=f"v{version}",
            services={name: arn(name, version) for name in names},
            images={name: pinned(version) for name in names},
            verified_at=f"2026-01-05T09:00:0{version}Z",
            execution=f"arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:e{version}",
        ),
        **changes,
    )


def parameters(version: int, names: tuple[str, ...] = tuple(WAVES)) -> dict[str, str | None]:
    """Return the tag and image parameters of a version."""
    return {TAG: f"v{version}", **{image_parameter(name): pinned(version) for name in names}}


def inputs(version: int = 1, **changes: Any) -> PlanInputs:
    """Return an environment at rest on a version."""
    at_rest = PlanInputs(
        identity=IDENTITY,
        catalog=REGISTRY,
        running={name: running(name, version) for name in WAVES},
        parameters=parameters(version),
        live=release(version),
    )
    return replace(at_rest, **changes)


def image(version: int) -> ReleaseImage:
    """Return the verified image of a version."""
    return ReleaseImage(f"v{version}", {"v3-backend": pinned(version)})


def planned(name: str, wave: int = 1) -> PlannedService:
    """Return a planned service that was on revision 1."""
    prefix = f"v3-backend-dev-{name}"
    return PlannedService(
        name, "v3-backend-dev", prefix, prefix, f"v3-backend-{name}", wave, arn(name, 1), arn(name, 2)
    )


def plan(*waves: tuple[str, ...]) -> Plan:
    """Return a deployment's plan for these waves."""
    return Plan(
        action="deploy",
        release_id="r-20260105-090002-abc123",
        image_tag="v2",
        waves=waves,
        services={name: planned(name, number) for number, wave in enumerate(waves, 1) for name in wave},
        parameters=(),
        migration=PlannedMigration(needed=False, poll_seconds=5, timeout_seconds=300),
        rollout=PlannedRollout(10, 600, 60, 15, 900, 3, ()),
        approval=PlannedApproval(required=False, timeout_seconds=3600),
        on_failure=OnFailure.ROLL_BACK,
        nothing_to_do=False,
    )


counts = st.integers(0, 12)
moments = st.integers(900, 2000)
task_definitions = st.sampled_from([arn("api", revision) for revision in (1, 2, 3)])
deployments = st.builds(
    Deployment,
    id=st.sampled_from(["ecs-svc/old", "ecs-svc/new", "ecs-svc/other"]),
    status=st.sampled_from(["PRIMARY", "ACTIVE", "INACTIVE"]),
    task_definition=task_definitions,
    desired=counts,
    pending=counts,
    running=counts,
    failed_tasks=counts,
    rollout_state=st.sampled_from([None, "IN_PROGRESS", "COMPLETED", "FAILED", "STOPPED"]),
    rollout_reason=st.sampled_from(["", "tasks failed to start."]),
)
events = st.one_of(
    st.builds(started, moments, st.integers(1, 10)),
    st.builds(
        Event, moments, st.sampled_from(["rolling back to deployment ecs-svc/old.", "has reached a steady state."])
    ),
    st.builds(Event, moments, st.text(max_size=40)),
)
any_facts = st.none() | st.builds(
    ServiceFacts,
    name=st.just("v3-backend-dev-api"),
    cluster=st.just("v3-backend-dev"),
    status=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING", "INACTIVE", ""]),
    task_definition=task_definitions,
    desired=counts,
    running=counts,
    pending=counts,
    deployments=st.lists(deployments, max_size=3).map(tuple),
    events=st.lists(events, max_size=4).map(tuple),
)


def rolling(name: str, version: int, revision: int | None = None, **changes: Any) -> RunningService:
    """Return a service in the middle of a rollout."""
    one = running(name, version, revision)
    moving = replace(deployment(one.facts.task_definition, rollout_state="IN_PROGRESS"), **changes)
    return replace(one, facts=replace(one.facts, deployments=(moving,)))


def dead(name: str, version: int) -> RunningService:
    """Return a service that runs no task."""
    return running(name, version, running=0)


def record(number: int, action: str = "deploy", outcome: str = Outcome.DEPLOYED, **changes: Any) -> DeploymentRecord:
    """Return the record of an execution that made a release live, or was to; of none with the number 0."""
    made, tag = (release(number).release_id, f"v{number}") if number else (None, None)
    at = "2026-01-05T09:00:00Z"
    return replace(DeploymentRecord("e", action, outcome, at, at, None, None, made, tag, Report(outcome)), **changes)
