"""Who may deploy now. One lock per environment; the newest request wins, a rollback outranks a deploy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lambdas.release.errors import LockTimeout, RecoveryRefused, UnfinishedRollback
from lambdas.release.image import PushedImage
from lambdas.release.recovery import RECOVERY_GRACE_SECONDS
from lambdas.release.request import Request
from lambdas.release.verdicts import LockStatus

LEASE_MARGIN_SECONDS = 5
"""How much longer than the function the lease lives: clocks differ, and a last call may still be on its way."""


class Kind(StrEnum):
    """What a claim on the lock is for.

    A recovery rolls back what a stopped execution had moved; a plan is a dry run; infrastructure is deployed by
    ``stepship infra`` and not by an execution. None of the three requests other code, so none supersedes, is
    superseded, or has a waiting place.
    """

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RECOVERY = "recovery"
    PLAN = "plan"
    INFRASTRUCTURE = "infrastructure"


REQUESTS = (Kind.DEPLOY, Kind.ROLLBACK)

MAX_DEAD_HOLDERS = 20
"""Executions in a row whose missing records one execution writes: a transaction has room for 100 items."""


STALE_SECONDS = 30
"""For so long after its start a recovery takes a holder that is shown as running for one whose end is not seen yet."""

LOOK_AGAIN_SECONDS = 2


@dataclass(frozen=True)
class Claim:
    """An execution that wants the lock or has it; or a deploy of infrastructure, which is none.

    Attributes
    ----------
    execution
        The execution's ARN; ``infra:<who>@<id>`` for infrastructure.
    kind
        Decides who goes first.
    started_at
        Unix seconds at which the execution started: its age decides who is newer.
    pushed_at, pushed
        For a deploy that the push of an image has started: when it was pushed (unix seconds), which then decides who is
        newer, and the digests. Events come late, twice and in the wrong order.
    """

    execution: str
    kind: str
    started_at: float
    pushed_at: float | None = None
    pushed: str | None = None

    @property
    def name(self) -> str:
        """What messages call it: an execution's name instead of its ARN."""
        return self.execution.rpartition(":")[2] if self.is_execution else self.execution

    @property
    def is_execution(self) -> bool:
        """Whether Step Functions knows if it still runs. Infrastructure lives as long as its lease, which it renews."""
        return self.kind != Kind.INFRASTRUCTURE

    def is_newer_than(self, other: Claim) -> bool:
        """Order by the request: the push or the start. Those of one moment are ordered by start and name.

        So all agree. Two executions for one push are one request: the one that started first makes the other needless.

        Examples
        --------
        v2 is pushed at 9:00 and v3 at 9:01, and the event of v2 comes at 9:02, after that of v3: the execution of v2
        started later and is older.
        """
        if self.is_same_push_as(other):
            return (self.started_at, self.execution) < (other.started_at, other.execution)
        return self._order > other._order

    def is_same_push_as(self, other: Claim) -> bool:
        """Whether both were started by the push of one image, of which an event came twice."""
        mine, its = (self.pushed_at, self.pushed), (other.pushed_at, other.pushed)
        return self.pushed_at is not None and mine == its and self.execution != other.execution

    @property
    def _order(self) -> tuple[float, float, str]:
        asked_at = self.started_at if self.pushed_at is None else self.pushed_at
        return asked_at, self.started_at, self.execution


@dataclass(frozen=True)
class Lock:
    """The lock item.

    Attributes
    ----------
    version
        Grows with every write; a writer names the version that it read.
    token
        The fencing token: grows with every new holder.
    lease_expires_at
        Until then the holder's last function may still be writing, and infrastructure is alive (unix seconds).
    waiting_deploy, waiting_rollback
        The newest request of each kind that waits.
    newest
        The newest request that ever had the lock: who is older comes too late.
    journal
        The plan whose writes may have begun, as JSON; set before the first write, and cleared when all services
        are on one release again. It outlives the holder when that could not roll back.
    dead_holders
        The dead executions that had the lock before and did not free it: their records may be missing.
    """

    version: int = 0
    token: int = 0
    holder: Claim | None = None
    lease_expires_at: float = 0.0
    waiting_deploy: Claim | None = None
    waiting_rollback: Claim | None = None
    newest: Claim | None = None
    journal: str | None = None
    dead_holders: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Everybody whose being alive matters to a newcomer."""
        return tuple(claim for claim in (self.holder, self.waiting_deploy, self.waiting_rollback) if claim)

    @property
    def executions(self) -> tuple[str, ...]:
        """The executions of the claims: those that Step Functions can be asked about."""
        return tuple(claim.execution for claim in self.claims if claim.is_execution)

    def is_taken_from(self, execution: str) -> bool:
        """Whether somebody else has taken the lock from an execution (its ARN); then its rollback is theirs."""
        others = self.holder is not None and self.holder.execution != execution
        return others or execution in self.dead_holders

    @property
    def owner(self) -> Claim | None:
        """The execution that has the lock, or has died with it: the journal is its. Infrastructure has none."""
        return self.holder if self.holder and self.holder.is_execution else None

    def infrastructure(self, now: float) -> Claim | None:
        """Return who deploys infrastructure now (unix seconds): the holder, until its lease ends."""
        holder = self.holder
        return holder if holder and not holder.is_execution and self.lease_expires_at > now else None


@dataclass(frozen=True)
class LockDecision:
    """What the state machine gets, and what to write first.

    Attributes
    ----------
    lock
        The item to write if it is still at ``version``; None when nothing changes.
    inherited
        The holder before was stopped after its first write: its journal says how to roll back.
    dead_holders
        The executions that had the lock before and are dead: their records may be missing.
    recover
        The dead holder whose recovery did not come by itself: start one.
    """

    status: LockStatus
    reason: str
    wait_seconds: int = 0
    lock: Lock | None = None
    inherited: bool = False
    dead_holders: tuple[str, ...] = ()
    recover: Claim | None = None


def claim_of(request: Request, execution: str, started_at: float, pushed: PushedImage | None = None) -> Claim:
    """Return the claim that an execution makes; the image, when its push has started it."""
    if request.takeover:
        return Claim(execution, Kind.RECOVERY, started_at)
    if request.dry_run:
        return Claim(execution, Kind.PLAN, started_at)
    if pushed is not None:
        return Claim(execution, Kind.DEPLOY, started_at, pushed.pushed_at, pushed.digests)
    return Claim(execution, Kind.DEPLOY if request.is_deploy else Kind.ROLLBACK, started_at)


@dataclass(frozen=True)
class LockTry:
    """One try to get the lock.

    Attributes
    ----------
    running
        For every execution of the lock, and for this one: whether it may still take a step (``recovery.may_run``).
    lease_seconds
        How long this try's function may still run.
    may_take_over_journal
        Whether this deploy may go forward from a deployment that was not rolled back: it was forced, and it
        deploys every service.
    takeover_ended
        How the execution to recover from ended by itself, such as Rejected; None when it did not.
    told_of_end
        Whether something has told that the execution to recover from has ended: then it is waited for until that shows.
    redriven
        Whether this execution may have been redriven: it is shown as ended for a moment, then.
    """

    claim: Claim
    takeover: str | None
    running: Mapping[str, bool]
    now: float
    lease_seconds: float
    wait_timeout_seconds: int
    poll_seconds: int
    may_take_over_journal: bool = False
    takeover_ended: str | None = None
    told_of_end: bool = False
    redriven: bool = False


def decide_lock(lock: Lock, attempt: LockTry) -> LockDecision:
    """Decide one try.

    Raises
    ------
    RecoveryRefused
        The execution to recover from still runs; when its end cannot be seen yet, the recovery waits a moment first.
    LockTimeout
        This execution has waited for longer than the environment allows.
    UnfinishedRollback
        An earlier deployment was not rolled back, and nobody is doing it.
    """
    me = attempt.claim
    holder = lock.holder
    if not attempt.running.get(me.execution, True):
        if attempt.redriven:
            return LockDecision(LockStatus.BUSY, "the redrive of this execution cannot be seen yet", LOOK_AGAIN_SECONDS)
        return LockDecision(LockStatus.NOT_NEEDED, "this execution has ended")
    if holder and holder.execution == me.execution:
        return _hold(lock, attempt, "already held")
    needless = _needless(lock, attempt)
    if needless is not None:
        return LockDecision(LockStatus.NOT_NEEDED, needless)
    if attempt.takeover is not None and lock.owner and attempt.running.get(lock.owner.execution, False):
        if attempt.told_of_end and attempt.now - me.started_at < STALE_SECONDS:
            return LockDecision(LockStatus.BUSY, f"the end of {lock.owner.name} cannot be seen yet", LOOK_AGAIN_SECONDS)
        raise RecoveryRefused(f"takeover: {attempt.takeover} is still running; stop it first")
    alive = {c.execution for c in lock.claims if c.execution == me.execution or attempt.running.get(c.execution)}
    newer = _newer_claim(lock, me, alive, redriven=attempt.redriven)
    if newer is not None:
        return LockDecision(LockStatus.SUPERSEDED, _superseded(me, newer, lock, alive))
    obstacle, wait = _obstacle(lock, attempt, alive)
    if obstacle is None:
        return _hold(lock, attempt, "acquired")
    if attempt.now - me.started_at > attempt.wait_timeout_seconds:
        raise LockTimeout(f"[lock] wait_timeout_seconds = {attempt.wait_timeout_seconds}: {obstacle}")
    recover = _unrecovered(lock, attempt, alive)
    return LockDecision(LockStatus.BUSY, obstacle, wait, _enqueue(lock, me), recover=recover)


def _needless(lock: Lock, attempt: LockTry) -> str | None:
    """Say why a recovery has nothing to do; None when it has, and for everybody else."""
    if attempt.takeover is None:
        return None
    owner = lock.owner
    if (owner is None and lock.journal is None) or (owner and owner.execution != attempt.takeover):
        return "the stopped execution does not hold the lock"
    if owner is None and attempt.takeover_ended is not None:
        # The journal is of an earlier deployment, which somebody is told of already.
        return f"the execution had come to its own end: {attempt.takeover_ended}"
    return None


def _superseded(me: Claim, newer: Claim, lock: Lock, alive: set[str]) -> str:
    """Say to what it gives way: that may have ended long ago, and nobody has kept here how."""
    if newer.execution not in alive:
        goes, again = f"had its turn already, in {newer.name}", "; to deploy this one all the same, start it by hand"
    elif lock.holder and lock.holder.execution == newer.execution:
        goes, again = f"is being deployed by {newer.name}", ""
    else:
        goes, again = f"waits to be deployed by {newer.name}", ""
    if me.is_same_push_as(newer):
        return f"the same push {goes}"
    if me.pushed_at is not None and newer.pushed_at is not None:
        return f"an image that was pushed later {goes}{again}"
    return f"a newer {newer.kind} took its place: {newer.name}"


def _unrecovered(lock: Lock, attempt: LockTry, alive: set[str]) -> Claim | None:
    """Return the dead holder that this execution waits for in vain: its recovery has not come by itself."""
    owner = lock.owner
    is_mine_to_wait = attempt.claim.kind in (Kind.DEPLOY, Kind.PLAN) and lock.journal is not None
    if owner is None or owner.execution in alive or not is_mine_to_wait:
        return None
    return owner if attempt.now - lock.lease_expires_at >= RECOVERY_GRACE_SECONDS else None


def _newer_claim(lock: Lock, me: Claim, alive: set[str], *, redriven: bool) -> Claim | None:
    """Return the claim that makes this one pointless: one that is alive, or that had the lock already.

    A deploy gives way to any newer request, a rollback only to a newer rollback. A rollback that was redriven was asked
    for to leave what ran then: it gives way to any newer request, as a deploy does.
    """
    if me.kind not in REQUESTS:
        return None
    others = [claim for claim in lock.claims if claim.execution in alive and claim.kind in REQUESTS]
    for other in [*others, lock.newest] if lock.newest else others:
        if other.is_newer_than(me) and (redriven or me.kind == Kind.DEPLOY or other.kind == Kind.ROLLBACK):
            return other
    return None


def _obstacle(lock: Lock, attempt: LockTry, alive: set[str]) -> tuple[str | None, int]:
    """Return why the lock cannot be had now, and after how many seconds to ask again."""
    me, holder, poll = attempt.claim, lock.owner, attempt.poll_seconds
    infrastructure = lock.infrastructure(attempt.now)
    if infrastructure:
        passed = f"for {math.floor(attempt.now - infrastructure.started_at)} s"
        return f"{infrastructure.execution} has been deploying infrastructure {passed}; {_patience(me)}", poll
    if holder and holder.execution in alive:
        return f"held by {holder.name}; wait for it, or stop it: then it is rolled back by itself", poll
    remaining = lock.lease_expires_at - attempt.now
    if holder and remaining > 0:
        # The holder was stopped, but its last function may still be writing.
        return f"{holder.name} was stopped; its lease ends in {math.ceil(remaining)} s", min(poll, math.ceil(remaining))
    if lock.journal is not None and me.kind in (Kind.DEPLOY, Kind.PLAN, Kind.INFRASTRUCTURE):
        if holder:
            return (
                "a stopped deployment has to be rolled back first; its recovery starts by itself, or run a rollback",
                poll,
            )
        if me.kind == Kind.DEPLOY and not attempt.may_take_over_journal:
            raise UnfinishedRollback(
                "force: an earlier deployment could not be rolled back; run a rollback, "
                'or go forward with "force": true and all services'
            )
    rollback = lock.waiting_rollback
    if me.kind in (Kind.DEPLOY, Kind.INFRASTRUCTURE) and rollback and rollback.execution in alive:
        return f"the rollback {rollback.name} goes first", poll
    return None, 0


def _patience(me: Claim) -> str:
    if me.kind == Kind.ROLLBACK:
        return "it gives way to a rollback once the stacks that it has begun are done"
    return "wait for it, or end it with Ctrl-C: it can be run again"


def _hold(lock: Lock, attempt: LockTry, reason: str) -> LockDecision:
    """Take the lock, or renew it for its holder: the same token then, and the same journal."""
    me = attempt.claim
    mine = lock.holder is not None and lock.holder.execution == me.execution
    inherited = not mine and lock.journal is not None
    # Infrastructure writes no records: what it finds missing it leaves to the next execution.
    died = (lock.owner.execution,) if lock.owner and not mine else ()
    dead = tuple(dict.fromkeys((*lock.dead_holders, *died)))[-MAX_DEAD_HOLDERS:]
    held = replace(
        lock,
        token=lock.token if mine else lock.token + 1,
        holder=me,
        lease_expires_at=attempt.now + attempt.lease_seconds,
        waiting_deploy=_without(lock.waiting_deploy, me),
        waiting_rollback=_without(lock.waiting_rollback, me),
        newest=me if me.kind in REQUESTS and not (lock.newest and lock.newest.is_newer_than(me)) else lock.newest,
        dead_holders=dead,
    )
    return LockDecision(LockStatus.HELD, reason, 0, held, inherited or (mine and lock.journal is not None), dead)


def freed(lock: Lock) -> Lock:
    """Return the lock that a deploy of infrastructure leaves behind; it has no journal, and so leaves another's.

    An execution frees the lock with its record, in one transaction (``ReleasesTable.report``).
    """
    return replace(lock, holder=None, lease_expires_at=0.0)


def _without(waiting: Claim | None, me: Claim) -> Claim | None:
    """Clear a waiting place that this execution held, or that the one in it lost to this execution.

    Whoever waits stays when no request has got the lock.
    """
    if waiting is None or me.kind not in REQUESTS:
        return waiting
    return waiting if waiting.is_newer_than(me) else None


def _enqueue(lock: Lock, me: Claim) -> Lock | None:
    """Put this execution in the waiting place of its kind, if its kind has one."""
    if me.kind not in REQUESTS or me in (lock.waiting_deploy, lock.waiting_rollback):
        return None
    if me.kind == Kind.DEPLOY:
        return replace(lock, waiting_deploy=me)
    return replace(lock, waiting_rollback=me)
