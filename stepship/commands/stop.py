"""``stepship stop``: stop an execution, and follow the recovery that rolls back what it had moved."""

from __future__ import annotations

import typer

from lambdas.release.history import Outcome
from stepship.executions.find import require_running
from stepship.executions.follow import Followed
from stepship.executions.outcomes import result_of
from stepship.executions.report import execution_document, follow_recovery, reattach, report_followed
from stepship.session import Session
from stepship.views.progress import Progress

ERROR = "StoppedByPerson"


def stop(session: Session, execution: str | None, *, reason: str | None, yes: bool, wait: bool) -> int:
    """Stop it; returns the exit code: 0 when everything is rolled back.

    Raises
    ------
    CommandError
        Nothing runs.
    """
    output, host, target = session.output, session.host, session.target
    found = require_running(session, execution, "to stop")
    if host.asks and not yes:
        what = f"{found.name} ({found.input.get('action', 'deploy')} {found.input.get('imageTag', '')})".replace(
            " )", ")"
        )
        if not typer.confirm(f"Stop {what} in {target.environment}? What it has moved is rolled back", err=True):
            output.say("Not stopped; it goes on")
            return 1
    who = session.requested_by(None)
    session.machine.stop(found.arn, ERROR, f"{who}: {reason}" if reason else who)
    output.say(f"{found.name} is stopped")
    stopped = session.machine.describe(found.arn) or found
    result = result_of(stopped)
    if not result.needs_recovery:
        # It had ended in that very moment.
        return report_followed(session, Followed(result, Progress(found.name, found.started_at)))
    document = execution_document(session, result, Progress(found.name, found.started_at, found.started_at))
    if not wait:
        output.say(f"A recovery starts by itself, and rolls back what had moved: stepship watch {target.options}")
        output.document({**document, "recovery": None, "exitCode": 0})
        return 0
    recovery = follow_recovery(session, result)
    if recovery is None:
        output.document({**document, "recovery": None, "exitCode": 1})
        return 1
    code = recovery.result.exit_code
    if recovery.result.outcome in (Outcome.DEPLOYED, Outcome.NOTHING_TO_DO):
        output.say("Everything runs what ran before")
    else:
        output.say(f"Read what it did: {reattach(recovery.progress.name, target)}")
    told = execution_document(session, recovery.result, recovery.progress)
    output.document({**document, "recovery": told, "exitCode": code})
    return code
