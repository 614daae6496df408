"""A small world for the tests of the simulated ECS and ECR: one cluster, one repository, a clock that one sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from simulator.ecs.backend import installed, live_ecs
from simulator.ecs.context import EcsContext
from simulator.ecs.ecr import push_image
from simulator.ecs.images import HEALTHY, ImageBehavior
from simulator.ecs.operations import EcsOperations

REGION = "eu-central-1"
ACCOUNT = "123456789012"
START = 1_800_000_000.0
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@dataclass
class SetClock:
    """A clock that stands still until a test moves it."""

    time: float = START

    def now(self) -> float:
        return self.time


@dataclass
class Account:
    """An AWS account in which a test deploys."""

    clock: SetClock
    simulated: EcsContext
    ecs: Any = field(init=False)
    ecr: Any = field(init=False)
    logs: Any = field(init=False)

    def __post_init__(self) -> None:
        self.ecs = boto3.client("ecs", region_name=REGION)
        self.ecr = boto3.client("ecr", region_name=REGION)
        self.logs = boto3.client("logs", region_name=REGION)
        self.ecs.create_cluster(clusterName="c")
        self.ecr.create_repository(repositoryName="app")
        self.logs.create_log_group(logGroupName="/app")

    @property
    def live(self) -> EcsOperations:
        return live_ecs(ACCOUNT, REGION)

    def wait(self, seconds: float) -> None:
        self.clock.time += seconds

    def push(self, tag: str, behavior: ImageBehavior = HEALTHY, **options: Any) -> str:
        digest = push_image(self.ecr, "app", tag, behavior, **options)
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app@{digest}"

    def register(self, image: str, *, family: str = "api", log_group: str = "/app", **fields: Any) -> str:
        log_options = {"awslogs-group": log_group, "awslogs-region": REGION, "awslogs-stream-prefix": "ecs"}
        container = {
            "name": f"app-{family}",
            "image": image,
            "portMappings": [{"containerPort": 8080}],
            "healthCheck": {"command": ["CMD", "true"]},
            "logConfiguration": {"logDriver": "awslogs", "options": log_options},
        }
        answer = self.ecs.register_task_definition(
            **{
                "family": family,
                "containerDefinitions": [container],
                "requiresCompatibilities": ["FARGATE"],
                "networkMode": "awsvpc",
                "cpu": "256",
                "memory": "512",
                **fields,
            }
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create_service(self, task_definition: str, *, name: str = "api", desired: int = 2, **fields: Any) -> None:
        self.ecs.create_service(
            **{
                "cluster": "c",
                "serviceName": name,
                "taskDefinition": task_definition,
                "desiredCount": desired,
                "launchType": "FARGATE",
                "networkConfiguration": NETWORK,
                "deploymentConfiguration": BREAKER,
                **fields,
            }
        )

    def service(self, name: str = "api") -> dict[str, Any]:
        services: list[dict[str, Any]] = self.ecs.describe_services(cluster="c", services=[name])["services"]
        return services[0]

    def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster="c", **filters)["taskArns"]
        if not arns:
            return []
        tasks: list[dict[str, Any]] = self.ecs.describe_tasks(cluster="c", tasks=arns)["tasks"]
        return tasks

    def run(self, task_definition: str, **fields: Any) -> dict[str, Any]:
        answer = self.ecs.run_task(
            cluster="c",
            taskDefinition=task_definition,
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            **fields,
        )
        task: dict[str, Any] = answer["tasks"][0]
        return task

    def task(self, arn: str) -> dict[str, Any]:
        task: dict[str, Any] = self.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
        return task

    def log_lines(self, task: dict[str, Any]) -> list[tuple[float, str]]:
        """(seconds since START, line) of the first container of a task."""
        name = f"ecs/{task['containers'][0]['name']}/{task['taskArn'].rpartition('/')[2]}"
        events = self.logs.get_log_events(logGroupName="/app", logStreamName=name, startFromHead=True)["events"]
        return [(round(each["timestamp"] / 1000 - START, 3), each["message"]) for each in events]


@contextmanager
def simulated_account() -> Iterator[Account]:
    """An account with a cluster `c`, a repository `app` and a log group `/app`."""
    clock = SetClock()
    simulated = EcsContext(clock)
    with installed(simulated), mock_aws():
        yield Account(clock, simulated)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with simulated_account() as account:
        yield account
