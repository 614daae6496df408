"""Stacks in their order, several at once: until all are done, one fails, or somebody stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Protocol

from lambdas.release.errors import StepshipError
from stepship.errors import CommandError
from stepship.infra.cdk import Say
from stepship.infra.layout import COORDINATOR, StackStage, Step, ordered
from stepship.infra.lock import HeldLock

TICK_SECONDS = 0.25
"""How often the lease, Ctrl-C and the lines of the CDK are polled."""


class Outcome(StrEnum):
    """What became of a stack."""

    DEPLOYED = "deployed"
    NO_CHANGE = "noChange"
    DESTROYED = "destroyed"
    FAILED = "failed"
    NOT_STARTED = "notStarted"


@dataclass(frozen=True)
class Result:
    """How one stack ended.

    Attributes
    ----------
    seconds
        How long it took.
    reason
        Why it failed.
    """

    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""


class Interrupts:
    """Counts Ctrl-C, and the end that a CI system announces, instead of dying of them."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Count while the block runs; the second one ends it."""
        before = {each: signal.signal(each, self._on) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


class View(Protocol):
    """What shows a rollout; called from one thread."""

    def stage(self, stage: StackStage) -> None:
        """Say which stage begins."""

    def begun(self, step: Step) -> None:
        """Say that a stack begins."""

    def line(self, step: Step, text: str) -> None:
        """Show a line that the CDK has written."""

    def ended(self, step: Step, result: Result) -> None:
        """Say how a stack ended."""

    def say(self, text: str) -> None:
        """Say something that is about no stack."""

    def tick(self) -> None:
        """Draw what time has changed."""

    def close(self) -> None:
        """Leave the terminal as it was."""


Work = Callable[[Step, Say], Result]
"""Deploys or destroys one stack; whatever goes wrong is in the result."""


@dataclass
class Rollout:
    """A run over stages.

    Parameters
    ----------
    work
        What is done to each stack, in a thread of its own.
    lock
        The deployment lock; it is renewed while stacks are on their way.
    concurrency
        How many stacks at once.
    abandon
        Ends the programs that ``work`` has started.
    sleep
        Waits so many seconds.

    Attributes
    ----------
    results
        By part, of those that have begun.
    stopped
        Why no further stack begins.
    """

    work: Work
    lock: HeldLock
    interrupts: Interrupts
    view: View
    concurrency: int
    abandon: Callable[[], None]
    sleep: Callable[[float], None]

    def __post_init__(self) -> None:
        self.results: dict[str, Result] = {}
        self.stopped = ""
        self._lines: SimpleQueue[tuple[Step, str]] = SimpleQueue()

    def run(self, stages: Sequence[StackStage]) -> None:
        """Go through the stages.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C for a second time: CloudFormation is left alone with what it is at.
        """
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            for stage in stages:
                if self.stopped:
                    return
                self.view.stage(stage)
                try:
                    self._stage(pool, stage)
                except BaseException:
                    # The threads end with the programs that they read; the lease of the lock ends by itself.
                    self.abandon()
                    raise

    def _stage(self, pool: ThreadPoolExecutor, stage: StackStage) -> None:
        steps = {step.part: step for step in stage.steps}
        sorter = TopologicalSorter(ordered(stage.steps))
        sorter.prepare()
        ready: list[str] = []
        running: dict[Future[Result], Step] = {}
        while sorter.is_active() or running:
            ready += sorter.get_ready()
            self._poll(running)
            if self.stopped and not running:
                return
            if self.lock.rollback and not self.stopped:
                if not running:
                    self._give_way()
                    continue
            elif not self.stopped and self.lock.may_begin:
                while ready and len(running) < self.concurrency:
                    step = steps[ready.pop(0)]
                    self.view.begun(step)
                    running[pool.submit(self.work, step, self._hear(step))] = step
            if not running:
                self.sleep(TICK_SECONDS)
            done, _ = wait(running, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                step = running.pop(future)
                self._end(step, future.result())
                if self.results[step.part].outcome != Outcome.FAILED:
                    sorter.done(step.part)

    def _hear(self, step: Step) -> Say:
        """Take a line from a thread; this one shows it."""
        return lambda text: self._lines.put((step, text))

    def _poll(self, running: dict[Future[Result], Step]) -> None:
        """Do what is due: lines, lease, Ctrl-C."""
        self._show_lines()
        self.lock.beat()
        if self.lock.lost:
            self._stop(self.lock.lost)
        if self.interrupts.count > 1:
            raise KeyboardInterrupt(
                "left: CloudFormation goes on with " + (_parts(running) or "nothing") + "; run it again to go on"
            )
        if self.interrupts.count and not self.stopped:
            under_way = f"; waiting for {_parts(running)}, which CloudFormation is at" if running else ""
            self._stop("interrupted")
            self.view.say(f"Ctrl-C: no further stack begins{under_way}")
        self.view.tick()

    def _end(self, step: Step, result: Result) -> None:
        self._show_lines()
        self.results[step.part] = result
        self.view.ended(step, result)
        if result.outcome == Outcome.FAILED:
            self._stop(f"{step.part} failed")
        elif step.part == COORDINATOR and result.outcome != Outcome.DESTROYED and not self.stopped:
            # Its table is there now.
            self._acquire()

    def _give_way(self) -> None:
        self.view.say(f"The rollback {self.lock.rollback} waits: giving way to it")
        self.lock.free()
        self._acquire()

    def _acquire(self) -> None:
        try:
            if not self.lock.acquire():
                self._stop("interrupted")
        except (CommandError, StepshipError) as error:
            self._stop(str(error))

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason

    def _show_lines(self) -> None:
        while True:
            try:
                self.view.line(*self._lines.get_nowait())
            except Empty:
                return


def _parts(running: dict[Future[Result], Step]) -> str:
    return " and ".join(sorted(step.part for step in running.values()))
