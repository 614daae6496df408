"""``Register task definitions``: for each service the old revision with one image changed."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AwsError
from lambdas.release.plan import PlannedService
from lambdas.release.results import RegisterResult
from lambdas.release.task_definition import TaskDefinition, is_revision_of, same_content, with_image


def register_task_definitions(call: Invocation, dependencies: Dependencies, logger: Logger) -> RegisterResult:
    """Register what is missing.

    A revision with the wanted content that is there already is used, so a repeat of the step registers
    nothing. (botocore's own retry of a call whose answer was lost may leave an unused twin.)

    Raises
    ------
    LeaseLost
    """
    plan = call.plan
    call.renew_lease(dependencies)
    registrar = _Registrar(dependencies)
    arns = {s.name: registrar.resolve_target(s, logger, deploys=plan.action == "deploy") for s in plan.in_order()}
    migration = None
    if plan.migration.needed:
        base = registrar.describe(plan.migration.family)
        migration = registrar.register(base, base, plan.migration.container, plan.migration.image)
    return RegisterResult(arns, migration, registrar.registered)


class _Registrar:
    """Registers revisions and counts them."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.ecs = dependencies.ecs
        self.registered = 0

    def describe(self, name: str) -> TaskDefinition:
        """Describe what the plan has seen; AwsError when it is gone."""
        found = self.ecs.task_definition(name)
        if found is None:
            raise AwsError(f"ecs:describe_task_definition: {name} is gone since it was planned")
        return found

    def resolve_target(self, service: PlannedService, logger: Logger, *, deploys: bool) -> str:
        """Return the ARN of the task definition that the service gets."""
        if service.target is None:
            newest = self.ecs.task_definition(service.family)
            # Most often the newest revision is the one that runs: one look-up serves for both.
            runs = service.previous if is_revision_of(service.previous, service.family) else service.family
            base = newest if newest and runs in {newest.arn, service.family} else self.describe(runs)
            arn = self.register(base, newest, service.container, service.image or "")
            logger.info("task definition", service=service.name, task_definition=arn)
            return arn
        if deploys or service.target == service.previous:
            return service.target
        target = self.describe(service.target)
        if target.is_active:
            return service.target
        # It was deregistered since: a new revision with the same content takes its place.
        newest = self.ecs.task_definition(service.family)
        return self.register(target, newest, service.container, target.image(service.container) or "")

    def register(self, base: TaskDefinition, newest: TaskDefinition | None, container: str, image: str) -> str:
        """Register ``base`` with the image, unless the family's newest revision is just that."""
        if base.container(container) is None:
            raise AwsError(f"ecs:describe_task_definition: {base.arn} has no container {container} any more")
        accepted = self.ecs.accepted_fields()
        request = with_image(base, container, image, accepted)
        if newest and newest.is_active:
            existing = with_image(newest, container, newest.image(container) or "", accepted)
            if same_content(request, existing):
                return newest.arn
        self.registered += 1
        return self.ecs.register(request)


handler = Handler(register_task_definitions)
