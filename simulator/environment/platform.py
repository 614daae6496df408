"""What a team's infrastructure deploys would have created, as a few API calls against the simulated AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import config
from lambdas.release.catalog import MIGRATION
from simulator.engine.local_lambda import ACCOUNT, REGION

PLACEHOLDER = "public.ecr.aws/docker/library/python:3.13-alpine"
"""What services run before the first release, as after the first infrastructure deploy."""


@dataclass(frozen=True)
class SimulatedService:
    """A service of the starting world.

    Attributes
    ----------
    container
        Name of its container; ``<app>-<name>`` when None.
    health_check
        Whether the container has one: without, ECS takes a task that starts for a healthy one.
    controller, strategy, minimum_healthy_percent, maximum_percent
        Of its deployments, in the words of CreateService.
    """

    name: str
    wave: int = 1
    desired: int = 2
    container: str | None = None
    health_check: bool = True
    controller: str = "ECS"
    strategy: str = "ROLLING"
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200


DEFAULT_SERVICES = (
    SimulatedService("api", wave=1, desired=3),
    SimulatedService("worker", wave=2, desired=2),
    SimulatedService("scheduler", wave=2, desired=1),
)


@dataclass(frozen=True)
class Platform:
    """Cluster, services, repository, table, roles, secret and registry of one environment.

    Attributes
    ----------
    client
        Gives the boto3 client of a service.
    circuit_breaker
        Whether the services have ECS's own deployment circuit breaker.
    creates_repository
        False when another environment of the account has created it: they share it.
    """

    client: Callable[[str], Any]
    settings: config.EnvironmentConfig
    services: Sequence[SimulatedService]
    migration: bool
    circuit_breaker: bool
    creates_repository: bool = True

    @property
    def cluster(self) -> str:
        """The ECS cluster."""
        return f"{self.settings.app}-{self.settings.environment}"

    @property
    def repository(self) -> str:
        """The ECR repository of all services."""
        return self.settings.image.repositories[0]

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        named = next((one.container for one in self.services if one.name == service), None)
        return named or f"{self.settings.app}-{service}"

    def create(self) -> None:
        """Create all of it."""
        client, identity = self.client, self.settings.identity
        client("ecs").create_cluster(clusterName=self.cluster)
        if self.creates_repository:
            client("ecr").create_repository(repositoryName=self.repository)
        client("dynamodb").create_table(
            TableName=identity.table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        policy = json.dumps({"Version": "2012-10-17", "Statement": []})
        for role in ("task", "execution"):
            client("iam").create_role(
                RoleName=f"{self.cluster}-{role}",
                Path=self.settings.permissions.role_path,
                AssumeRolePolicyDocument=policy,
            )
        secret = client("secretsmanager").create_secret(
            Name=f"{self.settings.permissions.secret_prefix}database", SecretString="never-shown"
        )["ARN"]
        for alarm in self.settings.circuit_breaker.alarms:
            self._create_alarm(alarm)
        for service in self.services:
            self._create_service(service, secret)
        if self.migration:
            self._register_family(MIGRATION, secret, health_check=False)
            self._publish(MIGRATION, {"kind": "migration", "subnets": ["subnet-1"], "securityGroups": ["sg-1"]})

    def _create_alarm(self, name: str) -> None:
        """Create an alarm that is quiet; what it measures does not matter, nothing in here is measured."""
        client = self.client("cloudwatch")
        client.put_metric_alarm(
            AlarmName=name,
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            MetricName="Errors",
            Namespace=self.settings.app,
            Period=60,
            Statistic="Sum",
            Threshold=1.0,
        )
        client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="nothing is measured")

    def _register_family(self, name: str, secret: str, *, health_check: bool) -> str:
        client, family = self.client, f"{self.cluster}-{name}"
        group = f"{self.settings.permissions.log_group_prefix}{name}"
        client("logs").create_log_group(logGroupName=group)
        roles = f"arn:aws:iam::{ACCOUNT}:role{self.settings.permissions.role_path}{self.cluster}"
        container: dict[str, Any] = {
            "name": self.container(name),
            "image": PLACEHOLDER,
            "essential": True,
            "environment": [{"name": "SERVICE", "value": name}],
            "secrets": [{"name": "DATABASE_URL", "valueFrom": secret}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": group, "awslogs-region": REGION, "awslogs-stream-prefix": "ecs"},
            },
        }
        if health_check:
            container["healthCheck"] = {"command": ["CMD-SHELL", "true"], "interval": 10, "retries": 3}
        answer = client("ecs").register_task_definition(
            family=family,
            containerDefinitions=[container],
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            taskRoleArn=f"{roles}-task",
            executionRoleArn=f"{roles}-execution",
            runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            tags=[{"key": "app", "value": self.settings.app}],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def _create_service(self, service: SimulatedService, secret: str) -> None:
        arn = self._register_family(service.name, secret, health_check=service.health_check)
        breaker = {"enable": self.circuit_breaker, "rollback": self.circuit_breaker}
        self.client("ecs").create_service(
            cluster=self.cluster,
            serviceName=f"{self.cluster}-{service.name}",
            taskDefinition=arn,
            desiredCount=service.desired,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
            deploymentConfiguration={
                "deploymentCircuitBreaker": breaker,
                "minimumHealthyPercent": service.minimum_healthy_percent,
                "maximumPercent": service.maximum_percent,
                "strategy": service.strategy,
            },
            deploymentController={"type": service.controller},
        )
        self._publish(service.name, {"service": f"{self.cluster}-{service.name}", "wave": service.wave})

    def _publish(self, name: str, entry: Mapping[str, Any]) -> None:
        value = {
            "cluster": self.cluster,
            "family": f"{self.cluster}-{name}",
            "container": self.container(name),
            "repository": self.repository,
            **entry,
        }
        self.client("ssm").put_parameter(
            Name=self.settings.identity.services_path + name, Value=json.dumps(value), Type="String"
        )
