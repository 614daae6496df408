"""Which image infrastructure deploys carry: the one that code deploys have put there, never another one.

Infrastructure and code meet in one place, the image of a task definition. ``resolve`` decides it; the order
is in docs/explanation/decisions/0008.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import aws_cdk as cdk
from constructs import Construct

from stacks.environment_stack import EnvironmentStack

PLACEHOLDER_IMAGE = "public.ecr.aws/docker/library/python:3.13-alpine"
"""What runs before the first code deploy: public, small, for both architectures, and it has an HTTP server."""

SERVICES = ("api", "worker", "scheduler")
MIGRATION = "migration"
WORKLOADS = (*SERVICES, MIGRATION)
"""Everything that runs the application's image, each with a pinned image of its own."""

IMAGE_URI = re.compile(r"[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class ImageError(ValueError):
    """The context names an image that cannot be one."""


@dataclass(frozen=True)
class Image:
    """The image of one workload.

    Attributes
    ----------
    uri
        Text, or a reference that CloudFormation resolves when it deploys.
    is_pinned
        Whether it is what code deploys have pinned, and before the first of them the placeholder.
    """

    uri: str
    is_pinned: bool


def resolve(scope: Construct, workload: str) -> Image:
    """Decide the image of a workload.

    1. Context ``imageUri``: that image, for every workload.
    2. Context ``imageTag``: that tag of the environment's repository. Both are for an emergency, when CDK
       has to deploy code; the parameters must be told afterwards, as ``deploy-infra.yml`` does.
    3. The workload's parameter ``/<app>/<environment>/images/<workload>``, which every code deploy writes
       with a digest. It is a CloudFormation parameter of an SSM type: read anew in each deployment, where
       ``valueFromLookup`` would keep an old value in ``cdk.context.json`` (aws/aws-cdk#12366).
    4. Until the first code deploy that parameter holds ``PLACEHOLDER_IMAGE``; see ``TaskDefinitions``.

    Parameters
    ----------
    scope
        The service's stack, or anything in it.
    workload
        One of ``WORKLOADS``.

    Raises
    ------
    ImageError
        Names the context key and what to give instead.
    """
    stack = cdk.Stack.of(scope)
    if not isinstance(stack, EnvironmentStack):
        raise TypeError(f"{stack.node.path} is no EnvironmentStack, so its environment is unknown")
    uri = _context(scope, "imageUri", IMAGE_URI, "registry/repository:tag or registry/repository@sha256:<64 hex>")
    if uri:
        return Image(uri, is_pinned=False)
    tag = _context(scope, "imageTag", TAG, "one tag, such as sha-<commit>")
    if tag:
        registry = f"{stack.account}.dkr.ecr.{stack.region}.{stack.url_suffix}"
        return Image(f"{registry}/{stack.names.repository}:{tag}", is_pinned=False)
    return Image(stack.read(f"{stack.settings.identity.images_path}{workload}"), is_pinned=True)


def _context(scope: Construct, key: str, shape: re.Pattern[str], wanted: str) -> str | None:
    value = scope.node.try_get_context(key)
    if value is None:
        return None
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ImageError(f'context {key}: "{value}" is no image; give -c {key}= {wanted}, or leave it out')
    return value
