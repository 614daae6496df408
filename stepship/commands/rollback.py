"""``stepship rollback``: return all services to a release that was verified."""

from __future__ import annotations

from stepship.commands.deploy import Following, start_and_follow
from stepship.executions.start import make_request, one_line
from stepship.session import Session


def rollback(
    session: Session, release: str | None, following: Following, *, reason: str | None, requested_by: str | None
) -> int:
    """Roll back; returns the exit code."""
    request = make_request(
        session,
        action="rollback",
        releaseId=release,
        reason=one_line(reason),
        requestedBy=session.requested_by(requested_by),
    )
    return start_and_follow(session, request, release or "back", following)
