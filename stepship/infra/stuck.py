"""What to do before a stack can be deployed, by the status that it is in: decided here, done in ``repair.py``.

The statuses are those of the CloudFormation User Guide, "Stack status codes"; what frees a stack is documented in
"Troubleshooting CloudFormation", "Continue rolling back an update" and in the API Reference of DeleteStack and
ContinueUpdateRollback.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NEVER_MADE = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
"""The creation failed, or the deletion: "the only operation that can be performed on a stack in ROLLBACK_COMPLETE is
to delete it" (User Guide, "Stack status codes"); the same frees the others."""


EMPTY = "ROLLBACK_COMPLETE"
"""The creation was taken back as a whole: all that it had made is deleted, but for buckets without a name of ours."""


HALF_MADE = NEVER_MADE - {EMPTY, "DELETE_FAILED"}
"""What it holds was never in use. A stack whose deletion failed may have been whole: nothing of its data is touched."""


class Remedy(StrEnum):
    """What comes next for a stack."""

    NONE = "none"
    WAIT = "wait"
    DELETE = "delete"
    CONTINUE_ROLLBACK = "continueRollback"
    ACTION_NEEDED = "actionNeeded"


@dataclass(frozen=True)
class Verdict:
    """What is to be done, and why, in words."""

    remedy: Remedy
    reason: str = ""


def verdict(status: str | None, part: str, *, production: bool, recreate: bool = False) -> Verdict:
    """Decide about a stack.

    Parameters
    ----------
    status
        Its status; None when there is no such stack.
    part
        How the options of the command call it.
    production
        Whether nothing of it may be deleted without a word.
    recreate
        Whether that word was given: ``--recreate PART``.

    Examples
    --------
    >>> verdict("ROLLBACK_COMPLETE", "network", production=False).remedy
    <Remedy.DELETE: 'delete'>
    """
    if status is None:
        return Verdict(Remedy.NONE)
    if status == "REVIEW_IN_PROGRESS":
        # "Ongoing creation … without any templates or resources": a change set that nobody has executed.
        return Verdict(Remedy.DELETE, "it is the empty shell of a change set that was never executed")
    if status.endswith("_IN_PROGRESS"):
        return Verdict(Remedy.WAIT, f"CloudFormation is at it ({status})")
    if status in NEVER_MADE:
        if production and not recreate and status != EMPTY:
            return Verdict(
                Remedy.ACTION_NEEDED,
                f"it is {status}, can only be deleted and made anew, and this is production: check what it holds, "
                f"then run it again with --recreate {part}",
            )
        return Verdict(Remedy.DELETE, f"it is {status}: it can only be deleted and made anew")
    if status == "UPDATE_ROLLBACK_FAILED":
        return Verdict(Remedy.CONTINUE_ROLLBACK, "an update could not be rolled back")
    if status == "UPDATE_FAILED":
        return Verdict(
            Remedy.ACTION_NEEDED,
            "somebody has updated it with rollback switched off: end that with `cdk rollback`, or deploy it once "
            "with `cdk deploy --no-rollback`",
        )
    return Verdict(Remedy.NONE)
