"""Deploy one stack in a pipeline's action, together with others of its stage: ``python -m pipelines.deploy_stack``.

The actions of one run share the deployment lock under one name, so that infrastructure and code never run into each
other while stacks go out side by side. Nobody of them can know who is last, so nobody gives the lock back: its lease
ends a minute after the last one has renewed it (docs/explanation/decisions/0017).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import config
from lambdas.aws.executions import Executions
from lambdas.aws.releases_table import ReleasesTable
from lambdas.release.errors import StepshipError
from stacks.names import Names
from stepship.errors import CommandError
from stepship.infra.assembly import check_assembly
from stepship.infra.cdk import CdkCli, Say
from stepship.infra.lock import HeldLock, LockTable, Surroundings

TICK_SECONDS = 1.0
"""How often the lease is looked at; ``HeldLock`` renews it when it is time."""


class Deploys(Protocol):
    """What deploys a stack."""

    def deploy(self, stack: str, say: Say) -> bool:
        """Deploy one stack; returns whether that went well."""


@dataclass(frozen=True)
class Patience:
    """How long a rollback is waited for.

    Attributes
    ----------
    poll_seconds, timeout_seconds
        ``[lock]`` of the environment.
    """

    poll_seconds: int
    timeout_seconds: int


def give_way(table: LockTable, around: Surroundings, patience: Patience) -> None:
    """Wait while a rollback waits for the lock: by its name this action could join in before it.

    Raises
    ------
    CommandError
        It still waits after ``timeout_seconds``.
    """
    until = around.now() + patience.timeout_seconds
    while waiting := _waiting_rollback(table, around):
        if around.now() >= until:
            raise CommandError(f"the rollback {waiting} still waits for the lock: look what holds it")
        around.say(f"The rollback {waiting} goes first")
        around.sleep(patience.poll_seconds)


def _waiting_rollback(table: LockTable, around: Surroundings) -> str | None:
    try:
        claim = table.read_lock().waiting_rollback
    except StepshipError:
        return None  # no table yet, or an error that taking the lock meets again and tells
    return claim.execution if claim and around.is_running(claim.execution) else None


def deploy(cdk: Deploys, held_lock: HeldLock, stack: str, say: Callable[[str], object]) -> int:
    """Deploy a stack with the lock held; returns 0 when it is as it should be, else 1.

    What CloudFormation has begun it finishes, so a lock that is lost on the way is told and nothing is stopped.
    """
    held_lock.acquire()
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(cdk.deploy, stack, say)
        while not wait([future], timeout=TICK_SECONDS).done:
            held_lock.beat()
    if held_lock.lost:
        say(f"{stack}: {held_lock.lost}")
    return 0 if future.result() and not held_lock.lost else 1


def main(arguments: Sequence[str]) -> int:
    """Deploy the part that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.deploy_stack", description=__doc__)
    parser.add_argument("--env", required=True, help="the environment")
    parser.add_argument("--part", required=True, help="as in stacks/stages.py: network")
    parser.add_argument(
        "--run", required=True, help="id of the pipeline's execution: whoever has the same shares the lock"
    )
    parser.add_argument("--assembly", required=True, type=Path, help="the folder that cdk synth has written")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    try:
        settings = config.load(given.env)
        stack = Names(settings).stack(given.part)
        cdk = CdkCli(Path.cwd(), given.assembly, os.environ)
        cdk.check()
        check_assembly(given.assembly, [stack], given.env)
        around = Surroundings(time.time, time.sleep, Executions().is_running, say)
        table = ReleasesTable(settings.identity.table)
        give_way(table, around, Patience(settings.lock.poll_seconds, settings.lock.wait_timeout_seconds))
        held_lock = HeldLock(table, f"infra:pipeline@{given.run}", settings.lock, around)
        return deploy(cdk, held_lock, stack, say)
    except (CommandError, StepshipError, config.ConfigError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
