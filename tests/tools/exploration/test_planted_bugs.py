"""The exploration finds a bug that is there: each of these was planted."""

from __future__ import annotations

import pytest

from lambdas.dependencies import Dependencies
from tests.tools.exploration import planted_bugs
from tools.exploration.explorer import Budget, Findings, explore

PLANTED_BUGS = {
    "the rollback restores no parameter": (
        planted_bugs.RestoresNoParameter,
        "crash-ok",
        "Roll back",
        "says v3-backend@",
    ),
    "nobody checks the lease": (planted_bugs.ChecksNoLease, "healthy-ok", "Deploy wave", "while the lock is held by"),
    "every migration is started": (
        planted_bugs.StartsEveryMigration,
        "healthy-ok",
        "Run migration",
        "were started for",
    ),
    "the exit code of a migration is ignored": (
        planted_bugs.IgnoresTheExitCode,
        "healthy-fails",
        "Run migration",
        "it has to end as RolledBack",
    ),
    "the rollback forgets a service": (planted_bugs.ForgetsOneService, "crash-ok", "Roll back", "action needed"),
}
SCHEDULES = 12
CONTROL = 6
"""Of the same schedules, without the bug; CI explores hundreds of them besides."""


BUG_IN_EVERY_RUN = "the exit code of a migration is ignored"


def tried(tag: str, step: str, count: int, dependencies: type[Dependencies] = Dependencies) -> Findings:
    return explore(Budget(count, seed=1, jobs=1, step=step, tag=tag), dependencies=dependencies)


@pytest.mark.parametrize("bug", PLANTED_BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    dependencies, tag, step, said = PLANTED_BUGS[bug]
    findings = tried(tag, step, SCHEDULES, dependencies)
    sentences = [sentence for _, verdict in findings.broken for sentence in verdict.violations]
    assert any(said in sentence for sentence in sentences), sentences


@pytest.mark.parametrize(("tag", "step"), sorted({bug[1:3] for bug in PLANTED_BUGS.values()}))
def test_without_the_bug_the_same_schedules_hold(tag: str, step: str) -> None:
    findings = tried(tag, step, CONTROL)
    assert findings.tried["singles"] == CONTROL
    assert [(schedule.title, verdict.violations) for schedule, verdict in findings.broken] == []


def test_a_bug_in_every_run_shows_in_the_run_that_nothing_disturbs() -> None:
    dependencies, tag, step, said = PLANTED_BUGS[BUG_IN_EVERY_RUN]
    findings = tried(tag, step, 1, dependencies)
    [verdict] = [verdict for schedule, verdict in findings.broken if schedule.title == tag]
    assert said in verdict.violations[0]
