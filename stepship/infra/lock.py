"""The deployment lock for a deploy of infrastructure: taken, renewed while CloudFormation works, given back.

The rules are those of ``lambdas/release/lock.py``; docs/explanation/decisions/0016 says why infrastructure has a lease
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from lambdas.release.errors import LeaseLost, LockTimeout, StepshipError, Transient
from lambdas.release.lock import Claim, Kind, Lock, LockTry, decide_lock, freed
from lambdas.release.policies import LockPolicy
from lambdas.release.verdicts import LockStatus
from stepship.errors import CommandError

LEASE_SECONDS = 60.0
"""How long the lock outlives a CLI that was killed."""

BEAT_SECONDS = 10.0
"""Between two renewals. Worked example: a renewal that hangs through all tries of the SDK (4 of 13 s at most, with 1, 2
and 4 s between) takes 59 s, and is the only one that may be lost within a lease."""

SLICE_SECONDS = 1.0
"""Ctrl-C is heard after so long while the lock is waited for."""

TELL_SECONDS = 60.0
TRIES = 5
NO_TABLE = "ResourceNotFoundException"


class LockTable(Protocol):
    """What is needed of ``ReleasesTable``."""

    def read_lock(self) -> Lock:
        """Read the lock."""

    def swap_lock(self, read: Lock, write: Lock) -> bool:
        """Write it if nobody has written since."""

    def renew(self, execution: str, token: int, lease_expires_at: float, entered_at: float) -> None:
        """Renew the lease; LeaseLost when somebody else has the lock."""


@dataclass(frozen=True)
class Surroundings:
    """Time, and whom to ask and tell.

    Attributes
    ----------
    now
        Returns unix seconds.
    is_running
        Whether an execution still runs.
    stopping
        Whether somebody has pressed Ctrl-C.
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]
    is_running: Callable[[str], bool]
    say: Callable[[str], object]
    stopping: Callable[[], bool] = lambda: False


class HeldLock:
    """The lock of one ``stepship infra``.

    Parameters
    ----------
    table
        Where the lock is.
    name
        ``infra:<who>@<id>``; those of one name share the lock.

    Attributes
    ----------
    is_held
        Whether this command has the lock; False too while there is no table to keep it in.
    lost
        Why the lock is not this command's any more.
    """

    def __init__(self, table: LockTable, name: str, policy: LockPolicy, around: Surroundings) -> None:
        self._table, self._policy, self._around = table, policy, around
        self.name = name
        self.is_held = False
        self.lost: str | None = None
        self._rollback: Claim | None = None
        self._token, self._since, self._expires_at, self._beaten_at = 0, 0.0, 0.0, 0.0

    def acquire(self) -> bool:
        """Wait for the lock, and take it.

        Returns
        -------
        bool
            False when somebody pressed Ctrl-C meanwhile. True without the lock when there is no table yet: before
            the coordinator's stack stands nobody deploys code.

        Raises
        ------
        CommandError
            It was not to be had within ``[lock] wait_timeout_seconds``.
        """
        began_at, told_at = self._around.now(), float("-inf")
        while not self.is_held:
            try:
                waiting = self._try(began_at)
            except LockTimeout as error:
                raise CommandError(f"the lock was not to be had: {error}") from error
            except StepshipError as error:
                if _code(error) == NO_TABLE:
                    return True
                raise
            if waiting is None:
                return True
            seconds, reason = waiting
            if self._around.now() - told_at >= TELL_SECONDS:
                told_at = self._around.now()
                self._around.say(f"Waiting for the lock: {reason}")
            until = self._around.now() + seconds
            while self._around.now() < until:
                if self._around.stopping():
                    return False
                self._around.sleep(SLICE_SECONDS)
        return True

    def _try(self, began_at: float) -> tuple[int, str] | None:
        """Try once; returns for how many seconds to wait, and why; None when the lock is held."""
        for _ in range(TRIES):
            lock, now = self._table.read_lock(), self._around.now()
            claim = Claim(self.name, Kind.INFRASTRUCTURE, began_at)
            decision = decide_lock(
                lock,
                LockTry(
                    claim=claim,
                    takeover=None,
                    running={each: self._around.is_running(each) for each in sorted(set(lock.executions))},
                    now=now,
                    lease_seconds=LEASE_SECONDS,
                    wait_timeout_seconds=self._policy.wait_timeout_seconds,
                    poll_seconds=self._policy.poll_seconds,
                ),
            )
            if decision.status != LockStatus.HELD or decision.lock is None:
                return max(1, decision.wait_seconds), decision.reason
            # Others read how long it has been deploying, not for how long it had waited before. Actions of one run of a
            # pipeline share a name: all of them say the same moment, or each would renew the lease for itself alone.
            shared = lock.holder if lock.holder and lock.holder.execution == self.name else None
            since = shared.started_at if shared else now
            held = replace(decision.lock, holder=replace(claim, started_at=since))
            if self._table.swap_lock(lock, held):
                self.is_held, self._token, self._since = True, held.token, since
                self._expires_at, self._beaten_at, self._rollback = held.lease_expires_at, now, None
                if held.journal is not None:
                    self._around.say("An earlier code deployment could not be rolled back: roll back after this")
                return None
        # Many actions of a pipeline that ask in the same moment: fewer of them do a second later.
        return 1, f"the lock item changed {TRIES} times while it was read"

    def beat(self) -> None:
        """Renew the lease when it is time; hear of a rollback that waits. What AWS refuses is tried again."""
        now = self._around.now()
        if not self.is_held or now - self._beaten_at < BEAT_SECONDS:
            return
        self._beaten_at = now
        try:
            self._table.renew(self.name, self._token, now + LEASE_SECONDS, self._since)
            self._expires_at = now + LEASE_SECONDS
            waiting = self._table.read_lock().waiting_rollback
            self._rollback = waiting if waiting and self._around.is_running(waiting.execution) else None
        except LeaseLost:
            self.is_held, self.lost = False, "somebody else has taken the lock: its lease had ended"
        except Transient as error:
            self._around.say(f"The lock was not renewed, its lease ends in {self._expires_at - now:.0f} s: {error}")
        except StepshipError as error:
            # Credentials that have run out, most likely: what is under way finishes, and nothing further begins.
            self.lost = f"the lock cannot be renewed: {error}"

    @property
    def may_begin(self) -> bool:
        """Whether a further stack may begin: the lease holds, or there is no lock yet."""
        return self.lost is None and (not self.is_held or self._around.now() < self._expires_at)

    @property
    def rollback(self) -> str | None:
        """The name of a rollback that waits for the lock."""
        return self._rollback.execution.rpartition(":")[2] if self._rollback else None

    def free(self) -> None:
        """Give the lock back; what AWS refuses is told, and the lease runs out by itself."""
        if not self.is_held:
            return
        self.is_held = False
        try:
            for _ in range(TRIES):
                lock = self._table.read_lock()
                if lock.holder is None or lock.holder.execution != self.name:
                    return
                if self._table.swap_lock(lock, freed(lock)):
                    return
        except StepshipError as error:
            self._around.say(f"The lock was not given back, and frees itself within {LEASE_SECONDS:.0f} s: {error}")


def _code(error: StepshipError) -> str:
    response = getattr(error.__cause__, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
