"""``stepship infra plan`` and ``infra status``: the stacks of an environment, stage by stage; nothing is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from lambdas.release.history import timestamp
from stepship.infra.cdk import NOISE
from stepship.infra.cloudformation import StackFacts
from stepship.infra.layout import Layout, StackStage, Step, read_layout
from stepship.infra.orphans import whole_environment
from stepship.infra.stuck import Remedy, Verdict, verdict
from stepship.infra.tools import AppOptions, Tools, synthesised, tools_of
from stepship.session import Session
from stepship.views.durations import duration

SAME = "There were no differences"

SWITCHED_OFF = "switched off, and still stands"
"""What is said of a stack that is in no template any more."""


def plan(session: Session, stage: str | None, options: AppOptions, tools: Tools | None = None) -> int:
    """Show stages, stacks and what would change in each, IAM first as the CDK does; returns 0."""
    tools = tools or tools_of(session)
    found = read_layout(session, options.context)
    stages = found.only(stage)
    steps = [step for each in stages for step in each.steps]
    names = [step.stack for step in steps]
    # Before it synthesises: without credentials nobody waits for the templates.
    facts = tools.cloudformation.stacks(names)
    account = tools.account.check(
        found.settings, [step.part for step in steps if step.stack not in facts], create=False
    )
    with synthesised(session, tools, options, names) as cdk:
        diffs = by_stack(cdk.diff(names), names)
    verdicts = _verdicts(found, steps, facts)
    rows = []
    for step in steps:
        what = _what(step, facts, verdicts[step.part], diffs)
        rows.append((step.stage, step.part, facts[step.stack].status if step.stack in facts else "-", what))
    session.output.table(("Stage", "Stack", "Status", "Plan"), _grouped(rows))
    for each in account:
        session.output.say(str(each))
    for step in steps:
        if (diff := diffs.get(step.stack, "")) and SAME not in diff:
            session.output.say()
            session.output.say(Text(step.stack, "bold"))
            session.output.say(Text(diff))
    session.output.document(
        {
            "environment": session.target.environment,
            "stages": _documents(
                stages,
                lambda step: {
                    "status": facts[step.stack].status if step.stack in facts else None,
                    "remedy": verdicts[step.part].remedy,
                    "changes": step.stack not in facts or SAME not in diffs.get(step.stack, ""),
                    "diff": diffs.get(step.stack),
                },
            ),
            "account": [each.document for each in account],
            "exitCode": 0,
        }
    )
    return 0


def by_stack(text: str, stacks: Sequence[str]) -> dict[str, str]:
    r"""Split what ``cdk diff`` says (aws-cdk 2.1148.1); a nested stack stays with the one that it is in.

    Examples
    --------
    >>> by_stack("Stack one (1/eu-1)\nThere were no differences\nStack two\nResources\n[+] a b c", ["one", "two"])
    {'one': 'There were no differences', 'two': 'Resources\n[+] a b c'}
    """
    # Name, and where it is deployed when the app says that.
    begin = rf"^Stack ({'|'.join(map(re.escape, stacks))})(?: \(.*\))?$"
    lines = [line for line in text.splitlines() if not line.strip().startswith(NOISE)]
    pieces = re.split(begin, "\n".join(lines), flags=re.MULTILINE)[1:]
    return {name: said.strip() for name, said in zip(pieces[::2], pieces[1::2], strict=True)}


def status(session: Session, context: Mapping[str, str], tools: Tools | None = None) -> int:
    """Show what CloudFormation says about each stack, and who has the lock; returns 0.

    Parameters
    ----------
    context
        What the CDK app is told; of it, ``config`` matters here.
    """
    cloudformation = (tools or Tools(cdk=_no_cdk)).cloudformation
    found, facts = whole_environment(read_layout(session, context), cloudformation)
    verdicts = _verdicts(found, found.steps, facts)
    now = session.host.now()
    rows = []
    for step in found.steps:
        each = facts.get(step.stack)
        hint = verdicts[step.part].reason
        if each is None:
            rows.append((step.stage, step.part, "-", "", ""))
        else:
            rows.append((step.stage, step.part, each.status, f"{duration(now - each.changed_at)} ago", hint))
    session.output.table(("Stage", "Stack", "Status", "Changed", ""), _grouped(rows))
    lock = session.or_none(session.table.read_lock)
    deployer = lock.infrastructure(now) if lock else None
    if deployer:
        passed = duration(now - deployer.started_at)
        session.output.say(f"{deployer.execution} has been deploying infrastructure for {passed}")
    elif lock and lock.owner:
        session.output.say(f"The lock is held by {lock.owner.execution.rpartition(':')[2]}: stepship status")
    session.output.document(
        {
            "environment": session.target.environment,
            "stages": _documents(
                found.stages,
                lambda step: {
                    "status": facts[step.stack].status if step.stack in facts else None,
                    "changedAt": timestamp(facts[step.stack].changed_at) if step.stack in facts else None,
                    "protected": step.stack in facts and facts[step.stack].protected,
                    "remedy": verdicts[step.part].remedy,
                    "switchedOff": not step.is_on,
                },
            ),
            "deploying": deployer.execution if deployer else None,
            "exitCode": 0,
        }
    )
    return 0


def _no_cdk(_: object) -> Any:
    raise AssertionError("status needs no CDK")


def _verdicts(found: Layout, steps: Sequence[Step], facts: Mapping[str, StackFacts]) -> dict[str, Verdict]:
    return {
        step.part: verdict(
            facts[step.stack].status if step.stack in facts else None,
            step.part,
            production=found.settings.is_production,
        )
        if step.is_on
        else Verdict(Remedy.NONE, SWITCHED_OFF)
        for step in steps
    }


def _what(step: Step, facts: Mapping[str, StackFacts], found: Verdict, diffs: Mapping[str, str]) -> str:
    if step.stack not in facts:
        return "create"
    if found.remedy != Remedy.NONE:
        return found.reason
    return "no change" if SAME in diffs.get(step.stack, "") else "change"


def _grouped(rows: Sequence[tuple[str, ...]]) -> list[list[str | Text]]:
    """Name each stage once."""
    shown: list[list[str | Text]] = []
    for before, row in zip([None, *rows], rows, strict=False):
        stage = "" if before is not None and before[0] == row[0] else row[0]
        shown.append([Text(stage, "cyan"), *row[1:]])
    return shown


def _documents(stages: Sequence[StackStage], about: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": stage.name,
            "stacks": [{"part": step.part, "stack": step.stack, **about(step)} for step in stage.steps],
        }
        for stage in stages
    ]
