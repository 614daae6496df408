"""``Roll back``: parameters first, then the services, the last wave first."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.migration import stop_unfinished
from lambdas.release.errors import NothingToReturnTo
from lambdas.release.plan import OnFailure
from lambdas.release.results import RollbackResult
from lambdas.release.rollback import next_wave_back, to_restore, was_put_back_by_ecs
from lambdas.revisions import Revisions, deploy_active, returning


def roll_back(call: Invocation, dependencies: Dependencies, logger: Logger) -> RollbackResult:
    """Restore what differs from the plan's snapshot: the parameters, and one wave of services; stop the migration.

    It looks at what runs instead of remembering what was done, so it may run at any point and any number of
    times. What ECS has rolled back by itself is recognised and not repeated. Where the revision of before was
    deregistered, its service gets one with the same content.

    Raises
    ------
    NothingToReturnTo
        The deployment was itself a rollback.
    LeaseLost
    """
    plan, before = call.plan, call.state.rollback
    if plan.on_failure == OnFailure.NO_ROLLBACK_POSSIBLE:
        where = f'with "releaseId": "{plan.release_id}"' if plan.release_id else "as it was"
        raise NothingToReturnTo(
            f"the rollback itself failed; repair what its report names, and run it again {where}, "
            'or go forward: deploy all services with "force": true'
        )
    call.renew_lease(dependencies)
    started_at = call.state.rollback_started_at or dependencies.clock.now()
    written = dependencies.parameters.set_all({parameter.name: parameter.previous for parameter in plan.parameters})
    facts, revisions = dependencies.ecs.services(plan.in_order()), Revisions(dependencies.ecs)
    plan, others = returning(plan, call.state, facts, revisions.find)
    done = before or RollbackResult(started_at, ())
    updated, overwritten, twins, deleted = list(done.services), {**done.overwritten}, {**done.twins}, list(done.deleted)
    by_ecs = {s.name for s in plan.in_order() if was_put_back_by_ecs(s, facts.get(s.name))}
    returned = [s.name for s in plan.in_order() if s.name in by_ecs and not to_restore((s,), facts)]
    for service in to_restore(next_wave_back(plan, facts), facts):
        if service.name in others and service.name not in by_ecs:
            overwritten[service.name] = facts[service.name].task_definition.rsplit("/", 1)[-1]
        given, _ = deploy_active(service, service.previous, service.previous_image, revisions)
        if given != service.previous:
            twins[service.name] = given
            deleted += [service.name] if revisions.is_deleted(service.previous) else []
        updated.append(service.name)
        logger.info("service rolled back", service=service.name, task_definition=given)
    # Last: what can be put back is put back even if the migration cannot be stopped. No service has moved by then.
    stopped = before.stopped_migration if before else stop_unfinished(call, dependencies)
    # What the first of these steps writes is no repair.
    repaired = (*done.parameters, *written) if before else ()
    return RollbackResult(
        started_at,
        tuple(dict.fromkeys(updated)),
        overwritten,
        twins,
        stopped,
        tuple(dict.fromkeys((*done.returned, *returned))),
        tuple(dict.fromkeys(repaired)),
        # The state names each of them once.
        tuple(name for name in dict.fromkeys(deleted) if name not in call.state.deleted_before),
    )


handler = Handler(roll_back)
