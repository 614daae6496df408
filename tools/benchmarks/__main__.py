"""Measure, and write docs/explanation/benchmarks.md: `make bench` runs all sections, and any of them runs alone."""

from __future__ import annotations

import argparse
import importlib
import os

from rich.console import Console

from tools.benchmarks import document

SECTIONS = {
    "peers": "tools.benchmarks.peers.page",
    "deploy": "tools.benchmarks.deploy",
    "scale": "tools.benchmarks.scale",
    "cold-start": "tools.benchmarks.cold_start",
    "synthesis": "tools.benchmarks.synthesis",
}
"""Section to the module whose ``section()`` measures it and returns its Markdown, in the order of the document."""


def main() -> None:
    """Measure the sections that were asked for, and write the document."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmarks",
        description=__doc__,
        epilog="example: python -m tools.benchmarks deploy cold-start",
    )
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"any of: {', '.join(SECTIONS)} (default: all of them)"
    )
    chosen = parser.parse_args().sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    # The emulator is on this machine: the way to it is not through a company's proxy.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
    console = Console(width=110)
    fresh = {}
    for name in chosen:
        console.rule(name)
        fresh[name] = importlib.import_module(SECTIONS[name]).section()
        console.print(fresh[name], markup=False, highlight=False, soft_wrap=True)
    old = document.FILE.read_text(encoding="utf-8") if document.FILE.exists() else ""
    document.FILE.write_text(document.assemble(tuple(SECTIONS), fresh, old), encoding="utf-8")
    console.print(f"written: {document.FILE.relative_to(document.FILE.parents[1])}")


if __name__ == "__main__":
    main()
