"""Where a command's words go: a terminal, plain lines, or one JSON document with everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from stepship.host import Host

PLAIN_WIDTH = 200
"""Columns of a table in a log or a pipe: nothing is cut off there."""


class Output:
    """Writes for a person, or for a program.

    Parameters
    ----------
    as_json
        Whether stdout gets one JSON document alone; a person at a terminal still sees the progress, on stderr.

    Attributes
    ----------
    console
        For a person; None when nobody watches.
    is_live
        Whether what was drawn may be drawn over.
    """

    def __init__(self, host: Host, *, as_json: bool) -> None:
        self.as_json = as_json
        self.is_live = host.watched and (not as_json or sys.stderr.isatty())
        file = sys.stderr if as_json else sys.stdout
        width = host.width if self.is_live else PLAIN_WIDTH
        self.console: Console | None = Console(
            file=file, width=width, highlight=False, markup=False, emoji=False, force_terminal=self.is_live
        )
        if as_json and not self.is_live:
            self.console = None

    def say(self, text: str | Text = "", style: str = "") -> None:
        """Write a line; only a terminal wraps it."""
        if self.console is not None:
            self.console.print(text, style=style or None, soft_wrap=not self.is_live)

    def show(self, drawn: RenderableType) -> None:
        """Draw something."""
        if self.console is None:
            return
        if self.is_live:
            self.console.print(drawn)
            return
        with self.console.capture() as capture:
            self.console.print(drawn)
        for line in capture.get().splitlines():
            self.console.print(line.rstrip(), soft_wrap=True)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str | Text]], *, right: Sequence[str] = ()) -> None:
        """Draw a table without lines.

        Parameters
        ----------
        right
            Headers of the columns of numbers.
        """
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for header in headers:
            table.add_column(header, justify="right" if header in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.show(table)

    def document(self, document: Mapping[str, Any]) -> None:
        """Write the JSON document, when one was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
