"""``docs/explanation/benchmarks.md``: made of the sections that ran; a section that did not run keeps its old text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "explanation" / "benchmarks.md"

HEAD = """# Benchmarks

Written by `make bench`; nothing here is written by hand. `python -m tools.benchmarks peers scale` (in `.venv/bin`)
runs single sections.
Times are of the machine that each section names, so compare them with each other and not with yours.
"""


def assemble(names: Sequence[str], fresh: Mapping[str, str], old: str) -> str:
    """Put the document together.

    Parameters
    ----------
    names
        All sections, in the order of the document.
    fresh
        The Markdown of those that ran.
    old
        The document as it was; empty when there is none.
    """
    parts = [HEAD]
    for name in names:
        body = fresh[name].strip("\n") if name in fresh else kept(name, old)
        if body:
            parts.append(f"{begin(name)}\n{body}\n{end(name)}\n")
    return "\n".join(parts)


def kept(name: str, old: str) -> str:
    """Return the text of a section in an older document; empty when it is not there."""
    found = re.search(f"{re.escape(begin(name))}\n(.*?)\n{re.escape(end(name))}", old, re.DOTALL)
    return found[1] if found else ""


def begin(name: str) -> str:
    """Return the comment before a section."""
    return f"<!-- {name}: begin -->"


def end(name: str) -> str:
    """Return the comment after a section."""
    return f"<!-- {name}: end -->"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is a figure, and stands right."""
    marks = ["---", *("---:" for _ in columns[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, marks, *rows])
