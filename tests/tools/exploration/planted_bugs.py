"""Bugs to plant: each is the composition root with one gateway that leaves out what it must do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any
from uuid import uuid4

from lambdas.aws.ecs import ContainerService, Offer
from lambdas.aws.releases_table import ReleasesTable
from lambdas.aws.ssm import ParameterStore
from lambdas.dependencies import Dependencies
from lambdas.release.errors import LeaseLost
from lambdas.release.explanation import StoppedTask


def _rolls_back() -> bool:
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"].endswith("-roll-back")


class RestoresNoParameter(Dependencies):
    """The rollback leaves the parameters as they are."""

    @cached_property
    def parameters(self) -> ParameterStore:
        class Forgetful(ParameterStore):
            def set_all(self, values: Mapping[str, str | None]) -> list[str]:
                return [] if _rolls_back() else super().set_all(values)

        return Forgetful()


class ChecksNoLease(Dependencies):
    """Whoever has lost the lease goes on."""

    @cached_property
    def releases(self) -> ReleasesTable:
        class Careless(ReleasesTable):
            def renew(self, *args: Any) -> None:
                try:
                    super().renew(*args)
                except LeaseLost:
                    return

        return Careless(self.identity.table)


class StartsEveryMigration(Dependencies):
    """A migration is started whether or not it was started before."""

    @cached_property
    def ecs(self) -> ContainerService:
        class Eager(ContainerService):
            def find_task(self, *_: str) -> None:
                return None

            def run_task(self, *args: Any, client_token: str, **options: Any) -> tuple[str | None, str]:
                return super().run_task(*args, client_token=f"{client_token}-{uuid4()}"[:64], **options)

        return Eager()


class IgnoresTheExitCode(Dependencies):
    """A migration that has ended has worked, whatever its exit code: every deployment is wrong in the same way."""

    @cached_property
    def ecs(self) -> ContainerService:
        class Trusting(ContainerService):
            def task(self, cluster: str, arn: str) -> tuple[str, StoppedTask] | None:
                found = super().task(cluster, arn)
                if found is None:
                    return None
                status, stopped = found
                ended = tuple(replace(container, exit_code=0) for container in stopped.containers)
                return status, replace(stopped, containers=ended)

        return Trusting()


class ForgetsOneService(Dependencies):
    """The rollback leaves out the worker."""

    @cached_property
    def ecs(self) -> ContainerService:
        class Forgetful(ContainerService):
            def offer(self, cluster: str, service: str, task_definition: str, *, force: bool) -> Offer:
                if _rolls_back() and service.endswith("-worker"):
                    return Offer()
                return super().offer(cluster, service, task_definition, force=force)

        return Forgetful()
