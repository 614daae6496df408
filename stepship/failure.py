"""A command that fails: its line, its document, its exit code. Imported by ``stepship --help`` too, so it is light."""

from __future__ import annotations

import json
import sys

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes beside those of outcomes; the last is 128 + SIGINT, as shells have it."""


def fail(text: str, code: int, *, as_json: bool) -> None:
    """Write what went wrong as one line to stderr, and as the document when one was asked for."""
    line = " ".join(text.split())
    sys.stderr.write(f"stepship: {line}\n")
    if as_json:
        write_failure(line, code)


def write_failure(text: str, code: int) -> None:
    """Write the document of a command that failed."""
    sys.stdout.write(json.dumps({"error": " ".join(text.split()), "exitCode": code}, indent=2) + "\n")
