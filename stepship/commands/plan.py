"""``stepship plan``: what a deploy would do, as the machine itself plans it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from lambdas.release.history import Outcome
from lambdas.release.preflight import MORE, Result
from stepship.commands.deploy import DeployRequest
from stepship.environment.tags import Tags, read_tags
from stepship.errors import wrong_usage
from stepship.executions.names import names
from stepship.executions.report import (
    execution_document,
    expected_seconds,
    follow_to_end,
    next_steps,
    report,
    report_to_github,
)
from stepship.executions.start import make_request, start
from stepship.session import Session
from stepship.views.durations import duration

STYLES = {Result.FAIL: "bold red", Result.SKIP: "yellow", Result.OK: "green"}
ORDER = (Result.FAIL, Result.SKIP, Result.OK)


def plan(session: Session, request: DeployRequest, *, show_all: bool) -> int:
    """Start a dry run and show its plan; returns the exit code.

    Parameters
    ----------
    show_all
        Show the checks that passed too.
    """
    if not request.tag and not request.digest:
        raise wrong_usage("give the TAG to plan, or --digest")
    output, target = session.output, session.target
    fields = {**request.fields(), "dryRun": True, "requestedBy": session.requested_by(request.requested_by)}
    execution_input = make_request(session, **fields)
    name = names("plan", target.environment, request.digest or str(request.tag), None, session.host.now())
    followed = follow_to_end(session, start(session.machine, name, execution_input).arn, action="plan")
    result = followed.result
    made = result.report.get("plan") or {}
    expected = expected_seconds(session, "deploy") if made else None
    report(session, result)
    failed = failed_checks(result.report)
    for line in failed:
        output.say(Text(f"  {line}", STYLES[Result.FAIL]))
    if result.outcome == Outcome.PLANNED:
        show_plan(session, made, expected, show_all=show_all)
    for step in next_steps(result, target):
        output.say(step)
    report_to_github(session, result, followed.progress)
    document = execution_document(session, result, followed.progress)
    document["report"] = {key: value for key, value in result.report.items() if key != "plan"}
    output.document({**document, "plan": made or None, "failedChecks": failed, "expectedSeconds": expected})
    return result.exit_code


def failed_checks(report: Mapping[str, Any]) -> list[str]:
    """Take apart the message of a failed preflight: ``2 of 9 checks: FAIL api: …; FAIL worker: …``."""
    if report.get("errorType") != "PreflightFailed":
        return []
    _, _, listed = str(report.get("message") or "").partition(": ")
    first, *others = listed.split("; FAIL ")
    return [first, *(f"FAIL {each}" for each in others)]


def show_plan(session: Session, made: Mapping[str, Any], expected: float | None, *, show_all: bool) -> None:
    """Show checks, services, and what else would happen."""
    output = session.output
    tags = session.or_none(lambda: read_tags(session.table)) or Tags({})
    output.say()
    _show_checks(session, made.get("checks", ()), show_all=show_all)
    output.say()
    output.table(
        ("Wave", "Service", "Tasks", "Runs", "Would run", "Task definition"),
        [_row(each, tags, made) for each in _in_order(made)],
        right=("Tasks",),
    )
    output.say()
    migration, approval, rollout = made["migration"], made["approval"], made["rollout"]
    first = f"{migration['family']}, at most {duration(migration['timeoutSeconds'])}"
    output.say(f"  migration  {first if migration['needed'] else 'none'}")
    asked = f"needed within {duration(approval['timeoutSeconds'])}"
    output.say(f"  approval   {asked if approval['required'] else 'none'}")
    output.say(f"  watched    {duration(rollout['bakeSeconds'])} after the last wave")
    if expected:
        output.say(f"  takes      {duration(expected)}, as the last ones did")


def _show_checks(session: Session, checks: Sequence[Mapping[str, str]], *, show_all: bool) -> None:
    ordered = sorted(checks, key=lambda each: ORDER.index(Result(each["result"])))
    shown = [each for each in ordered if each["check"] != MORE and (show_all or each["result"] != Result.OK)]
    for each in shown:
        line = Text(f"  {each['result']:<4} ", STYLES[Result(each["result"])])
        line.append(f"{each['subject']}: {each['check']}", "default")
        line.append(f" ({each['detail']})" if each["detail"] else "", "dim")
        session.output.say(line)
    passed = sum(each["result"] == Result.OK and each["check"] != MORE for each in checks)
    hidden = "" if show_all else "; --all lists them"
    more = "".join(f", {each['detail']}" for each in checks if each["check"] == MORE)
    count = sum(each["check"] != MORE for each in checks)
    session.output.say(f"  {passed} of {count} checks are OK{more}{hidden}")


def _in_order(made: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [made["services"][name] for wave in made["waves"] for name in wave]


def _row(each: Mapping[str, Any], tags: Tags, made: Mapping[str, Any]) -> list[str | Text]:
    before, after = each.get("previousImage"), each.get("image")
    definition = each["previous"].rpartition("/")[2]
    if before == after and not made.get("force"):
        change = f"{definition} stays"
    else:
        change = f"{each['family']}:new from {definition}" if each.get("target") is None else str(each["target"])
    return [
        str(each["wave"]),
        each["name"],
        str(each["desired"]),
        tags.name(before),
        tags.name(after, made.get("imageTag")),
        change,
    ]
