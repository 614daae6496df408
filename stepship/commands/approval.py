"""``stepship approve`` and ``stepship reject``: answer the question that a deployment waits with."""

from __future__ import annotations

import typer

from lambdas.release.history import timestamp
from stepship.errors import CommandError, wrong_usage
from stepship.executions.find import described
from stepship.executions.question import Question, open_question
from stepship.executions.report import reattach
from stepship.session import Session, one_line
from stepship.views.durations import duration


def approve(session: Session, execution: str | None, *, reason: str | None, yes: bool) -> int:
    """Say yes; returns 0 when it was heard."""
    question = _find(session, execution)
    if not _confirm(session, question, "Approve", yes=yes):
        return 1
    token = _token(session, question)
    said = one_line(reason)
    answer = {"approvedBy": session.caller.arn, "reason": said, "at": timestamp(session.host.now())}
    if not session.machine.approve(token, answer):
        raise _closed(question)
    session.output.say(f"Approved. Follow it: {reattach(question.name, session.target)}")
    return _done(session, question, "approved", said)


def reject(session: Session, execution: str | None, *, reason: str, yes: bool) -> int:
    """Say no; returns 0 when it was heard."""
    said = one_line(reason)
    if not said:
        raise wrong_usage("--reason: say why, it is what the requester reads")
    question = _find(session, execution)
    if not _confirm(session, question, "Reject", yes=yes):
        return 1
    token = _token(session, question)
    if not session.machine.reject(token, {"rejectedBy": session.caller.arn, "reason": said}):
        raise _closed(question)
    session.output.say("Rejected; it ends without having changed anything")
    return _done(session, question, "rejected", said)


def _find(session: Session, execution: str | None) -> Question:
    """Find the open question: who waits for an approval holds the lock meanwhile."""
    target = session.target
    if execution is not None:
        found = described(session, execution)
        question = open_question(session.machine, found.arn) if found.is_running else None
        if question is None:
            raise CommandError(f"{found.name} does not wait for approval; it is {found.status}")
        return question
    holder = session.table.read_lock().owner
    question = open_question(session.machine, holder.execution) if holder else None
    if question is None:
        raise CommandError(f"nothing waits for approval in {target.environment}")
    return question


def _confirm(session: Session, question: Question, verb: str, *, yes: bool) -> bool:
    output, now = session.output, session.host.now()
    output.say(f"{question.name} asks to deploy {question.image_tag} to {session.target.environment}")
    output.say(f"  release       {question.release}")
    output.say(f"  services      {', '.join(question.services)}")
    output.say(f"  requested by  {question.requested_by or 'nobody named'}")
    output.say(f"  reason        {question.reason or 'none given'}")
    left = f"{duration(question.until - now)} left" if question.until > now else "its time is over"
    output.say(f"  asked         {timestamp(question.since)}, {left}")
    if not session.host.asks or yes:
        return True
    if typer.confirm(f"{verb} it?", err=True):
        return True
    output.say("Not answered; it still waits")
    return False


def _token(session: Session, question: Question) -> str:
    token = session.table.approval_token(question.execution)
    if token is None:
        raise CommandError(f"{question.name} has only begun to ask: try again in a few seconds")
    return token


def _closed(question: Question) -> CommandError:
    return CommandError(f"{question.name} no longer waits: somebody has answered, its time is over, or it was stopped")


def _done(session: Session, question: Question, answer: str, reason: str | None) -> int:
    session.output.document(
        {
            "environment": session.target.environment,
            "execution": question.execution,
            "name": question.name,
            "release": question.release,
            "imageTag": question.image_tag,
            "answer": answer,
            "by": session.caller.arn,
            "reason": reason,
            "exitCode": 0,
        }
    )
    return 0
