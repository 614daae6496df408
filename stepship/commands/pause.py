"""``stepship pause`` and ``stepship resume``: refuse all deploys to an environment, and let them pass again."""

from __future__ import annotations

from typing import Any

from lambdas.release.gates import PausedDeploys
from lambdas.release.history import timestamp
from stepship.errors import wrong_usage
from stepship.session import Session, one_line


def pause(session: Session, reason: str) -> int:
    """Refuse deploys from now on; a rollback still passes."""
    said = one_line(reason)
    if not said:
        raise wrong_usage("say why: it is what everybody reads whose deploy is refused")
    before = session.table.paused()
    if before is not None:
        raise wrong_usage(
            f"deploys are paused already, by {before.by}: {before.reason}; "
            "resume them first, once you know that this is over, or one resume would end both"
        )
    paused = PausedDeploys(session.caller.arn, said, session.host.now())
    session.table.pause(paused)
    output, target = session.output, session.target
    output.say(f"Deploys to {target.environment} are paused: they are refused, rollbacks pass, what runs goes on")
    output.say(f"Let them pass again: stepship resume {target.options}")
    output.document(_document(session, paused))
    return 0


def resume(session: Session) -> int:
    """Let deploys pass again."""
    before = session.table.paused()
    session.table.resume()
    name = session.target.environment
    if before is None:
        session.output.say(f"Deploys to {name} were not paused")
    else:
        session.output.say(f"Deploys to {name} pass again; {before.by} had paused them: {before.reason}")
    session.output.document(_document(session, None))
    return 0


def _document(session: Session, paused: PausedDeploys | None) -> dict[str, Any]:
    told = {"by": paused.by, "reason": paused.reason, "at": timestamp(paused.at)} if paused else None
    return {"environment": session.target.environment, "pause": told, "exitCode": 0}
