"""Stacks go out in their order, several at once, and whatever stops them leaves the lock free."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lambdas.release.lock import Lock
from lambdas.release.policies import LockPolicy
from stacks.stages import Part, Stage, parts
from stepship.infra.cdk import Say
from stepship.infra.layout import COORDINATOR, StackStage, Step, ordered, reverse
from stepship.infra.lock import BEAT_SECONDS, LEASE_SECONDS, HeldLock, Surroundings
from stepship.infra.rollout import Interrupts, Outcome, Result, Rollout
from tests.stepship.infra_plain import Recorder

SECONDS_FOR_A_THREAD = 60


def stage(name: str, *steps: Part) -> StackStage:
    return StackStage(name, "", tuple(Step(each.name, f"x-{each.name}", name, each.needs) for each in steps))


BASE = stage("base", Part("one"), Part("two"))
TOP = stage("top", Part("below", needs=("one",)), Part("above", needs=("below", "two")), Part("beside"))


@dataclass
class Table:
    """The lock in memory; ``on_read`` is what somebody else does meanwhile."""

    lock: Lock = field(default_factory=Lock)
    on_read: Callable[[], None] = lambda: None
    renewals: int = 0

    def read_lock(self) -> Lock:
        self.on_read()
        return self.lock

    def swap_lock(self, read: Lock, write: Lock) -> bool:
        assert read == self.lock
        self.lock = write
        return True

    def renew(self, *_: object, **__: object) -> None:
        self.renewals += 1


@dataclass
class Yard:
    """A rollout with work that the test decides about; time passes with each look at the clock."""

    work: Callable[[Step], Outcome] = lambda _step: Outcome.DEPLOYED
    table: Table = field(default_factory=Table)
    view: Recorder = field(default_factory=Recorder)
    interrupts: Interrupts = field(default_factory=Interrupts)
    begun: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    abandoned: bool = False
    now: float = 1000.0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def clock(self) -> float:
        self.now += 0.5
        return self.now

    def held_lock(self) -> HeldLock:
        around = Surroundings(
            self.clock, lambda _: None, lambda _: True, self.view.say, lambda: self.interrupts.count > 0
        )
        return HeldLock(self.table, "infra:me@1", LockPolicy(900, 15), around)

    def do(self, step: Step, say: Say) -> Result:
        with self._counting:
            self.begun.append(step.part)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        say(f"{step.stack}: at it")
        outcome = self.work(step)
        with self._counting:
            self.at_once -= 1
        return Result(outcome, 1.0, "it broke" if outcome == Outcome.FAILED else "")

    def abandon(self) -> None:
        self.abandoned = True

    def rollout(self, held_lock: HeldLock, concurrency: int = 3) -> Rollout:
        return Rollout(self.do, held_lock, self.interrupts, self.view, concurrency, self.abandon, lambda _: None)

    def run(self, *stages: StackStage, concurrency: int = 3, held_lock: HeldLock | None = None) -> Rollout:
        rollout = self.rollout(held_lock or self.held_lock(), concurrency)
        rollout.run(stages)
        return rollout


def test_stages_go_one_after_the_other_and_stacks_wait_for_what_they_need() -> None:
    yard = Yard()
    rollout = yard.run(BASE, TOP)
    assert set(yard.begun[:2]) == {"one", "two"}
    assert yard.begun.index("above") > yard.begun.index("below")
    assert {each.outcome for each in rollout.results.values()} == {Outcome.DEPLOYED}
    assert len(rollout.results) == 5
    assert yard.view.of("stage") == ["base", "top"]


def test_what_needs_nobody_runs_at_once() -> None:
    gate = threading.Barrier(2)
    yard = Yard(work=lambda _: Outcome.DEPLOYED if gate.wait(SECONDS_FOR_A_THREAD) >= 0 else Outcome.FAILED)
    yard.run(BASE)
    assert yard.most_at_once == 2


def test_no_more_than_so_many_run_at_once() -> None:
    yard = Yard()
    yard.run(BASE, TOP, concurrency=1)
    assert yard.most_at_once == 1


def test_a_failure_lets_the_others_finish_and_begins_no_further_stack() -> None:
    failed = threading.Event()

    def work(step: Step) -> Outcome:
        if step.part == "one":
            failed.set()
            return Outcome.FAILED
        assert failed.wait(SECONDS_FOR_A_THREAD)
        return Outcome.DEPLOYED

    yard = Yard(work=work)
    rollout = yard.run(BASE, TOP)
    assert sorted(yard.begun) == ["one", "two"]
    assert rollout.stopped == "one failed"
    assert rollout.results["two"].outcome == Outcome.DEPLOYED
    assert "one: failed: it broke" in yard.view.of("ended")


def test_ctrl_c_lets_what_runs_finish_and_begins_no_further_stack() -> None:
    yard = Yard()

    def work(_: Step) -> Outcome:
        yard.interrupts.count = 1
        return Outcome.DEPLOYED

    yard.work = work
    rollout = yard.run(BASE, TOP, concurrency=1)
    assert (yard.begun, rollout.stopped) == (["one"], "interrupted")
    assert yard.view.of("say")[0].startswith("Ctrl-C: no further stack begins")
    assert not yard.abandoned


def test_ctrl_c_for_a_second_time_leaves_cloudformation_alone() -> None:
    yard = Yard()

    def work(_: Step) -> Outcome:
        yard.interrupts.count = 2
        give_up_at = time.monotonic() + SECONDS_FOR_A_THREAD
        while not yard.abandoned and time.monotonic() < give_up_at:
            time.sleep(0.01)
        return Outcome.FAILED

    yard.work = work
    with pytest.raises(KeyboardInterrupt, match="CloudFormation goes on with one"):
        yard.run(BASE, concurrency=1)
    assert yard.abandoned


def test_signals_are_counted_and_given_back() -> None:
    interrupts, before = Interrupts(), signal.getsignal(signal.SIGTERM)
    with interrupts.heard():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert interrupts.count == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_lines_of_the_cdk_are_shown_with_their_stack_and_before_its_end() -> None:
    yard = Yard()
    yard.run(stage("base", Part("one")))
    assert [each for each in yard.view.events if each[0] != "tick"] == [
        ("stage", "base"),
        ("begun", "one"),
        ("line", "one: x-one: at it"),
        ("ended", "one: deployed: "),
    ]


def test_the_lease_is_renewed_while_a_stack_takes_its_time() -> None:
    yard = Yard()
    held_lock = yard.held_lock()
    held_lock.acquire()

    def work(_: Step) -> Outcome:
        yard.now += BEAT_SECONDS
        give_up_at = time.monotonic() + SECONDS_FOR_A_THREAD
        while not yard.table.renewals and time.monotonic() < give_up_at:
            time.sleep(0.01)
        return Outcome.DEPLOYED

    yard.work = work
    yard.run(stage("base", Part("one")), held_lock=held_lock)
    assert yard.table.renewals >= 1


def test_a_lost_lock_begins_no_further_stack() -> None:
    yard = Yard()
    held_lock = yard.held_lock()
    held_lock.acquire()

    def work(_: Step) -> Outcome:
        held_lock.lost = "somebody else has taken the lock"
        return Outcome.DEPLOYED

    yard.work = work
    rollout = yard.run(BASE, TOP, concurrency=1, held_lock=held_lock)
    assert (yard.begun, rollout.stopped) == (["one"], "somebody else has taken the lock")


def test_the_first_deploy_takes_the_lock_as_soon_as_its_table_stands() -> None:
    yard = Yard()
    held: list[bool] = []
    held_lock = yard.held_lock()

    def work(_: Step) -> Outcome:
        held.append(held_lock.is_held)
        return Outcome.DEPLOYED

    yard.work = work
    yard.run(stage("bootstrap", Part(COORDINATOR)), stage("next", Part("network")), held_lock=held_lock)
    assert held == [False, True]


def test_the_coordinator_is_a_part_of_the_stages() -> None:
    assert COORDINATOR in parts()


def test_a_bug_in_the_work_ends_the_programs_that_it_started() -> None:
    def work(_: Step) -> Outcome:
        raise ZeroDivisionError

    yard = Yard(work=work)
    with pytest.raises(ZeroDivisionError):
        yard.run(BASE)
    assert yard.abandoned


def test_a_lease_longer_than_the_beat_survives_a_lost_one() -> None:
    assert LEASE_SECONDS > 2 * BEAT_SECONDS


def test_destroying_goes_the_other_way() -> None:
    back = reverse([BASE, TOP])
    assert [each.name for each in back] == ["top", "base"]
    assert ordered(back[0].steps) == {"below": {"above"}, "above": set(), "beside": set()}


def test_what_needs_nothing_of_its_stage_waits_for_nobody() -> None:
    assert ordered(TOP.steps) == {"below": set(), "above": {"below"}, "beside": set()}
    assert Stage("top", "", (Part("a"),)).stacks[0].needs == ()
