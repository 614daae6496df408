"""The composition root of a command: target, output and clients, each made on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from lambdas.release.errors import AccessDenied, StepshipError
from stepship.github import GitHub
from stepship.host import Host
from stepship.machine import Caller, Machine
from stepship.output import Output
from stepship.target import Target

if TYPE_CHECKING:
    from lambdas.aws.ecs import ContainerService
    from lambdas.aws.releases_table import ReleasesTable
    from lambdas.aws.ssm import ParameterStore

T = TypeVar("T")

MAX_TEXT = 256
"""Characters that ``requestedBy`` and ``reason`` may have (statemachine/input.schema.json)."""


class Session:
    """What one command works with."""

    def __init__(self, host: Host, target: Target, *, as_json: bool) -> None:
        self.host = host
        self.target = target
        self.output = Output(host, as_json=as_json)
        self.github = GitHub.of(host.environ, as_json=as_json) if host.is_github else None
        self.caller = Caller()
        self.machine = Machine(target, self.caller)

    @cached_property
    def table(self) -> ReleasesTable:
        """The lock, the history and the releases."""
        from lambdas.aws.releases_table import ReleasesTable  # noqa: PLC0415 (a CI job does without)

        return ReleasesTable(self.target.identity.table)

    @cached_property
    def parameters(self) -> ParameterStore:
        """SSM parameters."""
        from lambdas.aws.ssm import ParameterStore  # noqa: PLC0415 (most commands do without)

        return ParameterStore()

    @cached_property
    def ecs(self) -> ContainerService:
        """ECS."""
        from lambdas.aws.ecs import ContainerService  # noqa: PLC0415 (most commands do without)

        return ContainerService()

    def requested_by(self, given: str | None) -> str:
        """Return who asks: what was said, the actor of the workflow, else the caller's ARN."""
        actor = self.host.environ.get("GITHUB_ACTOR") if self.host.is_github else None
        return (given or (f"github:{actor}" if actor else self.machine.caller_arn))[:MAX_TEXT]

    @staticmethod
    def if_allowed(read: Callable[[], T]) -> T | None:
        """Return what a read gives; None when these credentials do not allow it."""
        try:
            return read()
        except AccessDenied:
            return None

    @staticmethod
    def or_none(read: Callable[[], T]) -> T | None:
        """Return what a read gives; None when AWS refuses, for whatever reason: nothing hangs on it."""
        try:
            return read()
        except StepshipError:
            return None
