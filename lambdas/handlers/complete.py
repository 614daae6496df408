"""``Complete``: the release is verified. From this transaction on it is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.completion import report_outcome
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.parameter_repair import repair_parameters
from lambdas.release.catalog import MIGRATION
from lambdas.release.errors import AlreadyRecorded, LeaseLost
from lambdas.release.history import Outcome, Release, Report, next_release, timestamp
from lambdas.release.plan import Plan
from lambdas.release.preflight import NOT_ROLLED_BACK
from lambdas.release.results import MAX_MESSAGE, CompletedService, DeployedReport
from lambdas.release.rollback_target import MAX_PASSED_OVER, PASSED_OVER
from lambdas.release.wording import shorten

MAX_SENTENCE = 300
"""Characters of the sentence why a release was passed over, or a service left behind."""


def complete(call: Invocation, dependencies: Dependencies, logger: Logger) -> DeployedReport:
    """Write record, live release and free lock in one transaction, after a last look at the parameters.

    Raises
    ------
    LeaseLost
        Somebody else holds the lock, or has recorded what became of this execution.
    """
    plan = call.plan
    running = call.state.targets
    is_live = f"{plan.release_id} is live" if plan.release_id else "the release before is live again"
    if call.state.health and call.state.health.deaths:
        # It is healthy all the same; whoever deployed it should hear of it.
        is_live = shorten(f"{is_live}; {'; '.join(call.state.health.deaths)}", MAX_MESSAGE)
    release = _live_release(call, plan, running, dependencies)
    repaired = repair_parameters(call, dependencies, logger, {p.name: p.target for p in plan.parameters})
    message = "; ".join(filter(None, (is_live, _left_behind(plan), _passed_over(plan), repaired)))
    report = Report(outcome=Outcome.DEPLOYED, message=message, release=plan.release_id)
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


def _left_behind(plan: Plan) -> str:
    """Say which services a rollback or a recovery has left where they are, and why."""
    return _listed("not rolled back", [f"{c.subject}: {c.detail}" for c in plan.checks if c.check == NOT_ROLLED_BACK])


def _passed_over(plan: Plan) -> str:
    """Say which releases a rollback did not return to, and why."""
    return _listed("passed over", [check.detail for check in plan.checks if check.check == PASSED_OVER])


def _listed(what: str, found: list[str]) -> str:
    more = len(found) - MAX_PASSED_OVER
    said = [shorten(each, MAX_SENTENCE) for each in found[:MAX_PASSED_OVER]] + ([f"{more} more"] if more > 0 else [])
    return f"{what}: {'; '.join(said)}" if said else ""


def _short(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


handler = Handler(complete)
