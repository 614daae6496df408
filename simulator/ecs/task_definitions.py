"""Task definitions that lose nothing.

moto 5.2.5 registers a subset of the fields of `RegisterTaskDefinition` (its response class names them one by one,
without `enableFaultInjection` for instance) and overwrites some (`networkMode` becomes `awsvpc` on Fargate). The
product copies a revision and changes one image, so a lost field would hide a real bug: here the request is kept as
it came, and AWS' defaults are added when it is described.

moto's own object is registered as well: tags, ListTaskDefinitionFamilies and DeleteTaskDefinitions work on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any

from moto.ecs.exceptions import (
    EcsClientException,
    InvalidParameterException,
    RevisionNotFoundException,
    TaskDefinitionNotFoundException,
)
from moto.ecs.models import EC2ContainerServiceBackend, TaskDefinition

from simulator.ecs.context import EcsContext, timestamp

Json = dict[str, Any]

CONTAINER_DEFAULTS: Json = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}
"""What AWS adds to each container definition that does not say it."""


GONE = "GONE"
"""Our own status of a deleted revision: ECS no longer knows it, and its number is not given again."""

RESERVED_PREFIX = "aws:"
"""Of the tags that AWS sets itself, in any case of the letters (ECS API Reference, Tag)."""


def page(key: str, items: Sequence[object], request: Json, *, default: int) -> Json:
    """One page of a list call: `nextToken` is the position, opaque to the caller as on AWS."""
    start = int(request.get("nextToken") or 0)
    end = start + int(request.get("maxResults") or default)
    return {key: list(items[start:end]), **({"nextToken": str(end)} if end < len(items) else {})}


class TaskDefinitions:
    """The task definitions of one account and region."""

    def __init__(self, backend: EC2ContainerServiceBackend, simulated: EcsContext) -> None:
        self._backend, self._world = backend, simulated
        # Our own index: what DeleteTaskDefinitions removes from moto's can still be described and run by a service.
        self._models: dict[str, dict[int, TaskDefinition]] = {}
        self._requests: dict[str, Json] = {}
        self._registered_at: dict[str, float] = {}
        self._deregistered_at: dict[str, float] = {}
        self._newer: dict[str, Json] = {}

    def register_task_definition(self, request: Json) -> Json:
        """RegisterTaskDefinition: a new revision. Revisions only grow, even when the newest one was deleted.

        Raises
        ------
        EcsClientException
            If AWS would refuse the definition, as far as moto knows.
        """
        family = request["family"]
        if not request.get("containerDefinitions"):
            raise EcsClientException("Container list cannot be empty.")
        for tag in request.get("tags") or ():
            if any(str(word).lower().startswith(RESERVED_PREFIX) for word in (tag.get("key"), tag.get("value"))):
                raise InvalidParameterException(f"Tag keys and values must not begin with {RESERVED_PREFIX}")
        model = self._backend.register_task_definition(
            family=family,
            container_definitions=deepcopy(request["containerDefinitions"]),
            volumes=deepcopy(request.get("volumes")),
            tags=deepcopy(request.get("tags")),
            requires_compatibilities=request.get("requiresCompatibilities"),
            cpu=request.get("cpu"),
            memory=request.get("memory"),
            pid_mode=request.get("pidMode"),
        )
        revisions = self._models.setdefault(family, {})
        revision = max(revisions, default=0) + 1
        if model.revision != revision:
            moto_revisions = self._backend.task_definitions[family]
            moto_revisions[revision] = moto_revisions.pop(model.revision)
            model.revision, model.arn = revision, f"{model.arn.rpartition(':')[0]}:{revision}"
        revisions[revision] = model
        self._requests[model.arn] = deepcopy(request)
        self._registered_at[model.arn] = self._world.now()
        return {"taskDefinition": self._shape(model), "tags": model.tags}

    def describe_task_definition(self, request: Json) -> Json:
        """DescribeTaskDefinition, also of an INACTIVE revision; tags if `include` asks for them."""
        model = self.find(request["taskDefinition"])
        with_tags = "TAGS" in request.get("include", [])
        return {"taskDefinition": self._shape(model), **({"tags": model.tags} if with_tags else {})}

    def deregister_task_definition(self, request: Json) -> Json:
        """DeregisterTaskDefinition: INACTIVE, still described, still run by the services that use it."""
        reference = request["taskDefinition"]
        if ":" not in reference.rpartition("/")[2]:
            raise RevisionNotFoundException
        model = self.find(reference)
        model.status = "INACTIVE"
        self._deregistered_at.setdefault(model.arn, self._world.now())
        return {"taskDefinition": self._shape(model)}

    def delete_task_definitions(self, request: Json) -> Json:
        """DeleteTaskDefinitions: DELETE_IN_PROGRESS until nothing refers to the revision any more, then it is gone."""
        deleted, failures = [], []
        for reference in request["taskDefinitions"]:
            model = self.find(reference)
            if model.status == "ACTIVE":
                failures.append(
                    {"arn": model.arn, "reason": "The specified task definition is still in ACTIVE status."}
                )
                continue
            model.status = "DELETE_IN_PROGRESS"
            deleted.append(self._shape(model))
        return {"taskDefinitions": deleted, "failures": failures}

    def forget_deleted(self, used: Collection[str]) -> None:
        """Let go of the deleted revisions that no service and no task uses (ARNs)."""
        for revisions in self._models.values():
            for model in revisions.values():
                if model.status == "DELETE_IN_PROGRESS" and model.arn not in used:
                    model.status = GONE

    def carry_newer_field(self, reference: str, member: str, value: object) -> None:
        """Let a revision have a member that the SDK here does not know, as AWS adds them over the years.

        Parameters
        ----------
        reference
            As in `find`.
        member
            Of the task definition; ``containerDefinitions.x`` for one of its first container.
        """
        self._newer.setdefault(self.find(reference).arn, {})[member] = value

    def list_task_definitions(self, request: Json) -> Json:
        """ListTaskDefinitions: ordered by family and revision; `familyPrefix` is a whole family name on AWS too."""
        arns = [
            revisions[number].arn
            for family, revisions in sorted(self._models.items())
            for number in sorted(revisions)
            if request.get("familyPrefix") in (None, family)
            and revisions[number].status == request.get("status", "ACTIVE")
        ]
        return page("taskDefinitionArns", arns[::-1] if request.get("sort") == "DESC" else arns, request, default=100)

    def describe(self, reference: str) -> Json:
        """`TaskDefinition` of the ECS API for a reference as in `find`."""
        return self._shape(self.find(reference))

    def find(self, reference: str) -> TaskDefinition:
        """Return moto's object, which carries ARN, status and tags.

        Parameters
        ----------
        reference
            ARN, `family:revision`, or `family` for the latest ACTIVE revision.

        Raises
        ------
        TaskDefinitionNotFoundException
            If there is none.
        """
        family, _, revision = reference.rpartition("/")[2].partition(":")
        revisions = self._models.get(family, {})
        if revision:
            model = revisions.get(int(revision)) if revision.isdigit() else None
        else:
            active = [each for each in revisions.values() if each.status == "ACTIVE"]
            model = max(active, key=lambda each: each.revision, default=None)
        if model is None or model.status == GONE:
            raise TaskDefinitionNotFoundException
        return model

    def _shape(self, model: TaskDefinition) -> Json:
        request = deepcopy(self._requests[model.arn])
        request.pop("tags", None)
        is_fargate = "FARGATE" in request.get("requiresCompatibilities", [])
        network_mode = request.get("networkMode") or ("awsvpc" if is_fargate else "bridge")
        containers = [CONTAINER_DEFAULTS | container for container in request["containerDefinitions"]]
        for container in containers:
            container["portMappings"] = [_port_mapping(each, network_mode) for each in container["portMappings"]]
        for member, value in self._newer.get(model.arn, {}).items():
            of, _, name = member.rpartition(".")
            (containers[0] if of else request)[name] = value
        deregistered = self._deregistered_at.get(model.arn)
        return {
            "volumes": [],
            "placementConstraints": [],
            **request,
            "containerDefinitions": containers,
            "networkMode": network_mode,
            "taskDefinitionArn": model.arn,
            "revision": model.revision,
            "status": model.status,
            "compatibilities": ["EC2", "FARGATE"] if network_mode == "awsvpc" else ["EC2"],
            "registeredAt": timestamp(self._registered_at[model.arn]),
            "registeredBy": f"arn:aws:iam::{self._backend.account_id}:root",
        } | ({"deregisteredAt": timestamp(deregistered)} if deregistered is not None else {})


def _port_mapping(mapping: Json, network_mode: str) -> Json:
    # In awsvpc the host port is the container port; AWS writes it back, so a copied revision differs from the input.
    has_host_port = network_mode == "awsvpc" and "containerPort" in mapping
    host_port = {"hostPort": mapping["containerPort"]} if has_host_port else {}
    return {**host_port, "protocol": "tcp", **mapping}
