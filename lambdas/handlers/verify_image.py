"""``Verify image``: validate the input, and pin the tag to a digest in every repository."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.aws.ecs import ContainerService
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json
from lambdas.release.catalog import MIGRATION, Catalog, parse_catalog
from lambdas.release.codec import decode, encode
from lambdas.release.errors import InvalidInput
from lambdas.release.image import (
    FoundImage,
    check_architecture,
    check_scan,
    choose_image,
    release_image,
)
from lambdas.release.policies import ImagePolicy
from lambdas.release.request import Request, check_request, shorten

SCHEMA_NAME = "input.schema.json"
SCHEMA_FOLDERS = (Path(__file__).parents[1], Path(__file__).parents[2] / "statemachine")
"""In the asset the schema lies beside the handlers; in the repository beside the state machine."""


def verify_image(call: Invocation, dependencies: Dependencies, logger: Logger) -> Json:
    """Return the whole new state: the request and, for a deploy, the image.

    Raises
    ------
    InvalidInput, NoServices, InvalidRegistration, RepositoryNotFound, ImageNotFound, DigestMismatch,
    ScanInProgress, ScanMissing, ScanFindings, WrongArchitecture
    """
    request = validate(call.input, dependencies.identity.environment)
    state: Json = {"request": encode(request), "image": None}
    if request.is_deploy:
        catalog = parse_catalog(dependencies.parameters.below(dependencies.identity.services_path)).select(
            request.services
        )
        images = find_images(request, catalog, dependencies)
        for image in images:
            check_scan(image, dependencies.policy(ImagePolicy))
            if image.architectures:
                check_architecture(image, _architectures(catalog, image.repository, dependencies.ecs))
        state["image"] = encode(release_image(images, request.image_tag))
        logger.info("image verified", image=state["image"])
    return state


def validate(value: Any, environment: str) -> Request:
    """Validate an execution input against the contract.

    Raises
    ------
    InvalidInput
        Names the first field that is wrong, and the fix.
    """
    import fastjsonschema

    if not isinstance(value, dict):
        raise InvalidInput(f"input: must be a JSON object, not {_shown(value)}")
    unknown = sorted(set(value) - set(schema()["properties"]))
    if unknown:
        known = ", ".join(schema()["properties"])
        raise InvalidInput(f"{shorten(unknown[0])}: unknown field; known are {known}")
    try:
        _validator()(value)
    except fastjsonschema.JsonSchemaValueException as error:
        field = ".".join(str(part) for part in error.path[1:]) or "input"
        about = schema()["properties"].get(error.path[1] if len(error.path) > 1 else "", {}).get("description", "")
        # fastjsonschema says "data.imageTag must be string": the field is named already.
        broken = shorten(error.message.partition(" ")[2], 160)
        shown = _shown(error.value)
        hint = " It looks like a digest: give it as imageDigest." if shown.startswith('"sha256:') else ""
        raise InvalidInput(f"{field}: {shown} {broken}.{hint} {about}".strip()) from error
    except RecursionError as error:
        raise InvalidInput("input: something is nested too deep; no field has more than a list of texts") from error
    request = decode(Request, value)
    check_request(request, environment)
    return request


def _shown(value: Any) -> str:
    try:
        return shorten(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "something nested too deep"


@cache
def schema() -> Json:
    """Read ``statemachine/input.schema.json``."""
    path = next(folder / SCHEMA_NAME for folder in SCHEMA_FOLDERS if (folder / SCHEMA_NAME).exists())
    document: Json = json.loads(path.read_text())
    return document


@cache
def _validator() -> Any:
    import fastjsonschema

    # Cross-field rules are checked by `check_request`, which says them in words.
    fields = {key: value for key, value in schema().items() if key != "allOf"}
    return fastjsonschema.compile(fields, use_default=False)


def find_images(request: Request, catalog: Catalog, dependencies: Dependencies) -> tuple[FoundImage, ...]:
    """Find the image in every repository that the services, and the migration, name."""
    repositories = catalog.repositories
    if request.image_digest is not None and len(repositories) > 1:
        raise InvalidInput(
            f"imageDigest: the services use several repositories ({', '.join(repositories)}), a digest is in one; "
            "give imageTag instead"
        )
    uris = dependencies.images.repository_uris(repositories)
    return tuple(
        choose_image(
            repository,
            dependencies.images.find(repository, uris[repository], tag=request.image_tag, digest=request.image_digest),
            tag=request.image_tag,
            digest=request.image_digest,
        )
        for repository in repositories
    )


def _architectures(catalog: Catalog, repository: str, ecs: ContainerService) -> dict[str, str]:
    """Return what CPU each service of a repository, and the migration, asks for."""
    users = {service.name: service.family for service in catalog.services if service.repository == repository}
    if catalog.migration and catalog.migration.repository == repository:
        users[MIGRATION] = catalog.migration.family
    definitions = {name: ecs.task_definition(family) for name, family in users.items()}
    return {name: found.cpu_architecture for name, found in definitions.items() if found}


handler = Handler(verify_image)
