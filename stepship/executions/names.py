"""What an execution is called, and what to do when one of that name is there already.

A CI step that is retried must not start a second deployment, and a step that a person runs again after a failure
must. Both follow from the name, which is the same for every retry within one attempt of a CI run::

    deploy-production-sha-6f1c5d2e8a9b-19876543210-1          and -2, -3, … for a new try in the same attempt
    action environment what            run         attempt
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from lambdas.release.history import Outcome
from stepship.machine import Description

ENVIRONMENT_LIMIT, WHAT_LIMIT, RUN_LIMIT = 15, 20, 28
"""Characters of the parts. Worked example: ``rollback`` 8, 15, 20 and 28 with three dashes are 74; ``-99`` makes 77
of the 80 that a name may have (Step Functions API Reference, StartExecution)."""

HASH = 6
COMMIT_TAG = re.compile(r"sha-[0-9a-f]{40}")
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")

RUN_VARIABLES = (
    ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"),
    ("CODEBUILD_BUILD_ID", None),
    ("CI_PIPELINE_ID", "CI_JOB_ID"),
    ("BUILD_TAG", None),
)
"""GitHub Actions, CodeBuild, GitLab, Jenkins: what is the same for all attempts, and what each attempt has."""

REPORTED = (Outcome.DEPLOYED, Outcome.NOTHING_TO_DO, Outcome.SUPERSEDED)
"""Ends that a retry of the same step only tells again: starting anew would go back on what came after them."""


@dataclass(frozen=True)
class CiRun:
    """The run that a command is part of.

    Attributes
    ----------
    run
        The same for every attempt.
    attempt
        What a person starts anew; empty when the CI system makes a new run of it.
    """

    run: str
    attempt: str = ""

    @property
    def text(self) -> str:
        """Both, as they stand in the name."""
        return slug("-".join(filter(None, (self.run, self.attempt))), RUN_LIMIT)


def ci_run(given: str | None, environ: Mapping[str, str]) -> CiRun | None:
    """Find the run: ``--run-id``, or what the CI system says; None when a person types."""
    if given:
        return CiRun(given)
    for run, attempt in RUN_VARIABLES:
        if environ.get(run):
            return CiRun(environ[run], environ.get(attempt, "") if attempt else "")
    return None


@dataclass(frozen=True)
class Names:
    """The names of one request.

    Attributes
    ----------
    first
        What the execution is called.
    family
        How the names of all attempts of this run begin; None when there is no run.
    """

    first: str
    family: str | None = None

    def number(self, tried: int) -> str:
        """Return the name of the first, second, … try: the first has no number."""
        return self.first if tried == 1 else f"{self.first}-{tried}"

    def has(self, name: str) -> bool:
        """Whether an execution was started by this run."""
        return self.family is not None and (name == self.family or name.startswith(f"{self.family}-"))


def names(action: str, environment: str, what: str, run: CiRun | None, now: float) -> Names:
    """Name an execution.

    Parameters
    ----------
    action
        ``deploy``, ``rollback`` or ``plan``.
    what
        Digest, tag or release.
    run
        None for a person at a terminal: then the time makes it unique.
    now
        Unix seconds.
    """
    begin = f"{action}-{slug(environment, ENVIRONMENT_LIMIT)}-{subject(what)}"
    if run is None:
        return Names(f"{begin}-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}")
    return Names(f"{begin}-{run.text}", f"{begin}-{slug(run.run, RUN_LIMIT)}")


def subject(what: str) -> str:
    """Shorten what is deployed: 12 digits of a digest or of a commit, else the tag or release."""
    if what.startswith("sha256:"):
        return what[7:19]
    return what[:16] if COMMIT_TAG.fullmatch(what) else slug(what, WHAT_LIMIT)


def slug(text: str, limit: int) -> str:
    """Replace what a name may not have, and cut a long text: then a hash keeps it different from others."""
    plain = NOT_IN_A_NAME.sub("-", text).strip("-") or "-"
    if plain == text and len(plain) <= limit:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH]
    return f"{plain[: limit - HASH - 1]}-{digest}"


class Next(StrEnum):
    """What to do about an execution that has the name already."""

    ATTACH = "attach"
    REPORT = "report"
    NEW = "new"


def judge(found: Description | None, wanted: Mapping[str, Any], *, is_retry: bool) -> Next:
    """Decide about the execution that has the name.

    Parameters
    ----------
    found
        None when it is no longer to be had.
    wanted
        The input that is to be started.
    is_retry
        Whether the name tells that the same step of the same attempt asks again.

    Returns
    -------
    Next
        ``ATTACH`` while it runs, ``REPORT`` when it ended well, ``NEW`` for a try under the next name.
    """
    if found is None or not same_request(found.input, wanted):
        return Next.NEW
    if found.is_running:
        return Next.ATTACH
    if is_retry and found.status == "SUCCEEDED" and outcome_of(found) in REPORTED:
        return Next.REPORT
    return Next.NEW


def same_request(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two inputs ask for the same thing. Who asks does not count: a role's session has a new name each time."""
    mine, theirs = ({**each, "requestedBy": None, "reason": None} for each in (one, other))
    return mine == theirs


def outcome_of(found: Description) -> str:
    """Return the outcome in the output of a succeeded execution."""
    try:
        return str(json.loads(found.output or "")["outcome"])
    except (ValueError, KeyError, TypeError):
        return ""
