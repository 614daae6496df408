"""From a task definition to a task: which image runs, whether it can start, where its log lines go.

It looks into moto's ECR and CloudWatch Logs at the moment of the launch, as the agent of ECS does: a tag is resolved
then, an image that a lifecycle rule has removed cannot be pulled, a log group that nobody created stops the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from moto.ecr.models import ecr_backends
from moto.logs.models import LogGroup, LogsBackend, logs_backends

from simulator.ecs.context import EcsContext
from simulator.ecs.images import ImageBehavior
from simulator.ecs.task_definitions import TaskDefinitions
from simulator.ecs.tasks import ContainerSpec, SimulatedTask, TaskSpec, Transition

ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^@:]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]+))?$"
)
PLATFORMS = {"X86_64": "amd64", "ARM64": "arm64"}
"""`runtimePlatform.cpuArchitecture` of ECS in the words of an OCI manifest."""


@dataclass(frozen=True)
class PulledImage:
    """What a reference means now. `failure` is the reason why it cannot be pulled, empty if it can."""

    digest: str | None = None
    is_index: bool = False
    failure: str = ""


class Launcher:
    """Resolves launches and writes logs for one account and region."""

    def __init__(self, account_id: str, region: str, simulated: EcsContext, definitions: TaskDefinitions) -> None:
        self._account_id, self._region = account_id, region
        self._world = simulated
        self._definitions = definitions

    def resolve(self, task_definition: str, network: Mapping[str, Any] | None = None) -> TaskSpec:
        """What a task of this task definition is if it is launched now.

        Parameters
        ----------
        task_definition
            ARN, also of an INACTIVE revision.
        network
            `networkConfiguration` of the service or the RunTask call.
        """
        definition = self._definitions.describe(task_definition)
        pulled = {each["name"]: self.pull(each["image"]) for each in definition["containerDefinitions"]}
        containers = tuple(
            ContainerSpec(
                name=each["name"],
                image=each["image"],
                digest=pulled[each["name"]].digest,
                has_health_check="healthCheck" in each,
                cpu=each["cpu"],
            )
            for each in definition["containerDefinitions"]
        )
        main = self._main(containers, definition)
        behavior = self._world.images.behavior_of(main.digest, main.name)
        failures = [each.failure for each in pulled.values() if each.failure]
        wanted = PLATFORMS.get(definition.get("runtimePlatform", {}).get("cpuArchitecture", ""))
        offered = self._world.images.architectures_of(main.digest)
        if wanted and offered and wanted not in offered:
            if pulled[main.name].is_index:
                failures.append(
                    "CannotPullContainerError: image Manifest does not contain descriptor matching platform "
                    f"'linux/{wanted}'"
                )
            # A single manifest is not checked when it is pulled: the kernel refuses to run it.
            wrong_machine = ("exec /app/entrypoint: exec format error",)
            behavior = replace(behavior, outcome="crash", crash_seconds=1, exit_code=1, logs=wrong_machine)
        if not failures and not self._log_groups_exist(definition):
            failures.append(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
                "exist. : exit status 1"
            )
        return TaskSpec(
            task_definition_arn=definition["taskDefinitionArn"],
            main=main,
            behavior=behavior,
            containers=containers,
            start_failure=failures[0] if failures else None,
            cpu=definition.get("cpu"),
            memory=definition.get("memory"),
            network=_attachments(network),
        )

    def pull(self, image: str) -> PulledImage:
        """Resolve a reference to a digest. Images outside ECR always exist: the simulator has no internet."""
        match = ECR_IMAGE.match(image)
        if match is None:
            return PulledImage(image.partition("@")[2] or None)
        repositories = ecr_backends[match["account"]][match["region"]].repositories
        repository = repositories.get(match["repository"])
        tag = match["tag"] if match["tag"] or match["digest"] else "latest"
        for each in repository.images if repository else ():
            digest = each.get_image_digest()
            if digest == match["digest"] or (match["digest"] is None and tag in each.image_tags):
                media_type = each.image_manifest_media_type or ""
                return PulledImage(digest, is_index="index" in media_type or "manifest.list" in media_type)
        return PulledImage(
            match["digest"],
            failure="CannotPullContainerError: pull image manifest has been retried 1 time(s): "
            f"failed to resolve ref {image}: {image}: not found",
        )

    def record(self, task: SimulatedTask, transition: Transition) -> None:
        """Write the log lines that belong to a transition, at its virtual time."""
        if transition.kind not in ("running", "exited"):
            return
        lines = task.spec.behavior.logs
        exits = any(each.kind == "exited" for each in task.timeline)
        definition = self._definitions.describe(task.spec.task_definition_arn)
        for container in definition["containerDefinitions"]:
            if (group := self._log_group(container)) is None:
                continue
            prefix = container["logConfiguration"]["options"].get("awslogs-stream-prefix", "ecs")
            stream = f"{prefix}/{container['name']}/{task.id}"
            if stream not in group.streams:
                group.create_log_stream(stream)
            speaks = container["name"] == task.spec.main.name and (transition.kind == "exited" or not exits)
            if speaks and lines:
                # Straight into the group: moto's PutLogEvents compares virtual timestamps with the real time.
                start = int(transition.at * 1000) - (len(lines) if transition.kind == "exited" else 0)
                events = [{"timestamp": start + index, "message": line} for index, line in enumerate(lines)]
                group.put_log_events(stream, events)

    def _main(self, containers: tuple[ContainerSpec, ...], definition: Mapping[str, Any]) -> ContainerSpec:
        images = self._world.images
        known = [each for each in containers if images.knows(each.digest)]
        troubled = [each for each in known if images.behavior_of(each.digest, each.name) != ImageBehavior()]
        essential = {each["name"] for each in definition["containerDefinitions"] if each["essential"]}
        return next(iter([*troubled, *known, *(each for each in containers if each.name in essential), *containers]))

    def _log_groups_exist(self, definition: Mapping[str, Any]) -> bool:
        return all(
            self._log_group(container) is not None
            for container in definition["containerDefinitions"]
            if _is_awslogs(container)
        )

    def _log_group(self, container: Mapping[str, Any]) -> LogGroup | None:
        if not _is_awslogs(container):
            return None
        options = container["logConfiguration"]["options"]
        backend: LogsBackend = logs_backends[self._account_id][options.get("awslogs-region", self._region)]
        name = options["awslogs-group"]
        if options.get("awslogs-create-group") == "true":
            backend.ensure_log_group(name)
        return backend.groups.get(name)


def _is_awslogs(container: Mapping[str, Any]) -> bool:
    return bool(container.get("logConfiguration", {}).get("logDriver") == "awslogs")


def _attachments(network: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    subnets = (network or {}).get("awsvpcConfiguration", {}).get("subnets", [])
    if not subnets:
        return ()
    interface = sha256(subnets[0].encode()).hexdigest()[:17]
    details = [{"name": "subnetId", "value": subnets[0]}, {"name": "networkInterfaceId", "value": f"eni-{interface}"}]
    return ({"id": interface, "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": details},)
