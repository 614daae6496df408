"""The composition root: puts settings, clock and gateways together for one function."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from lambdas.release.policies import Identity, Policy
from lambdas.settings import read_identity, read_policy

if TYPE_CHECKING:
    from lambdas.aws.cloudwatch import Alarms
    from lambdas.aws.ecr import ImageRegistry
    from lambdas.aws.ecs import ContainerService
    from lambdas.aws.events import EventBus
    from lambdas.aws.executions import Executions
    from lambdas.aws.iam import Roles
    from lambdas.aws.logs import ContainerLogs
    from lambdas.aws.releases_table import ReleasesTable
    from lambdas.aws.s3 import Objects
    from lambdas.aws.secrets import Secrets
    from lambdas.aws.ssm import ParameterStore

P = TypeVar("P", bound=Policy)


class Clock(Protocol):
    """Where handlers get the time from; the simulator passes a virtual one in."""

    def now(self) -> float:
        """Return unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Dependencies:
    """What a handler may use. Gateways are imported and made on first use: a step pays for its own alone.

    Attributes
    ----------
    environ
        The function's environment variables.
    clock
        Where the time comes from.
    """

    environ: Mapping[str, str]
    clock: Clock

    @cached_property
    def identity(self) -> Identity:
        """Application, environment and table."""
        return read_identity(self.environ)

    def policy(self, kind: type[P]) -> P:
        """Read one section of the config; KeyError when this function was not given it."""
        return read_policy(kind, self.environ)

    @cached_property
    def releases(self) -> ReleasesTable:
        """The lock, the history and the releases."""
        from lambdas.aws.releases_table import ReleasesTable

        return ReleasesTable(self.identity.table)

    @cached_property
    def parameters(self) -> ParameterStore:
        """SSM parameters."""
        from lambdas.aws.ssm import ParameterStore

        return ParameterStore()

    @cached_property
    def images(self) -> ImageRegistry:
        """ECR."""
        from lambdas.aws.ecr import ImageRegistry

        return ImageRegistry()

    @cached_property
    def ecs(self) -> ContainerService:
        """ECS."""
        from lambdas.aws.ecs import ContainerService

        return ContainerService()

    @cached_property
    def logs(self) -> ContainerLogs:
        """CloudWatch Logs."""
        from lambdas.aws.logs import ContainerLogs

        return ContainerLogs()

    @cached_property
    def alarms(self) -> Alarms:
        """CloudWatch alarms."""
        from lambdas.aws.cloudwatch import Alarms

        return Alarms()

    @cached_property
    def roles(self) -> Roles:
        """IAM."""
        from lambdas.aws.iam import Roles

        return Roles()

    @cached_property
    def secrets(self) -> Secrets:
        """Secrets Manager, names only."""
        from lambdas.aws.secrets import Secrets

        return Secrets()

    @cached_property
    def objects(self) -> Objects:
        """S3, names only."""
        from lambdas.aws.s3 import Objects

        return Objects()

    @cached_property
    def events(self) -> EventBus:
        """EventBridge."""
        from lambdas.aws.events import EventBus

        return EventBus()

    @cached_property
    def executions(self) -> Executions:
        """Step Functions."""
        from lambdas.aws.executions import Executions

        return Executions()


@cache
def dependencies_of_this_function() -> Dependencies:
    """Return the dependencies of the Lambda function that this process is."""
    return Dependencies(os.environ, SystemClock())
