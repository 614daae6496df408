"""What the commands of ``stepship infra`` work with besides the session; tests hand in their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lambdas.aws.executions import Executions
from lambdas.release.policies import LockPolicy
from stepship.account.check import Account
from stepship.errors import CommandError, wrong_usage
from stepship.infra.assembly import check_assembly
from stepship.infra.cdk import Cdk, CdkCli
from stepship.infra.cloudformation import CloudFormation
from stepship.infra.lock import HeldLock, Surroundings
from stepship.infra.rollout import Interrupts
from stepship.session import Session

ID_DIGITS = 8


@dataclass(frozen=True)
class Tools:
    """Programs, gateways and signals.

    Attributes
    ----------
    cdk
        Makes the CDK for an assembly that is written to this folder.
    """

    cdk: Callable[[Path], Cdk]
    cloudformation: CloudFormation = field(default_factory=CloudFormation)
    account: Account = field(default_factory=Account)
    interrupts: Interrupts = field(default_factory=Interrupts)


def tools_of(session: Session) -> Tools:
    """Return those of this folder.

    Raises
    ------
    CommandError
        There is no CDK app here, or no CDK CLI.
    """

    def cdk(assembly: Path) -> Cdk:
        cli = CdkCli(session.host.folder, assembly, session.host.environ)
        cli.check()
        return cli

    return Tools(cdk)


@dataclass(frozen=True)
class AppOptions:
    """What the CDK app is told.

    Attributes
    ----------
    context
        For ``cdk -c``; its ``config`` is another folder of config files, as in ``cdk_app.py``.
    assembly
        Templates that were synthesised before, as between the actions of a pipeline; None to synthesise them now.
    """

    context: Mapping[str, str] = field(default_factory=dict)
    assembly: Path | None = None


def app_options(context: Sequence[str], assembly: Path | None) -> AppOptions:
    """Read the options.

    Raises
    ------
    CommandError
        They contradict each other, or cannot be used.
    """
    given = read_context(context)
    if assembly is not None and (extra := sorted(set(given) - {"config"})):
        raise wrong_usage(f"--context {extra[0]}: the templates of --assembly were made without it; give it to synth")
    return AppOptions(given, assembly)


@contextmanager
def synthesised(session: Session, tools: Tools, options: AppOptions, stacks: Sequence[str]) -> Iterator[Cdk]:
    """Synthesise the environment once; the templates are gone after the block.

    Parameters
    ----------
    stacks
        Names of those that are needed; templates that were synthesised before must have them.

    Raises
    ------
    CommandError
        The app cannot be synthesised, or the templates are others.
    """
    if options.assembly is not None:
        check_assembly(options.assembly, stacks, session.target.environment)
        yield tools.cdk(options.assembly.absolute())
        return
    with TemporaryDirectory(prefix="stepship-infra-") as folder:
        cdk = tools.cdk(Path(folder, "assembly"))
        session.output.say(f"Synthesising the stacks of {session.target.environment}")
        cdk.synthesise({"environment": session.target.environment, **options.context})
        yield cdk


def held_lock_of(session: Session, policy: LockPolicy, tools: Tools, say: Callable[[str], object]) -> HeldLock:
    """Return the lock for this command; nobody else has its name."""
    name = f"infra:{session.requested_by(None)}@{uuid.uuid4().hex[:ID_DIGITS]}"
    around = Surroundings(
        now=session.host.now,
        sleep=session.host.sleep,
        is_running=Executions().is_running,
        say=say,
        stopping=lambda: tools.interrupts.count > 0,
    )
    return HeldLock(session.table, name, policy, around)


def patience(session: Session, tools: Tools) -> Callable[[float], None]:
    """Return a sleep for the threads: Ctrl-C for a second time ends it."""

    def sleep(seconds: float) -> None:
        if tools.interrupts.count > 1:
            raise CommandError("left to CloudFormation")
        session.host.sleep(seconds)

    return sleep


def read_context(given: Sequence[str]) -> dict[str, str]:
    """Read ``KEY=VALUE``, as ``cdk -c`` has it.

    Raises
    ------
    CommandError
        One is not of this form, or says which environment.
    """
    found: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise wrong_usage(f"--context {each}: write KEY=VALUE")
        if key == "environment":
            raise wrong_usage("--context environment: say it with --env")
        found[key] = value
    return found
