"""Figures of an environment's deployments, in the words of https://dora.dev/guides/dora-metrics/.

============================ =======================================================================================
dora.dev                     here
============================ =======================================================================================
deployment frequency         deploys that ended as Deployed, per day
change lead time             not known: a record does not say when its change was committed. The median duration of a
                             deploy is its last part, and the part that this product is responsible for
change fail rate             RolledBack, RollbackFailed and Stopped among all deploys that wrote something
failed deployment recovery   median time from the end of a failed deploy to the end of the next that is Deployed; a
time                         rollback and a recovery count too
============================ =======================================================================================

Worked example, one day::

    09:00 deploy   Deployed   4 min
    10:00 deploy   RolledBack 3 min        fails at 10:03
    10:20 deploy   Rejected   0 min        wrote nothing: counts nowhere
    10:25 deploy   Deployed   6 min        restored at 10:31: 28 min

    deployments per day  2 / 1 = 2
    duration             median(4, 6) = 5 min
    change fail rate     1 / 3 = 33 %
    time to restore      median(28) = 28 min
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from lambdas.release.history import DeploymentRecord, Outcome, parse_timestamp

DEPLOY = "deploy"
DAY_SECONDS = 86_400
USUAL_COUNT = 10
"""Deployments that an expectation is made of: old ones say little about today's."""

FAILED = frozenset({Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.STOPPED})
WROTE = FAILED | {Outcome.DEPLOYED}


@dataclass(frozen=True)
class Figures:
    """What happened in so many days; None for what nothing can be said about.

    Attributes
    ----------
    deployments
        Deploys that ended as Deployed.
    change_failure_rate
        0 to 1.
    """

    days: float
    deployments: int
    deployments_per_day: float
    median_duration_seconds: float | None
    change_failure_rate: float | None
    median_restore_seconds: float | None


def figures(records: Iterable[DeploymentRecord], days: float, now: float) -> Figures:
    """Compute the figures of the deployments that started in the last ``days``.

    Parameters
    ----------
    records
        In any order.
    days
        Above zero.
    now
        Unix seconds.
    """
    since = now - days * DAY_SECONDS
    recent = sorted((r for r in records if parse_timestamp(r.started_at) >= since), key=_ended)
    deploys = [r for r in recent if r.action == DEPLOY]
    good = [r for r in deploys if r.outcome == Outcome.DEPLOYED]
    wrote = [r for r in deploys if r.outcome in WROTE]
    failed = [r for r in deploys if r.outcome in FAILED]
    return Figures(
        days=days,
        deployments=len(good),
        deployments_per_day=len(good) / days,
        median_duration_seconds=_median([lasted(r) for r in good]),
        change_failure_rate=len(failed) / len(wrote) if wrote else None,
        median_restore_seconds=_median(_restore_times(recent)),
    )


def usual_seconds(records: Iterable[DeploymentRecord], action: str) -> float | None:
    """Return how long the newest good executions of an action took, the median of ten; None when there is none.

    Parameters
    ----------
    records
        Newest first.
    """
    good = [lasted(r) for r in records if r.action == action and r.outcome == Outcome.DEPLOYED]
    return _median(good[:USUAL_COUNT])


def lasted(record: DeploymentRecord) -> float:
    """How long an execution took, in seconds."""
    return _ended(record) - parse_timestamp(record.started_at)


def _restore_times(in_order: Sequence[DeploymentRecord]) -> list[float]:
    """Pair each failure with the next good end; failures in a row are one, which lasts from the first of them."""
    times, failed_at = [], None
    for record in in_order:
        if record.outcome in FAILED and record.action == DEPLOY and failed_at is None:
            failed_at = _ended(record)
        elif record.outcome == Outcome.DEPLOYED and failed_at is not None:
            times.append(_ended(record) - failed_at)
            failed_at = None
    return times


def _ended(record: DeploymentRecord) -> float:
    return parse_timestamp(record.ended_at)


def _median(values: Sequence[float]) -> float | None:
    return float(median(values)) if values else None
