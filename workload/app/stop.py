"""The wish to stop, as a signal brings it."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class Stop:
    """A flag that a signal handler may set while the same thread waits for it.

    ``threading.Event`` is not made for that: its lock may be held by the very code that the signal interrupts.
    Here the handler sets a flag and writes a byte into a pipe, and ``wait`` watches the pipe.
    """

    def __init__(self) -> None:
        self._set = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def is_set(self) -> bool:
        """Whether somebody wants us to stop."""
        return self._set

    def set(self) -> None:
        """Want it; may be called from a signal handler."""
        if not self._set:
            self._set = True
            os.write(self._writer, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, so many seconds at most; return whether it is."""
        if not self._set:
            select.select([self._reader], [], [], max(0.0, seconds))
        return self._set

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT set it from now on."""

        def handle(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signature of a handler)
            self.set()

        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, handle)
