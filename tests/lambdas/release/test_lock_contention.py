"""Several executions of all kinds want one lock, start, ask, wait, die and finish in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from lambdas.release.errors import LockTimeout, RecoveryRefused, UnfinishedRollback
from lambdas.release.lock import REQUESTS, Claim, Kind, Lock, LockDecision, LockTry, decide_lock
from lambdas.release.verdicts import LockStatus

POLL_SECONDS = 15
LEASE_SECONDS = 60
PATIENCE_SECONDS = 100_000

KINDS = st.sampled_from([Kind.DEPLOY, Kind.DEPLOY, Kind.ROLLBACK, Kind.PLAN])
PICKS = st.integers(0, 5)


@dataclass
class Execution:
    """One execution, as Step Functions and the lock see it."""

    claim: Claim
    takeover: str | None = None
    runs: bool = True
    holds: bool = False
    token: int = 0


@dataclass(frozen=True)
class Look:
    """What a try has read and has not acted on yet."""

    lock: Lock
    running: Mapping[str, bool]
    now: float


class Contention(RuleBasedStateMachine):
    """DynamoDB's item with its version, and executions that read it, decide, and swap it."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = Lock()
        self.now = 1000.0
        self.executions: dict[str, Execution] = {}
        self.tokens: list[int] = []

    # What there is.

    def start(self, kind: Kind, name: str, takeover: str | None = None) -> str:
        self.executions[name] = Execution(Claim(name, kind, self.now), takeover)
        return name

    def look(self) -> Look:
        lock = self.lock
        running = {c.execution: self.executions[c.execution].runs for c in lock.claims}
        return Look(lock, running, self.now)

    def ask(self, name: str, look: Look) -> LockDecision | None:
        """Decide on what was seen, write if nobody has written since; None when it has to be asked again."""
        execution = self.executions[name]
        running = {who: runs for who, runs in look.running.items() if who != name}
        attempt = LockTry(
            execution.claim, execution.takeover, running, look.now, LEASE_SECONDS, PATIENCE_SECONDS, POLL_SECONDS
        )
        try:
            decision = decide_lock(look.lock, attempt)
        except RecoveryRefused:
            assert execution.claim.kind == Kind.RECOVERY
            execution.runs = False
            return None
        except UnfinishedRollback:
            assert execution.claim.kind == Kind.DEPLOY
            assert look.lock.journal
            assert look.lock.holder is None
            execution.runs = False
            return None
        self.check(execution, look, decision)
        if decision.lock is not None:
            if look.lock.version != self.lock.version:
                return None
            self.write(replace(decision.lock, version=look.lock.version + 1))
        if decision.status == LockStatus.HELD:
            execution.holds, execution.token = True, self.lock.token
        elif decision.status != LockStatus.BUSY:
            execution.runs = False
        return decision

    def write(self, lock: Lock) -> None:
        before, self.lock = self.lock, lock
        assert lock.token >= before.token
        if lock.holder and lock.holder != before.holder:
            assert lock.token == before.token + 1
            if before.holder:
                assert not self.executions[before.holder.execution].runs, "taken from one that runs"
                assert self.now >= before.lease_expires_at, "taken while its last function may still write"
            assert lock.journal == before.journal
            if lock.holder.kind == Kind.DEPLOY:
                assert before.journal is None, "a deploy took the lock of a deployment that was not rolled back"

    def check(self, execution: Execution, look: Look, decision: LockDecision) -> None:
        """Hold a verdict against the rules that it should follow."""
        others = [c for c in look.lock.claims if look.running[c.execution] and c != execution.claim]
        requests = [c for c in others if c.kind in REQUESTS] + ([look.lock.newest] if look.lock.newest else [])
        newer = [c for c in requests if c.is_newer_than(execution.claim)]
        kind = execution.claim.kind
        if decision.status == LockStatus.SUPERSEDED:
            assert kind in REQUESTS
            assert any(kind == Kind.DEPLOY or c.kind == Kind.ROLLBACK for c in newer)
        elif kind == Kind.DEPLOY and not execution.holds:
            assert not newer, "an older deploy went on beside a newer request"
        if decision.status == LockStatus.HELD and kind == Kind.DEPLOY and not execution.holds:
            assert not [c for c in others if c.kind == Kind.ROLLBACK], "a deploy went before a rollback"
        if decision.status == LockStatus.BUSY:
            assert 0 < decision.wait_seconds <= POLL_SECONDS

    def end(self, execution: Execution, *, in_pieces: bool = False) -> None:
        """Free the lock with the record; the journal stays when the deployment was not rolled back."""
        assert self.lock.holder == execution.claim
        assert self.lock.token == execution.token
        journal = self.lock.journal if in_pieces else None
        free = replace(self.lock, holder=None, lease_expires_at=0.0, journal=journal)
        self.lock = replace(free, version=self.lock.version + 1)
        execution.holds = execution.runs = False

    @property
    def holders(self) -> list[Execution]:
        return [one for one in self.executions.values() if one.runs and one.holds]

    @property
    def running(self) -> list[str]:
        return [name for name, one in self.executions.items() if one.runs]

    # What may happen.

    looks: Bundle[Look] = Bundle("looks")

    @initialize(target=looks, first=KINDS, second=KINDS, writes=st.booleans())
    def two_start_and_the_first_asks(self, first: Kind, second: Kind, *, writes: bool) -> Look:
        self.start(first, "b0")
        self.start(second, "a1")
        self.ask("b0", self.look())
        if writes:
            self.the_holder_writes()
        return self.look()

    @rule(kind=KINDS, letter=st.sampled_from("ab"))
    def somebody_starts(self, kind: Kind, letter: str) -> None:
        self.start(kind, f"{letter}{len(self.executions)}")

    @rule(pick=PICKS)
    def a_recovery_starts(self, pick: int) -> None:
        """The rule starts it for whoever was stopped; somebody may name any execution."""
        stopped = [name for name, one in self.executions.items() if not one.runs] or list(self.executions)
        self.start(Kind.RECOVERY, f"r{len(self.executions)}", stopped[pick % len(stopped)])

    @rule(seconds=st.sampled_from([1, POLL_SECONDS, LEASE_SECONDS + 1]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.running)
    @rule(pick=PICKS)
    def one_asks(self, pick: int) -> None:
        self.ask(self.running[pick % len(self.running)], self.look())

    @rule(target=looks)
    def one_looks(self) -> Look:
        return self.look()

    @precondition(lambda self: self.running)
    @rule(pick=PICKS, look=looks)
    def one_asks_on_what_it_saw_before(self, pick: int, look: Look) -> None:
        """Two tries overlap: only a version that is still there may be written over."""
        name = self.running[pick % len(self.running)]
        execution = self.executions[name]
        if not execution.holds and execution.claim.started_at <= look.now:
            self.ask(name, look)

    @precondition(lambda self: self.running)
    @rule(pick=PICKS)
    def one_is_stopped(self, pick: int) -> None:
        self.executions[self.running[pick % len(self.running)]].runs = False

    @precondition(lambda self: self.holders)
    @rule()
    def the_holder_writes(self) -> None:
        """The first write of a deployment: it renews the lease and leaves its journal."""
        (holder,) = self.holders
        journal = self.lock.journal or holder.claim.execution
        lease = self.now + LEASE_SECONDS
        self.lock = replace(self.lock, version=self.lock.version + 1, lease_expires_at=lease, journal=journal)

    @precondition(lambda self: self.holders)
    @rule()
    def the_holder_finishes(self) -> None:
        self.end(self.holders[0])

    @precondition(lambda self: self.holders)
    @rule()
    def the_holder_cannot_put_things_back(self) -> None:
        self.end(self.holders[0], in_pieces=True)

    def teardown(self) -> None:
        """Nobody starts or is stopped any more: all go on asking, and each holder finishes."""
        if self.lock.holder is None and self.lock.journal:
            # On-call was notified and runs a rollback.
            self.start(Kind.ROLLBACK, f"p{len(self.executions)}")
        wanted = [one for one in self.executions.values() if one.runs and one.claim.kind in REQUESTS]
        wanted = [one for one in wanted if one.holds or not (n := self.lock.newest) or one.claim.is_newer_than(n)]
        newest = max(wanted, key=lambda one: (one.claim.started_at, one.claim.execution), default=None)
        for _ in range(2 * len(self.executions) + 10):
            holder = self.lock.holder
            if holder and not self.executions[holder.execution].runs and self.lock.journal:
                # The EventBridge rule starts it; nothing else takes the lock of such a deploy.
                self.start(Kind.RECOVERY, f"r{len(self.executions)}", holder.execution)
            for name in self.running:
                self.ask(name, self.look())
            for one in self.holders:
                newest = None if one is newest else newest
                self.end(one)
            self.now += POLL_SECONDS
        assert newest is None, f"{newest} never had the lock: {self.lock}"
        assert not self.running, "somebody still waits"

    # What always holds.

    @invariant()
    def at_most_one_alive_holder(self) -> None:
        assert len(self.holders) <= 1
        for one in self.holders:
            assert self.lock.holder == one.claim
            assert self.lock.token == one.token


TestContention = Contention.TestCase
TestContention.settings = settings(max_examples=300, stateful_step_count=30)


def contention_of(*starts: tuple[str, Kind]) -> Contention:
    """Return the lock and these executions, started, one second after the other."""
    contention = Contention()
    for name, kind in starts:
        contention.start(kind, name)
        contention.now += 1
    return contention


def ask(contention: Contention, *names: str) -> list[LockStatus]:
    """Let them ask in this order; what nobody decides is a fault of the test."""
    decisions = [contention.ask(name, contention.look()) for name in names]
    return [decision.status for decision in decisions if decision]


def test_of_several_waiting_deploys_the_newest_goes_next_and_the_others_end_superseded() -> None:
    contention = contention_of(*((name, Kind.DEPLOY) for name in ("holder", "second", "third", "newest")))
    assert ask(contention, "holder", "second", "third", "newest") == [LockStatus.HELD, *[LockStatus.BUSY] * 3]
    assert ask(contention, "second", "third") == [LockStatus.SUPERSEDED] * 2
    contention.end(contention.executions["holder"])
    assert ask(contention, "newest") == [LockStatus.HELD]


def test_a_rollback_goes_before_a_deploy_that_waits_longer_or_shorter() -> None:
    contention = contention_of(("holder", Kind.DEPLOY), ("back", Kind.ROLLBACK), ("newest", Kind.DEPLOY))
    assert ask(contention, "holder", "newest", "back") == [LockStatus.HELD, LockStatus.BUSY, LockStatus.BUSY]
    contention.end(contention.executions["holder"])
    assert ask(contention, "newest", "back") == [LockStatus.BUSY, LockStatus.HELD]
    contention.end(contention.executions["back"])
    assert ask(contention, "newest") == [LockStatus.HELD]


def test_the_newest_rollback_supersedes_all_that_wait() -> None:
    contention = contention_of(
        ("holder", Kind.DEPLOY), ("code", Kind.DEPLOY), ("back", Kind.ROLLBACK), ("newest", Kind.ROLLBACK)
    )
    ask(contention, "holder", "code", "back", "newest")
    assert ask(contention, "code", "back", "newest") == [LockStatus.SUPERSEDED, LockStatus.SUPERSEDED, LockStatus.BUSY]


def test_a_patience_that_ends_is_an_error_and_not_a_verdict() -> None:
    contention = contention_of(("holder", Kind.DEPLOY), ("second", Kind.DEPLOY))
    ask(contention, "holder", "second")
    contention.now += PATIENCE_SECONDS
    with pytest.raises(LockTimeout):
        ask(contention, "second")


def test_a_deploy_that_comes_after_a_newer_one_has_finished_is_superseded() -> None:
    contention = contention_of(("older", Kind.DEPLOY), ("newer", Kind.DEPLOY))
    assert ask(contention, "newer") == [LockStatus.HELD]
    contention.end(contention.executions["newer"])
    assert ask(contention, "older") == [LockStatus.SUPERSEDED]


def test_a_dry_run_waits_its_turn_and_is_in_nobodys_way() -> None:
    contention = contention_of(("older", Kind.DEPLOY), ("dry", Kind.PLAN))
    assert ask(contention, "dry", "older") == [LockStatus.HELD, LockStatus.BUSY]
    contention.end(contention.executions["dry"])
    assert ask(contention, "older") == [LockStatus.HELD]


def test_what_was_not_rolled_back_is_for_a_rollback_or_a_forced_deploy_of_everything() -> None:
    contention = contention_of(("broken", Kind.DEPLOY), ("next", Kind.DEPLOY), ("back", Kind.ROLLBACK))
    ask(contention, "broken")
    contention.the_holder_writes()
    contention.end(contention.executions["broken"], in_pieces=True)
    assert ask(contention, "next") == []
    assert not contention.executions["next"].runs
    forced = LockTry(Claim("forced", Kind.DEPLOY, 5000), None, {}, 5000, LEASE_SECONDS, 1000, 15, True)
    assert decide_lock(contention.lock, forced).inherited
    assert ask(contention, "back") == [LockStatus.HELD]
    assert contention.lock.journal
