"""The two tables of ``docs/how-to/accept.md``: what is proved where, and which facts nobody has verified."""

from __future__ import annotations

from tools.acceptance.chapters import CHAPTERS, FACT
from tools.acceptance.facts.unverified import CHECKS
from tools.documentation.places import DOCS, filled, table

PAGE = DOCS / "how-to" / "accept.md"


def page(text: str) -> str:
    """Return the page with its tables as the registries have them."""
    rows = [
        [each.name, str(each.seconds), f"skipped: {each.lacks}" if each.lacks else "played"]
        for each in CHAPTERS
        if not each.name.startswith(FACT)
    ]
    text = filled(text, "chapters", table(["chapter", "budget, s", "on the emulator"], rows))
    facts = [[f"`{each.name}`", each.taken, each.otherwise] for each in CHECKS]
    return filled(text, "facts", table(["check", "taken to be", "to change, if it turns out otherwise"], facts))
