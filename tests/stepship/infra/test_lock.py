"""``stepship infra`` and code deployments hold one lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lambdas.aws.executions import Executions
from lambdas.aws.gateway import client_of
from lambdas.aws.releases_table import ReleasesTable
from lambdas.release.errors import AwsError, AwsUnavailable
from lambdas.release.lock import Claim, Kind, Lock
from lambdas.release.policies import LockPolicy
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.errors import CommandError
from stepship.infra.lock import BEAT_SECONDS, LEASE_SECONDS, HeldLock, LockTable, Surroundings

POLICY = LockPolicy(wait_timeout_seconds=900, poll_seconds=15)


@dataclass
class Desk:
    """A person who deploys infrastructure in a world."""

    simulated: SimulatedEnvironment
    said: list[str] = field(default_factory=list)
    stops: bool = False

    def held_lock(self, name: str = "infra:octocat@1f3c", table: LockTable | None = None) -> HeldLock:
        clock = self.simulated.aws.clock
        around = Surroundings(clock.now, clock.sleep, Executions().is_running, self.said.append, lambda: self.stops)
        return HeldLock(table or self.simulated.table, name, POLICY, around)

    def pass_time(self, seconds: float) -> None:
        self.simulated.aws.clock.sleep(seconds)


@pytest.fixture
def desk(simulated: SimulatedEnvironment) -> Desk:
    for tag in ("v1", "v2"):
        simulated.push(tag)
    return Desk(simulated)


def lock_of(simulated: SimulatedEnvironment) -> Lock:
    lock: Lock = simulated.table.read_lock()
    return lock


def holder_of(simulated: SimulatedEnvironment) -> str | None:
    holder = lock_of(simulated).holder
    return holder.execution if holder else None


def test_it_takes_a_free_lock_and_gives_it_back(desk: Desk) -> None:
    held_lock = desk.held_lock()
    assert held_lock.acquire()
    lock = lock_of(desk.simulated)
    assert lock.holder == Claim("infra:octocat@1f3c", Kind.INFRASTRUCTURE, desk.simulated.aws.clock.now())
    assert lock.lease_expires_at == desk.simulated.aws.clock.now() + LEASE_SECONDS
    held_lock.free()
    assert (lock_of(desk.simulated).holder, lock_of(desk.simulated).token) == (None, 1)


def test_before_the_table_stands_there_is_no_lock(desk: Desk) -> None:
    held_lock = desk.held_lock(table=ReleasesTable("v3-backend-dev-none"))
    assert held_lock.acquire()
    assert (held_lock.is_held, held_lock.may_begin) == (False, True)
    held_lock.beat()
    held_lock.free()
    assert desk.said == []


def test_a_code_deploy_waits_for_it_and_says_who_and_for_how_long(desk: Desk) -> None:
    simulated, held_lock = desk.simulated, desk.held_lock()
    held_lock.acquire()
    desk.pass_time(30)
    held_lock.beat()
    simulated.start({"imageTag": "v1"}, "code")
    desk.pass_time(20)
    waiting = lock_of(simulated)
    assert waiting.waiting_deploy is not None
    assert waiting.waiting_deploy.execution.endswith(":code")
    held_lock.free()
    simulated.settle()
    assert simulated.aws.runs[0].status == "SUCCEEDED"
    reasons = [each["reason"] for each in acquire_answers(simulated) if each["status"] == "busy"]
    assert reasons[0].startswith("infra:octocat@1f3c has been deploying infrastructure for 30 s; wait for it")


def test_it_waits_for_a_code_deploy_and_says_so_once_a_minute(desk: Desk) -> None:
    simulated, held_lock = desk.simulated, desk.held_lock()
    simulated.start({"imageTag": "v1"}, "code")
    desk.pass_time(20)
    began_at = simulated.aws.clock.now()
    assert held_lock.acquire()
    assert simulated.aws.runs[0].status == "SUCCEEDED"
    waited = simulated.aws.clock.now() - began_at
    assert 1 <= len(desk.said) <= waited / 60 + 1
    assert desk.said[0].startswith("Waiting for the lock: held by code; ")
    holder = lock_of(simulated).holder
    assert holder is not None
    assert holder.started_at == simulated.aws.clock.now()


def test_it_does_not_wait_for_ever(desk: Desk) -> None:
    first, second = desk.held_lock("infra:one@1"), desk.held_lock("infra:two@2")
    first.acquire()
    beating = HeldLock(desk.simulated.table, "infra:two@2", POLICY, beside(desk, first.beat))
    with pytest.raises(CommandError, match=r"was not to be had: \[lock\] wait_timeout_seconds = 900: infra:one@1 has"):
        beating.acquire()
    assert not second.is_held


def beside(desk: Desk, beat: Callable[[], None]) -> Surroundings:
    """Let somebody else renew its lease meanwhile."""

    def sleep(seconds: float) -> None:
        desk.simulated.aws.clock.sleep(seconds)
        beat()

    return Surroundings(desk.simulated.aws.clock.now, sleep, Executions().is_running, desk.said.append)


def test_those_of_one_name_share_the_lock_and_renew_it_for_each_other(desk: Desk) -> None:
    first, second = desk.held_lock("infra:pipeline@1"), desk.held_lock("infra:pipeline@1")
    first.acquire()
    since = lock_of(desk.simulated).holder
    desk.pass_time(BEAT_SECONDS)
    assert second.acquire()
    for held_lock in (second, first, second, first):
        desk.pass_time(BEAT_SECONDS)
        held_lock.beat()
    assert (first.lost, second.lost, lock_of(desk.simulated).holder) == (None, None, since)


def test_ctrl_c_ends_the_waiting(desk: Desk) -> None:
    desk.held_lock("infra:one@1").acquire()
    desk.stops = True
    assert not desk.held_lock("infra:two@2").acquire()


def test_the_lease_is_renewed_when_it_is_time(desk: Desk) -> None:
    held_lock = desk.held_lock()
    held_lock.acquire()
    begin = desk.simulated.aws.clock.now()
    held_lock.beat()
    assert lock_of(desk.simulated).lease_expires_at == begin + LEASE_SECONDS
    desk.pass_time(BEAT_SECONDS)
    held_lock.beat()
    assert lock_of(desk.simulated).lease_expires_at == begin + BEAT_SECONDS + LEASE_SECONDS


def test_code_takes_over_from_a_command_that_was_killed_once_its_lease_is_over(desk: Desk) -> None:
    simulated, killed = desk.simulated, desk.held_lock()
    killed.acquire()
    simulated.start({"imageTag": "v1"}, "code")
    desk.pass_time(LEASE_SECONDS - 20)
    assert holder_of(simulated) == "infra:octocat@1f3c"
    simulated.settle()
    assert {name: record.outcome for name, record in simulated.records().items()} == {"code": "Deployed"}
    assert holder_of(simulated) is None


def test_infrastructure_takes_over_from_a_command_that_was_killed(desk: Desk) -> None:
    desk.held_lock("infra:one@1").acquire()
    second, began_at = desk.held_lock("infra:two@2"), desk.simulated.aws.clock.now()
    assert second.acquire()
    assert desk.simulated.aws.clock.now() - began_at == pytest.approx(LEASE_SECONDS, abs=15)


def test_who_lost_the_lock_begins_nothing_more_and_frees_nothing(desk: Desk) -> None:
    slept, second = desk.held_lock("infra:one@1"), desk.held_lock("infra:two@2")
    slept.acquire()
    desk.pass_time(LEASE_SECONDS)
    second.acquire()
    assert not slept.may_begin
    slept.beat()
    assert slept.lost is not None
    slept.free()
    assert lock_of(desk.simulated).holder is not None


def test_a_late_renewal_is_good_when_nobody_came(desk: Desk) -> None:
    held_lock = desk.held_lock()
    held_lock.acquire()
    desk.pass_time(LEASE_SECONDS + 5)
    assert not held_lock.may_begin
    held_lock.beat()
    assert (held_lock.may_begin, held_lock.lost) == (True, None)


class Unreliable:
    """A table that renews nothing and frees nothing."""

    def __init__(self, table: ReleasesTable, error: AwsError | None = None) -> None:
        self._table = table
        self._error = error or AwsUnavailable("dynamodb:update_item: no answer")
        self.read_lock = table.read_lock
        self.broken = False

    def swap_lock(self, read: Lock, write: Lock) -> bool:
        if self.broken:
            raise AwsUnavailable("dynamodb:put_item: no answer")
        return self._table.swap_lock(read, write)

    def renew(self, *_: object, **__: object) -> None:
        raise self._error


class Crowded:
    """A table whose lock somebody else changes again and again."""

    def __init__(self, table: ReleasesTable, times: int) -> None:
        self._table, self._times = table, times
        self.read_lock, self.renew = table.read_lock, table.renew

    def swap_lock(self, read: Lock, write: Lock) -> bool:
        self._times -= 1
        return self._times < 0 and self._table.swap_lock(read, write)


def test_who_asks_in_a_crowd_asks_again(desk: Desk) -> None:
    held_lock = desk.held_lock(table=Crowded(desk.simulated.table, 12))
    held_lock.acquire()
    assert (held_lock.is_held, holder_of(desk.simulated)) == (True, held_lock.name)


def test_a_renewal_that_is_refused_begins_nothing_more(desk: Desk) -> None:
    held_lock = desk.held_lock(
        table=Unreliable(desk.simulated.table, AwsError("dynamodb:update_item: ExpiredTokenException"))
    )
    held_lock.acquire()
    desk.pass_time(BEAT_SECONDS)
    held_lock.beat()
    assert (held_lock.may_begin, held_lock.lost) == (
        False,
        "the lock cannot be renewed: dynamodb:update_item: ExpiredTokenException",
    )


def test_a_renewal_that_fails_is_told_and_tried_again(desk: Desk) -> None:
    table = Unreliable(desk.simulated.table)
    held_lock = desk.held_lock(table=table)
    held_lock.acquire()
    for _ in range(6):
        assert held_lock.may_begin
        desk.pass_time(BEAT_SECONDS)
        held_lock.beat()
    assert desk.said[0] == "The lock was not renewed, its lease ends in 50 s: dynamodb:update_item: no answer"
    assert (held_lock.may_begin, held_lock.lost) == (False, None)
    table.broken = True
    held_lock.free()
    assert desk.said[-1].startswith("The lock was not given back, and frees itself within 60 s")


def test_a_table_that_does_not_answer_is_told_at_once_and_nothing_is_held(desk: Desk) -> None:
    table = Unreliable(desk.simulated.table)
    table.broken = True
    held_lock, began_at = desk.held_lock(table=table), desk.simulated.aws.clock.now()
    with pytest.raises(AwsUnavailable, match="no answer"):
        held_lock.acquire()
    assert (held_lock.is_held, desk.simulated.aws.clock.now()) == (False, began_at)
    assert holder_of(desk.simulated) is None


def test_a_waiting_rollback_is_heard(desk: Desk) -> None:
    simulated, held_lock = desk.simulated, desk.held_lock()
    simulated.run({"imageTag": "v1"}, "one")
    simulated.run({"imageTag": "v2"}, "two")
    held_lock.acquire()
    simulated.start({"action": "rollback"}, "back")
    desk.pass_time(12)
    assert held_lock.rollback is None
    held_lock.beat()
    assert held_lock.rollback == "back"
    assert "it gives way to a rollback" in [each["reason"] for each in acquire_answers(simulated)][-1]
    held_lock.free()
    assert held_lock.acquire()
    back = next(run for run in simulated.aws.runs if run.name == "back")
    assert (back.status, held_lock.rollback) == ("SUCCEEDED", None)


def test_a_rollback_that_was_stopped_while_it_waited_is_not_heard(desk: Desk) -> None:
    simulated, held_lock = desk.simulated, desk.held_lock()
    held_lock.acquire()
    simulated.start({"action": "rollback"}, "back")
    desk.pass_time(12)
    client_of("stepfunctions").stop_execution(executionArn=simulated.aws.runs[0].arn)
    held_lock.beat()
    assert (lock_of(simulated).waiting_rollback is not None, held_lock.rollback) == (True, None)


def acquire_answers(simulated: SimulatedEnvironment) -> list[dict[str, str]]:
    """Return what `Acquire lock` has answered, in order."""
    found = []
    for run in simulated.aws.runs:
        pages = client_of("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=run.arn)
        for page in pages:
            for event in page["events"]:
                details = event.get("stateExitedEventDetails") or {}
                if details.get("name") == "Acquire lock":
                    found.append(json.loads(details["output"])["lock"])
    return found
