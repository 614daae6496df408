"""Virtual time: a deterministic, cooperative scheduler of real threads.

moto runs each execution of a state machine in real threads. To make them deterministic they become *participants*
of a clock, and a participant may run only while it holds the baton. There is one baton::

    driver     ──run──┐ wait_for(...)                          ┌──run── …
    execution         └──run──┐ sleep(30)         ┌──run──┐ end┘
    lambda                    └──run──┐ sleep(1) ─┘

Whoever sleeps, waits or ends passes the baton to the participant that is due first (ties: who asked first). Only when
nobody can run at the present moment does time jump to the earliest due time, so 30 minutes cost no real time, and
the same program always interleaves in the same way. If nobody is due at all, that is a deadlock and raises.

Time is kept in whole microseconds: adding and subtracting floats near 1.7e9 would make a wait of 30 s last 29.999999.
"""

from __future__ import annotations

import heapq
import threading
import time as real_time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC).timestamp()
"""A Monday morning: 2026-01-05T09:00:00Z, in unix seconds."""

_MICROSECONDS = 1_000_000
_CLOSE_SECONDS = 10  # real seconds that a participant gets to unwind at the end


class DeadlockError(RuntimeError):
    """Nobody runs and nobody is due: every participant waits for another one."""


class HorizonError(RuntimeError):
    """Time would have to pass the clock's horizon."""


class Cancelled(BaseException):  # control flow, like GeneratorExit: no `except Exception` may swallow it
    """Unwinds a participant that was cancelled. Raised where it would have gone on."""


class Participant:
    """A thread that takes part in the clock. Made by :meth:`VirtualClock.spawn` and :meth:`VirtualClock.participate`.

    Attributes
    ----------
    name
        For messages.
    group
        Whatever the participants of one execution share; inherited by those that they spawn.
    parent
        Who spawned it, None for the driver.
    alive
        False once it has ended.
    shield
        While above zero, a cancellation waits. A Lambda function goes on when its execution is stopped.
    on_resume
        Called each time it gets the baton back, for state that belongs to the process (environment variables).
    """

    def __init__(self, name: str, group: object | None, parent: Participant | None) -> None:
        self.name = name
        self.group = group
        self.parent = parent
        self.alive = True
        self.shield = 0
        self.on_resume: Callable[[], None] | None = None
        self.ended = WaitList()
        self.waits_for = "its first turn"
        self.cancelled = False
        self.turn = 0  # which wait it is in: an entry in the queue for an earlier wait is stale
        self.blocked = False
        self.woken = False
        self.failure: BaseException | None = None
        self.baton = threading.Lock()
        self.baton.acquire()

    def __repr__(self) -> str:
        return f"{self.name} waits for {self.waits_for}"


class WaitList:
    """The participants that wait for one thing, in the order in which they came."""

    def __init__(self) -> None:
        self.waiters: list[Participant] = []


class Timer:
    """A callback that is due at a virtual time."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.name = name
        self.run = run
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call it any more. No effect once it was called."""
        self.cancelled = True


class VirtualClock:
    """Virtual time for one simulated world.

    Parameters
    ----------
    start
        The virtual time at the beginning, in unix seconds.
    pace
        Real seconds that one virtual second lasts; 0 does not wait at all. For a live demonstration.
    pace_limit_seconds
        The longest real wait for one jump in time, so that a bake time of an hour does not bore anybody.

    Attributes
    ----------
    horizon
        Virtual time (unix seconds) that must not be passed: the driver gets :class:`HorizonError` instead. None, the
        default, is no limit.
    """

    def __init__(self, start: float = START, *, pace: float = 0.0, pace_limit_seconds: float = 2.0) -> None:
        self.pace = pace
        self.pace_limit_seconds = pace_limit_seconds
        self.horizon: float | None = None
        self._now = round(start * _MICROSECONDS)
        self._queue: list[tuple[int, int, int, Participant | Timer]] = []
        self._sequence = 0
        self._by_thread = threading.local()
        self._participants: list[Participant] = []
        self._driver: Participant | None = None
        self._stepper: Participant | None = None
        self._holder: Participant | None = None
        self._closing = False

    # --- time

    def now(self) -> float:
        """Return the virtual time in unix seconds. Any thread may ask."""
        return self._now / _MICROSECONDS

    def now_datetime(self) -> datetime:
        """Return the virtual time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), tz=UTC)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the calling participant; 0 lets the others that are due run first.

        Raises
        ------
        RuntimeError
            If the calling thread does not take part in the clock.
        """
        self._block(self._due(seconds), f"{seconds:g} s to pass", self._me())

    def call_at(self, at: float, run: Callable[[], None], *, name: str = "callback") -> Timer:
        """Call ``run`` at the virtual time ``at`` (unix seconds), as a participant of its own.

        A time in the past means as soon as the baton is free. An exception in ``run`` reaches the driver.
        """
        timer = Timer(name, run)
        self._push(max(self._now, round(at * _MICROSECONDS)), 0, timer)
        return timer

    @property
    def closing(self) -> bool:
        """Whether the driver has left, and what remains is being unwound."""
        return self._closing

    # --- joining and leaving

    @contextmanager
    def participate(self, name: str = "driver") -> Iterator[Participant]:
        """Make the calling thread the driver for the ``with`` block: it holds the baton from the start.

        Raises
        ------
        RuntimeError
            If the clock already has a driver.
        """
        if self._driver is not None:
            raise RuntimeError(f"the clock is already driven by {self._driver.name}")
        driver = Participant(name, None, None)
        self._driver = driver
        self._by_thread.participant = driver
        self._holder = driver
        self._participants.append(driver)
        try:
            yield driver
        finally:
            self._close(driver)

    def spawn(
        self, run: Callable[[], None], *, name: str, group: object | None = None, parent: Participant | None = None
    ) -> Participant:
        """Start a thread as a participant. It runs when the caller next passes the baton.

        Without ``group`` it joins the caller's.
        """
        parent = parent or self.current()
        participant = Participant(name, group if group is not None else (parent.group if parent else None), parent)
        self._participants.append(participant)
        self._push(self._now, participant.turn, participant)
        self._start_thread(participant, run)
        return participant

    def current(self) -> Participant | None:
        """Return the participant of the calling thread, None if it does not take part."""
        participant: Participant | None = getattr(self._by_thread, "participant", None)
        return participant

    def others(self, *, group: object) -> list[Participant]:
        """Return the living participants of a group."""
        return [each for each in self._participants if each.group is group]

    # --- waiting for something other than time

    def wait(self, state: WaitList, timeout_seconds: float | None, waits_for: str) -> bool:
        """Block the caller until :meth:`wake` for ``state`` (True), or until the timeout in virtual seconds (False)."""
        me = self._me()
        state.waiters.append(me)
        try:
            return self._block(None if timeout_seconds is None else self._due(timeout_seconds), waits_for, me)
        finally:
            if me in state.waiters:
                state.waiters.remove(me)

    def wake(self, state: WaitList) -> None:
        """Make all that wait for ``state`` ready to run now, in the order in which they came."""
        for participant in state.waiters:
            self._ready(participant)
        state.waiters.clear()

    def wait_for(self, predicate: Callable[[], object]) -> None:
        """Let the others run until ``predicate()`` is true. It is asked, in the caller's thread, between their turns.

        Raises
        ------
        DeadlockError
            If it is false and nobody is left who could change that.
        """
        me = self._me()
        while not predicate():
            self._stepper = me
            self._block(None, "a condition", me)

    # --- cancelling

    def cancel(self, participant: Participant, *, force: bool = False) -> None:
        """Unwind a participant as soon as it would go on and its shield is down; ``force`` ignores the shield."""
        participant.cancelled = True
        if force:
            participant.shield = 0
        if participant.blocked and not participant.shield:
            self._ready(participant)

    def checkpoint(self) -> None:
        """Unwind the caller here if it was cancelled."""
        me = self.current()
        if me is not None:
            self._raise_if_cancelled(me)

    # --- the machinery

    def _due(self, seconds: float) -> int:
        return self._now + max(0, round(seconds * _MICROSECONDS))

    def _push(self, due: int, turn: int, entry: Participant | Timer) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (due, self._sequence, turn, entry))

    def _me(self) -> Participant:
        me = self.current()
        if me is None:
            raise RuntimeError(f"thread {threading.current_thread().name} does not take part in the virtual clock")
        return me

    def _ready(self, participant: Participant) -> None:
        if participant.blocked and not participant.woken:
            participant.woken = True
            self._push(self._now, participant.turn, participant)

    @staticmethod
    def _raise_if_cancelled(me: Participant) -> None:
        if me.failure is not None:
            failure, me.failure = me.failure, None
            raise failure
        if me.cancelled and not me.shield:
            raise Cancelled(me.name)

    def _block(self, due: int | None, waits_for: str, me: Participant) -> bool:
        """Pass the baton on; return when it comes back: True if woken, False if the time came."""
        self._raise_if_cancelled(me)
        me.turn += 1
        me.blocked, me.woken, me.waits_for = True, False, waits_for
        if due is not None:
            self._push(due, me.turn, me)
        following = self._next()
        if following is not me:
            self._hand_over(following)
            # Ctrl-C in the driver is raised here; the baton then is with someone else, and _close collects it.
            me.baton.acquire()
        me.blocked, me.waits_for = False, "nothing"
        if me.on_resume is not None:
            me.on_resume()
        self._raise_if_cancelled(me)
        return me.woken

    def _hand_over(self, following: Participant) -> None:
        self._holder = following
        following.baton.release()

    def _next(self) -> Participant:
        """Take the next participant from the queue, moving time if nobody is due at present."""
        if self._closing and self._driver is not None:
            return self._driver
        stepper, self._stepper = self._stepper, None
        if stepper is not None and stepper is not self.current():
            return stepper
        while self._queue:
            due, sequence, turn, entry = heapq.heappop(self._queue)
            if isinstance(entry, Timer):
                if entry.cancelled:
                    continue
            elif not entry.alive or entry.turn != turn:
                continue  # stale: it was woken earlier, or has ended
            if self.horizon is not None and due > self.horizon * _MICROSECONDS and self._driver is not None:
                heapq.heappush(self._queue, (due, sequence, turn, entry))
                self._driver.failure = HorizonError(f"nobody is due before {self.horizon}: {self._waiting()}")
                return self._driver
            self._advance(due)
            self._stepper = stepper
            if isinstance(entry, Participant):
                return entry
            participant = Participant(entry.name, None, None)
            self._participants.append(participant)
            self._start_thread(participant, entry.run)
            return participant
        return self._deadlocked()

    def _advance(self, due: int) -> None:
        if due <= self._now:
            return
        if self.pace:
            real_time.sleep(min((due - self._now) / _MICROSECONDS * self.pace, self.pace_limit_seconds))
        self._now = due

    def _deadlocked(self) -> Participant:
        if self._driver is None:
            raise DeadlockError(self._waiting())
        self._driver.failure = DeadlockError(f"nobody runs and nobody is due: {self._waiting()}")
        return self._driver

    def _waiting(self) -> str:
        return "; ".join(repr(each) for each in self._participants if each.blocked)

    def _start_thread(self, participant: Participant, run: Callable[[], None]) -> None:
        participant.blocked = True

        def body() -> None:
            self._by_thread.participant = participant
            participant.baton.acquire()
            participant.blocked, participant.waits_for = False, "nothing"
            try:
                self._raise_if_cancelled(participant)
                run()
            except Cancelled:
                pass
            except BaseException as error:  # noqa: BLE001 (a failure in a thread must not vanish: the driver raises it)
                if self._driver is not None:
                    self._driver.failure = error
                    self._ready(self._driver)
            self._leave(participant)

        threading.Thread(target=body, name=participant.name, daemon=True).start()

    def _leave(self, participant: Participant) -> None:
        participant.alive = False
        self._participants.remove(participant)
        self.wake(participant.ended)
        self._hand_over(self._next())

    def _close(self, driver: Participant) -> None:
        """End the driver's part: unwind everybody who is left, one after the other."""
        self._closing = True  # from now on everybody passes the baton to the driver
        self._queue.clear()
        if self._holder is not driver:  # Ctrl-C hit the driver while it waited
            driver.baton.acquire(timeout=_CLOSE_SECONDS)
        while len(self._participants) > 1:
            participant = next(each for each in self._participants if each is not driver)
            participant.cancelled, participant.shield = True, 0
            self._hand_over(participant)
            if not driver.baton.acquire(timeout=_CLOSE_SECONDS):
                break  # it is stuck in something real; it is a daemon thread and holds a baton that nobody needs now
        self._participants.clear()
        self._queue.clear()
        self._driver, self._stepper, self._closing = None, None, False
        self._by_thread.participant = None
