"""What the answer to the question for approval says. It comes from outside: it may be any JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lambdas.release.codec import read_object
from lambdas.release.errors import ApprovalRejected
from lambdas.release.wording import shorten

MAX_TEXT = 256
"""As ``requestedBy`` and ``reason`` of the input."""


@dataclass(frozen=True)
class Approval:
    """A yes: who said it, and what they said to it."""

    approved_by: str
    reason: str | None = None


def read_approval(answer: object) -> Approval | None:
    """Read the output of SendTaskSuccess; None when it names nobody.

    Parameters
    ----------
    answer
        ``{"approvedBy": "arn:…", "reason": "…"}``, as ``stepship approve`` sends it.
    """
    if not isinstance(answer, Mapping):
        return None
    who, reason = answer.get("approvedBy"), answer.get("reason")
    if not isinstance(who, str) or not who.strip():
        return None
    return Approval(shorten(who, MAX_TEXT), shorten(reason, MAX_TEXT) if isinstance(reason, str) and reason else None)


def require_approval(answer: object, requested_by: str | None, *, requester_may_approve: bool) -> None:
    """Refuse a yes that does not count.

    The names are compared as they are: who deploys as ``github:octocat`` and approves as an IAM role is two
    names. Whoever may call SendTaskSuccess could send any name; IAM decides who that is.

    Raises
    ------
    ApprovalRejected
        Nobody is named, or the one who asked for the deployment, where the config does not allow that.
    """
    approval = read_approval(answer)
    if approval is None:
        raise ApprovalRejected(
            'the approval names nobody; use stepship approve, or send the output {"approvedBy": "…", "reason": "…"}'
        )
    if not requester_may_approve and requested_by and approval.approved_by.casefold() == requested_by.casefold():
        raise ApprovalRejected(
            f"{requested_by} asked for this deployment and may not approve it; "
            "let somebody else do that, or allow it with [approval] requester_may_approve"
        )


def rejection_message(cause: str) -> str:
    """Return one sentence for the cause of SendTaskFailure, which ``stepship reject`` sends as JSON."""
    parsed = read_object(cause)
    if not isinstance(parsed.get("rejectedBy"), str):
        return cause
    reason = parsed.get("reason")
    return f"rejected by {shorten(parsed['rejectedBy'], MAX_TEXT)}" + (
        f": {shorten(reason, MAX_TEXT)}" if reason else ""
    )
