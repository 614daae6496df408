"""``Record outcome``: the end of an execution that moved nothing: rejected, planned, superseded, or nothing to do."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.completion import refuse_redrive, report_outcome, report_without_lock
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AlreadyRecorded, InvalidInput, LeaseLost, NeedlessPush, RecoveryRefused
from lambdas.release.failure import caught_failure, refused_approval
from lambdas.release.history import Outcome, Report
from lambdas.release.results import OutcomeReport
from lambdas.release.state import ExecutionState, needed
from lambdas.release.verdicts import LockStatus


def record_outcome(call: Invocation, dependencies: Dependencies, logger: Logger) -> OutcomeReport:
    """Write the record and free the lock, if this execution had it."""
    lock = call.state.lock
    report = _report(call.state, is_recovery=_is_recovery(call))
    held = lock is not None and lock.status == LockStatus.HELD
    # A rollback that inherited a journal and then changed nothing leaves it for the next one.
    keep_journal = lock is not None and lock.inherited and report.outcome != Outcome.NOTHING_TO_DO
    try:
        report = report_outcome(call, dependencies, logger, report, holds_lock=held, keep_journal=keep_journal)
    except LeaseLost:
        report = report_without_lock(call, dependencies, logger, report)
    except AlreadyRecorded as error:
        report = refuse_redrive(call, dependencies, logger, str(error))
    return OutcomeReport(**vars(report), plan=call.state.plan if report.outcome == Outcome.PLANNED else None)


def _is_recovery(call: Invocation) -> bool:
    """Whether the execution was to roll back what a stopped one had moved; the input may be anything."""
    return isinstance(call.input, dict) and "takeover" in call.input


def _report(state: ExecutionState, *, is_recovery: bool) -> Report:
    release = state.release_id
    if state.error:
        if state.error.error_type == NeedlessPush.__name__:
            failure = caught_failure(state.error)
            return Report(Outcome.NOTHING_TO_DO, failure.step, None, failure.message)
        failure = refused_approval(state.error, state) or caught_failure(state.error, state.ended_steps)
        # A recovery that cannot even begin leaves services on two releases: action is needed.
        asked_wrongly = failure.error_type in (InvalidInput.__name__, RecoveryRefused.__name__)
        outcome = Outcome.ROLLBACK_FAILED if is_recovery and not asked_wrongly else Outcome.REJECTED
        return Report(outcome, failure.step, failure.error_type, failure.message, None, release)
    lock = needed(state.lock)
    if lock.status == LockStatus.SUPERSEDED:
        return Report(Outcome.SUPERSEDED, lock.step, None, lock.reason)
    if lock.status == LockStatus.NOT_NEEDED:
        return Report(Outcome.NOTHING_TO_DO, lock.step, None, lock.reason)
    plan = needed(state.plan)
    if plan.nothing_to_do:
        return Report(Outcome.NOTHING_TO_DO, None, None, plan.message, None, release)
    return Report(Outcome.PLANNED, None, None, "dry run: nothing was written", None, release)


handler = Handler(record_outcome)
