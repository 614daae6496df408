"""Where a generated part stands within a page: between two comments that readers do not see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def filled(page: str, name: str, text: str) -> str:
    """Return the page with the text in its place.

    Parameters
    ----------
    page
        The whole page.
    name
        ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` mark the place.
    text
        What stands there, without blank lines around it.

    Raises
    ------
    ValueError
        The page lacks one of the two marks.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"the page lacks {begin.strip() if not found else end}")
    return f"{before}{begin}{text}\n{end}{after}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a ``|`` within a cell is escaped."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
