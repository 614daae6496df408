"""Follow what was started and tell how it ended: to a person, to a program, to GitHub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from lambdas.release.errors import StepshipError
from lambdas.release.history import Outcome, timestamp
from stepship.environment.dora import usual_seconds
from stepship.errors import CommandError, aws_error
from stepship.executions.follow import Followed, follow, make_view
from stepship.executions.job_summary import summary
from stepship.executions.outcomes import RUNNING, Ending
from stepship.session import Session
from stepship.target import Target
from stepship.views.plain_lines import explanation
from stepship.views.progress import END_STATES, Progress
from stepship.views.rich_lines import OUTCOME_STYLES, panel

RECOVERY_SECONDS = 60.0
"""How long to wait for the recovery of a stopped execution: EventBridge starts it within seconds."""

RECOVERY_POLL_SECONDS = 2.0

RECENT_RECORDS = 30
"""Records that an expectation is made from: enough for ten good deployments in most environments."""


class Detached(KeyboardInterrupt):
    """Ctrl-C while following; the text says how to go on."""


def expected_seconds(session: Session, action: str) -> float | None:
    """Return how long a good deployment takes; None when there is none, or the history may not be read."""
    return session.if_allowed(lambda: usual_seconds(session.table.history(RECENT_RECORDS), action))


def reattach(name: str, target: Target) -> str:
    """Say how to follow an execution again."""
    return f"stepship watch {name} {target.options}"


def follow_to_end(
    session: Session, arn: str, *, action: str = "deploy", timeout_seconds: float | None = None
) -> Followed:
    """Follow an execution; Ctrl-C leaves it alone.

    Raises
    ------
    Detached
        Somebody pressed Ctrl-C.
    CommandError
        AWS no longer answers these credentials; the execution goes on.
    """
    name, target, output = arn.rpartition(":")[2], session.target, session.output
    view = make_view(output, session.host, expected_seconds(session, action))
    again = f"{name} goes on. Follow it again: {reattach(name, target)}"
    try:
        return follow(
            session.machine,
            arn,
            session.host,
            view,
            timeout_seconds=timeout_seconds,
            on_approval=lambda: _announce_approval(session, arn),
        )
    except KeyboardInterrupt:
        raise Detached(f"detached; {again}") from None
    except StepshipError as error:
        raise CommandError(f"{aws_error(error)}; {again}") from error


def finish(session: Session, followed: Followed, extra: Mapping[str, Any] | None = None) -> int:
    """Tell how it ended; returns the exit code.

    Parameters
    ----------
    extra
        More for the JSON document.
    """
    end, progress = followed.ending, followed.progress
    tell(session, end)
    if followed.timed_out:
        session.output.say(f"not followed any longer; it goes on. Again: {reattach(progress.name, session.target)}")
    recovery = None
    if end.needs_recovery:
        recovery = follow_recovery(session, end)
    for step in next_steps(end, session.target):
        session.output.say(step)
    tell_github(session, end, progress)
    document = execution_document(session, end, progress)
    if recovery is not None:
        document["recovery"] = execution_document(session, recovery.ending, recovery.progress)
    session.output.document({**document, **(extra or {})})
    return end.exit_code


def tell(session: Session, end: Ending) -> None:
    """Write the headline and, for what did not go well, why."""
    output = session.output
    style = OUTCOME_STYLES.get(END_STATES.get(end.outcome, ""), "bold yellow")
    made = end.report.get("release") if end.outcome in (Outcome.DEPLOYED, Outcome.NOTHING_TO_DO) else None
    release = f" (release {made})" if made else ""
    output.say(Text(f"{end.headline}{release}", style if output.is_live else ""))
    if not end.exit_code or not end.why:
        return
    step = f" at {end.report['step']}" if end.report.get("step") else ""
    title = f"Why {end.description.name} did not go through{step}"
    if output.is_live:
        output.show(panel(title, end.report))
        return
    output.say(f"  {title}")
    if session.github:
        with session.github.quoting():
            _say_explanation(session, end)
    else:
        _say_explanation(session, end)


def _say_explanation(session: Session, end: Ending) -> None:
    for line in explanation(end.report):
        session.output.say(line)


def next_steps(end: Ending, target: Target) -> Iterator[str]:
    """Say what to do next, a command each."""
    options, error = target.options, end.report.get("errorType")
    if end.outcome == Outcome.ROLLED_BACK:
        yield f"Nothing has to be put back. The whole report: stepship explain {end.description.name} {options}"
    elif end.outcome == Outcome.ROLLBACK_FAILED:
        yield f"See what runs: stepship status {options}"
        yield f"When the cause is mended: stepship rollback {options}"
    elif end.outcome == Outcome.SUPERSEDED:
        yield f"Follow the one that went first: stepship watch {options}"
    elif end.outcome == Outcome.REJECTED and error == "UnfinishedRollback":
        yield f"First: stepship rollback {options}"
    elif end.outcome == Outcome.REJECTED and error == "LockTimeout":
        yield f"See who has the lock: stepship status {options}"


def follow_recovery(session: Session, stopped: Ending) -> Followed | None:
    """Find the recovery of an execution that was stopped, and follow it; None when none has started."""
    output, arn = session.output, stopped.description.arn
    output.say("A recovery starts by itself, and puts back what had moved.")
    recovery = find_recovery(session, arn, stopped.description.started_at)
    if recovery is None:
        output.say(f"None has started so far. See what runs: stepship status {session.target.options}")
        return None
    output.say(f"{recovery.rpartition(':')[2]} does it")
    followed = follow_to_end(session, recovery, action="rollback")
    tell(session, followed.ending)
    return followed


def find_recovery(session: Session, stopped: str, started_at: float) -> str | None:
    """Return the execution that looks after a stopped one; waits a minute for it."""
    until = session.host.now() + RECOVERY_SECONDS
    looked_at: set[str] = set()
    while True:
        for each in session.machine.recent():
            # Waiting for one means looking often: what is not it now never will be.
            if each.arn in looked_at or each.started_at < started_at:
                continue
            looked_at.add(each.arn)
            found = session.machine.describe(each.arn)
            if found is not None and found.input.get("takeover") == stopped:
                return each.arn
        if session.host.now() >= until:
            return None
        session.host.sleep(RECOVERY_POLL_SECONDS)


def execution_document(session: Session, end: Ending, progress: Progress) -> dict[str, Any]:
    """Return the JSON document of an execution: ``docs/reference/cli.md`` lists its keys."""
    description, plan = end.description, progress.state.get("plan") or {}
    ended_at = description.ended_at
    return {
        "environment": session.target.environment,
        "execution": description.arn,
        "name": description.name,
        "url": session.machine.console_url(description.arn),
        "status": description.status,
        "outcome": end.outcome,
        "exitCode": end.exit_code,
        "release": end.report.get("release"),
        "imageTag": plan.get("imageTag") or description.input.get("imageTag"),
        "digest": digest_of(plan, description.input),
        "startedAt": timestamp(description.started_at),
        "endedAt": timestamp(ended_at) if ended_at else None,
        "seconds": round(ended_at - description.started_at, 3) if ended_at else None,
        "report": dict(end.report),
        "services": {
            name: {
                "wave": each["wave"],
                "previousImage": each.get("previousImage"),
                "image": each.get("image"),
                "previousTaskDefinition": each["previous"].rpartition("/")[2],
            }
            for name, each in sorted((plan.get("services") or {}).items())
        },
        "states": [
            {
                "state": row.step,
                "visits": row.visits,
                "seconds": round(row.seconds(progress.now), 3),
                "mark": str(row.mark),
                "note": row.note,
            }
            for row in progress.rows
        ],
    }


def digest_of(plan: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    """Return the digest that was deployed; with several repositories their digests, separated by commas."""
    images = [each["image"] for each in (plan.get("services") or {}).values() if each.get("image")]
    digests = sorted({image.rpartition("@")[2] for image in images if "@" in image})
    return ",".join(digests) or request.get("imageDigest")


def tell_github(session: Session, end: Ending, progress: Progress) -> None:
    """Write the summary, the outputs and, for what did not go well, an annotation."""
    github, environment = session.github, session.target.environment
    if github is None:
        return
    url, plan = session.machine.console_url(end.description.arn), progress.state.get("plan") or {}
    github.outputs(
        {
            "release-id": str(end.report.get("release") or ""),
            "digest": digest_of(plan, end.description.input) or "",
            "outcome": end.outcome,
            "execution-url": url,
        }
    )
    github.summarise(summary(environment, end, progress.rows, plan, url))
    if end.exit_code:
        lines = [*explanation(end.report), url]
        github.annotate(
            "warning" if end.outcome in (Outcome.SUPERSEDED, RUNNING) else "error",
            f"{environment}: {end.headline}",
            "\n".join(line.rstrip() for line in lines),
        )


def _announce_approval(session: Session, arn: str) -> str:
    hint = f"a person has to say yes or no: stepship approve {arn.rpartition(':')[2]} {session.target.options}"
    if session.github:
        title = f"{session.target.environment}: waits for approval"
        session.github.annotate("notice", title, f"{hint}\n{session.machine.console_url(arn)}")
    return hint
