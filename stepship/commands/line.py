"""``stepship line``: stop the line of an environment, so that no deploy passes until it is started again."""

from __future__ import annotations

from typing import Any

from lambdas.release.gates import PausedDeploys
from lambdas.release.history import timestamp
from stepship.errors import wrong_usage
from stepship.executions.start import one_line
from stepship.session import Session


def stop_line(session: Session, reason: str) -> int:
    """Stop it; a rollback still passes."""
    said = one_line(reason)
    if not said:
        raise wrong_usage("say why: it is what everybody reads whose deploy is refused")
    before = session.table.paused()
    if before is not None:
        raise wrong_usage(
            f"{before.by} has stopped this line already: {before.reason}; "
            "start it first, once you know that this is over, or both reasons would end with one start"
        )
    line = PausedDeploys(session.caller.arn, said, session.host.now())
    session.table.pause(line)
    output, target = session.output, session.target
    output.say(f"The line of {target.environment} is stopped: deploys are refused, rollbacks pass, what runs goes on")
    output.say(f"Start it again: stepship line start {target.options}")
    output.document(_document(session, line))
    return 0


def start_line(session: Session) -> int:
    """Start it again."""
    before = session.table.paused()
    session.table.resume()
    name = session.target.environment
    if before is None:
        session.output.say(f"The line of {name} was not stopped")
    else:
        session.output.say(f"The line of {name} runs again; {before.by} had stopped it: {before.reason}")
    session.output.document(_document(session, None))
    return 0


def _document(session: Session, line: PausedDeploys | None) -> dict[str, Any]:
    told = {"by": line.by, "reason": line.reason, "at": timestamp(line.at)} if line else None
    return {"environment": session.target.environment, "line": told, "exitCode": 0}
