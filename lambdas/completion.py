"""How an execution ends, shared by the three last steps: record, live release and lock in one transaction."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.aws.executions import ExecutionFacts
from lambdas.aws.releases_table import Ending
from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.release.approval import read_approval
from lambdas.release.codec import decode, encode
from lambdas.release.errors import StepshipError
from lambdas.release.history import (
    DeploymentRecord,
    Outcome,
    Release,
    Report,
    durations,
    release_id_of,
    timestamp,
)
from lambdas.release.plan import Plan
from lambdas.release.request import shorten

MAX_TAKEOVERS = 20
"""How many stopped executions in a row one looks after: a transaction has room for 100 items."""


def end_execution(
    call: Invocation,
    dependencies: Dependencies,
    logger: Logger,
    report: Report,
    *,
    release: Release | None = None,
    holds_lock: bool = True,
    keep_journal: bool = False,
) -> Report:
    """Write the ending, then tell about it.

    Parameters
    ----------
    report
        How it ended.
    release
        The release that is live from now on.
    holds_lock
        False when the execution never had the lock, or lost it.
    keep_journal
        True when the services may still be on different releases.

    Returns
    -------
    Report
        The report given; or the one that is on record, when an earlier try of a last step had taken
        effect and only its answer was lost.

    Raises
    ------
    LeaseLost
        Somebody else holds the lock; nothing was written.
    """
    now = dependencies.clock.now()
    state = call.state if isinstance(call.state, dict) else {}
    record = _record(call, state, report, now)
    ending = Ending(
        record=record,
        stopped=_stopped_records(call, dependencies, now),
        release=release,
        token=call.token if holds_lock else None,
        keep_journal=keep_journal,
    )
    if not dependencies.releases.finish(ending):
        recorded = dependencies.releases.record(record.execution, record.started_at)
        report = recorded.report if recorded else report
    identity = dependencies.identity
    announce(
        dependencies,
        logger,
        f"Deployment{report.outcome}",
        {
            "app": identity.app,
            "environment": identity.environment,
            "execution": record.execution,
            "action": record.action,
            "requestedBy": record.requested_by,
            "reason": record.reason,
            "imageTag": record.image_tag,
            **encode(report),
        },
    )
    _count(dependencies, report, now - call.started_at, logger)
    return report


def announce(dependencies: Dependencies, logger: Logger, detail_type: str, detail: Mapping[str, Any]) -> None:
    """Publish an event. A bus that is down is logged: it must not change how a deployment ends."""
    try:
        dependencies.events.put(detail_type, detail)
    except StepshipError as error:
        logger.warning("event not published", detail_type=detail_type, reason=str(error))


def _record(call: Invocation, state: Mapping[str, Any], report: Report, now: float) -> DeploymentRecord:
    request = state.get("request") or {}
    raw = call.input if isinstance(call.input, dict) else {}
    plan = decode(Plan, state["plan"]) if "plan" in state else None
    approval = read_approval(state.get("approval"))
    return DeploymentRecord(
        execution=call.execution,
        action=str(request.get("action") or shorten(raw.get("action", "deploy"))),
        outcome=report.outcome,
        started_at=timestamp(call.started_at),
        ended_at=timestamp(now),
        requested_by=_text(request, raw, "requestedBy"),
        reason=_text(request, raw, "reason"),
        release_id=plan.release_id if plan else None,
        image_tag=(plan.image_tag if plan else None) or _text(request, raw, "imageTag"),
        report=report,
        durations=durations(call.started_at, state),
        approved_by=approval.approved_by if approval else None,
        approval_reason=approval.reason if approval else None,
        override_freeze=_text(request, raw, "overrideFreeze"),
    )


def _text(request: Mapping[str, Any], raw: Mapping[str, Any], key: str) -> str | None:
    """Take a field of the validated request, or of an input that never became one, shortened."""
    value = request.get(key) or raw.get(key)
    return None if value is None else shorten(value, 256)


def _stopped_records(call: Invocation, dependencies: Dependencies, now: float) -> tuple[DeploymentRecord, ...]:
    """Make the records of the stopped execution, and of those that it was itself to look after.

    So too for whoever held the lock before and died with it: it could not write its own record.
    """
    state = call.state if isinstance(call.state, dict) else {}
    waiting = [(state.get("request") or {}).get("takeover"), *((state.get("lock") or {}).get("deadHolders") or ())]
    records: dict[str, DeploymentRecord] = {}
    while waiting and len(records) < MAX_TAKEOVERS:
        execution = waiting.pop(0)
        if not isinstance(execution, str) or execution in records:
            continue
        stopped = dependencies.executions.describe(execution)
        if stopped is None or stopped.status in ("RUNNING", "SUCCEEDED"):
            continue
        records[execution] = _stopped_record(call, execution, stopped, now)
        waiting.append(stopped.request.get("takeover"))
    return tuple(records.values())


def _stopped_record(call: Invocation, execution: str, stopped: ExecutionFacts, now: float) -> DeploymentRecord:
    raw = stopped.request
    started_at = timestamp(stopped.started_at)
    release = None if "takeover" in raw else release_id_of(execution, stopped.started_at)
    # One that came to its end state and could not write it down.
    outcome = stopped.error if stopped.error in set(Outcome) else Outcome.STOPPED
    said = f"the execution ended as {stopped.status if outcome == Outcome.STOPPED else outcome}"
    return DeploymentRecord(
        execution=execution,
        action=shorten(raw.get("action", "deploy")),
        outcome=outcome,
        started_at=started_at,
        ended_at=timestamp(stopped.ended_at or now),
        requested_by=_text({}, raw, "requestedBy"),
        reason=_text({}, raw, "reason"),
        release_id=release,
        image_tag=_text({}, raw, "imageTag"),
        report=Report(
            outcome=outcome,
            error_type=stopped.status,
            message=f"{said}; {call.execution.rsplit(':', 1)[-1]} looked after it",
            release=release,
        ),
    )


def _count(dependencies: Dependencies, report: Report, seconds: float, logger: Logger) -> None:
    """Write one line of CloudWatch embedded metrics: outcome and duration of the deployment."""
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    metrics = AmazonCloudWatchEMFProvider(
        metric_set={}, dimension_set={}, metadata_set={}, namespace="Stepship", service=dependencies.identity.app
    )
    metrics.add_dimension("environment", dependencies.identity.environment)
    metrics.add_dimension("outcome", report.outcome)
    metrics.add_metric("Deployments", MetricUnit.Count, 1)
    metrics.add_metric("DeploymentDuration", MetricUnit.Seconds, seconds)
    metrics.add_metadata("release", report.release)
    stream = getattr(logger.registered_handler, "stream", sys.stdout)
    stream.write(json.dumps(metrics.serialize_metric_set()) + "\n")
