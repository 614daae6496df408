"""Play a role: ``python -m app api``, ``worker``, ``scheduler`` or ``migrate``; ``health`` asks the one that runs."""

from __future__ import annotations

import sys
import time

ROLES = {
    "api": "serve the pools over HTTP, until SIGTERM",
    "worker": "do the jobs of the queue, until SIGTERM",
    "scheduler": "put jobs into the queue, until SIGTERM",
    "migrate": "migrate the database and the data in the table, and end",
}
HELP = "\n  ".join(
    [
        "usage: python -m app ROLE\n",
        *(f"{role:<11}{what}" for role, what in ROLES.items()),
        "health     exit 0 if the role that runs in this container is well\n",
    ]
)
FAILED, USAGE = 1, 2


def main(arguments: list[str]) -> int:
    """Play the role that the arguments name; return the exit code."""
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if arguments == ["health"]:
        return _health()
    if len(arguments) != 1 or arguments[0] not in ROLES:
        sys.stderr.write(HELP)
        return USAGE
    return _play(arguments[0])


def _health() -> int:
    from app.health import problem  # noqa: PLC0415 (the check runs every few seconds)

    found = problem(time.time())
    if found:
        sys.stderr.write(f"{found}\n")
    return FAILED if found else 0


def _play(role: str) -> int:
    import os  # noqa: PLC0415 (as below)
    from importlib import import_module  # noqa: PLC0415 (as below)

    from app.logs import start_logging  # noqa: PLC0415 (`health` must not pay for what a role needs)
    from app.settings import read_settings  # noqa: PLC0415 (the same)

    start_logging(role)
    try:
        settings = read_settings(role, os.environ)
        start_logging(role, settings.secrets)
        return int(import_module(f"app.{role}").run(settings))
    except Exception as error:
        # The last line of a container's log is what explains its death.
        import logging  # noqa: PLC0415 (only on the way out)

        expected = type(error).__module__.startswith("app.")
        log = logging.getLogger("app")
        log.error("%s: %s", type(error).__name__, error, exc_info=not expected)  # noqa: TRY400 (ours explain themselves)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
