"""``stepship explain``: the stored report of a deployment, without its states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdas.release.codec import encode
from lambdas.release.history import DeploymentRecord, Outcome, timestamp
from stepship.errors import CommandError
from stepship.executions.find import described
from stepship.executions.outcomes import EXIT_CODES, Result, result_of
from stepship.executions.report import next_steps, report
from stepship.machine import Description
from stepship.session import Session

SEARCHED = 200
"""Records that are searched for a release, or for the last failure."""

FAILED = (Outcome.REJECTED, Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.STOPPED)


def explain(session: Session, wanted: str | None) -> int:
    """Print the report; returns 0 when there is one."""
    result, record = _find(session, wanted)
    output = session.output
    if record is not None:
        who = record.requested_by or "nobody named"
        output.say(f"{record.started_at} {record.action} {record.image_tag or ''}".rstrip() + f", asked for by {who}")
    report(session, result)
    for step in next_steps(result, session.target):
        # This is what was typed just now.
        if "stepship explain" not in step:
            output.say(step)
    output.document(
        {
            "environment": session.target.environment,
            "execution": result.description.arn,
            "name": result.description.name,
            "outcome": result.outcome,
            "report": dict(result.report),
            "record": encode(record) if record else None,
            "exitCode": 0,
        }
    )
    return 0


def _find(session: Session, wanted: str | None) -> tuple[Result, DeploymentRecord | None]:
    """Read the record; a caller who may not do that reads the execution itself."""
    by_name = wanted is not None and not wanted.startswith("r-")
    if by_name:
        found = described(session, str(wanted))
        record = session.if_allowed(lambda: _record(session, found))
        return (_recorded(record, found) if record else result_of(found)), record
    records = session.table.history(SEARCHED)
    record = next(
        (r for r in records if (r.release_id == wanted if wanted else r.outcome in FAILED)),
        None,
    )
    if record is None:
        what = f"no deployment made the release {wanted}" if wanted else "no deployment has failed"
        unread = f"; {'; '.join(records.unreadable)}" if records.unreadable else ""
        raise CommandError(f"{what}, as far as the newest records of {session.target.environment} tell{unread}")
    return _recorded(record, session.or_none(lambda: session.machine.describe(record.execution))), record


def _record(session: Session, found: Description) -> DeploymentRecord | None:
    return session.table.record(found.arn, timestamp(found.started_at))


def _recorded(record: DeploymentRecord, found: Description | None) -> Result:
    """Read a result from a record; Step Functions forgets an execution after 90 days, the table does not."""
    request: Mapping[str, Any] = found.input if found else {"action": record.action}
    status = "SUCCEEDED" if EXIT_CODES.get(record.outcome, 1) == 0 else "FAILED"
    description = found or Description(record.execution, status, 0.0, None, request)
    return Result(description, record.outcome, encode(record.report))
