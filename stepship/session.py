"""The composition root of a command: target, output and clients, each made on first use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from lambdas.release.errors import AccessDenied, StepshipError
from stepship.credentials import renew_for_the_job
from stepship.errors import CommandError, aws_error, may_pass
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

TRIES, PAUSE_SECONDS = 4, 10.0
"""Tries of what starts or finds an execution in a CI job, where nobody types it again; each has the SDK's own tries."""


class Session:
    """What one command works with."""

    def __init__(self, host: Host, target: Target, *, as_json: bool) -> None:
        self.host = host
        self.target = target
        self.output = Output(host, as_json=as_json)
        self.github = GitHub.of(host.environ, as_json=as_json) if host.is_github else None
        if host.is_github:
            # Before the first client is made: all have the credentials of one session.
            renew_for_the_job(host.environ, host.now)
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
        environ = self.host.environ if self.host.is_github else {}
        # Who has started this run: of one that is run again that is not who had pushed.
        actor = environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR")
        return one_line(given) or (f"github:{actor}" if actor else self.machine.caller_arn)[:MAX_TEXT]

    def quoting(self) -> AbstractContextManager[None]:
        """Print what others wrote: GitHub obeys no command in it."""
        return self.github.quoting() if self.github else nullcontext()

    def patiently(self, call: Callable[[], T]) -> T:
        """Repeat a call while AWS is busy or not reached; it must be safe to repeat. A person is told at once."""
        for tried in range(1, TRIES):
            try:
                return call()
            except StepshipError as error:
                if self.host.watched or not may_pass(error):
                    raise
                with self.quoting():
                    self.output.say(f"try {tried} of {TRIES}: {error}")
                self.host.sleep(PAUSE_SECONDS)
        return call()

    def command_error(self, error: StepshipError) -> CommandError:
        """Say what AWS refused; in a workflow also where its role comes from."""
        told = aws_error(error)
        if self.github is None or not isinstance(error, AccessDenied):
            return told
        deploy = f"`stepship infra deploy {self.target.options} --stage bootstrap`"
        return CommandError(f"{told}; {deploy} gives the role of this workflow what it needs", told.exit_code)

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


def one_line(text: str | None) -> str | None:
    """Return what the history keeps of a text: one line without control characters, cut to what the input may hold."""
    words = "".join(each if each.isprintable() else " " for each in text or "").split()
    line = " ".join(words)
    return (line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…") or None
