"""Decide a plan before the first write.

Three roads make the same kind of plan: a deploy from an image, a rollback from a release record, and a
recovery from the journal of a deployment that was stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lambdas.release.catalog import MIGRATION, Catalog, Service
from lambdas.release.history import Release
from lambdas.release.image import ReleaseImage
from lambdas.release.plan import (
    AbandonedTask,
    OnFailure,
    Plan,
    PlannedApproval,
    PlannedMigration,
    PlannedParameter,
    PlannedRollout,
    PlannedService,
)
from lambdas.release.policies import (
    ApprovalPolicy,
    CircuitBreakerPolicy,
    Identity,
    MigrationPolicy,
    RolloutPolicy,
)
from lambdas.release.preflight import NOT_ROLLED_BACK, Check, skip
from lambdas.release.request import Request
from lambdas.release.rollout import ServiceFacts
from lambdas.release.task_definition import TaskDefinition

FARGATE, FARGATE_SPOT, EC2 = "FARGATE", "FARGATE_SPOT", "EC2"
"""Launch types, and the capacity providers of Fargate (ECS Developer Guide, "Fargate capacity providers")."""


@dataclass(frozen=True)
class RunningService:
    """What runs now.

    Attributes
    ----------
    image
        Of the service's container, in the task definition that ECS works towards.
    beside
        During a rollout: the images of the other deployments that are there, None for one that is not known.
    """

    registered: Service
    facts: ServiceFacts
    image: str | None
    beside: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class PlanInputs:
    """Everything that a plan is decided on.

    Attributes
    ----------
    running
        By catalog name.
    parameters
        Current value of the tag and image parameters; None for one that does not exist.
    live
        The live release; None before the first.
    journal
        The plan of the stopped deployment that this one recovers from.
    migration
        The task definition of the migration; None when there is none.
    abandoned
        The migration that the stopped deployment has left running.
    """

    identity: Identity
    catalog: Catalog
    running: Mapping[str, RunningService]
    parameters: Mapping[str, str | None]
    live: Release | None
    journal: Plan | None = None
    migration: TaskDefinition | None = None
    abandoned: AbandonedTask | None = None


@dataclass(frozen=True)
class Policies:
    """The sections of the config that a plan carries."""

    rollout: RolloutPolicy
    circuit_breaker: CircuitBreakerPolicy
    migration: MigrationPolicy
    approval: ApprovalPolicy


def plan_deploy(request: Request, image: ReleaseImage, inputs: PlanInputs, policies: Policies, release_id: str) -> Plan:
    """Plan new code for the selected services."""
    services = {}
    for name, running in inputs.running.items():
        target_image = image.pinned[running.registered.repository]
        unchanged = running.image == target_image
        services[name] = _service(
            running,
            inputs,
            target=running.facts.task_definition if unchanged else None,
            image=target_image,
        )
    images = {name: service.image for name, service in services.items()}
    migration = _migration(request, image, inputs, policies)
    if migration.runs:
        images[MIGRATION] = migration.image
    parameters = _parameters(inputs, image.tag, images)
    live_images = inputs.live.images if inputs.live else {}
    done = (
        not request.force
        and inputs.abandoned is None
        and all(s.target is not None for s in services.values())
        and all(_is_whole(one.facts) for one in inputs.running.values())
        and all(p.previous == p.target for p in parameters)
        and all(live_images.get(name) == s.image for name, s in services.items())
    )
    return Plan(
        action=request.action,
        release_id=inputs.live.release_id if done and inputs.live else release_id,
        image_tag=image.tag,
        waves=inputs.catalog.waves,
        services=services,
        parameters=parameters,
        migration=migration,
        rollout=_rollout(policies, alarms=True),
        approval=PlannedApproval(policies.approval.required, policies.approval.timeout_seconds),
        on_failure=OnFailure.ROLL_BACK,
        nothing_to_do=done,
        force=request.force,
    )


def plan_rollback(request: Request, release: Release, inputs: PlanInputs, policies: Policies) -> Plan:
    """Plan the rollback to a release. A service that runs the release's image keeps its task definition.

    So a change that an infrastructure deploy made since, or is making, is not undone where the code is the same. One
    that will not come to rest by itself, or that a forced rollback does not wait for, gets the release's own.
    """
    limit = policies.circuit_breaker.failed_tasks
    services = {}
    for name, running in inputs.running.items():
        if name in release.services:
            image = release.images[name]
            waits = not request.force and not _is_doomed(running.facts, limit)
            stays = running.image == image and (running.facts.is_settled or waits)
            target = running.facts.task_definition if stays else release.services[name]
            services[name] = _service(running, inputs, target=target, image=image)
        elif inputs.journal and name in inputs.journal.services:
            # The release does not know the service, but the stopped deployment had moved it.
            services[name] = _restored(running, inputs, inputs.journal.services[name], limit)
    images: dict[str, str | None] = {name: service.image for name, service in services.items()}
    # Whoever creates a deleted service anew takes its image from there.
    gone = (s.name for s in inputs.catalog.services if s.name not in inputs.running)
    images.update({name: release.images[name] for name in gone if name in release.images})
    if MIGRATION in release.images:
        images[MIGRATION] = release.images[MIGRATION]
    parameters = _parameters(inputs, release.image_tag, images)
    is_live = inputs.live is not None and inputs.live.release_id == release.release_id
    done = not request.force and is_live and _is_there(services, parameters, inputs)
    return Plan(
        action=request.action,
        release_id=release.release_id,
        image_tag=release.image_tag,
        waves=_backwards(inputs.catalog, services),
        services=services,
        parameters=parameters,
        migration=_no_migration(inputs, policies),
        rollout=_rollout(policies, alarms=False),
        approval=PlannedApproval(required=False, timeout_seconds=policies.approval.timeout_seconds),
        on_failure=OnFailure.ROLL_BACK if request.release_id else OnFailure.NO_ROLLBACK_POSSIBLE,
        nothing_to_do=done,
        force=request.force,
    )


def plan_recovery(request: Request, inputs: PlanInputs, policies: Policies) -> Plan:
    """Plan the recovery from a deployment that was stopped: its journal, the other way round.

    Without a journal nothing was written, or all of it was rolled back already: there is nothing to do.
    """
    journal = inputs.journal
    moved = journal.services if journal else {}
    limit = policies.circuit_breaker.failed_tasks
    services = {
        name: _restored(one, inputs, moved[name], limit) for name, one in inputs.running.items() if name in moved
    }
    written = journal.parameters if journal else ()
    parameters = tuple(PlannedParameter(p.name, inputs.parameters.get(p.name), p.previous) for p in written)
    waves = reversed(journal.waves) if journal else ()
    return Plan(
        action=request.action,
        release_id=None,
        image_tag=next((p.target for p in parameters if p.name == inputs.identity.tag_parameter), None),
        waves=_known_waves(waves, services),
        services=services,
        parameters=parameters,
        migration=_no_migration(inputs, policies),
        rollout=_rollout(policies, alarms=False),
        approval=PlannedApproval(required=False, timeout_seconds=policies.approval.timeout_seconds),
        on_failure=OnFailure.NO_ROLLBACK_POSSIBLE,
        nothing_to_do=_is_there(services, parameters, inputs),
        recovers=True,
    )


def with_moved(catalog: Catalog, journal: Plan) -> Catalog:
    """Add what a stopped deployment had moved to the catalog, for the way back.

    An entry may have been removed, renamed or changed since: what the journal says of it counts, because that is what
    was moved. No ECS service stands there twice then.
    """
    moved = [
        Service(
            name=one.name,
            cluster=one.cluster,
            service=one.service,
            family=one.family,
            container=one.container,
            repository=repository_of(one.image or one.previous_image or ""),
            wave=one.wave,
            more_containers=one.more_containers,
        )
        for one in journal.services.values()
    ]
    taken = {(_cluster_name(one.cluster), one.service) for one in moved}
    others = [
        s
        for s in catalog.services
        if s.name not in journal.services and (_cluster_name(s.cluster), s.service) not in taken
    ]
    return replace(catalog, services=tuple(sorted((*moved, *others), key=lambda s: (s.wave, s.name))))


def repository_of(image: str) -> str:
    """Return the repository that a pinned image names: ``team/api`` of ``host/team/api@sha256:…``."""
    return image.partition("@")[0].partition("/")[2]


def left_behind(plan: Plan, inputs: PlanInputs) -> tuple[Check, ...]:
    """Name the services that a rollback leaves where they are, because its release does not know them."""
    return tuple(
        skip(
            name,
            NOT_ROLLED_BACK,
            f"{plan.release_id} does not know it: it joined later, and stays on "
            f"{running.facts.task_definition.rpartition('/')[2]}",
        )
        for name, running in inputs.running.items()
        if name not in plan.services
    )


def _service(running: RunningService, inputs: PlanInputs, *, target: str | None, image: str | None) -> PlannedService:
    """Put a service in a plan. A recovery rolls back to what ran before the stopped deployment."""
    registered, facts = running.registered, running.facts
    stopped = inputs.journal.services.get(registered.name) if inputs.journal else None
    return PlannedService(
        name=registered.name,
        cluster=registered.cluster,
        service=registered.service,
        family=registered.family,
        container=registered.container,
        more_containers=registered.more_containers,
        wave=registered.wave,
        previous=stopped.previous if stopped else facts.task_definition,
        target=target,
        image=image,
        previous_image=stopped.previous_image if stopped else running.image,
        desired=facts.desired,
        deployment=facts.primary.id if facts.primary else None,
    )


def _restored(
    running: RunningService, inputs: PlanInputs, before: PlannedService, failed_tasks_limit: int
) -> PlannedService:
    """Restore what a service ran before the stopped deployment.

    A task definition that somebody else deployed meanwhile stays, if it runs the code of before and comes to rest.
    """
    same = (
        running.image is not None
        and running.image == before.previous_image
        and (running.facts.is_settled or not _is_doomed(running.facts, failed_tasks_limit))
    )
    target = running.facts.task_definition if same else before.previous
    return _service(running, inputs, target=target, image=before.previous_image)


def _parameters(inputs: PlanInputs, tag: str | None, images: Mapping[str, str | None]) -> tuple[PlannedParameter, ...]:
    """The tag first, then each image, as ``Update image tag`` writes them.

    In a recovery, what the stopped deployment wrote and this one does not gets its previous value.
    """
    stopped = {p.name: p.previous for p in inputs.journal.parameters} if inputs.journal else {}
    wanted = {**stopped, inputs.identity.tag_parameter: tag}
    wanted.update({inputs.identity.images_path + name: image for name, image in images.items()})
    return tuple(
        PlannedParameter(name, stopped.get(name, inputs.parameters.get(name)), target)
        for name, target in wanted.items()
    )


def _migration(request: Request, image: ReleaseImage, inputs: PlanInputs, policies: Policies) -> PlannedMigration:
    task = inputs.catalog.migration
    if task is None or not request.run_migration:
        return _no_migration(inputs, policies)
    here = [s for s in inputs.catalog.services if _cluster_name(s.cluster) == _cluster_name(task.cluster)]
    model = inputs.running[next(iter([*here, *inputs.catalog.services])).name].facts
    network: Mapping[str, object] = model.network
    if task.subnets:
        network = {
            "awsvpcConfiguration": {
                "subnets": list(task.subnets),
                "securityGroups": list(task.security_groups),
                "assignPublicIp": "DISABLED",
            }
        }
    takes_network = inputs.migration is None or inputs.migration.network_mode == "awsvpc"
    return replace(
        _no_migration(inputs, policies),
        needed=True,
        cluster=task.cluster,
        family=task.family,
        container=task.container,
        image=image.pinned[task.repository],
        launch=launch_on_demand(model.launch, inputs.migration),
        network=network if takes_network else {},
    )


def _cluster_name(cluster: str) -> str:
    return cluster.rpartition("/")[2]


def launch_on_demand(launch: Mapping[str, object], definition: TaskDefinition | None) -> Mapping[str, object]:
    """Return how a one-off task is launched like a service, but never on Spot: nobody starts it again.

    Parameters
    ----------
    launch
        ``launchType`` or ``capacityProviderStrategy``, and ``platformVersion``, of the service.
    definition
        The task definition of the one-off task: it may be made for another launch type than the service's.

    Examples
    --------
    >>> launch_on_demand({"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]}, None)
    {'launchType': 'FARGATE'}
    """
    strategy = launch.get("capacityProviderStrategy")
    listed = strategy if isinstance(strategy, list | tuple) else ()
    providers = {str(each.get("capacityProvider")) for each in listed if isinstance(each, Mapping)}
    platform = {key: launch[key] for key in ("platformVersion",) if key in launch}
    if FARGATE_SPOT in providers:
        # FARGATE may be there with weight 0 or with a base alone: as the only one it has all the weight.
        on_demand: Mapping[str, object] = {"capacityProviderStrategy": [{"capacityProvider": FARGATE, "weight": 1}]}
        return {**(on_demand if FARGATE in providers else {"launchType": FARGATE}), **platform}
    requires = definition.requires if definition else frozenset()
    if requires == {FARGATE} and FARGATE not in (*providers, launch.get("launchType")):
        return {"launchType": FARGATE}
    if requires == {EC2} and FARGATE in (*providers, launch.get("launchType")):
        return {"launchType": EC2}
    return launch


def _no_migration(inputs: PlanInputs, policies: Policies) -> PlannedMigration:
    """Plan no migration of one's own; one that a stopped deployment has left running is stopped all the same."""
    return PlannedMigration(
        needed=inputs.abandoned is not None,
        poll_seconds=policies.migration.poll_seconds,
        timeout_seconds=policies.migration.timeout_seconds,
        abandoned=inputs.abandoned,
    )


def _rollout(policies: Policies, *, alarms: bool) -> PlannedRollout:
    """Carry the policies. A rollback ignores alarms: the alarm that fires may be why somebody rolls back."""
    return PlannedRollout(
        poll_seconds=policies.rollout.poll_seconds,
        timeout_seconds=policies.rollout.timeout_seconds,
        bake_seconds=policies.rollout.bake_seconds,
        bake_poll_seconds=policies.rollout.bake_poll_seconds,
        rollback_timeout_seconds=policies.rollout.rollback_timeout_seconds,
        failed_tasks_limit=policies.circuit_breaker.failed_tasks,
        alarms=policies.circuit_breaker.alarms if alarms else (),
    )


def _backwards(catalog: Catalog, services: Mapping[str, PlannedService]) -> tuple[tuple[str, ...], ...]:
    return _known_waves(reversed(catalog.waves), services)


def _known_waves(
    waves: Iterable[tuple[str, ...]], services: Mapping[str, PlannedService]
) -> tuple[tuple[str, ...], ...]:
    """Leave out services that are not planned, and waves without any."""
    known = (tuple(name for name in wave if name in services) for wave in waves)
    return tuple(wave for wave in known if wave)


def _is_doomed(facts: ServiceFacts, failed_tasks_limit: int) -> bool:
    """Whether a rollout will not come to rest by itself, as far as ECS tells: it gave up, or its tasks fail."""
    primary = facts.primary
    return primary is None or primary.rollout_state == "FAILED" or primary.failed_tasks >= failed_tasks_limit


def _is_there(
    services: Mapping[str, PlannedService], parameters: tuple[PlannedParameter, ...], inputs: PlanInputs
) -> bool:
    return (
        inputs.abandoned is None
        and all(s.target == inputs.running[name].facts.task_definition for name, s in services.items())
        and all(_is_whole(inputs.running[name].facts) for name in services)
        # Not `previous`: in a recovery that is what stood there before the stopped deployment.
        and all(inputs.parameters.get(p.name) == p.target for p in parameters)
    )


def _is_whole(facts: ServiceFacts) -> bool:
    """Whether a service has come to rest with all its tasks: a rollout that was COMPLETED may have none by now."""
    return facts.is_settled and facts.running >= facts.desired
