"""How an execution is reported, by the three last steps: record, live release and lock in one transaction."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.aws.executions import ExecutionFacts
from lambdas.aws.releases_table import FinalReport
from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.release.approval import read_approval
from lambdas.release.codec import encode
from lambdas.release.errors import AlreadyRecorded, StepshipError
from lambdas.release.history import (
    LOOKED_AFTER,
    REDRIVEN,
    DeploymentRecord,
    Outcome,
    Release,
    Report,
    durations,
    parse_timestamp,
    release_id_of,
    timestamp,
)
from lambdas.release.wording import shorten

MAX_STOPPED = 20
"""How many stopped executions one writes the records of: a transaction has room for 100 items."""


def report_outcome(
    call: Invocation,
    dependencies: Dependencies,
    logger: Logger,
    report: Report,
    *,
    release: Release | None = None,
    holds_lock: bool = True,
    keep_journal: bool = False,
) -> Report:
    """Write the report, then publish it as an event and a metric.

    Parameters
    ----------
    report
        The outcome, and why.
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
    AlreadyRecorded
        It was stopped, somebody else recorded that, and it was redriven; nothing was written or published.
    """
    if holds_lock:
        # Who still has the token was not recovered, and nobody else has recorded it.
        return _write(call, dependencies, logger, report, token=call.token, release=release, keep_journal=keep_journal)
    _life_before(call, dependencies)
    return _write(call, dependencies, logger, report)


def _write(
    call: Invocation,
    dependencies: Dependencies,
    logger: Logger,
    report: Report,
    *,
    token: int | None = None,
    release: Release | None = None,
    keep_journal: bool = False,
) -> Report:
    """Write and publish the report, as ``report_outcome`` says; without a token the lock is left alone."""
    now = dependencies.clock.now()
    record = _record(call, report, now)
    final = FinalReport(
        record=record,
        stopped=_stopped_records(call, dependencies, now),
        release=release,
        token=token,
        keep_journal=keep_journal,
    )
    put = dependencies.releases.put_on_record(final)
    for stopped in put or ():
        # Step Functions has counted it at its end: the alarm on the difference wants both in one period.
        _count(dependencies, stopped.report, None, logger, at=parse_timestamp(stopped.ended_at))
    if put is None:
        recorded = dependencies.releases.record(record.execution, record.started_at)
        if recorded and recorded.outcome == Outcome.STOPPED:
            raise AlreadyRecorded(f"{recorded.report.message}: {REDRIVEN}")
        report = recorded.report if recorded else report
    _publish(dependencies, logger, replace(record, report=report), now - call.started_at)
    return report


def _life_before(call: Invocation, dependencies: Dependencies) -> ExecutionFacts | None:
    """Describe this execution if it was redriven; None for all others.

    When it started is read here: ``$$.Execution.StartTime`` of a redriven execution is not documented.

    Raises
    ------
    AlreadyRecorded
        It is on record already: somebody else has recorded what became of it.
    """
    facts = dependencies.executions.describe(call.execution)
    if facts is None or not facts.was_redriven(call.entered_at):
        return None
    refuse_recorded(call, dependencies, facts)
    return facts


def refuse_recorded(call: Invocation, dependencies: Dependencies, before: ExecutionFacts) -> None:
    """Refuse an execution that was redriven after somebody else recorded what became of it.

    Raises
    ------
    AlreadyRecorded
        Says who recorded it.
    """
    recorded = dependencies.releases.record(call.execution, timestamp(before.started_at))
    if recorded and recorded.outcome == Outcome.STOPPED:
        raise AlreadyRecorded(f"{recorded.report.message}: {REDRIVEN}")


def report_without_lock(call: Invocation, dependencies: Dependencies, logger: Logger, report: Report) -> Report:
    """Report an execution that has lost the lock: the record is its own to write.

    Not when it was redriven while another execution does its work: that one rolls back, and says how it went.
    """
    try:
        before = _life_before(call, dependencies)
        if before and dependencies.releases.read_lock().is_taken_from(call.execution):
            return _refuse_taken(call, dependencies, logger, before)
        return _write(call, dependencies, logger, report)
    except AlreadyRecorded as error:
        return refuse_redrive(call, dependencies, logger, str(error))


def _refuse_taken(call: Invocation, dependencies: Dependencies, logger: Logger, before: ExecutionFacts) -> Report:
    """Put on record that it was stopped: the execution that has taken its work over has not come to that yet."""
    now = dependencies.clock.now()
    message = f"it was stopped, and another execution rolls it back: {REDRIVEN}"
    stopped = Report(Outcome.STOPPED, call.step, AlreadyRecorded.__name__, message, None, call.state.release_id)
    record = replace(_record(call, stopped, now), started_at=timestamp(before.started_at))
    dependencies.releases.report(FinalReport(record=record))
    return refuse_redrive(call, dependencies, logger, message)


def refuse_redrive(call: Invocation, dependencies: Dependencies, logger: Logger, message: str) -> Report:
    """End an execution whose work somebody else has taken over: it moves nothing, frees nothing, and pages nobody.

    It was stopped or timed out, a recovery has rolled it back or is at it, and then it was redriven. What became of it
    is on record already.
    """
    report = Report(Outcome.REJECTED, call.step, AlreadyRecorded.__name__, message, None, call.state.release_id)
    logger.warning("redrive refused", reason=message)
    now = dependencies.clock.now()
    _publish(dependencies, logger, _record(call, report, now), now - call.started_at)
    return report


def _publish(dependencies: Dependencies, logger: Logger, record: DeploymentRecord, seconds: float) -> None:
    """Tell how the execution ends, and after how many seconds: an event, and a metric."""
    report, identity = record.report, dependencies.identity
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
    _count(dependencies, report, seconds, logger)


def announce(dependencies: Dependencies, logger: Logger, detail_type: str, detail: Mapping[str, Any]) -> None:
    """Publish an event. A bus that is down is logged: it must not change how a deployment ends."""
    try:
        dependencies.events.put(detail_type, detail)
    except StepshipError as error:
        logger.warning("event not published", detail_type=detail_type, reason=str(error))


def _record(call: Invocation, report: Report, now: float) -> DeploymentRecord:
    state = call.state
    asked = _asked_for(call)
    approval = read_approval(state.approval)
    return DeploymentRecord(
        execution=call.execution,
        action=shorten(asked.get("action", "deploy")),
        outcome=report.outcome,
        started_at=timestamp(call.started_at),
        ended_at=timestamp(now),
        requested_by=_text(asked, "requestedBy"),
        reason=_text(asked, "reason"),
        release_id=state.release_id,
        image_tag=state.image_tag or _text(asked, "imageTag"),
        report=report,
        durations=durations(call.started_at, state.ended_steps),
        approved_by=approval.approved_by if approval else None,
        approval_reason=approval.reason if approval else None,
        override_freeze=_text(asked, "overrideFreeze"),
    )


def _asked_for(call: Invocation) -> Mapping[str, Any]:
    """Return the validated request, or the input that never became one: any JSON object then."""
    if call.state.request:
        request: Mapping[str, Any] = encode(call.state.request)
        return request
    return call.input if isinstance(call.input, dict) else {}


def _text(asked: Mapping[str, Any], key: str) -> str | None:
    value = asked.get(key)
    return None if value is None else shorten(value, 256)


def _stopped_records(call: Invocation, dependencies: Dependencies, now: float) -> tuple[DeploymentRecord, ...]:
    """Make the records that stopped executions could not write themselves.

    They are the one that this execution recovers from, those that it was itself to recover from, and those that held
    the lock before and ended without freeing it.
    """
    request, lock = call.state.request, call.state.lock
    waiting: list[Any] = [request.takeover if request else None, *(lock.dead_holders if lock else ())]
    records: dict[str, DeploymentRecord] = {}
    while waiting and len(records) < MAX_STOPPED:
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
    # It may have reached an end state that it could not record.
    outcome = stopped.error if stopped.error in set(Outcome) else Outcome.STOPPED
    said = f"the execution ended as {stopped.status if outcome == Outcome.STOPPED else outcome}"
    return DeploymentRecord(
        execution=execution,
        action=shorten(raw.get("action", "deploy")),
        outcome=outcome,
        started_at=started_at,
        ended_at=timestamp(stopped.ended_at or now),
        requested_by=_text(raw, "requestedBy"),
        reason=_text(raw, "reason"),
        release_id=release,
        image_tag=_text(raw, "imageTag"),
        report=Report(
            outcome=outcome,
            error_type=stopped.status,
            message=f"{said}; {call.execution.rsplit(':', 1)[-1]} recorded it",
            release=release,
        ),
    )


def _count(
    dependencies: Dependencies, report: Report, seconds: float | None, logger: Logger, *, at: float | None = None
) -> None:
    """Write one line of CloudWatch embedded metrics: outcome and duration of the deployment.

    ``at`` (unix seconds) is the end of a stopped execution; how long that one worked is no duration of a deployment.
    """
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    metrics = AmazonCloudWatchEMFProvider(
        metric_set={}, dimension_set={}, metadata_set={}, namespace="Stepship", service=dependencies.identity.app
    )
    metrics.add_dimension("environment", dependencies.identity.environment)
    metrics.add_dimension("outcome", report.outcome)
    metrics.add_metric("Deployments", MetricUnit.Count, 1)
    if seconds is not None:
        metrics.add_metric("DeploymentDuration", MetricUnit.Seconds, seconds)
    metrics.add_metadata("release", report.release)
    stream = getattr(logger.registered_handler, "stream", sys.stdout)
    line: Any = metrics.serialize_metric_set()
    if report.outcome in LOOKED_AFTER:
        # By itself, and without the outcome: an alarm pays by the metric that it looks at.
        line["_aws"]["CloudWatchMetrics"].append(
            {
                "Namespace": "Stepship",
                "Dimensions": [["service", "environment"]],
                "Metrics": [{"Name": "LookedAfter", "Unit": "Count"}],
            }
        )
        line["LookedAfter"] = [1.0]
    if at is not None:
        line["_aws"]["Timestamp"] = round(at * 1000)
    stream.write(json.dumps(line) + "\n")
