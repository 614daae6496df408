"""``stepship history``: what was deployed, by whom, how it ended, and the figures that follow from it."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from lambdas.release.codec import encode
from lambdas.release.history import DeploymentRecord, timestamp
from stepship.environment.dora import DAY_SECONDS, Figures, figures, lasted
from stepship.session import Session
from stepship.views.durations import duration
from stepship.views.progress import END_STATES
from stepship.views.rich_lines import OUTCOME_STYLES

HEADERS = ("UTC", "Execution", "Action", "Tag", "Release", "Outcome", "Lasted", "Who", "Why")


def history(session: Session, limit: int, days: int) -> int:
    """Show the newest deployments and the figures of the last days."""
    now, output = session.host.now(), session.output
    records = session.table.history(limit)
    recent = session.table.history_since(timestamp(now - days * DAY_SECONDS))
    found = figures(recent, days, now)
    unreadable = tuple(dict.fromkeys((*records.unreadable, *recent.unreadable)))
    if records:
        output.table(HEADERS, [_row(record) for record in records], right=("Lasted",))
    else:
        output.say(f"Nothing has been deployed to {session.target.environment} yet")
    for each in unreadable:
        output.say(Text(f"  ! left out: {each}", "yellow"))
    output.say()
    for line in figure_lines(found):
        output.say(line)
    output.document(
        {
            "environment": session.target.environment,
            "deployments": [_document(record) for record in records],
            "figures": encode(found),
            **({"unreadable": list(unreadable)} if unreadable else {}),
            "exitCode": 0,
        }
    )
    return 0


def figure_lines(found: Figures) -> list[str]:
    """Say the figures in words; what is not known is left out."""
    count = f"{found.deployments} deployment{'s' if found.deployments != 1 else ''}"
    lines = [f"Last {found.days:g} days: {count}, {found.deployments_per_day:.1f} per day"]
    if found.median_duration_seconds is not None:
        lines.append(f"  a deployment takes   {duration(found.median_duration_seconds)} (median)")
    if found.change_failure_rate is not None:
        lines.append(f"  change failure rate  {found.change_failure_rate:.0%}")
    if found.median_restore_seconds is not None:
        lines.append(f"  time to restore      {duration(found.median_restore_seconds)} (median)")
    return lines


def _row(record: DeploymentRecord) -> list[str | Text]:
    style = OUTCOME_STYLES.get(END_STATES.get(record.outcome, ""), "bold yellow").removeprefix("bold ")
    return [
        record.started_at[:16].replace("T", " "),
        record.execution.rpartition(":")[2],
        record.action,
        record.image_tag or "",
        record.release_id or "",
        Text(record.outcome, style),
        duration(lasted(record)),
        (record.requested_by or "").rpartition("/")[2],
        record.override_freeze or record.reason or "",
    ]


def _document(record: DeploymentRecord) -> dict[str, Any]:
    return {**encode(record), "name": record.execution.rpartition(":")[2], "seconds": lasted(record)}
