"""``stepship rollback``: return all services to a release that was verified."""

from __future__ import annotations

from stepship.commands.deploy import Following, start_and_follow
from stepship.executions.start import make_request
from stepship.session import Session, one_line


def rollback(
    session: Session, release: str | None, following: Following, *, reason: str | None, requested_by: str | None
) -> int:
    """Roll back; returns the exit code."""
    release = (release or "").strip()
    execution_input = make_request(
        session,
        action="rollback",
        releaseId=release,
        reason=one_line(reason),
        requestedBy=session.requested_by(requested_by),
    )
    return start_and_follow(session, execution_input, release or "back", following)
