"""``stepship watch``: pick up what runs. A CLI that was killed, closed or detached has changed nothing about it."""

from __future__ import annotations

from stepship.executions.find import running
from stepship.executions.outcomes import result_of
from stepship.executions.report import follow_to_end, report_followed
from stepship.session import Session
from stepship.views.durations import duration


def watch(session: Session, execution: str | None, timeout_seconds: float | None) -> int:
    """Follow the execution; returns the exit code that its deploy would have had."""
    found = session.patiently(lambda: running(session, execution))
    if found is None:
        return _nothing_runs(session)
    if found.is_running:
        passed = duration(session.host.now() - found.started_at)
        session.output.say(f"{found.name} has been running for {passed}")
    action = str(found.input.get("action", "deploy"))
    return report_followed(session, follow_to_end(session, found.arn, action=action, timeout_seconds=timeout_seconds))


def _nothing_runs(session: Session) -> int:
    output, environment = session.output, session.target.environment
    newest = session.machine.recent()
    last = session.machine.describe(newest[0].arn) if newest else None
    if last is None:
        output.say(f"Nothing runs in {environment}, and nothing has run yet")
        output.document({"environment": environment, "execution": None, "exitCode": 0})
        return 0
    result = result_of(last)
    output.say(f"Nothing runs in {environment}. The last one was {last.name}: {result.headline}")
    output.document(
        {
            "environment": environment,
            "execution": last.arn,
            "name": last.name,
            "status": last.status,
            "outcome": result.outcome,
            "report": dict(result.report),
            "exitCode": 0,
        }
    )
    return 0
