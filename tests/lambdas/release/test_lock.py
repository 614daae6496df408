from __future__ import annotations

from dataclasses import replace

import pytest

from lambdas.release.errors import LockTimeout, RecoveryRefused
from lambdas.release.lock import Claim, Kind, Lock, LockDecision, LockTry, claim_of, decide_lock
from lambdas.release.request import Request
from lambdas.release.verdicts import LockStatus

NOW = 1000.0
FREE = Lock(version=7, token=4)
JOURNAL = '{"action": "deploy"}'

older = Claim("older", Kind.DEPLOY, 800)
me = Claim("me", Kind.DEPLOY, 900)
newer = Claim("newer", Kind.DEPLOY, 950)
my_rollback = replace(me, kind=Kind.ROLLBACK)
my_recovery = replace(me, kind=Kind.RECOVERY)


def rollback(claim: Claim) -> Claim:
    return replace(claim, kind=Kind.ROLLBACK)


def recovery(claim: Claim) -> Claim:
    return replace(claim, kind=Kind.RECOVERY)


def held_by(claim: Claim, **changes: object) -> Lock:
    return replace(FREE, holder=claim, lease_expires_at=NOW - 1, **changes)  # type: ignore[arg-type]


def decide(
    lock: Lock, claim: Claim = me, *, alive: tuple[Claim, ...] = (), takeover: str | None = None, now: float = NOW
) -> LockDecision:
    running = {c.execution: c in alive for c in lock.claims if c.execution != claim.execution}
    return decide_lock(lock, LockTry(claim, takeover, running, now, 65, 300, 15))


HELD, BUSY, SUPERSEDED, NOT_NEEDED = LockStatus.HELD, LockStatus.BUSY, LockStatus.SUPERSEDED, LockStatus.NOT_NEEDED
LEASED = replace(held_by(older), lease_expires_at=NOW + 8.5)

# Name: (lock, claim, who is alive, verdict, words of the reason, seconds to wait).
VERDICTS: dict[str, tuple[Lock, Claim, tuple[Claim, ...], LockStatus, str, int]] = {
    "free": (FREE, me, (), HELD, "acquired", 0),
    "mine already": (held_by(me), me, (), HELD, "already held", 0),
    "mine already, though a newer one waits": (
        held_by(me, waiting_deploy=newer),
        me,
        (newer,),
        HELD,
        "already held",
        0,
    ),
    "an older deploy holds it": (held_by(older), me, (older,), BUSY, "held by older", 15),
    "a newer deploy holds it": (held_by(newer), me, (newer,), SUPERSEDED, "a newer deploy took its place: newer", 0),
    "a newer deploy waits": (
        held_by(older, waiting_deploy=newer),
        me,
        (older, newer),
        SUPERSEDED,
        "a newer deploy took its place: newer",
        0,
    ),
    "a newer deploy waits though the lock is free": (
        replace(FREE, waiting_deploy=newer),
        me,
        (newer,),
        SUPERSEDED,
        "newer",
        0,
    ),
    "a newer deploy waited and died": (replace(FREE, waiting_deploy=newer), me, (), HELD, "acquired", 0),
    "a newer deploy held it and died": (held_by(newer), me, (), HELD, "acquired", 0),
    "an older deploy waits": (replace(FREE, waiting_deploy=older), me, (older,), HELD, "acquired", 0),
    "a newer rollback waits": (
        held_by(older, waiting_rollback=rollback(newer)),
        me,
        (older, rollback(newer)),
        SUPERSEDED,
        "a newer rollback took its place: newer",
        0,
    ),
    "an older rollback waits": (
        replace(FREE, waiting_rollback=rollback(older)),
        me,
        (rollback(older),),
        BUSY,
        "the rollback older goes first",
        15,
    ),
    "an older rollback waited and died": (replace(FREE, waiting_rollback=rollback(older)), me, (), HELD, "acquired", 0),
    "a newer recovery holds it": (held_by(recovery(newer)), me, (recovery(newer),), BUSY, "held by newer", 15),
    "the holder died with its lease open": (LEASED, me, (), BUSY, "older was stopped; its lease ends in 9 s", 9),
    "the holder died with a long lease": (
        replace(LEASED, lease_expires_at=NOW + 600),
        me,
        (),
        BUSY,
        "its lease ends in 600 s",
        15,
    ),
    "the holder died and its lease ends now": (replace(LEASED, lease_expires_at=NOW), me, (), HELD, "acquired", 0),
    "the holder died after its first write": (
        held_by(older, journal=JOURNAL),
        me,
        (),
        BUSY,
        "a stopped deployment has to be rolled back first",
        15,
    ),
    "rollback: free": (FREE, my_rollback, (), HELD, "acquired", 0),
    "rollback: a newer deploy holds it": (held_by(newer), my_rollback, (newer,), BUSY, "held by newer", 15),
    "rollback: a newer deploy waits": (replace(FREE, waiting_deploy=newer), my_rollback, (newer,), HELD, "acquired", 0),
    "rollback: a newer rollback waits": (
        replace(FREE, waiting_rollback=rollback(newer)),
        my_rollback,
        (rollback(newer),),
        SUPERSEDED,
        "a newer rollback took its place: newer",
        0,
    ),
    "rollback: an older rollback waits": (
        replace(FREE, waiting_rollback=rollback(older)),
        my_rollback,
        (rollback(older),),
        HELD,
        "acquired",
        0,
    ),
    "rollback: a newer recovery holds it": (
        held_by(recovery(newer)),
        my_rollback,
        (recovery(newer),),
        BUSY,
        "held by newer",
        15,
    ),
    "rollback: the holder died after its first write": (
        held_by(older, journal=JOURNAL),
        my_rollback,
        (),
        HELD,
        "acquired",
        0,
    ),
}


@pytest.mark.parametrize(("lock", "claim", "alive", "status", "reason", "wait"), VERDICTS.values(), ids=VERDICTS)
def test_one_try_gets_one_verdict(
    lock: Lock, claim: Claim, alive: tuple[Claim, ...], status: LockStatus, reason: str, wait: int
) -> None:
    decision = decide(lock, claim, alive=alive)
    assert decision.status == status
    assert reason in decision.reason
    assert decision.wait_seconds == wait


RECOVERIES: dict[str, tuple[Lock, tuple[Claim, ...], LockStatus]] = {
    "the lock is free": (FREE, (), NOT_NEEDED),
    "somebody else holds it": (held_by(newer), (newer,), NOT_NEEDED),
    "the stopped one holds it": (held_by(older), (), HELD),
    "the stopped one's lease is open": (LEASED, (), BUSY),
    "a newer deploy waits": (held_by(older, waiting_deploy=newer), (newer,), HELD),
    "a newer rollback waits": (held_by(older, waiting_rollback=rollback(newer)), (rollback(newer),), HELD),
    "its own answer was lost": (held_by(my_recovery), (), HELD),
}


@pytest.mark.parametrize(("lock", "alive", "status"), RECOVERIES.values(), ids=RECOVERIES)
def test_a_recovery_takes_over_from_the_stopped_holder_alone(
    lock: Lock, alive: tuple[Claim, ...], status: LockStatus
) -> None:
    assert decide(lock, my_recovery, alive=alive, takeover="older").status == status


def test_a_recovery_is_refused_while_the_holder_runs() -> None:
    with pytest.raises(RecoveryRefused, match="takeover: older is still running"):
        decide(held_by(older), my_recovery, alive=(older,), takeover="older")


def test_a_recovery_leaves_the_waiting_in_their_places() -> None:
    lock = held_by(older, waiting_deploy=me, waiting_rollback=rollback(older))
    taken = decide(lock, recovery(newer), alive=(me,), takeover="older").lock
    assert taken is not None
    assert (taken.waiting_deploy, taken.waiting_rollback) == (me, rollback(older))


def test_a_recovery_that_has_to_wait_takes_no_waiting_place() -> None:
    assert decide(LEASED, my_recovery, takeover="older").lock is None


def test_a_new_holder_gets_the_next_token_and_a_lease_from_now() -> None:
    decision = decide(FREE)
    assert decision.lock == replace(FREE, token=5, holder=me, newest=me, lease_expires_at=NOW + 65)
    assert not decision.inherited


def test_who_takes_the_lock_from_a_dead_holder_knows_it_and_keeps_knowing_it() -> None:
    taken = decide(held_by(older))
    assert taken.dead_holders == ("older",)
    assert taken.lock is not None
    assert decide(taken.lock).dead_holders == ("older",)
    assert decide(taken.lock, newer, now=NOW + 100).dead_holders == ("older", "me")


def test_a_try_of_an_execution_that_has_ended_takes_nothing() -> None:
    attempt = LockTry(me, None, {me.execution: False}, NOW, 65, 900, 15)
    for lock in (FREE, held_by(me)):
        decision = decide_lock(lock, attempt)
        assert (decision.status, decision.lock) == (LockStatus.NOT_NEEDED, None)


def test_a_repeated_try_renews_the_lease_and_keeps_the_token() -> None:
    decision = decide(held_by(me))
    assert decision.lock == replace(FREE, holder=me, newest=me, lease_expires_at=NOW + 65)
    assert not decision.inherited


@pytest.mark.parametrize("claim", [my_rollback, my_recovery], ids=["rollback", "recovery"])
def test_the_journal_of_a_stopped_holder_is_inherited_and_kept(claim: Claim) -> None:
    takeover = "older" if claim.kind == Kind.RECOVERY else None
    decision = decide(held_by(older, journal=JOURNAL), claim, takeover=takeover)
    assert decision.inherited
    assert decision.lock is not None
    assert decision.lock.journal == JOURNAL
    assert decision.lock.token == 5


def test_an_inheritance_survives_a_lost_answer() -> None:
    decision = decide(held_by(my_rollback, journal=JOURNAL), my_rollback)
    assert decision.inherited
    assert decision.lock is not None
    assert (decision.lock.token, decision.lock.journal) == (4, JOURNAL)


WAITING_PLACES = {
    "older ones of both kinds": (older, rollback(older), None, None),
    "my own": (me, None, None, None),
    "newer ones of both kinds": (newer, rollback(newer), newer, rollback(newer)),
}


@pytest.mark.parametrize(("deploy", "undo", "deploy_after", "undo_after"), WAITING_PLACES.values(), ids=WAITING_PLACES)
def test_a_new_holder_clears_the_waiting_places_of_those_that_lost_to_it(
    deploy: Claim | None, undo: Claim | None, deploy_after: Claim | None, undo_after: Claim | None
) -> None:
    taken = decide(replace(FREE, waiting_deploy=deploy, waiting_rollback=undo)).lock
    assert taken is not None
    assert (taken.waiting_deploy, taken.waiting_rollback) == (deploy_after, undo_after)


def test_who_waits_takes_the_place_of_its_kind() -> None:
    lock = held_by(older, waiting_deploy=older)
    assert decide(lock, alive=(older,)).lock == replace(lock, waiting_deploy=me)
    assert decide(lock, my_rollback, alive=(older,)).lock == replace(lock, waiting_rollback=my_rollback)


def test_who_waits_already_writes_nothing() -> None:
    assert decide(held_by(older, waiting_deploy=me), alive=(older,)).lock is None


@pytest.mark.parametrize("claim", [me, my_rollback], ids=["deploy", "rollback"])
def test_waiting_ends_with_the_timeout_and_says_for_whom_it_waited(claim: Claim) -> None:
    assert decide(held_by(older), claim, alive=(older,), now=1200).status == BUSY
    with pytest.raises(LockTimeout, match=r"wait_timeout_seconds = 300: held by older"):
        decide(held_by(older), claim, alive=(older,), now=1201)


def test_a_free_lock_is_taken_even_after_the_timeout() -> None:
    assert decide(FREE, now=5000).status == HELD


def test_two_of_one_moment_agree_who_is_newer() -> None:
    left, right = Claim("a", Kind.DEPLOY, 900), Claim("b", Kind.DEPLOY, 900)
    assert right.is_newer_than(left)
    assert not left.is_newer_than(right)
    assert not left.is_newer_than(left)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (Request(image_tag="v1"), Kind.DEPLOY),
        (Request(action="rollback"), Kind.ROLLBACK),
        (Request(action="rollback", takeover="arn"), Kind.RECOVERY),
        (Request(image_tag="v1", dry_run=True), Kind.PLAN),
        (Request(action="rollback", dry_run=True), Kind.PLAN),
    ],
    ids=["deploy", "rollback", "recovery", "dry run", "dry run of a rollback"],
)
def test_a_request_makes_a_claim_of_its_kind(request_: Request, kind: Kind) -> None:
    assert claim_of(request_, "me", 900) == Claim("me", kind, 900)
