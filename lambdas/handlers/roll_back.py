"""``Roll back``: parameters first, then the services, the last wave first."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import NothingToReturnTo
from lambdas.release.plan import OnFailure
from lambdas.release.results import RollbackResult
from lambdas.release.rollback import changed_by_others, keep_infrastructure, next_wave_back, to_restore


def roll_back(call: Invocation, dependencies: Dependencies, logger: Logger) -> RollbackResult:
    """Restore what differs from the plan's snapshot: the parameters, and one wave of services.

    It looks at what runs instead of remembering what was done, so it may run at any point and any number of
    times. What ECS has rolled back by itself is recognised and not repeated.

    Raises
    ------
    NothingToReturnTo
        The deployment was itself a rollback.
    LeaseLost
    """
    plan, before = call.plan, call.state.rollback
    if plan.on_failure == OnFailure.NO_ROLLBACK_POSSIBLE:
        raise NothingToReturnTo(
            "the rollback itself failed; roll back to a release that can run by its releaseId, "
            'or go forward: deploy all services with "force": true'
        )
    call.renew_lease(dependencies)
    started_at = call.state.rollback_started_at or dependencies.clock.now()
    ours = call.state.registered_revisions
    dependencies.parameters.set_all({parameter.name: parameter.previous for parameter in plan.parameters})
    facts = dependencies.ecs.services(plan.in_order())
    others = changed_by_others(plan, facts, ours)
    plan = keep_infrastructure(plan, dependencies.ecs.primary_definitions(others))
    updated, overwritten = (list(before.services), dict(before.overwritten)) if before else ([], {})
    for service in to_restore(next_wave_back(plan, facts), facts):
        if service.name in others:
            overwritten[service.name] = facts[service.name].task_definition.rsplit("/", 1)[-1]
        dependencies.ecs.update(service.cluster, service.service, service.previous, force=False)
        updated.append(service.name)
        logger.info("service rolled back", service=service.name, task_definition=service.previous)
    return RollbackResult(started_at, tuple(dict.fromkeys(updated)), overwritten)


handler = Handler(roll_back)
