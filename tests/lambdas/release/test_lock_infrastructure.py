"""A deploy of infrastructure is no execution: it holds the lock for as long as its lease, which it renews."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambdas.release.errors import LockTimeout, UnfinishedRollback
from lambdas.release.lock import Claim, Kind, Lock, LockDecision, LockTry, decide_lock, freed
from lambdas.release.verdicts import LockStatus

NOW = 1000.0
JOURNAL = '{"action": "deploy"}'
HELD, BUSY, NOT_NEEDED = LockStatus.HELD, LockStatus.BUSY, LockStatus.NOT_NEEDED

infra = Claim("infra:octocat@1f3c", Kind.INFRASTRUCTURE, 750.4)
other_infra = replace(infra, execution="infra:hubot@9a0b", started_at=900)
deploy = Claim("deploy", Kind.DEPLOY, 900)
rollback = Claim("rollback", Kind.ROLLBACK, 900)
recovery = Claim("recovery", Kind.RECOVERY, 900)
plan = Claim("plan", Kind.PLAN, 900)

FREE = Lock(version=7, token=4)
ALIVE = replace(FREE, holder=infra, lease_expires_at=NOW + 20)
DEAD = replace(ALIVE, lease_expires_at=NOW)
CODE = replace(FREE, holder=replace(deploy, execution="code"), lease_expires_at=NOW - 1)


def decide(
    lock: Lock, claim: Claim, *, alive: tuple[str, ...] = (), takeover: str | None = None, now: float = NOW
) -> LockDecision:
    # As `Acquire lock` and `stepship infra` do: only executions are asked about.
    running = {execution: execution in alive for execution in lock.executions if execution != claim.execution}
    return decide_lock(lock, LockTry(claim, takeover, running, now, 60, 300, 15))


VERDICTS: dict[str, tuple[Lock, Claim, tuple[str, ...], LockStatus, str]] = {
    "a deploy waits": (
        ALIVE,
        deploy,
        (),
        BUSY,
        "infra:octocat@1f3c has been deploying infrastructure for 249 s; wait for it, or end it with Ctrl-C",
    ),
    "a rollback waits, and hears that it goes first": (ALIVE, rollback, (), BUSY, "for 249 s; it gives way to a"),
    "a dry run waits": (ALIVE, plan, (), BUSY, "deploying infrastructure"),
    "other infrastructure waits": (ALIVE, other_infra, (), BUSY, "infra:octocat@1f3c has been deploying"),
    "it has the lock already": (ALIVE, infra, (), HELD, "already held"),
    "a deploy takes the lock when the lease is over": (DEAD, deploy, (), HELD, "acquired"),
    "infrastructure takes the lock when the lease is over": (DEAD, other_infra, (), HELD, "acquired"),
    "infrastructure gets a free lock": (FREE, infra, (), HELD, "acquired"),
    "infrastructure waits for code": (CODE, infra, ("code",), BUSY, "held by code"),
    "infrastructure waits for a dead function": (
        replace(CODE, lease_expires_at=NOW + 8),
        infra,
        (),
        BUSY,
        "code was stopped; its lease ends in 8 s",
    ),
    "infrastructure waits until a stopped deployment is rolled back": (
        replace(CODE, journal=JOURNAL),
        infra,
        (),
        BUSY,
        "a stopped deployment has to be rolled back first",
    ),
    # It may be the fix, and nobody is working on it any more.
    "infrastructure passes what was not rolled back": (replace(FREE, journal=JOURNAL), infra, (), HELD, "acquired"),
    "a waiting rollback goes first": (
        replace(FREE, waiting_rollback=rollback),
        infra,
        ("rollback",),
        BUSY,
        "the rollback rollback goes first",
    ),
    "a waiting rollback that died is nobody": (replace(FREE, waiting_rollback=rollback), infra, (), HELD, "acquired"),
    "a newer deploy waits": (
        replace(FREE, waiting_deploy=replace(deploy, started_at=950)),
        infra,
        ("deploy",),
        HELD,
        "acquired",
    ),
}


@pytest.mark.parametrize(("lock", "claim", "alive", "status", "reason"), VERDICTS.values(), ids=VERDICTS)
def test_infrastructure_and_code_take_turns(
    lock: Lock, claim: Claim, alive: tuple[str, ...], status: LockStatus, reason: str
) -> None:
    decision = decide(lock, claim, alive=alive)
    assert (decision.status, reason in decision.reason) == (status, True), decision.reason


def test_nobody_asks_step_functions_about_infrastructure() -> None:
    assert replace(ALIVE, waiting_deploy=deploy).executions == ("deploy",)


@pytest.mark.parametrize(("lock", "found"), [(ALIVE, infra), (DEAD, None), (CODE, None), (FREE, None)])
def test_infrastructure_lives_as_long_as_its_lease(lock: Lock, found: Claim | None) -> None:
    assert lock.infrastructure(NOW) == found


def test_waiting_for_infrastructure_is_bounded() -> None:
    with pytest.raises(LockTimeout, match=r"wait_timeout_seconds = 300: infra:octocat@1f3c has been deploying"):
        decide(replace(ALIVE, lease_expires_at=2000), deploy, now=1201)


def test_waiting_for_code_is_bounded() -> None:
    with pytest.raises(LockTimeout, match="held by code"):
        decide(CODE, infra, alive=("code",), now=1051)


def test_infrastructure_takes_no_waiting_place_and_clears_none() -> None:
    assert decide(CODE, infra, alive=("code",)).lock is None
    taken = decide(replace(FREE, waiting_deploy=deploy, newest=deploy), infra, alive=("deploy",)).lock
    assert taken is not None
    assert (taken.waiting_deploy, taken.newest, taken.token) == (deploy, deploy, 5)


def test_dead_infrastructure_leaves_no_record_to_write() -> None:
    decision = decide(DEAD, deploy)
    assert (decision.dead_holders, decision.inherited) == ((), False)


def test_a_record_that_infrastructure_found_missing_is_left_to_the_next_execution() -> None:
    taken = decide(CODE, infra).lock
    assert taken is not None
    assert decide(freed(taken), deploy).dead_holders == ("code",)
    assert decide(replace(taken, lease_expires_at=NOW), deploy).dead_holders == ("code",)


def test_a_journal_outlives_infrastructure() -> None:
    taken = decide(replace(FREE, journal=JOURNAL), infra).lock
    assert taken is not None
    assert decide(freed(taken), rollback).inherited
    with pytest.raises(UnfinishedRollback):
        decide(replace(taken, lease_expires_at=NOW), deploy)


def test_a_freed_lock_has_no_holder_and_keeps_its_token() -> None:
    assert freed(replace(ALIVE, waiting_rollback=rollback)) == replace(FREE, waiting_rollback=rollback)


def test_a_recovery_waits_only_for_infrastructure_that_found_something_to_roll_back() -> None:
    assert decide(ALIVE, recovery, takeover="older").status == NOT_NEEDED
    assert decide(replace(ALIVE, journal=JOURNAL), recovery, takeover="older").status == BUSY
    assert decide(replace(DEAD, journal=JOURNAL), recovery, takeover="older").inherited
