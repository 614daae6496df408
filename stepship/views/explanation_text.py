"""The explanation of a failure as lines of text, each with the role that it plays: one order for every view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lambdas.release.failure import caught_failure
from lambdas.release.state import CaughtError

Part = Literal["message", "cause", "evidence", "hint", "heading", "log", "missing", "done"]


def explanation_lines(report: Mapping[str, Any]) -> Iterator[tuple[Part, str]]:
    """Say why a deployment failed: causes with their evidence and a hint, last log lines, what was done.

    Parameters
    ----------
    report
        As in the Cause of a Fail state: ``{outcome, step, errorType, message, explanation, release}``.
    """
    explanation = report.get("explanation") or {}
    causes = explanation.get("causes") or []
    if not causes:
        # A last step that could not write its report has left what Lambda says: JSON with a stack trace.
        failure = caught_failure(CaughtError("", report.get("message") or "no step says why"))
        yield "message", failure.message
    for number, cause in enumerate(causes, 1):
        seen = f", seen {cause['seen']} times" if cause["seen"] > 1 else ""
        yield "cause", f"{number}. {cause['subject']}: {cause['cause']}{seen}"
        for said in cause["evidence"]:
            yield "evidence", str(said)
        yield "hint", str(cause["hint"])
    if explanation.get("logLines"):
        yield "heading", "Its last log lines"
        for line in explanation["logLines"]:
            yield "log", str(line)
    if explanation.get("missing"):
        yield "heading", "What could not be read"
        for line in explanation["missing"]:
            yield "missing", str(line)
    if explanation.get("done"):
        yield "heading", "What was done about it"
        for line in explanation["done"]:
            yield "done", str(line)
