"""``Complete``: the release is verified. From this transaction on it is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.completion import report_outcome
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.catalog import MIGRATION
from lambdas.release.errors import AlreadyRecorded, LeaseLost
from lambdas.release.history import Outcome, Release, Report, next_release, timestamp
from lambdas.release.plan import Plan
from lambdas.release.request import shorten
from lambdas.release.results import MAX_MESSAGE, CompletedService, DeployedReport, needed


def complete(call: Invocation, dependencies: Dependencies, logger: Logger) -> DeployedReport:
    """Write record, live release and free lock in one transaction.

    Raises
    ------
    LeaseLost
        Somebody else holds the lock, or has recorded what became of this execution.
    """
    plan = call.plan
    running = needed(call.state.registered).task_definitions
    message = f"{plan.release_id} is live" if plan.release_id else "the release before is live again"
    if call.state.health and call.state.health.deaths:
        # It is healthy all the same; whoever deployed it should hear of it.
        message = shorten(f"{message}; {'; '.join(call.state.health.deaths)}", MAX_MESSAGE)
    report = Report(outcome=Outcome.DEPLOYED, message=message, release=plan.release_id)
    release = _live_release(call, plan, running, dependencies)
    try:
        report = report_outcome(call, dependencies, logger, report, release=release)
    except AlreadyRecorded as error:
        raise LeaseLost(str(error)) from error
    services = {s.name: CompletedService(_short(s.previous), _short(running[s.name]), s.image) for s in plan.in_order()}
    return DeployedReport(**vars(report), services=services)


def _live_release(
    call: Invocation, plan: Plan, running: Mapping[str, str], dependencies: Dependencies
) -> Release | None:
    """Return the release that is live from now on; None when a recovery restored what was live already."""
    if plan.recovers or plan.release_id is None:
        return None
    if plan.action == "rollback":
        kept = dependencies.releases.release(plan.release_id)
        return replace(kept, services={**kept.services, **running}) if kept else None
    moved = {s.name: (running[s.name], str(s.image)) for s in plan.in_order()}
    if plan.migration.runs:
        moved[MIGRATION] = ("", plan.migration.image)
    return next_release(
        plan.release_id,
        str(plan.image_tag),
        moved,
        dependencies.releases.live(),
        timestamp(dependencies.clock.now()),
        call.execution,
    )


def _short(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


handler = Handler(complete)
