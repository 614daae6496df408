"""``Complete``: the release is verified; it is live from this transaction on."""

from __future__ import annotations

from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.completion import end_execution
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json
from lambdas.release.catalog import MIGRATION
from lambdas.release.codec import encode
from lambdas.release.history import Outcome, Release, Report, next_release, timestamp
from lambdas.release.plan import Plan


def complete(call: Invocation, dependencies: Dependencies, logger: Logger) -> Json:
    """Write record, live release and free lock in one transaction.

    Returns
    -------
    dict
        The report, and ``services``: name to what it was on and is on now.

    Raises
    ------
    LeaseLost
    """
    plan = call.plan
    arrived: dict[str, str] = call.state["registered"]["taskDefinitions"]
    report = Report(outcome=Outcome.DEPLOYED, release=plan.release_id)
    release = _live_release(call, plan, arrived, dependencies)
    report = end_execution(call, dependencies, logger, report, release=release)
    services = {
        s.name: {"previous": _short(s.previous), "taskDefinition": _short(arrived[s.name]), "image": s.image}
        for s in plan.in_order()
    }
    return {**encode(report), "services": services}


def _live_release(call: Invocation, plan: Plan, arrived: dict[str, str], dependencies: Dependencies) -> Release | None:
    """Return the release that is live from now on; None when a recovery put back what was live already."""
    if plan.recovers or plan.release_id is None:
        return None
    if plan.action == "rollback":
        kept = dependencies.releases.release(plan.release_id)
        return replace(kept, services={**kept.services, **arrived}) if kept else None
    moved = {s.name: (arrived[s.name], str(s.image)) for s in plan.in_order()}
    if plan.migration.needed:
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
