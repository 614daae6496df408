"""``Verify image``: validate the input, and pin the tag to a digest in every repository."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.aws.ecs import ContainerService
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.catalog import MIGRATION, Catalog, parse_catalog
from lambdas.release.codec import encode
from lambdas.release.errors import NeedlessPush
from lambdas.release.image import (
    FoundImage,
    check_architecture,
    choose_images,
    needless_push,
    pushed_image,
    release_image,
)
from lambdas.release.policies import AcceptedFinding, ImagePolicy
from lambdas.release.request import Request
from lambdas.release.results import AcceptingRequest, VerifiedRequest
from lambdas.release.scan import check_scan, needs_names
from lambdas.release.task_definition import Platform
from lambdas.request_schema import validate


def verify_image(call: Invocation, dependencies: Dependencies, logger: Logger) -> VerifiedRequest:
    """Return the whole new state: the request and, for a deploy, the image.

    Raises
    ------
    InvalidInput, NoServices, InvalidRegistration, RepositoryNotFound, ImageNotFound, NotAnImage, ImageArchived,
    DigestMismatch, ScanInProgress, ScanMissing, ScanFailed, ScanUnsupported, ScanExpired, ScanFindings,
    WrongArchitecture, NeedlessPush, AccessDenied
    """
    request = validate(call.input, dependencies.identity.environment)
    if not request.is_deploy:
        return VerifiedRequest(request)
    registered = dependencies.parameters.below(dependencies.identity.services_path)
    catalog = parse_catalog(registered).select(request.services)
    found = find_images(request, catalog, dependencies)
    if request.is_push:
        needless = needless_push(found, tag=request.image_tag, digest=request.image_digest)
        if needless is not None:
            raise NeedlessPush(needless)
    images = choose_images(found, tag=request.image_tag, digest=request.image_digest)
    policy = dependencies.policy(ImagePolicy)
    accepted: list[AcceptedFinding] = []
    for image in images:
        scans = dependencies.images.scans(image)
        if needs_names(scans, policy):
            scans = dependencies.images.scans(image, named=True)
        acceptance = check_scan(image, scans, policy, dependencies.clock.now())
        if acceptance.found or acceptance.unused:
            logger.info("findings accepted", image=image.name, **encode(acceptance))
        accepted += acceptance.found
        if image.platforms:
            check_architecture(image, _platforms(catalog, image.repository, dependencies.ecs))
    release = pushed_image if request.is_push else release_image
    verified = VerifiedRequest(request, release(images, request.image_tag))
    if accepted:
        verified = AcceptingRequest(verified.request, verified.image, accepted=tuple(dict.fromkeys(accepted)))
    logger.info("image verified", image=verified.message)
    return verified


def find_images(request: Request, catalog: Catalog, dependencies: Dependencies) -> dict[str, FoundImage | None]:
    """Find the image in every repository that the services, and the migration, name; by its tag where it has one."""
    repositories = catalog.repositories
    tag, digest = request.image_tag, request.image_digest
    if tag is None and len(repositories) > 1:
        return dict.fromkeys(repositories)
    uris = dependencies.images.repository_uris(repositories)
    return {name: dependencies.images.find(name, uris[name], tag=tag, digest=digest) for name in repositories}


def _platforms(catalog: Catalog, repository: str, ecs: ContainerService) -> dict[str, Platform]:
    """Return what the new tasks run on, as far as the families tell: of the migration, and of what has one revision.

    A service gets a revision like the one that it runs, and Terraform may have registered newer ones that nobody
    deploys: which one that is ``Plan`` knows, and compares.
    """
    users = {service.name: service.family for service in catalog.services if service.repository == repository}
    if catalog.migration and catalog.migration.repository == repository:
        users[MIGRATION] = catalog.migration.family
    definitions = {name: ecs.task_definition(family) for name, family in users.items()}
    return {
        name: found.platform
        for name, found in definitions.items()
        if found and (name == MIGRATION or found.revision == 1)
    }


handler = Handler(verify_image)
