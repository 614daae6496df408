"""Is this container well: ``python -m app health``, for the health check of its task definition.

A role leaves a file that says what it is. The API is asked over HTTP; of the others the file must be fresh. The check
runs every few seconds, so it imports next to nothing.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

HEALTH_FILE = "/tmp/app-health"  # noqa: S108 (a volume in ECS)
MAX_AGE_SECONDS = 90
"""A loop that is well beats more often. The longest call is a question to the queue that fails: 3 tries of
20 + 5 s make 75 s."""

TIMEOUT_SECONDS = 3


class Pulse:
    """The file of a running role.

    Parameters
    ----------
    path
        Where it is.
    role
        What runs; with the API its port, as in ``api 8080``.
    """

    def __init__(self, path: Path, role: str) -> None:
        self._path, self._role = path, role

    def beat(self) -> None:
        """Say that the role is alive."""
        self._path.write_text(self._role)


def problem(now: float, path: Path | None = None) -> str | None:
    """Return what is wrong with the role that runs in this container; None when it is well.

    Parameters
    ----------
    now
        Unix seconds.
    path
        Of the file; by default as the environment says.
    """
    path = path or Path(os.environ.get("HEALTH_FILE") or HEALTH_FILE)
    try:
        age = now - path.stat().st_mtime
        role, _, port = path.read_text().partition(" ")
    except OSError as error:
        return f"nothing has started here: {path}: {error.strerror}"
    if role == "api":
        return _problem_of_api(int(port))
    if age > MAX_AGE_SECONDS:
        return f"{role} has given no sign of life for {age:.0f} s; {MAX_AGE_SECONDS} s are allowed"
    return None


def _problem_of_api(port: int) -> str | None:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = connection.makefile("rb").readline().split(b" ")[1:2]
    except OSError as error:
        return f"api does not answer on port {port}: {error}"
    return None if status == [b"200"] else f"api answers /health with {b''.join(status).decode() or 'nothing'}"
