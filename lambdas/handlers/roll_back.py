"""``Roll back``: parameters first, then the services, the last wave first."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json
from lambdas.release.errors import NothingToReturnTo
from lambdas.release.rollback import changed_by_others, keep_infrastructure, next_wave_back, to_restore


def roll_back(call: Invocation, dependencies: Dependencies, logger: Logger) -> Json:
    """Put back what differs from the plan's snapshot: the parameters, and one wave of services.

    Looks at the world instead of remembering what was done, so it may run at any point and any number of
    times; what ECS has rolled back by itself is recognised and not repeated.

    Returns
    -------
    dict
        ``status`` restoring; ``services`` that were updated; ``overwritten``: those of them that somebody
        else had deployed meanwhile, with what they ran; ``startedAt`` of the first of these steps.

    Raises
    ------
    NothingToReturnTo
        The deployment was itself a way back.
    LeaseLost
    """
    plan, before = call.plan, call.state.get("rollback") or {}
    if plan.on_failure == "page":
        raise NothingToReturnTo(
            "the rollback itself failed; roll back to a release that can run by its releaseId, "
            'or go forward: deploy all services with "force": true'
        )
    call.renew_lease(dependencies)
    started_at = before.get("startedAt", dependencies.clock.now())
    dependencies.parameters.set_all({parameter.name: parameter.previous for parameter in plan.parameters})
    facts = dependencies.ecs.services(plan.in_order())
    others = changed_by_others(plan, facts, (call.state.get("registered") or {}).get("taskDefinitions", {}))
    plan = keep_infrastructure(plan, dependencies.ecs.primary_definitions(others))
    updated, overwritten = list(before.get("services", ())), dict(before.get("overwritten", {}))
    for service in to_restore(next_wave_back(plan, facts), facts):
        if service.name in others:
            overwritten[service.name] = facts[service.name].task_definition.rsplit("/", 1)[-1]
        dependencies.ecs.update(service.cluster, service.service, service.previous, force=False)
        updated.append(service.name)
        logger.info("service put back", service=service.name, task_definition=service.previous)
    return {
        "status": "restoring",
        "startedAt": started_at,
        "services": list(dict.fromkeys(updated)),
        "overwritten": overwritten,
    }


handler = Handler(roll_back)
