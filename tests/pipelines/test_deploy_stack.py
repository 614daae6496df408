"""The actions of one run share the lock, keep everybody else out, and let a rollback go first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lambdas.release.errors import LeaseLost
from lambdas.release.lock import Claim, Kind, Lock
from lambdas.release.policies import LockPolicy
from pipelines.deploy_stack import Patience, deploy, give_way, main
from stepship.errors import CommandError
from stepship.infra.cdk import Say
from stepship.infra.lock import LEASE_SECONDS, HeldLock, Surroundings

POLICY = LockPolicy(wait_timeout_seconds=120, poll_seconds=5)
PATIENCE = Patience(poll_seconds=5, timeout_seconds=120)
ROLLBACK = Claim("arn:aws:states:eu-central-1:123456789012:execution:m:back", Kind.ROLLBACK, 1.0)
STACK = "v3-backend-dev-network"


class Table:
    """The lock's item."""

    def __init__(self, lock: Lock | None = None) -> None:
        self.lock = lock or Lock()
        self.entered_at = 0.0

    def read_lock(self) -> Lock:
        return self.lock

    def swap_lock(self, read: Lock, write: Lock) -> bool:
        if read.version != self.lock.version:
            return False
        self.lock = replace(write, version=read.version + 1)
        return True

    def renew(self, execution: str, token: int, lease_expires_at: float, entered_at: float) -> None:
        holder = self.lock.holder
        if holder is None or (holder.execution, self.lock.token) != (execution, token):
            raise LeaseLost("somebody else")
        self.lock, self.entered_at = replace(self.lock, lease_expires_at=lease_expires_at), entered_at


class SimulatedEnvironment:
    """Time that passes while somebody sleeps, and a CDK that notes who held the lock."""

    def __init__(self, table: Table, *, succeeds: bool = True) -> None:
        self.time, self.said, self.table, self.succeeds = 1000.0, list[str](), table, succeeds
        self.running: set[str] = set()
        self.holders: list[str | None] = []

    def around(self) -> Surroundings:
        return Surroundings(lambda: self.time, self.sleep, self.running.__contains__, self.said.append)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def deploy(self, stack: str, say: Say) -> bool:
        holder = self.table.lock.holder
        self.holders.append(holder.execution if holder else None)
        say(stack)
        return self.succeeds

    def held_lock(self, run: str) -> HeldLock:
        return HeldLock(self.table, f"infra:pipeline@{run}", POLICY, self.around())


@pytest.mark.parametrize(("succeeds", "code"), [(True, 0), (False, 1)])
def test_a_stack_is_deployed_with_the_lock_held(succeeds: bool, code: int) -> None:
    simulated = SimulatedEnvironment(Table(), succeeds=succeeds)
    assert deploy(simulated, simulated.held_lock("run-1"), STACK, simulated.said.append) == code
    assert simulated.holders == ["infra:pipeline@run-1"]
    assert simulated.said == [STACK]


def test_actions_of_one_run_share_the_lock_and_another_run_waits_for_the_lease() -> None:
    table = Table()
    simulated = SimulatedEnvironment(table)
    for _ in range(2):
        assert deploy(simulated, simulated.held_lock("run-1"), STACK, simulated.said.append) == 0
    assert simulated.time == 1000.0  # nobody waited
    assert table.lock.token == 1
    assert deploy(simulated, simulated.held_lock("run-2"), STACK, simulated.said.append) == 0
    assert simulated.time >= 1000.0 + LEASE_SECONDS
    assert table.lock.token == 2
    assert simulated.holders == ["infra:pipeline@run-1"] * 2 + ["infra:pipeline@run-2"]


def test_no_action_takes_the_lock_away_from_another_one_of_its_run() -> None:
    simulated = SimulatedEnvironment(Table())
    first = simulated.held_lock("run-1")
    first.acquire()
    assert deploy(simulated, simulated.held_lock("run-1"), STACK, simulated.said.append) == 0
    simulated.time += 15
    first.beat()
    assert first.is_held
    assert first.lost is None


def test_a_code_deployment_is_waited_for_and_then_the_action_gives_up() -> None:
    code = Claim("arn:aws:states:eu-central-1:123456789012:execution:m:deploy", Kind.DEPLOY, 1.0)
    simulated = SimulatedEnvironment(Table(Lock(token=3, holder=code, lease_expires_at=5000.0)))
    simulated.running.add(code.execution)
    with pytest.raises(CommandError, match="the lock was not to be had"):
        deploy(simulated, simulated.held_lock("run-1"), STACK, simulated.said.append)
    assert simulated.holders == []


def test_a_rollback_that_waits_goes_first() -> None:
    table = Table(Lock(token=1, holder=Claim("infra:pipeline@run-1", Kind.INFRASTRUCTURE, 900.0)))
    table.lock = replace(table.lock, lease_expires_at=1050.0, waiting_rollback=ROLLBACK)
    simulated = SimulatedEnvironment(table)
    simulated.running.add(ROLLBACK.execution)
    around = replace(simulated.around(), sleep=lambda seconds: takes_the_lock(simulated, seconds))
    give_way(table, around, PATIENCE)
    assert table.lock.holder == ROLLBACK
    assert simulated.time > 1000.0
    assert "goes first" in simulated.said[0]


def takes_the_lock(simulated: SimulatedEnvironment, seconds: float) -> None:
    """Let the rollback have the lock as soon as the lease of the run has ended."""
    simulated.sleep(seconds)
    if simulated.time > simulated.table.lock.lease_expires_at:
        simulated.table.lock = replace(simulated.table.lock, holder=ROLLBACK, waiting_rollback=None)


def test_a_rollback_that_waits_for_too_long_ends_the_action() -> None:
    simulated = SimulatedEnvironment(Table(Lock(waiting_rollback=ROLLBACK)))
    simulated.running.add(ROLLBACK.execution)
    with pytest.raises(CommandError, match="still waits for the lock"):
        give_way(simulated.table, simulated.around(), PATIENCE)
    assert simulated.time >= 1000.0 + PATIENCE.timeout_seconds


def test_a_rollback_that_has_ended_is_not_waited_for() -> None:
    simulated = SimulatedEnvironment(Table(Lock(waiting_rollback=ROLLBACK)))
    give_way(simulated.table, simulated.around(), PATIENCE)
    assert simulated.time == 1000.0


def test_a_lock_that_was_lost_on_the_way_fails_the_action() -> None:
    simulated = SimulatedEnvironment(Table())
    held_lock = simulated.held_lock("run-1")

    class SlowCdk:
        def deploy(self, stack: str, say: Say) -> bool:
            say(stack)
            simulated.table.lock = replace(simulated.table.lock, token=9, holder=ROLLBACK)
            simulated.time += 15
            held_lock.beat()
            return True

    assert deploy(SlowCdk(), held_lock, STACK, simulated.said.append) == 1
    assert simulated.said[0] == STACK
    assert "somebody else has taken the lock" in simulated.said[1]


@pytest.mark.parametrize(
    ("environment", "assembly", "answer"),
    [
        ("nosuch", "made", "nosuch"),
        ("dev", "nowhere", "nowhere: nothing was synthesised to it"),
        ("staging", "made", "made lacks v3-backend-staging-network"),
    ],
)
def test_a_wrong_argument_is_refused_in_a_sentence(
    environment: str,
    assembly: str,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = tmp_path / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "cdk.json").touch()
    (tmp_path / "made").mkdir()
    artifacts = {STACK: {"type": "aws:cloudformation:stack"}}
    (tmp_path / "made" / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    monkeypatch.chdir(tmp_path)
    arguments = ["--env", environment, "--part", "network", "--run", "1", "--assembly", str(tmp_path / assembly)]
    assert main(arguments) == 1
    assert answer in capsys.readouterr().out
