"""What is printed when a command line cannot be understood."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup
from typer.exceptions import TyperException

from stepship.failure import write_failure


class Commands(TyperGroup):
    """The commands; with ``--json`` a wrong usage is a document too. Typer writes it to stderr for a person."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the words before the command."""
        self.asks_for_json = "--json" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except TyperException as error:
            self._write(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Read the words of the command, and run it."""
        try:
            return super().invoke(ctx)
        except TyperException as error:
            self._write(error)
            raise

    def _write(self, error: TyperException) -> None:
        if self.asks_for_json:
            write_failure(error.format_message(), error.exit_code)
