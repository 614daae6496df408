"""What the account is like, by AWS's own API, compared with ``simulator/environment/invariant.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lambdas.aws.releases_table import ReleasesTable
from lambdas.release.catalog import MIGRATION
from lambdas.release.codec import encode
from lambdas.release.history import DeploymentRecord
from simulator.environment.invariant import violations
from simulator.environment.snapshot import Snapshot
from stacks.names import Names
from tests.e2e.cloud import Cloud, Json

HISTORY = 100

# Not from stacks/constructs/carried_image.py: that would start the CDK in this process.
SERVICES = ("api", "worker", "scheduler")
WORKLOADS = (*SERVICES, MIGRATION)


@dataclass
class Ended:
    """An execution as the invariant looks at it."""

    name: str
    input_json: str
    status: str
    ended_at: float | None
    output: Any
    path: list[str]
    earlier: Sequence[Ended] = ()

    @property
    def ended(self) -> bool:
        """Whether it has a final status."""
        return self.status != "RUNNING"

    @property
    def state(self) -> str:
        """Name of the state that it entered last."""
        return self.path[-1] if self.path else ""


class _Table(ReleasesTable):
    """The product's own view of its table, by a client of the emulator."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud.settings.identity.table)
        self._cloud = cloud

    @property
    def client(self) -> Any:
        return self._cloud.client("dynamodb")


@dataclass
class Observer:
    """Looks at one environment.

    Parameters
    ----------
    cloud
        The account.
    """

    cloud: Cloud
    _ran_at_end: dict[str, dict[str, str]] = field(default_factory=dict)
    _paths: dict[str, list[str]] = field(default_factory=dict)
    _inputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Derive the names from the config."""
        self.table = _Table(self.cloud)
        self.names = Names(self.cloud.settings)

    def services(self) -> dict[str, Json]:
        """Return the services by name: ``taskDefinition``, ``image``, ``running``, ``desired``, ``rolloutState``."""
        ecs = self.cloud.client("ecs")
        wanted = {self.names.service(name): name for name in SERVICES}
        found = ecs.describe_services(cluster=self.names.cluster, services=list(wanted))["services"]
        return {wanted[each["serviceName"]]: self._service(each) for each in found}

    def parameters(self) -> dict[str, str]:
        """Return the parameters that code deploys write: the tag and the images."""
        identity = self.cloud.settings.identity
        pages = self.cloud.client("ssm").get_paginator("get_parameters_by_path")
        below = pages.paginate(Path=self.names.parameter_path, Recursive=True)
        every = {each["Name"]: each["Value"] for page in below for each in page["Parameters"]}
        return {
            name: value
            for name, value in every.items()
            if name == identity.tag_parameter or name.startswith(identity.images_path)
        }

    def tag(self) -> str:
        """Return the current tag."""
        return self.parameters()[self.cloud.settings.identity.tag_parameter]

    def record(self, execution: str) -> DeploymentRecord:
        """Return the record of an execution in the history."""
        (found,) = [each for each in self.table.history(HISTORY) if each.execution == execution]
        return found

    def look(self) -> tuple[dict[str, Json], dict[str, str]]:
        """Return what a deployment can change: services and parameters."""
        return self.services(), self.parameters()

    def note(self, ended: Json) -> None:
        """Remember what runs now that this execution has just succeeded."""
        if ended["status"] == "SUCCEEDED":
            self._ran_at_end[ended["name"]] = {name: each["image"] for name, each in self.services().items()}

    def violations(self) -> tuple[str, ...]:
        """Compare the world at rest with the invariant."""
        runs = [self._run(each) for each in self.cloud.executions()]
        return violations(self._snapshot(), runs)

    def _run(self, listed: Json) -> Ended:
        arn = listed["executionArn"]
        if arn not in self._paths:
            self._paths[arn] = self.cloud.path(arn)
            self._inputs[arn] = self.cloud.describe(arn)["input"]
        ended_at = listed.get("stopDate")
        output = None
        if listed["status"] == "SUCCEEDED" and listed["name"] in self._ran_at_end:
            output = self.cloud.finish(arn)["output"]
        return Ended(
            name=listed["name"],
            input_json=self._inputs[arn],
            status=listed["status"],
            ended_at=ended_at and ended_at.timestamp(),
            output=output,
            path=self._paths[arn],
        )

    def _snapshot(self) -> Snapshot:
        identity = self.cloud.settings.identity
        lock, live = self.table.read_lock(), self.table.live()
        return Snapshot(
            services=self.services(),
            parameters=self.parameters(),
            lock=lock.holder.execution if lock.holder else None,
            history=tuple(
                {"execution": each.execution.rsplit(":", 1)[-1], "outcome": encode(each.outcome)}
                for each in self.table.history(HISTORY)
            ),
            live=live.release_id if live else None,
            live_tag=live.image_tag if live else None,
            live_images=live.images if live else {},
            journal=lock.journal is not None,
            tag_parameter=identity.tag_parameter,
            images_path=identity.images_path,
            ran_at_end=self._ran_at_end,
            migrations=self._migrations(),
        )

    def _service(self, described: Json) -> Json:
        primary = next(each for each in described["deployments"] if each["status"] == "PRIMARY")
        return {
            "taskDefinition": described["taskDefinition"],
            "image": self._image(described["taskDefinition"]),
            "running": described["runningCount"],
            "desired": described["desiredCount"],
            "rolloutState": primary["rolloutState"],
        }

    def _image(self, task_definition: str) -> str:
        return str(self.task_definition(task_definition)["containerDefinitions"][0]["image"])

    def task_definition(self, arn: str) -> Json:
        """Describe a task definition."""
        answer = self.cloud.client("ecs").describe_task_definition(taskDefinition=arn)
        definition: Json = answer["taskDefinition"]
        return definition

    def _migrations(self) -> Counter[str]:
        """Count the migration tasks by the release that started them."""
        ecs, cluster = self.cloud.client("ecs"), self.names.cluster
        tasks: list[Json] = []
        for status in ("RUNNING", "STOPPED"):
            pages = ecs.get_paginator("list_tasks").paginate(
                cluster=cluster, family=self.names.service(MIGRATION), desiredStatus=status
            )
            for page in pages:
                if page["taskArns"]:
                    tasks += ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"])["tasks"]
        return Counter(each["startedBy"] for each in tasks)
