"""``Deploy wave``: give the next wave's services their task definitions."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AwsError
from lambdas.release.plan import PlannedService
from lambdas.release.results import MovedService, WaveResult, needed
from lambdas.release.rollout import ServiceFacts, check_unchanged


def deploy_wave(call: Invocation, dependencies: Dependencies, logger: Logger) -> WaveResult:
    """Update every service of the wave that is not there yet.

    Raises
    ------
    LeaseLost
    ServiceChanged
        Somebody else deployed a service meanwhile. Going on would undo that without a word; a rollback goes on.
    AwsError
        A service was deleted meanwhile.
    """
    plan, rollout = call.plan, call.state.rollout
    targets = needed(call.state.registered).task_definitions
    index = rollout.wave + 1 if rollout else 0
    call.renew_lease(dependencies)
    planned = [plan.services[name] for name in plan.waves[index]] if plan.waves else []
    facts = dependencies.ecs.services(planned)
    started_at = dependencies.clock.now()
    services = {}
    for service in planned:
        target = targets[service.name]
        if service.name not in facts:
            raise AwsError(f"ecs:describe_services: {service.service} is gone since it was planned")
        twins = [twin for name, twin in call.state.twins.items() if name == service.name]
        if plan.action == "deploy":
            check_unchanged(
                service.name,
                facts[service.name],
                planned_deployment=service.deployment,
                expected=(service.previous, target, *twins),
            )
        services[service.name] = _deploy(service, facts[service.name], target, dependencies, force=plan.force)
        logger.info("service updated", service=service.name, task_definition=target)
    return WaveResult(index, started_at, services)


def _deploy(
    service: PlannedService, facts: ServiceFacts, target: str, dependencies: Dependencies, *, force: bool
) -> MovedService:
    primary = facts.primary
    replaced = primary.id if primary else None
    there = primary is not None and primary.task_definition == target
    # A forced deployment of the same task definition is done once its id differs from the planned one.
    if there and (not force or replaced != service.deployment):
        return MovedService(target, replaced, None)
    deployment = dependencies.ecs.update(service.cluster, service.service, target, force=force)
    return MovedService(target, deployment, replaced)


handler = Handler(deploy_wave)
