"""What ``Plan`` looks up before it promises anything: whether what new tasks will need is still there."""

from __future__ import annotations

from dataclasses import replace

from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.lookups import Lookups
from lambdas.release.catalog import MIGRATION, Catalog
from lambdas.release.errors import AccessDenied, RepositoryNotFound
from lambdas.release.image import ARCHIVED, RESTORE
from lambdas.release.plan import Plan
from lambdas.release.planning import PlanInputs, repository_of
from lambdas.release.policies import RolePolicy
from lambdas.release.preflight import (
    Check,
    Home,
    check_complete,
    check_room,
    check_target,
    check_task_definition,
    fail,
    ok,
    skip,
)
from lambdas.release.task_definition import TaskDefinition


def rollback_checks(call: Invocation, made: Plan, inputs: PlanInputs, dependencies: Dependencies) -> list[Check]:
    """Check that what the rollback moves can go where it is to go, and that what it needs is still there.

    Nothing of a recovery: whatever is missing, it has to try; parameters and the other services go back all the same.
    """
    checks: list[Check] = []
    subjects: dict[str, TaskDefinition] = {}
    images: dict[str, Check] = {}
    home = _home(call, dependencies)
    for service in made.in_order() if not made.recovers else ():
        running = inputs.running[service.name]
        if service.target == running.facts.task_definition and not made.force:
            continue
        checks.append(check_room(service.name, running.facts))
        if service.image is not None and service.image != service.previous_image:
            if service.image not in images:
                images[service.image] = _check_image(service.name, service.image, home, dependencies)
            checks.append(replace(images[service.image], subject=service.name))
        target = dependencies.ecs.task_definition(service.target or "")
        checks += check_target(service.name, service.family, service.containers, service.target, target)
        if target is not None:
            subjects[service.name] = target
    return checks + Lookups(dependencies, home).checks(subjects)


def _check_image(name: str, image: str, home: Home, dependencies: Dependencies) -> Check:
    """Check that lifecycle rules have neither removed nor archived the image, in the repository that it names."""
    host, repository, digest = image.partition("/")[0], repository_of(image), image.rpartition("@")[2]
    if not home.has_registry(host):
        return skip(name, "image", f"{image} is in another registry and is not looked up from here")
    try:
        status = dependencies.images.status(repository, digest)
    except AccessDenied:
        return skip(name, "image", f"this function may not look into {repository}; add it to [image] repositories")
    except RepositoryNotFound:
        return fail(name, "image", f"there is no repository {repository} any more, and so no {digest}")
    if status is None:
        return fail(name, "image", f"{repository} no longer has {digest}")
    if status in ARCHIVED:
        return fail(name, "image", f"{digest} in {repository} is {status}; {RESTORE}")
    return ok(name, "image", image)


def _home(call: Invocation, dependencies: Dependencies) -> Home:
    _, _, _, region, account, *_ = call.execution.split(":")
    return Home(region, account, dependencies.policy(RolePolicy).role_path)


def deploy_checks(
    call: Invocation,
    catalog: Catalog,
    definitions: dict[str, TaskDefinition | None],
    migration: TaskDefinition | None,
    dependencies: Dependencies,
) -> list[Check]:
    """Check everything that the new tasks will need, each thing looked up once."""
    subjects = {name: found for name, found in definitions.items() if found}
    checks: list[Check] = []
    if catalog.migration and call.request.run_migration:
        task = catalog.migration
        checks += check_task_definition(MIGRATION, task.family, [task.container], migration)
        if migration:
            subjects[MIGRATION] = migration
    checks += [check_complete(subject, definition) for subject, definition in subjects.items()]
    return checks + Lookups(dependencies, _home(call, dependencies)).checks(subjects)
