"""The table of error types, from the tree in ``lambdas/release/errors.py`` and the table of verdicts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from lambdas.release import errors
from lambdas.release.verdicts import FAILING
from tools.documentation.places import DOCS, filled, table

PAGE = DOCS / "reference" / "errors.md"

STATES = {
    errors.Transient: "as they were when the step began: it was tried again, for minutes, before it gave up",
    errors.Refused: "untouched: nothing was written",
    errors.Failed: "rolled back, or being rolled back; the outcome says which",
    errors.Unexpected: "untouched before the first write, rolled back after it",
}
"""By kind of error: what the services are like."""

VERDICTS = {
    "MigrationFailed": "The migration failed, could not be started, or took too long.",
    "RolloutFailed": "A service of a wave failed, was deployed by somebody else, or an alarm fired.",
    "Unhealthy": "A service or an alarm failed while the release was watched.",
}
"""What the verdicts of steps are called: each ends a deployment that had begun."""


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield error type, meaning, and what the services are like; verdicts first, then the tree in its order."""
    for failing in FAILING.values():
        yield f"`{failing.error_type}`", VERDICTS[failing.error_type], STATES[errors.Failed]
    for kind, state in STATES.items():
        for leaf in errors.leaves(kind):
            said = (inspect.getdoc(leaf) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
            yield f"`{leaf.__name__}`", said, state


def page(text: str) -> str:
    """Return the page with the table in its place."""
    return filled(text, "errors", table(("error type", "what it means", "the services are"), list(rows())))
