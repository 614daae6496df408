"""``stepship``, and ``python -m stepship.cli``: where a process of the command line begins.

An installed package has one top-level name. What it shares with the functions and the CDK app (``lambdas``, ``stacks``,
``statemachine``, ``config``, ``simulator``) lies in ``stepship/_core``, and our own processes alone put that on their
path: an application with packages of these names keeps its own (docs/explanation/decisions/0019). In a checkout there
is no such folder, and the names are those of the root.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

CORE = Path(__file__).parents[1] / "_core"


def main() -> NoReturn:
    """Run the command line."""
    if CORE.is_dir():
        sys.path.insert(0, str(CORE))
    from stepship.cli.main import main as run  # noqa: PLC0415 (the path comes first)

    run()


if __name__ == "__main__":
    main()
