"""The result of an execution, read from its description, and what that means for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambdas.release.codec import decode, read_object
from lambdas.release.explanation import Explanation
from lambdas.release.history import Outcome
from stepship.machine import Description, parse_object

FAILED = "Failed"
RUNNING = "Running"
"""What is said of an execution beside the outcomes of the machine: the service ended it, and it has not ended."""

EXIT_CODES: Mapping[str, int] = {
    Outcome.DEPLOYED: 0,
    Outcome.NOTHING_TO_DO: 0,
    Outcome.PLANNED: 0,
    Outcome.REJECTED: 2,
    Outcome.ROLLED_BACK: 3,
    Outcome.ROLLBACK_FAILED: 4,
    Outcome.SUPERSEDED: 5,
}
"""The contract of all that starts deployments; any other end is 1."""

HEADLINES: Mapping[str, str] = {
    Outcome.DEPLOYED: "Deployed",
    Outcome.NOTHING_TO_DO: "Nothing to do: everything already is as asked",
    Outcome.PLANNED: "Planned: nothing was written",
    Outcome.SUPERSEDED: "Superseded: a newer request went first, this one changed nothing",
    Outcome.REJECTED: "Rejected: nothing was changed",
    Outcome.ROLLED_BACK: "Failed, and rolled back: everything runs what ran before",
    Outcome.ROLLBACK_FAILED: "ROLLBACK FAILED: services may be on different releases, action needed",
    Outcome.STOPPED: "Stopped before its end",
    FAILED: "Failed in Step Functions itself",
    RUNNING: "Still running",
}

ROLLBACK_HEADLINES = {
    Outcome.DEPLOYED: "Rolled back",
    Outcome.ROLLED_BACK: "The rollback failed; everything runs what ran before it",
}


@dataclass(frozen=True)
class Result:
    """The result of an execution; Running while it has none.

    Attributes
    ----------
    outcome
        Name of the end state, ``Stopped``, ``Failed`` or ``Running``.
    report
        What the machine says about it: ``{outcome, step, errorType, message, explanation, release}``.
    """

    description: Description
    outcome: str
    report: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """The exit code of the command that followed it."""
        return EXIT_CODES.get(Outcome(self.outcome), 1) if self.outcome in set(Outcome) else 1

    @property
    def headline(self) -> str:
        """One line."""
        if self.description.input.get("action") == "rollback" and self.outcome in ROLLBACK_HEADLINES:
            return ROLLBACK_HEADLINES[Outcome(self.outcome)]
        # A record may be of a newer version, which knows more of them.
        return HEADLINES.get(self.outcome, self.outcome)

    @property
    def why(self) -> str:
        """One sentence; empty when there is nothing to explain."""
        explanation = self.report.get("explanation") or {}
        return str(explanation.get("summary") or self.report.get("message") or "")

    @property
    def needs_recovery(self) -> bool:
        """Whether it ended without its own last step, so that a recovery starts by itself."""
        return self.outcome in (Outcome.STOPPED, FAILED) and self.description.status != "SUCCEEDED"


def _report_of_failure(description: Description) -> dict[str, Any]:
    """Read the Cause of a Fail state. Step Functions cuts off what is too long; the error names the end state."""
    report = read_object(description.cause)
    if description.error in EXIT_CODES:
        report["outcome"] = description.error
    report["explanation"] = _whole_explanation(report.get("explanation"))
    if isinstance(message := report.get("message"), str):
        # A last step that failed itself has left the words of Lambda.
        report["message"] = str(read_object(message).get("errorMessage", message))
    return report


def _whole_explanation(found: Any) -> Mapping[str, Any] | None:
    """Return an explanation that others can show: without the cause in which it was cut; None when it is none."""
    if not isinstance(found, Mapping):
        return None
    causes = found.get("causes")
    without = [{**found, "causes": causes[:-1]}] if isinstance(causes, list) else []
    for each in (found, *without):
        try:
            decode(Explanation, each)
        except TypeError:
            continue
        return each
    return None


def result_of(description: Description) -> Result:
    """Read the output of a Succeed state, the Cause of a Fail state, or neither."""
    status = description.status
    if description.is_running:
        return Result(description, RUNNING, {})
    if status in ("ABORTED", "TIMED_OUT"):
        how = "somebody stopped it" if status == "ABORTED" else "it took longer than it may"
        said = ": ".join(filter(None, (description.error, description.cause)))
        return Result(description, Outcome.STOPPED, {"message": f"{how} ({said})" if said else how})
    report = parse_object(description.output) if status == "SUCCEEDED" else _report_of_failure(description)
    if report.get("outcome") in EXIT_CODES:
        return Result(description, str(report["outcome"]), report)
    # The machine's own end states always report: this is the service's own word, States.Runtime for instance.
    said = description.cause or "no more was said"
    return Result(description, FAILED, {"errorType": description.error, "message": f"{description.error}: {said}"})
