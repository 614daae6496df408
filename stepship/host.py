"""What a command has around it; tests pass their own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class Host:
    """Time, environment variables, folder, terminal.

    Attributes
    ----------
    now
        Returns unix seconds.
    sleep
        Waits so many seconds.
    environ
        The environment variables.
    folder
        Where the command was typed: ``config/`` is read from here.
    watched
        Whether a person watches the output: a terminal, and no CI job.
    asks
        Whether a person can answer a question.
    width
        Columns of the terminal; None to ask it.
    """

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path = field(default_factory=Path.cwd)
    watched: bool = False
    asks: bool = False
    width: int | None = None

    @classmethod
    def of_this_process(cls) -> Host:
        """Read this process."""
        watched = is_watched(Console())
        return cls(watched=watched, asks=watched and sys.stdin.isatty())

    @property
    def is_github(self) -> bool:
        """Whether this is a step of GitHub Actions."""
        return self.environ.get("GITHUB_ACTIONS") == "true"


def is_watched(console: Console) -> bool:
    """Whether a person watches a terminal: no pipe, no CI job."""
    return (
        console.is_terminal and not console.is_dumb_terminal and os.environ.get("CI", "").lower() in ("", "0", "false")
    )
