"""Start an execution once: the second try of the same step finds what the first one started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lambdas.release.errors import AccessDenied, InvalidInput
from lambdas.request_schema import validate
from stepship.errors import CommandError, wrong_usage
from stepship.executions.names import Names, Next, judge
from stepship.machine import RUNNING, Machine
from stepship.session import Session

MAX_TRIES = 50
"""Executions of one name with a number: a step that is tried more often than that is caught in a loop."""


class How(StrEnum):
    """Where an execution comes from."""

    STARTED = "started"
    ATTACHED = "attached"
    REPORTED = "reported"


@dataclass(frozen=True)
class Started:
    """An execution to follow."""

    arn: str
    how: How


def start(machine: Machine, names: Names, request: Mapping[str, Any]) -> Started:
    """Start the execution, or find the one that this run has started already.

    Parameters
    ----------
    names
        What it is called, and which other names are of the same run.
    request
        The execution input.

    Raises
    ------
    CommandError
        There is no such state machine.
    """
    attempt = _running_attempt(machine, names, request)
    if attempt is not None:
        return Started(attempt, How.ATTACHED)
    text = json.dumps(request, sort_keys=True)
    for tried in range(1, MAX_TRIES + 1):
        name = names.number(tried)
        arn = machine.start(name, text)
        if arn is not None:
            return Started(arn, How.STARTED)
        arn = machine.execution_arn(name)
        verdict = judge(machine.describe(arn), request, is_retry=names.family is not None)
        if verdict == Next.ATTACH:
            return Started(arn, How.ATTACHED)
        if verdict == Next.REPORT:
            return Started(arn, How.REPORTED)
    raise CommandError(f"{names.first} has been tried {MAX_TRIES} times: read `stepship history` first")


def _running_attempt(machine: Machine, names: Names, request: Mapping[str, Any]) -> str | None:
    """Find what this run, or an earlier attempt of it, has started and what still runs."""
    if names.family is None:
        return None
    try:
        found = [each for each in machine.recent(RUNNING) if names.has(each.name)]
    except AccessDenied:
        return None
    for each in found:
        if judge(machine.describe(each.arn), request, is_retry=False) == Next.ATTACH:
            return each.arn
    return None


def make_request(session: Session, **fields: Any) -> dict[str, Any]:
    """Build the execution input from what was said, and check it as the first step will.

    Parameters
    ----------
    fields
        Fields of ``statemachine/input.schema.json``; those that are None or empty are left out.

    Raises
    ------
    CommandError
        With exit code 2: names the field and the fix.
    """
    environment = session.target.environment
    request = {name: value for name, value in fields.items() if value not in (None, "", [], ())}
    request["environment"] = environment
    try:
        validate(request, environment)
    except InvalidInput as error:
        raise wrong_usage(str(error)) from error
    return request
