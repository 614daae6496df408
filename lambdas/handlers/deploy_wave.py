"""``Deploy wave``: give the next wave's services their task definitions."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AwsError
from lambdas.release.plan import Plan, PlannedService
from lambdas.release.request import Action
from lambdas.release.results import MovedService, WaveResult
from lambdas.release.rollout import ServiceFacts, check_unchanged
from lambdas.revisions import Revisions, deploy_active


def deploy_wave(call: Invocation, dependencies: Dependencies, logger: Logger) -> WaveResult:
    """Update every service of the wave that is not there yet.

    A rollback whose revision was deregistered since ``Register task definitions`` goes on with a twin.

    Raises
    ------
    LeaseLost
    ServiceChanged
        Somebody else deployed a service meanwhile. Going on would undo that without a word; a rollback goes on.
    AwsError
        A service was deleted meanwhile.
    """
    plan, rollout, targets = call.plan, call.state.rollout, call.state.targets
    index = rollout.wave + 1 if rollout else 0
    call.renew_lease(dependencies)
    planned = [plan.services[name] for name in plan.waves[index]] if plan.waves else []
    facts = dependencies.ecs.services(planned)
    started_at = dependencies.clock.now()
    services, revisions = {}, Revisions(dependencies.ecs)
    for service in planned:
        target = targets[service.name]
        if service.name not in facts:
            raise AwsError(f"ecs:describe_services: {service.service} is gone since it was planned")
        twins = [twin for name, twin in call.state.twins.items() if name == service.name]
        if plan.action == Action.DEPLOY:
            check_unchanged(
                service.name,
                facts[service.name],
                planned_deployment=service.deployment,
                expected=(service.previous, target, *twins),
            )
        moved = services[service.name] = _deploy(plan, service, facts[service.name], target, revisions)
        logger.info("service updated", service=service.name, task_definition=moved.target)
    given = {name: moved.target for name, moved in services.items() if moved.target != targets[name]}
    return WaveResult(index, started_at, services, {**call.state.wave_twins, **given})


def _deploy(
    plan: Plan, service: PlannedService, facts: ServiceFacts, target: str, revisions: Revisions
) -> MovedService:
    primary, force = facts.primary, plan.force
    replaced = primary.id if primary else None
    there = primary is not None and primary.task_definition == target
    # A forced deployment of the same task definition is done once its id differs from the planned one.
    if there and (not force or replaced != service.deployment):
        return MovedService(target, replaced, None)
    if plan.action == Action.DEPLOY:
        deployment = revisions.ecs.update(service.cluster, service.service, target, force=force)
        return MovedService(target, deployment, replaced)
    given, deployment = deploy_active(service, target, service.image, revisions, force=force)
    # An earlier run of this step had deployed the twin already: nothing was replaced then.
    return MovedService(given, deployment, None if deployment == replaced else replaced)


handler = Handler(deploy_wave)
