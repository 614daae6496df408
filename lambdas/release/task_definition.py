"""A new revision is the old one with one image changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

READ_ONLY = frozenset(
    {
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
    }
)
"""What DescribeTaskDefinition adds and RegisterTaskDefinition does not take (ECS API Reference, TaskDefinition)."""


RESERVED_PREFIX = "aws:"
"""Of the tags that AWS sets itself, in any case of the letters; RegisterTaskDefinition refuses them (ECS API Reference,
Tag)."""

ORDERED = frozenset({"environmentFiles"})
"""Lists of objects whose order means something: of two files with the same variable the later one wins."""


@dataclass(frozen=True)
class LogTarget:
    """Where a container's ``awslogs`` lines go; the stream is ``<prefix>/<container>/<task id>``."""

    group: str
    prefix: str | None


@dataclass(frozen=True)
class LogGroup:
    """A log group that containers write to; ``region`` is None for the region of the task."""

    name: str
    region: str | None = None


@dataclass(frozen=True)
class Platform:
    """What tasks run on, in ECS's words: ``ARM64`` and ``LINUX``; None for what the task definition leaves open."""

    cpu: str | None = None
    operating_system: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.operating_system, self.cpu) if part)


FARGATE_PLATFORM = Platform("X86_64", "LINUX")
"""Fargate's defaults (ECS API Reference, RuntimePlatform); elsewhere the instance decides, and may be of any kind."""


@dataclass(frozen=True)
class TaskDefinition:
    """What DescribeTaskDefinition returned: the definition as plain JSON, and its tags.

    Attributes
    ----------
    lost
        Where the answer says something that the SDK here drops or cannot send, such as
        ``containerDefinitions[0].newThing``: a revision that is made from this one would not have it. None when
        nobody could look.
    """

    document: Mapping[str, Any]
    tags: tuple[Mapping[str, str], ...] = ()
    lost: tuple[str, ...] | None = ()

    @property
    def arn(self) -> str:
        """The ARN with the revision."""
        return str(self.document["taskDefinitionArn"])

    @property
    def family(self) -> str:
        """The family."""
        return family_of(self.arn)

    @property
    def revision(self) -> int:
        """The number of the revision."""
        return int(self.arn.rpartition(":")[2])

    @property
    def is_active(self) -> bool:
        """Whether new tasks may be started from it."""
        return str(self.document.get("status", "ACTIVE")) == "ACTIVE"

    @property
    def requires(self) -> frozenset[str]:
        """The launch types that it was registered for: ``FARGATE``, ``EC2``, …; empty when it does not say."""
        return frozenset(str(each) for each in self.document.get("requiresCompatibilities") or ())

    @property
    def network_mode(self) -> str:
        """``awsvpc`` takes a network configuration, the others refuse one; ``bridge`` is the default on EC2."""
        return str(self.document.get("networkMode") or "bridge")

    @property
    def platform(self) -> Platform:
        """What its tasks run on. What it does not say is Fargate's default on Fargate, and is not known elsewhere."""
        said = self.document.get("runtimePlatform") or {}
        default = FARGATE_PLATFORM if self.requires == {"FARGATE"} else Platform()
        return Platform(
            said.get("cpuArchitecture") or default.cpu,
            said.get("operatingSystemFamily") or default.operating_system,
        )

    @property
    def containers(self) -> tuple[Mapping[str, Any], ...]:
        """The container definitions."""
        return tuple(self.document.get("containerDefinitions") or ())

    def container(self, name: str) -> Mapping[str, Any] | None:
        """Return the container definition of that name."""
        return next((c for c in self.containers if c.get("name") == name), None)

    def image(self, *containers: str) -> str | None:
        """Return the image of a container, or of several that run the same one; None when there is no such image."""
        found = {str((self.container(name) or {}).get("image") or "") for name in containers}
        return found.pop() or None if len(found) == 1 else None

    def environment(self, container: str) -> dict[str, str]:
        """Return the plain environment variables of a container."""
        entries = (self.container(container) or {}).get("environment") or ()
        return {str(entry.get("name")): str(entry.get("value") or "") for entry in entries}

    @property
    def role_arns(self) -> tuple[str, ...]:
        """The task role and the execution role, those that are set."""
        found = (self.document.get(key) for key in ("taskRoleArn", "executionRoleArn"))
        return tuple(dict.fromkeys(str(arn) for arn in found if arn))

    @property
    def secret_references(self) -> tuple[str, ...]:
        """Every ``valueFrom`` of ``secrets`` and of ``logConfiguration.secretOptions``: names or ARNs, never values."""
        secrets = (
            secret.get("valueFrom")
            for c in self.containers
            for secret in (*(c.get("secrets") or ()), *((c.get("logConfiguration") or {}).get("secretOptions") or ()))
        )
        return tuple(dict.fromkeys(str(reference) for reference in secrets if reference))

    @property
    def registry_credentials(self) -> tuple[str, ...]:
        """Every ``repositoryCredentials.credentialsParameter``: a secret's ARN, or its name in the own region."""
        found = ((c.get("repositoryCredentials") or {}).get("credentialsParameter") for c in self.containers)
        return tuple(dict.fromkeys(str(reference) for reference in found if reference))

    @property
    def environment_files(self) -> tuple[str, ...]:
        """The ARNs of all ``environmentFiles``."""
        found = (each.get("value") for c in self.containers for each in c.get("environmentFiles") or ())
        return tuple(dict.fromkeys(str(arn) for arn in found if arn))

    def log_target(self, container: str) -> LogTarget | None:
        """Return where a container's lines can be read; None for another log driver."""
        log = (self.container(container) or {}).get("logConfiguration") or {}
        options = log.get("options") or {}
        if log.get("logDriver") != "awslogs" or not options.get("awslogs-group"):
            return None
        return LogTarget(str(options["awslogs-group"]), options.get("awslogs-stream-prefix"))

    @property
    def log_groups(self) -> tuple[LogGroup, ...]:
        """The log groups that have to exist before a task starts."""
        found = (
            (log.get("options") or {})
            for c in self.containers
            if (log := c.get("logConfiguration") or {}).get("logDriver") == "awslogs"
        )
        wanted = (
            LogGroup(str(o["awslogs-group"]), o.get("awslogs-region"))
            for o in found
            if o.get("awslogs-group") and not _creates_group(o)
        )
        return tuple(dict.fromkeys(wanted))


def _creates_group(options: Mapping[str, str]) -> bool:
    return str(options.get("awslogs-create-group", "")).lower() == "true"


def is_revision_of(arn: str, family: str) -> bool:
    """Whether an ARN, ``…:task-definition/<family>:<revision>``, is of that family.

    A service that runs another family than the one it registered runs a stand-in: the placeholder from before
    the first code deploy. New revisions are then made from the family's own newest one.
    """
    return family_of(arn) == family


def family_of(arn: str) -> str:
    """Return the family of a revision's ARN, ``…:task-definition/<family>:<revision>``."""
    return arn.rsplit("/", 1)[-1].rpartition(":")[0]


def copy_of(definition: TaskDefinition, accepted: Iterable[str]) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request for a revision with the same content.

    Parameters
    ----------
    definition
        The revision to copy. The tags that AWS has set itself are not copied: AWS refuses them.
    accepted
        The member names of RegisterTaskDefinition's input, from botocore's own service model: a field
        that a newer botocore knows is kept without a change here.
    """
    accepted = frozenset(accepted)
    request = {
        key: value
        for key, value in definition.document.items()
        if key in accepted and key not in READ_ONLY and value is not None
    }
    tags = [dict(tag) for tag in definition.tags if not _is_reserved(tag)]
    return {**request, "tags": tags} if tags else request


def with_image(
    definition: TaskDefinition, changed: Collection[str], image: str, accepted: Iterable[str]
) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request for the definition with one image changed.

    Parameters
    ----------
    definition, accepted
        As in ``copy_of``.
    changed, image
        The containers to change; every other container, sidecars included, is untouched.
    """
    containers = [{**c, "image": image} if c.get("name") in changed else c for c in definition.containers]
    return {**copy_of(definition, accepted), "containerDefinitions": containers}


def _is_reserved(tag: Mapping[str, str]) -> bool:
    return any(str(tag.get(part, "")).lower().startswith(RESERVED_PREFIX) for part in ("key", "value"))


def same_content(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two RegisterTaskDefinition requests would make the same revision. Tags count, their order does not.

    ECS gives lists of objects, such as the environment, back in an order of its own, and what is empty as missing or
    as empty: neither makes a difference.
    """
    return bool(_comparable(left) == _comparable(right))


def is_twin(left: TaskDefinition, right: TaskDefinition) -> bool:
    """Whether tasks of two revisions are the same: all but number, status and tags. A lost field may differ."""
    if left.lost or right.lost:
        return left.arn == right.arn
    one, other = ({k: v for k, v in d.document.items() if k not in READ_ONLY} for d in (left, right))
    return same_content(one, other)


def _comparable(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        members = {name: _comparable(item, name) for name, item in value.items()}
        return {name: item for name, item in members.items() if item not in (None, [], {})}
    if isinstance(value, list | tuple):
        items = [_comparable(item) for item in value]
        is_set = key not in ORDERED and all(isinstance(item, Mapping) for item in value)
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str)) if is_set else items
    return value
