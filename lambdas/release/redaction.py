"""What a container printed leaves AWS in events, approvals and job summaries: values that are known are taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SHORTEST = 8
"""Characters from which on a value is taken out: ``8080``, ``true`` or ``dev`` are no secrets, and stand everywhere."""


def without_values(lines: Iterable[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Put ``${NAME}`` where a line has the value of the environment variable NAME.

    A value from Secrets Manager or a SecureString cannot be taken out: nothing here ever reads one.

    Parameters
    ----------
    values
        The plain environment of the task definition, name to value.
    """
    # The longest first: a URL may hold a password that another variable has too.
    known = sorted(((value, name) for name, value in values.items() if len(value) >= SHORTEST), reverse=True, key=_size)
    cleaned = []
    for line in lines:
        for value, name in known:
            line = line.replace(value, f"${{{name}}}")  # noqa: PLW2901 (each value in turn)
        cleaned.append(line)
    return tuple(cleaned)


def _size(known: tuple[str, str]) -> tuple[int, str]:
    return len(known[0]), known[1]
