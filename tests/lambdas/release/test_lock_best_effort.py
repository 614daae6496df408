"""The lock when Step Functions and EventBridge tell late, twice, in the wrong order or not at all."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from lambdas.release.errors import RecoveryRefused
from lambdas.release.image import PushedImage
from lambdas.release.lock import Claim, Kind, Lock, LockDecision, LockTry, claim_of, decide_lock
from lambdas.release.request import ECR_PUSH, Request
from lambdas.release.verdicts import LockStatus

NOW = 1000.0
JOURNAL = '{"action": "deploy"}'
dead = Claim("arn:dead", Kind.DEPLOY, 500)
me = Claim("arn:me", Kind.DEPLOY, 900)
LEFT = Lock(version=3, token=4, holder=dead, lease_expires_at=NOW - 60, journal=JOURNAL)


def decide(lock: Lock, claim: Claim = me, *, running: dict[str, bool] | None = None, **more: object) -> LockDecision:
    alive = {claim.execution: True, **(running or {})}
    return decide_lock(lock, LockTry(claim, None, alive, NOW, 65, 300, 15, **more))  # type: ignore[arg-type]


def recover(lock: Lock, claim: Claim = me, **more: object) -> LockDecision:
    recovery = replace(claim, kind=Kind.RECOVERY)
    attempt = LockTry(recovery, dead.execution, {claim.execution: True, dead.execution: False}, NOW, 65, 300, 15)
    return decide_lock(lock, replace(attempt, **more))  # type: ignore[arg-type]


# --- the recovery that no event has started


@pytest.mark.parametrize("kind", [Kind.DEPLOY, Kind.PLAN])
def test_a_minute_after_its_lease_a_dead_holder_is_to_be_recovered(kind: Kind) -> None:
    assert decide(LEFT, replace(me, kind=kind)).recover == dead


@pytest.mark.parametrize(
    ("lock", "kind", "running"),
    [
        (replace(LEFT, lease_expires_at=NOW - 59), Kind.DEPLOY, {}),
        (replace(LEFT, lease_expires_at=NOW + 10), Kind.DEPLOY, {}),
        (LEFT, Kind.DEPLOY, {dead.execution: True}),
        (LEFT, Kind.ROLLBACK, {}),
        (LEFT, Kind.RECOVERY, {}),
        (LEFT, Kind.INFRASTRUCTURE, {}),
        (replace(LEFT, journal=None), Kind.DEPLOY, {}),
        (replace(LEFT, holder=None, waiting_rollback=replace(dead, kind=Kind.ROLLBACK)), Kind.PLAN, {}),
    ],
    ids=["early", "leased", "alive", "rollback", "recovery", "infrastructure", "no journal", "nobody holds it"],
)
def test_nothing_else_is(lock: Lock, kind: Kind, running: dict[str, bool]) -> None:
    assert decide(lock, replace(me, kind=kind), running=running).recover is None


# --- what Step Functions shows late


def test_a_recovery_that_was_told_of_an_end_waits_until_it_shows() -> None:
    young = replace(me, started_at=NOW - 3)
    running = {young.execution: True, dead.execution: True}
    assert recover(LEFT, young, running=running, told_of_end=True).status == LockStatus.BUSY
    with pytest.raises(RecoveryRefused):
        recover(LEFT, young, running=running)
    with pytest.raises(RecoveryRefused):
        recover(LEFT, me, running=running, told_of_end=True)


def test_a_redrive_that_does_not_show_yet_is_waited_for_and_a_late_function_is_not() -> None:
    gone = {me.execution: False}
    waits = decide(Lock(), running=gone, redriven=True)
    assert (waits.status, waits.lock, waits.wait_seconds) == (LockStatus.BUSY, None, 2)
    assert decide(Lock(), running=gone).status == LockStatus.NOT_NEEDED


# --- an event without its error


@pytest.mark.parametrize("ended", ["Rejected", "RolledBack", "RollbackFailed", "SUCCEEDED"])
def test_who_ended_by_itself_has_left_no_journal_to_others(ended: str) -> None:
    left_by_others = replace(LEFT, holder=None)
    decision = recover(left_by_others, takeover_ended=ended)
    assert decision.status == LockStatus.NOT_NEEDED
    assert ended in decision.reason
    assert recover(left_by_others).status == LockStatus.HELD


def test_who_ended_by_itself_and_still_holds_the_lock_is_recovered() -> None:
    assert recover(LEFT, takeover_ended="RollbackFailed").status == LockStatus.HELD


def test_a_late_event_finds_the_recovery_that_somebody_else_has_started() -> None:
    other = Claim("arn:dead-recovery-1", Kind.RECOVERY, 950)
    decision = recover(replace(LEFT, holder=other), running={me.execution: True, other.execution: True})
    assert decision.status == LockStatus.NOT_NEEDED


# --- pushes

PUSH = Request(image_tag="v2", image_digest="sha256:2", requested_by=ECR_PUSH)


def pushed(name: str, started_at: float, pushed_at: float, digest: str | None = None) -> Claim:
    image = PushedImage(name, {"app": f"uri/app@sha256:{digest or name}"}, pushed_at)
    return claim_of(PUSH, f"arn:{name}", started_at, image)


V2, V3 = pushed("v2", 1020, 1000), pushed("v3", 1010, 1005)
"""v2 was pushed first, and its event came last."""


def test_of_two_pushes_the_newer_image_is_the_newer_request() -> None:
    assert V3.is_newer_than(V2)
    assert not V2.is_newer_than(V3)


def test_the_older_image_gives_way_to_one_that_waits_and_to_one_that_had_the_lock() -> None:
    waiting = replace(LEFT, journal=None, waiting_deploy=V3)
    had_it = "had its turn already, in v3"
    for lock, is_alive, goes in (
        (waiting, True, "waits to be deployed by v3"),
        (replace(waiting, holder=V3), True, "is being deployed by v3"),
        (Lock(newest=V3), False, f"{had_it}; to deploy this one all the same, start it by hand"),
        (
            replace(waiting, waiting_deploy=None, newest=V3),
            False,
            f"{had_it}; to deploy this one all the same, start it by hand",
        ),
    ):
        decision = decide(lock, V2, running={V3.execution: is_alive, dead.execution: True})
        assert decision.status == LockStatus.SUPERSEDED
        assert decision.reason == f"an image that was pushed later {goes}"


def test_the_newer_image_takes_the_waiting_place_of_the_older() -> None:
    lock = replace(LEFT, journal=None, waiting_deploy=V2)
    decision = decide(lock, V3, running={V2.execution: True, dead.execution: True})
    assert decision.lock is not None
    assert decision.lock.waiting_deploy == V3


def test_an_event_that_comes_twice_deploys_once() -> None:
    first, again = pushed("v2", 1001, 1000), replace(pushed("v2", 1030, 1000), execution="arn:a-copy")
    decision = decide(Lock(newest=first), again)
    assert (decision.status, decision.reason) == (LockStatus.SUPERSEDED, "the same push had its turn already, in v2")
    assert decide(Lock(newest=again), first).status == LockStatus.HELD


def test_two_images_of_one_second_are_not_taken_for_one() -> None:
    one, two = pushed("v2", 1001, 1000), pushed("v3", 1002, 1000)
    assert two.is_newer_than(one)
    assert decide(Lock(newest=one), two).status == LockStatus.HELD


def test_the_event_of_a_push_comes_after_a_person_has_rolled_back_what_it_brought() -> None:
    back = Claim("arn:back", Kind.ROLLBACK, 1500)
    late = replace(pushed("v2", 1600, 1000), execution="arn:a-copy")
    assert decide(Lock(newest=back), late).status == LockStatus.SUPERSEDED


def test_a_person_may_deploy_what_they_like() -> None:
    by_hand = Claim("arn:by-hand", Kind.DEPLOY, 2000)
    assert decide(Lock(newest=V3), by_hand).status == LockStatus.HELD


def test_all_agree_on_the_order() -> None:
    claims = [V2, V3, Claim("arn:a", Kind.DEPLOY, 1003), Claim("arn:b", Kind.ROLLBACK, 1007)]
    for ordered in permutations(claims):
        newest = ordered[0]
        for claim in ordered[1:]:
            newest = claim if claim.is_newer_than(newest) else newest
        assert newest.execution == "arn:b"


def test_without_a_push_time_an_execution_counts_from_its_start() -> None:
    assert claim_of(PUSH, "arn:me", 900) == Claim("arn:me", Kind.DEPLOY, 900)


def test_a_lock_knows_from_whom_it_was_taken() -> None:
    assert LEFT.is_taken_from("arn:me")
    assert not LEFT.is_taken_from(dead.execution)
    assert replace(LEFT, holder=None, dead_holders=(dead.execution,)).is_taken_from(dead.execution)
    assert not Lock().is_taken_from(dead.execution)


@pytest.mark.parametrize(("redriven", "status"), [(False, LockStatus.HELD), (True, LockStatus.SUPERSEDED)])
def test_a_redriven_rollback_gives_way_to_what_went_out_since(redriven: bool, status: LockStatus) -> None:
    newer = Claim("arn:newer", Kind.DEPLOY, 950)
    back = replace(me, kind=Kind.ROLLBACK)
    assert decide(Lock(version=3, token=4, newest=newer), back, redriven=redriven).status == status
