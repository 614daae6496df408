"""Which execution a command is about, when nobody named one."""

from __future__ import annotations

from stepship.errors import CommandError, wrong_usage
from stepship.machine import RUNNING, Description
from stepship.session import Session


def running(session: Session, named: str | None) -> Description | None:
    """Return the execution that was named; else the one that runs: the holder of the lock, or the newest.

    Raises
    ------
    CommandError
        There is no execution of that name.
    """
    if named is not None:
        return described(session, named)
    found = session.machine.recent(RUNNING)
    if not found:
        return None
    chosen = found[0].arn
    if len(found) > 1:
        lock = session.if_allowed(session.table.read_lock)
        holder = lock.holder.execution if lock and lock.holder else None
        chosen = next((each.arn for each in found if each.arn == holder), chosen)
        others = ", ".join(each.name for each in found if each.arn != chosen)
        session.output.say(f"also running: {others}")
    return session.machine.describe(chosen)


def described(session: Session, named: str) -> Description:
    """Describe an execution by its name or ARN.

    Raises
    ------
    CommandError
        There is none.
    """
    found = session.machine.describe(session.machine.execution_arn(named))
    if found is None:
        raise CommandError(f"there is no execution {named}: `stepship history {session.target.options}` lists them")
    return found


def require_running(session: Session, named: str | None, what: str) -> Description:
    """Return the execution that was named or that runs.

    Parameters
    ----------
    what
        What cannot be done otherwise: ``to stop``.

    Raises
    ------
    CommandError
        None runs.
    """
    found = running(session, named)
    if found is None:
        raise CommandError(f"nothing {what}: no execution runs in {session.target.environment}")
    if not found.is_running:
        raise wrong_usage(f"nothing {what}: {found.name} has ended as {found.status}")
    return found
