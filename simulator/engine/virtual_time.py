"""The standard library's threads, events and dates in virtual time, for moto's interpreter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from simulator.clock import Participant, VirtualClock, WaitList

FOREVER_SECONDS = 99_999_999
"""The interpreter's timeout for a task that has none. Here such a task waits without end: a deadlock is an error."""


class VirtualEvent:
    """``threading.Event`` in virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._waiting = WaitList()
        self._set = False

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._set

    def set(self) -> None:
        """Set it and wake those that wait."""
        self._set = True
        self._clock.wake(self._waiting)

    def clear(self) -> None:
        """Unset it."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout`` virtual seconds; return whether it was."""
        if self._set:
            return True
        if timeout is not None and timeout >= FOREVER_SECONDS:
            timeout = None
        return self._clock.wait(self._waiting, timeout, "an event")


class TaskEvent(VirtualEvent):
    """Says that a task is done. A task that is not done in time is abandoned: its Lambda goes on, unheard."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the task is done, at most ``timeout`` virtual seconds; return whether it is."""
        done = super().wait(timeout)
        if not done:
            waiting = self._clock.current()
            for child in self._clock.others(group=waiting.group if waiting else None):
                if child.parent is waiting:
                    self._clock.cancel(child)
        return done


class VirtualThread:
    """``threading.Thread`` as a participant of the clock."""

    def __init__(
        self,
        clock: VirtualClock,
        *,
        target: Callable[..., object],
        args: tuple[Any, ...] = (),
        name: str | None = None,
        daemon: bool | None = None,
    ) -> None:
        del daemon  # all are
        self._clock = clock
        self._run: Callable[[], object] = lambda: target(*args)
        self._participant: Participant | None = None
        self.name = name

    def start(self) -> None:
        """Begin when the caller passes the baton."""
        parent = self._clock.current()
        name = self.name or f"task of {parent.name if parent else 'nobody'}"
        self._participant = self._clock.spawn(self._discard, name=name)

    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        return self._participant is not None and self._participant.alive

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most ``timeout`` virtual seconds."""
        if self._participant is not None and self._participant.alive:
            self._clock.wait(self._participant.ended, timeout, f"the end of {self._participant.name}")

    def _discard(self) -> None:
        self._run()


def virtual_datetime(clock: VirtualClock) -> type[dt.datetime]:
    """Return ``datetime.datetime`` whose present is virtual."""

    class VirtualDatetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> VirtualDatetime:
            moment = cls.fromtimestamp(clock.now(), tz=dt.UTC)
            return moment.astimezone(tz) if tz else moment.replace(tzinfo=None)

        def isoformat(self, sep: str = "T", timespec: str = "milliseconds") -> str:
            # As Step Functions writes times: 2026-01-05T09:00:00.000Z
            return super().isoformat(sep, timespec).replace("+00:00", "Z")

    return VirtualDatetime
