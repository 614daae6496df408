"""Stacks on their way: what runs now drawn again and again on a terminal, one line after the other in a log."""

from __future__ import annotations

import re
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stepship.infra.cdk import NOISE
from stepship.infra.layout import StackStage, Step
from stepship.infra.rollout import Outcome, Result, View
from stepship.output import Output
from stepship.views.durations import clock, duration

SIGNS = {
    Outcome.DEPLOYED: "ok",
    Outcome.NO_CHANGE: "no change",
    Outcome.DESTROYED: "gone",
    Outcome.FAILED: "FAILED",
    Outcome.NOT_STARTED: "not started",
}
STYLES = {Outcome.FAILED: "bold red", Outcome.NO_CHANGE: "dim", Outcome.NOT_STARTED: "dim"}
EVENT = re.compile(r"^\S+ *\| *(?P<count>[\d/]+) *\|[^|]*\| *(?P<status>\w+) *\|(?P<rest>.*)$")
"""A line of the CDK with an event: stack, how many of how many, time, status, type and resource."""


def told(stack: str, text: str) -> str:
    """Shorten a line of the CDK: the stack's name stands before it anyway. Noise becomes nothing.

    Examples
    --------
    >>> told("x-net", "x-net | 3/18 | 12:36:28 PM | CREATE_COMPLETE | AWS::EC2::VPC | Vpc (Vpc8378EB38)")
    '3/18 CREATE_COMPLETE AWS::EC2::VPC Vpc (Vpc8378EB38)'
    >>> told("x-net", "x-net: creating CloudFormation changeset...")
    'creating CloudFormation changeset...'
    """
    event = EVENT.match(text)
    if event:
        rest = " ".join(event["rest"].replace("|", " ").split())
        return f"{event['count']} {event['status']} {rest}"
    short = text.strip().removeprefix(f"{stack}:").strip()
    return "" if short.startswith(NOISE) else short


class PlainView:
    """Lines for a log.

    Parameters
    ----------
    write
        Takes one line.
    now
        Returns unix seconds.
    """

    def __init__(self, write: Callable[[str], object], now: Callable[[], float]) -> None:
        self._write, self._now = write, now
        self._began_at = now()

    def stage(self, stage: StackStage) -> None:
        """Say which stage begins."""
        self._write(f"{stage.name}: {stage.purpose}")

    def begun(self, step: Step) -> None:
        """Say that a stack begins."""
        self._write(f"  {self._clock} {step.part} ..")

    def line(self, step: Step, text: str) -> None:
        """Show what has changed; that something begins to change would double the log."""
        if (short := told(step.stack, text)) and "_IN_PROGRESS " not in short:
            self._write(f"  {self._clock} {step.part} | {short}")

    def ended(self, step: Step, result: Result) -> None:
        """Say how a stack ended."""
        reason = f": {result.reason}" if result.reason else ""
        self._write(f"  {self._clock} {step.part} {SIGNS[result.outcome]} ({duration(result.seconds)}){reason}")

    def say(self, text: str) -> None:
        """Say something that is about no stack."""
        self._write(f"  {self._clock} {text}")

    def tick(self) -> None:
        """Do nothing: a log only grows."""

    def close(self) -> None:
        """Do nothing: nothing is held."""

    @property
    def _clock(self) -> str:
        return clock(self._now() - self._began_at)


class LiveView:
    """A terminal: what has ended scrolls up, below it stands what runs, with its last event."""

    def __init__(self, console: Console, now: Callable[[], float]) -> None:
        self._console, self._now = console, now
        self._running: dict[str, tuple[float, str]] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def stage(self, stage: StackStage) -> None:
        """Say which stage begins."""
        self._print(Text.assemble((stage.name, "bold cyan"), f"  {stage.purpose}"))

    def begun(self, step: Step) -> None:
        """Draw a row for it."""
        self._running[step.part] = (self._now(), "")

    def line(self, step: Step, text: str) -> None:
        """Draw its last line."""
        since, note = self._running.get(step.part, (self._now(), ""))
        self._running[step.part] = (since, told(step.stack, text) or note)

    def ended(self, step: Step, result: Result) -> None:
        """Print how a stack ended; its row is gone."""
        self._running.pop(step.part, None)
        style = STYLES.get(result.outcome, "green")
        sign = Text(f"  {SIGNS[result.outcome]:<11}", style)
        self._print(Text.assemble(sign, f" {step.part}", (f"  {duration(result.seconds)}", "dim")))
        if result.reason:
            self._print(Text(f"    {result.reason}", "red"))

    def say(self, text: str) -> None:
        """Say something that is about no stack."""
        self._print(Text(f"  {text}", "yellow"))

    def tick(self) -> None:
        """Draw what runs again."""
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for part, (since, note) in self._running.items():
            table.add_row(Text(f"  .. {part}", "cyan"), Text(duration(self._now() - since), "dim"), Text(note, "dim"))
        self._live.update(Group(table), refresh=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def _print(self, text: Text) -> None:
        self._live.console.print(text)


def view_of(output: Output, now: Callable[[], float]) -> View:
    """Return the view that fits where the words go."""
    if output.console is not None and output.is_live:
        return LiveView(output.console, now)
    return PlainView(output.say, now)
