"""Follow an execution to its end. It runs by itself: following it, or not, changes nothing about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from lambdas.release.errors import AccessDenied, AwsUnavailable, Throttled
from stepship.errors import CommandError, may_pass
from stepship.executions.history_events import to_event
from stepship.executions.outcomes import RUNNING, Result, result_of
from stepship.host import Host
from stepship.machine import Machine
from stepship.output import Output
from stepship.views.durations import clock, duration
from stepship.views.plain_lines import row_line as plain_row_line
from stepship.views.progress import Progress, Row
from stepship.views.rich_lines import end_line, row_line
from stepship.views.rollout_view import service_states, service_table

WATCHED_POLL_SECONDS, POLL_SECONDS, MAX_POLL_SECONDS = 2.0, 5.0, 60.0
"""Time between two polls at a terminal and elsewhere, and the longest that throttling makes of it."""

GIVE_UP_SECONDS = 600.0
"""An execution that cannot be read for so long is followed no further."""

QUIET_SECONDS = 60.0
"""A log gets a line at least that often: some CI systems end a job that says nothing."""

APPROVAL = "Wait for approval"


class View(Protocol):
    """Shows an execution while it is followed."""

    def row(self, row: Row, progress: Progress) -> None:
        """Show a row that has ended."""

    def tick(self, progress: Progress) -> None:
        """Show how it stands now."""

    def say(self, text: str) -> None:
        """Show a line."""

    def close(self, progress: Progress) -> None:
        """Show the end, if it has been reached, and give the terminal back."""


@dataclass(frozen=True)
class Followed:
    """An execution as it was last seen.

    Attributes
    ----------
    timed_out
        Whether it was followed for as long as allowed, and goes on.
    """

    result: Result
    progress: Progress
    timed_out: bool = False


def follow(
    machine: Machine,
    arn: str,
    host: Host,
    view: View,
    *,
    timeout_seconds: float | None = None,
    on_approval: Callable[[], str] = str,
) -> Followed:
    """Poll an execution until it has ended.

    Parameters
    ----------
    timeout_seconds
        Follow it for so long at most.
    on_approval
        Called when it begins to wait for an approval; returns what to say.

    Raises
    ------
    CommandError
        There is no such execution.
    StepshipError
        AWS refuses, or could not be reached for ten minutes.
    """
    began = seen = host.now()
    usual = pause = WATCHED_POLL_SECONDS if host.watched else POLL_SECONDS
    poller = _Poller(machine, arn)
    hinted = False
    try:
        while True:
            try:
                result = poller.poll(view)
            except (Throttled, AwsUnavailable) as error:
                is_first = poller.result is None and host.watched
                if host.now() - seen > GIVE_UP_SECONDS or is_first or not may_pass(error):
                    raise
                pause = min(2 * pause, MAX_POLL_SECONDS)
                view.say(f"the execution cannot be read for now ({error}); it goes on")
            else:
                seen, pause = host.now(), usual
                if result.outcome == RUNNING:
                    poller.progress.now = max(poller.progress.now, seen)
                view.tick(poller.progress)
                if not hinted and poller.progress.entered == APPROVAL and result.outcome == RUNNING:
                    hinted = True
                    view.say(on_approval())
                if result.outcome != RUNNING:
                    return Followed(result, poller.progress)
            if timeout_seconds is not None and host.now() - began + pause > timeout_seconds:
                return Followed(poller.known, poller.progress, timed_out=True)
            host.sleep(pause)
    finally:
        view.close(poller.progress)


class _Poller:
    """Reads the same execution again and again."""

    def __init__(self, machine: Machine, arn: str) -> None:
        self._machine, self._arn = machine, arn
        self._after = 0
        self._may_read_history = True
        self.progress = Progress(arn.rpartition(":")[2])
        self.result: Result | None = None

    @property
    def known(self) -> Result:
        """What the last poll found."""
        if self.result is None:
            raise CommandError(f"there is no execution {self._arn}")
        return self.result

    def poll(self, view: View) -> Result:
        """Read it once; the description comes first, so that the events of an ended execution are complete."""
        description = self._machine.describe(self._arn)
        if description is None:
            raise CommandError(f"there is no execution {self._arn}: `stepship history` lists those that there were")
        self.result = result_of(description)
        self.progress.started_at = self.progress.started_at or description.started_at
        if self._may_read_history:
            try:
                self._read_events(view)
            except AccessDenied as error:
                self._may_read_history = False
                view.say(f"following without its states: {error}")
        return self.result

    def _read_events(self, view: View) -> None:
        for raw in self._machine.events(self._arn, self._after):
            self._after = raw["id"]
            event = to_event(self.progress.name, raw)
            closed = self.progress.on(event) if event else None
            if closed is not None:
                view.row(closed, self.progress)


class Lines:
    """Plain lines: for CI logs, pipes and files.

    Parameters
    ----------
    expected_seconds
        How long it usually takes; None when that is not known.
    """

    def __init__(self, output: Output, host: Host, expected_seconds: float | None) -> None:
        self._output, self._host = output, host
        self._said_at = host.now()
        if expected_seconds:
            output.say(f"  It usually takes {duration(expected_seconds)}")

    def row(self, row: Row, progress: Progress) -> None:
        """Write it."""
        self.say(plain_row_line(row, progress, with_name=False).strip())

    def tick(self, progress: Progress) -> None:
        """Write what goes on, when nothing was written for a while."""
        if progress.row is not None and self._host.now() - self._said_at >= QUIET_SECONDS:
            self.row(progress.row, progress)

    def say(self, text: str) -> None:
        """Write it."""
        self._said_at = self._host.now()
        self._output.say(f"  {text}")

    def close(self, progress: Progress) -> None:
        """Write the end."""
        if progress.outcome:
            self._output.say(f"  {clock(progress.seconds)} {progress.outcome} ({progress.status})")


class Terminal:
    """A terminal: what has ended scrolls up, the rest is drawn again and again.

    Parameters
    ----------
    expected_seconds
        How long it usually takes; None when that is not known.
    """

    def __init__(self, console: Console, expected_seconds: float | None) -> None:
        self._console, self._expected = console, expected_seconds
        self._live = Live(Text(), console=console, auto_refresh=False, transient=True)
        self._live.start()

    def row(self, row: Row, progress: Progress) -> None:
        """Let it scroll up."""
        self._print(row_line(row, progress, name_width=0))

    def tick(self, progress: Progress) -> None:
        """Draw what changes."""
        lines: list[RenderableType] = []
        if progress.row is not None:
            lines.append(row_line(progress.row, progress, name_width=0))
        states = service_states(progress.state)
        if states and not progress.outcome:
            lines.append(service_table(states))
        if not progress.outcome:
            usual = f" of usually {duration(self._expected)}" if self._expected else ""
            lines.append(Text(f"   {duration(progress.seconds)}{usual}; Ctrl-C detaches, it goes on", "dim"))
        self._live.update(Group(*lines), refresh=True)

    def say(self, text: str) -> None:
        """Let it scroll up."""
        self._print(Text(f"   {text}", "yellow"))

    def close(self, progress: Progress) -> None:
        """Show the end."""
        self._live.update(Text(), refresh=True)
        self._live.stop()
        if progress.outcome:
            self._print(end_line(progress, name_width=0))

    def _print(self, line: RenderableType) -> None:
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def make_view(output: Output, host: Host, expected_seconds: float | None) -> View:
    """Choose the view for where the words go."""
    if output.is_live and output.console is not None:
        return Terminal(output.console, expected_seconds)
    return Lines(output, host, expected_seconds)
