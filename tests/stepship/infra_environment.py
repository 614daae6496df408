"""What the tests of ``stepship infra`` share: a CDK that deploys a small template by CloudFormation's own API."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lambdas.aws.gateway import client_of
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.commands.infra_deploy import EXAMPLE_OWNER
from stepship.host import Host
from stepship.infra.cdk import NO_CHANGES, Say
from stepship.infra.tools import Tools
from stepship.session import Session
from stepship.target import choose_target

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
PREFIX = "v3-backend-dev-"


@cache
def folder_of_a_team() -> Path:
    """A folder with the committed config, but for the repository, which is a team's own."""
    folder = Path(tempfile.mkdtemp(prefix="stepship-config-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "config").mkdir()
    for file in (ROOT / "config").glob("*.toml"):
        write_config(folder, file.stem, (f"{EXAMPLE_OWNER}/", "octo-team/"))
    return folder


def write_config(folder: Path, environment: str, *changes: tuple[str, str]) -> None:
    """Write the committed config of an environment with other words in it."""
    text = (ROOT / "config" / f"{environment}.toml").read_text(encoding="utf-8")
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / "config" / f"{environment}.toml").write_text(text, encoding="utf-8")


def make_stack(name: str, status: str | None = None, *, description: str = "") -> None:
    """Make a stack; its status is then whatever the test wants."""
    template = {**TEMPLATE, **({"Description": description} if description else {})}
    client_of("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    if status is not None:
        set_status(name, status)


def set_status(name: str, status: str) -> None:
    """Let moto say that a stack is in this status; it knows no failure by itself."""
    moto_stack(name).status = status


def moto_stack(name: str) -> Any:
    from moto.cloudformation.models import cloudformation_backends

    backend = cloudformation_backends["123456789012"]["us-east-1"]
    return next(each for each in backend.stacks.values() if each.name == name)


def statuses() -> dict[str, str]:
    """Return the stacks that there are, by what follows the environment in their names."""
    answer = client_of("cloudformation").describe_stacks()
    return {each["StackName"].removeprefix(PREFIX): each["StackStatus"] for each in answer["Stacks"]}


@dataclass
class FakeCdk:
    """A CDK that remembers what it was asked.

    Attributes
    ----------
    fails
        Stacks that it cannot deploy, with what it says then.
    protected
        Stacks whose templates protect something from being deleted.
    protection
        What each stack was told about that when it was last deployed.
    on_deploy
        Called with the name of each stack before it is deployed.
    """

    fails: dict[str, str] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    protection: dict[str, bool | None] = field(default_factory=dict)
    on_deploy: Callable[[str], object] = lambda _stack: None
    context: Mapping[str, str] | None = None
    asked: list[str] = field(default_factory=list)
    abandoned: bool = False

    def synthesise(self, context: Mapping[str, str]) -> None:
        self.context = dict(context)

    def diff(self, stacks: Sequence[str]) -> str:
        there = statuses()
        return "\n".join(
            f"Stack {stack} (123456789012/us-east-1)\n"
            + ("There were no differences" if stack.removeprefix(PREFIX) in there else "Resources\n[+] AWS::SNS::Topic")
            for stack in stacks
        )

    def protects(self, stack: str) -> bool:
        return stack in self.protected

    def deploy(self, stack: str, say: Say, *, protection: bool | None = None) -> bool:
        name = stack.removeprefix(PREFIX)
        self.asked.append(name)
        self.on_deploy(name)
        if stack in self.fails:
            say(f"{stack}: {self.fails[stack]}")
            if stack in self.protected and name not in statuses():
                # As AWS has it: what is protected from being deleted stops the rollback of its own creation.
                make_stack(stack, "ROLLBACK_COMPLETE" if protection is False else "ROLLBACK_FAILED")
            return False
        before, self.protection[stack] = self.protection.get(stack), protection
        if name in statuses():
            if protection == before:
                say(f" ✅  {stack} {NO_CHANGES}")
            return True
        say(f"{stack} | 1/2 | 12:36:28 PM | CREATE_IN_PROGRESS   | AWS::SNS::Topic | Topic (Topic)")
        make_stack(stack)
        say(f"{stack} | 2/2 | 12:36:29 PM | CREATE_COMPLETE      | AWS::SNS::Topic | Topic (Topic)")
        return True

    def destroy(self, stack: str, say: Say) -> bool:
        self.asked.append(stack.removeprefix(PREFIX))
        if stack in self.fails:
            say(f"{stack}: {self.fails[stack]}")
            return False
        client_of("cloudformation").delete_stack(StackName=stack)
        return True

    def abandon(self) -> None:
        self.abandoned = True


def tools_with(cdk: FakeCdk) -> Tools:
    """Return the tools with this CDK."""
    return Tools(lambda _assembly: cdk)


def session_in(
    simulated: SimulatedEnvironment,
    environment: str = "dev",
    *,
    as_json: bool = False,
    asks: bool = False,
    folder: Path | None = None,
) -> Session:
    """Return a session at a desk in this world, in the folder of a team that has its own repository."""
    clock, folder = simulated.aws.clock, folder or folder_of_a_team()
    host = Host(clock.now, clock.sleep, {}, folder, asks=asks, width=110)
    return Session(host, choose_target(None, environment, folder), as_json=as_json)
