"""Executions that ended without putting things in order: which they are, and who recovers from them.

A rule of EventBridge starts the recovery. Its events are best effort, so whoever waits for the lock of a dead holder
starts it in the end (docs/explanation/decisions/0023-what-nobody-promises-is-not-relied-on.md).
"""

from __future__ import annotations

import hashlib

from lambdas.release.history import Outcome

TERMINAL = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
"""The statuses from which an execution takes no further step, but for a redrive (DescribeExecution)."""

RECOVERY_GRACE_SECONDS = 60.0
"""For so long after the lease of a dead holder the event of its end may still come; it takes a second or two."""

RECOVERY_TRIES = 3
"""Recoveries that are started for one holder. One that ends without having taken the lock would end so again."""

MAX_NAME = 80
"""Characters of an execution's name (StartExecution)."""

REQUESTED_BY = "stepship:acquire-lock"


def may_run(status: str | None, age_seconds: float, longest_seconds: float) -> bool:
    """Whether an execution may still take a step; only a status that says otherwise makes it dead.

    DescribeExecution is eventually consistent, so an execution that it does not know may have begun a moment ago.

    Parameters
    ----------
    status
        What DescribeExecution says; None when it does not know the execution.
    age_seconds
        How long ago the execution started.
    longest_seconds
        How long one can run: what is older and unknown has been forgotten.
    """
    if status == "RUNNING":
        return True
    return status not in TERMINAL and age_seconds <= longest_seconds


def ended_by_itself(status: str | None, error: str) -> str | None:
    """Return the outcome of an execution that came to its own end, such as Rejected; None for all others.

    Its event may lack the error, and then the rule takes it for one that the service ended.
    """
    if status == "SUCCEEDED":
        return status
    return error if status == "FAILED" and error in set(Outcome) else None


def recovery_names(holder: str) -> tuple[str, ...]:
    """Return the names of the recoveries of an execution (its name), in the order in which they are tried.

    They are made from its name, so that all who wait start the same one: StartExecution is idempotent by name.
    """
    suffix = "-recovery-"
    room = MAX_NAME - len(suffix) - len(str(RECOVERY_TRIES))
    if len(holder) > room:
        digest = hashlib.sha256(holder.encode()).hexdigest()[:8]
        holder = f"{holder[: room - len(digest) - 1]}-{digest}"
    return tuple(f"{holder}{suffix}{number}" for number in range(1, RECOVERY_TRIES + 1))


def recovery_input(holder: str) -> dict[str, str]:
    """Return the execution input of the recovery from an execution (its ARN): the same, whoever starts it."""
    return {
        "action": "rollback",
        "takeover": holder,
        "requestedBy": REQUESTED_BY,
        "reason": "the execution ended, and no event told of it",
    }
