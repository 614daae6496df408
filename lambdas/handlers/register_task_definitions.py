"""``Register task definitions``: for each service the old revision with one image changed."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AwsError
from lambdas.release.plan import OnFailure, Plan, PlannedService
from lambdas.release.results import RegisterResult
from lambdas.release.rollout import ServiceFacts
from lambdas.release.task_definition import is_revision_of
from lambdas.revisions import Revisions


def register_task_definitions(call: Invocation, dependencies: Dependencies, logger: Logger) -> RegisterResult:
    """Register what is missing: what the services get, and what a rollback would give them again.

    A revision with the wanted content that is there already is used, so a repeat of the step registers
    nothing. (botocore's own retry of a call whose answer was lost may leave an unused twin.)

    Raises
    ------
    LeaseLost
    """
    plan = call.plan
    call.renew_lease(dependencies)
    revisions = Revisions(dependencies.ecs)
    # A deploy that is not forced leaves a service alone that has the image already; for the others one has to look.
    may_stay = plan.action == "rollback" and not plan.force
    facts = dependencies.ecs.services(plan.in_order()) if may_stay else {}
    arns, twins, deleted = {}, {}, []
    for service in plan.in_order():
        if _stays(plan, service, facts.get(service.name)):
            arns[service.name] = str(service.target)
            continue
        if service.target is None:
            # Most often the newest revision is the one that runs: one look-up serves for all that follows.
            revisions.find(service.family)
        # First what a rollback needs: after it the new revision is the family's newest, and a repeat finds both.
        twin = _twin_of_previous(plan, service, revisions, logger)
        if twin not in (None, service.previous):
            twins[service.name] = str(twin)
            deleted += [service.name] if revisions.is_deleted(service.previous) else []
        arns[service.name] = _target(service, revisions, forced=plan.force)
        logger.info("task definition", service=service.name, task_definition=arns[service.name], returns_to=twin)
    migration = None
    if plan.migration.runs:
        base = revisions.describe(plan.migration.family)
        migration = revisions.with_image(base, base, [plan.migration.container], plan.migration.image)
    return RegisterResult(arns, migration, revisions.registered, twins, tuple(deleted))


def _stays(plan: Plan, service: PlannedService, facts: ServiceFacts | None) -> bool:
    """Whether ``Deploy wave`` will find the service on its target: then that may be INACTIVE."""
    if service.target is None or plan.force:
        return False
    primary = facts.primary if facts else None
    return plan.action == "deploy" or (primary is not None and primary.task_definition == service.target)


def _twin_of_previous(plan: Plan, service: PlannedService, revisions: Revisions, logger: Logger) -> str | None:
    """Return what a rollback of this deployment gives the service; None when it gives none, or nothing can be had."""
    if plan.on_failure != OnFailure.ROLL_BACK:
        return None
    try:
        return revisions.active(service.previous, service, service.previous_image)
    except AwsError as error:
        if plan.action == "deploy" and not plan.force:
            raise
        # A rollback, or a forced deploy, is the way out of what runs now: what cannot be had again must not stop it.
        logger.warning("there will be no rollback of this", service=service.name, reason=str(error))
        return None


def _target(service: PlannedService, revisions: Revisions, *, forced: bool) -> str:
    """Return the ARN of the task definition that the service gets."""
    if service.target is not None:
        return revisions.active(service.target, service, service.image)
    newest = revisions.find(service.family)
    runs = service.previous if is_revision_of(service.previous, service.family) else service.family
    if newest and (runs in {newest.arn, service.family} or (forced and revisions.find(runs) is None)):
        # A forced deploy goes forward from the newest one, where what ran before was deleted.
        base = newest
    else:
        base = revisions.describe(runs)
    return revisions.with_image(base, newest, service.containers, service.image or "")


handler = Handler(register_task_definitions)
