"""The account in which all tools deploy: ten services on one emulator, and Stepship's coordinator beside them.

It is the road of ``docs/how-to/adopt.md``: services that exist already, one stack more. The config is
``config/dev.toml`` with the smallest bake, so that a run does not last minutes. Everything else that is measured is as
committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import config
from tests.e2e.cloud import ACCOUNT, REGION, Cloud, wait_until
from tests.e2e.emulator import Emulator
from tests.e2e.infrastructure import ENVIRONMENT, Changes, config_folder, deploy_stacks, synthesise
from tools.benchmarks.peers import record

STEADY_PATH = "/_benchmark/steady"
"""The launcher's own; it cannot be imported here, because it imports the emulator."""

CLUSTER = "v3-backend-dev"
REPOSITORY = "v3-backend"
CONTAINER = "web"
GROUP = "/v3-backend/dev/bench"
ROLE_PATH, ROLE = "/v3-backend/dev/", "bench-task"
SERVICES = tuple(f"s{number:02}" for number in range(1, 11))
"""Names in the registry and in ECS."""

TASKS = 2
"""Of each service: the smallest number that survives the loss of one."""

BAKE_SECONDS = 1
ROLLOUT_SECONDS = 8.0
"""From the start of a task until the emulated ECS counts it as steady."""

QUICK_SECONDS = 0.2
"""The same while nothing is measured."""

CRASH_SECONDS = 1.0
"""How long the crashing container lives."""

CHANGES: Changes = {
    ("platform", "enabled"): "false",
    ("rollout", "bake_seconds"): str(BAKE_SECONDS),
    ("rollout", "bake_poll_seconds"): str(BAKE_SECONDS),
}


@dataclass
class Scene:
    """The account, ready to be deployed to.

    Attributes
    ----------
    cloud
        How to reach it.
    file
        The emulator's record.
    """

    cloud: Cloud
    file: Path
    _pushed: int = 0

    def image(self, crashing: str | None = None) -> tuple[str, str]:
        """Push a new image; ``crashing`` names the one service whose container ends. Returns tag and digest."""
        self._pushed += 1
        tag = f"v{self._pushed}"
        behavior = {crashing: {"exit_code": 1, "seconds": CRASH_SECONDS, "logs": ["no QUEUE_URL"]}} if crashing else {}
        return tag, self.cloud.push(tag, behavior)

    def read(self, since: float, until: float) -> record.Record:
        """Read the emulator's record between two moments (unix seconds)."""
        return record.read(self.file, since, until)

    def services(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Describe services."""
        answer = self.cloud.client("ecs").describe_services(cluster=CLUSTER, services=list(names))
        return list(answer["services"])

    def reset(self, names: Sequence[str], digest: str, breaker: dict[str, Any]) -> dict[str, str]:
        """Put services on a fresh revision with a good image, wait until they are steady; returns name to ARN.

        What is measured next begins in the same world whatever the tool before has left, such as a deregistered
        revision.
        """
        self.steady_seconds(QUICK_SECONDS)
        ecs = self.cloud.client("ecs")
        arns = {}
        for name in names:
            arns[name] = self.register(name, digest)
            ecs.update_service(
                cluster=CLUSTER,
                service=name,
                taskDefinition=arns[name],
                deploymentConfiguration={"deploymentCircuitBreaker": breaker},
            )
        wait_until(lambda: self.settled(arns) or None, "the services are steady")
        self.steady_seconds(ROLLOUT_SECONDS)
        return arns

    def settled(self, arns: dict[str, str]) -> bool:
        """Whether each service runs this revision, steadily and nothing else."""
        return all(
            len(each["deployments"]) == 1
            and each["taskDefinition"] == arns[each["serviceName"]]
            and each["deployments"][0]["rolloutState"] == "COMPLETED"
            for each in self.services(list(arns))
        )

    def register(self, name: str, digest: str) -> str:
        """Register a revision as the stacks of a small service do; returns its ARN."""
        role = f"arn:aws:iam::{ACCOUNT}:role{ROLE_PATH}{ROLE}"
        answer = self.cloud.client("ecs").register_task_definition(
            family=name,
            cpu="256",
            memory="512",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            executionRoleArn=role,
            taskRoleArn=role,
            runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            containerDefinitions=[
                {
                    "name": CONTAINER,
                    "image": f"{self.uri}@{digest}",
                    "essential": True,
                    # The emulated container looks its behaviour up by its command.
                    "command": [name],
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": GROUP,
                            "awslogs-region": REGION,
                            "awslogs-stream-prefix": name,
                        },
                    },
                }
            ],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    @property
    def uri(self) -> str:
        """The repository as an image names it."""
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}"

    def steady_seconds(self, seconds: float) -> None:
        """Say how long the emulated ECS watches a task until it counts."""
        request = Request(f"{self.cloud.url}{STEADY_PATH}", str(seconds).encode(), method="POST")  # noqa: S310 (our own)
        with urlopen(request, timeout=10):  # noqa: S310 (our own address)
            pass


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Start the emulator in real time, make the services, deploy the coordinator; all is gone after the block."""
    file = folder / "record.jsonl"
    settings = config_folder(folder / "config", CHANGES)
    toml = settings / f"{ENVIRONMENT}.toml"
    toml.write_text(toml.read_text(encoding="utf-8") + _tables(), encoding="utf-8")
    record_here = {"STEPSHIP_RECORD": str(file)}
    with Emulator(
        folder, launcher="tools.benchmarks.peers.launcher", wait_scale=1.0, variables=record_here
    ) as emulator:
        cloud = Cloud(emulator.url, config.load(ENVIRONMENT, settings))
        made = Scene(cloud, file)
        _make_surroundings(made)
        _make_services(made)
        synthesise(cloud, settings, folder / "stacks")
        cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(folder / "stacks"))
        deploy_stacks(cloud, folder / "stacks", "--all")
        yield made


def _tables() -> str:
    """Return the registry of the services as ``config/dev.toml`` has it; all in one wave, as the peers deploy."""
    table = (
        '\n[services.{0}]\ncluster = "{1}"\nservice = "{0}"\nfamily = "{0}"\ncontainer = "{2}"\n'
        'repository = "{3}"\nwave = 1\n'
    )
    return "".join(table.format(name, CLUSTER, CONTAINER, REPOSITORY) for name in SERVICES)


def _make_surroundings(made: Scene) -> None:
    """Make what the services and the preflight of a deploy need."""
    cloud = made.cloud
    cloud.client("ecr").create_repository(repositoryName=REPOSITORY)
    cloud.client("iam").create_role(RoleName=ROLE, Path=ROLE_PATH, AssumeRolePolicyDocument="{}")
    cloud.client("logs").create_log_group(logGroupName=GROUP)
    for alarm in cloud.settings.circuit_breaker.alarms:
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=alarm,
            Namespace="Bench",
            MetricName="Errors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
    cloud.client("ecs").create_cluster(clusterName=CLUSTER)


def _make_services(made: Scene) -> None:
    made.steady_seconds(QUICK_SECONDS)
    _, digest = made.image()
    subnet = made.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    arns = {name: made.register(name, digest) for name in SERVICES}
    for name, arn in arns.items():
        made.cloud.client("ecs").create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=arn,
            desiredCount=TASKS,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
        )
    wait_until(lambda: made.settled(arns) or None, "the first tasks are steady")
