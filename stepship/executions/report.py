"""Follow what was started and report its result: to a person, to a program, to GitHub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from lambdas.release.errors import StepshipError
from lambdas.release.history import Outcome, timestamp
from stepship.environment.dora import usual_seconds
from stepship.errors import CommandError
from stepship.executions.follow import Followed, follow, make_view
from stepship.executions.job_summary import summary
from stepship.executions.outcomes import RUNNING, Result
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
    """Return how long a good deployment takes; None when there is none, or the history cannot be read."""
    return session.or_none(lambda: usual_seconds(session.table.history(RECENT_RECORDS), action))


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
        with session.quoting():
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
        if session.github:
            # Whether it still runs is not known; that it has not ended is what is known.
            session.github.outputs({"outcome": RUNNING})
        raise CommandError(f"{session.command_error(error)}; {again}") from error


def report_followed(session: Session, followed: Followed, extra: Mapping[str, Any] | None = None) -> int:
    """Report the result of an execution that was followed; returns the exit code.

    Parameters
    ----------
    extra
        More for the JSON document.
    """
    result, progress = followed.result, followed.progress
    report(session, result)
    if followed.timed_out:
        session.output.say(f"not followed any longer; it goes on. Again: {reattach(progress.name, session.target)}")
    recovery = None
    if result.needs_recovery:
        recovery = follow_recovery(session, result)
    for step in next_steps(result, session.target):
        session.output.say(step)
    report_to_github(session, result, progress)
    document = execution_document(session, result, progress)
    if recovery is not None:
        document["recovery"] = execution_document(session, recovery.result, recovery.progress)
    session.output.document({**document, **(extra or {})})
    return result.exit_code


def report(session: Session, result: Result) -> None:
    """Report a result to a person: the headline and, for a failure, why."""
    output = session.output
    style = OUTCOME_STYLES.get(END_STATES.get(result.outcome, ""), "bold yellow")
    made = result.report.get("release") if result.outcome in (Outcome.DEPLOYED, Outcome.NOTHING_TO_DO) else None
    release = f" (release {made})" if made else ""
    output.say(Text(f"{result.headline}{release}", style if output.is_live else ""))
    if not result.exit_code or not result.why:
        return
    step = f" at {result.report['step']}" if result.report.get("step") else ""
    title = f"Why {result.description.name} did not go through{step}"
    if output.is_live:
        output.show(panel(title, result.report))
        return
    output.say(f"  {title}")
    with session.quoting():
        for line in explanation(result.report):
            output.say(line)


def next_steps(result: Result, target: Target) -> Iterator[str]:
    """Say what to do next, a command each."""
    options, error = target.options, result.report.get("errorType")
    if result.outcome == Outcome.ROLLED_BACK:
        yield f"Nothing is left to roll back. The whole report: stepship explain {result.description.name} {options}"
    elif result.outcome == Outcome.ROLLBACK_FAILED:
        yield f"See what runs: stepship status {options}"
        yield f"When the cause is repaired: stepship rollback {options}"
    elif result.outcome == Outcome.SUPERSEDED:
        yield f"Follow the one that went first: stepship watch {options}"
    elif result.outcome == Outcome.REJECTED and error == "UnfinishedRollback":
        yield f"First: stepship rollback {options}"
    elif result.outcome == Outcome.REJECTED and error == "LockTimeout":
        yield f"See who has the lock: stepship status {options}"


def follow_recovery(session: Session, stopped: Result) -> Followed | None:
    """Find the recovery of an execution that was stopped, and follow it; None when none has started."""
    output, arn = session.output, stopped.description.arn
    output.say("A recovery starts by itself, and rolls back what had moved.")
    recovery = find_recovery(session, arn, stopped.description.started_at)
    if recovery is None:
        output.say(f"None has started so far. See what runs: stepship status {session.target.options}")
        return None
    output.say(f"{recovery.rpartition(':')[2]} does it")
    followed = follow_to_end(session, recovery, action="rollback")
    report(session, followed.result)
    return followed


def find_recovery(session: Session, stopped: str, started_at: float) -> str | None:
    """Return the recovery of a stopped execution; waits a minute for it."""
    until = session.host.now() + RECOVERY_SECONDS
    known: set[str] = set()
    while True:
        for each in session.machine.recent():
            # The list is polled often: what is no recovery of this one now never will be.
            if each.arn in known or each.started_at < started_at:
                continue
            known.add(each.arn)
            found = session.machine.describe(each.arn)
            if found is not None and found.input.get("takeover") == stopped:
                return each.arn
        if session.host.now() >= until:
            return None
        session.host.sleep(RECOVERY_POLL_SECONDS)


def execution_document(session: Session, result: Result, progress: Progress) -> dict[str, Any]:
    """Return the JSON document of an execution: ``docs/reference/cli.md`` lists its keys."""
    description, plan = result.description, progress.state.get("plan") or {}
    ended_at = description.ended_at
    return {
        "environment": session.target.environment,
        "execution": description.arn,
        "name": description.name,
        "url": session.machine.console_url(description.arn),
        "status": description.status,
        "outcome": result.outcome,
        "exitCode": result.exit_code,
        "release": result.report.get("release"),
        "imageTag": plan.get("imageTag") or description.input.get("imageTag"),
        "digest": digest_of(plan, description.input),
        "startedAt": timestamp(description.started_at),
        "endedAt": timestamp(ended_at) if ended_at else None,
        "seconds": round(ended_at - description.started_at, 3) if ended_at else None,
        "report": dict(result.report),
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


def report_to_github(session: Session, result: Result, progress: Progress) -> None:
    """Report a result to GitHub: summary, outputs and, for a failure, an annotation."""
    github, environment = session.github, session.target.environment
    if github is None:
        return
    url, plan = session.machine.console_url(result.description.arn), progress.state.get("plan") or {}
    github.outputs(
        {
            "release-id": str(result.report.get("release") or ""),
            "digest": digest_of(plan, result.description.input) or "",
            "outcome": result.outcome,
            "execution-url": url,
        }
    )
    github.summarise(summary(environment, result, progress.rows, plan, url))
    if result.exit_code:
        lines = [*explanation(result.report), url]
        github.annotate(
            "warning" if result.outcome in (Outcome.SUPERSEDED, RUNNING) else "error",
            f"{environment}: {result.headline}",
            "\n".join(line.rstrip() for line in lines),
        )


def _announce_approval(session: Session, arn: str) -> str:
    hint = f"action needed, approve or reject it: stepship approve {arn.rpartition(':')[2]} {session.target.options}"
    if session.github:
        title = f"{session.target.environment}: waits for approval"
        session.github.annotate("notice", title, f"{hint}\n{session.machine.console_url(arn)}")
    return hint
