"""A log as GitHub reads it: commands are what it obeys, and in a quotation it obeys nothing."""

from __future__ import annotations

from collections.abc import Iterator


def outside_of_quotations(log: str) -> Iterator[str]:
    """Yield the lines that GitHub takes for commands, if they are any."""
    token = ""
    for line in log.splitlines():
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        else:
            yield line
    assert not token, "a quotation was not ended"


def commands(log: str) -> list[str]:
    """Return what GitHub obeys."""
    return [line for line in outside_of_quotations(log) if line.startswith("::")]
