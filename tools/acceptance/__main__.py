"""``make accept``: ``python -m tools.acceptance [run|estimate|janitor]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from tools.acceptance.chapters import CHAPTERS, planned
from tools.acceptance.proof import Proof, keep, say
from tools.acceptance.world.account import (
    Account,
    RefusedError,
    Run,
    check_credentials,
    check_names,
    chosen,
    named,
)
from tools.acceptance.world.janitor import destroy, found, runs
from tools.acceptance.world.surroundings import clients

REFUSED, NOT_PROVED, LEFT_BEHIND = 2, 1, 3
"""Exit codes; 0 is a proof of which nothing is left."""

FOLDER = Path(__file__).parents[2] / "build" / "accept"


def main() -> int:
    """Do what was typed; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make accept", description=__doc__)
    parser.add_argument("do", nargs="?", choices=("run", "estimate", "janitor"), default="run")
    for name in ("account", "region", "run"):
        parser.add_argument(f"--{name}", default=os.environ.get(f"ACCEPT_{name.upper()}", "").strip())
    parser.add_argument("--destroy", action="store_true", help="janitor: destroy what it finds")
    parser.add_argument("--keep", action="store_true", help="leave everything there, to look at it")
    typed = parser.parse_args()
    if typed.do == "estimate":
        say(f"{len(CHAPTERS)} chapters: at most {planned()}, by their budgets")
        return 0
    try:
        account = chosen(typed.account, typed.region, os.environ.get("ACCEPT_ENDPOINT") or None)
        run = named(typed.run)
        if account.endpoint:
            # The way to an emulator on this machine is not through a company's proxy.
            os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
        who = check_credentials(account, clients(account))
        if typed.do == "janitor":
            return _clean(account, [run] if typed.run else runs(clients(account)), destroying=typed.destroy)
        check_names(run, clients(account))
    except RefusedError as refused:
        say(f"refused: {refused}")
        return REFUSED
    for ending in (signal.SIGINT, signal.SIGTERM):
        # Also where whoever started it in the background lets it ignore Ctrl-C: it must destroy what it has made.
        signal.signal(ending, signal.default_int_handler)
    say(f"run {run.id} as {who}: at most {planned()}, by the chapters' budgets; Ctrl-C destroys what is there by then")
    folder = FOLDER / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{run.id}"
    folder.mkdir(parents=True)
    report = Proof(account, run, folder, clean=keep if typed.keep else destroy).play()
    for line in report.lines():
        say(line)
    say(f"to send: {report.write(folder)}")
    return 0 if report.good else (LEFT_BEHIND if report.left else NOT_PROVED)


def _clean(account: Account, there: list[Run], *, destroying: bool) -> int:
    """List what is left of runs, and destroy it when that was typed."""
    left = []
    for run in there:
        each = destroy(run, account, clients(account), say) if destroying else found(run, account, clients(account))
        say(f"run {run.id}: {len(each)} left" + "".join(f"\n  {one}" for one in each))
        left += each
    if not there:
        say(f"nothing of any run is in {account.number}, {account.region}")
    return LEFT_BEHIND if left else 0


if __name__ == "__main__":
    sys.exit(main())
