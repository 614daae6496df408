"""``Record failure``: why the deployment failed, and whether everything was rolled back."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.completion import refuse_redrive, report_outcome, report_without_lock
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AlreadyRecorded, LeaseLost
from lambdas.release.failure import caught_failure, describe_failure, what_was_done, with_done
from lambdas.release.history import Outcome, Report
from lambdas.release.verdicts import RollbackStatus


def record_failure(call: Invocation, dependencies: Dependencies, logger: Logger) -> Report:
    """Write the record and free the lock.

    Returns
    -------
    Report
        Its ``outcome`` is RolledBack, RollbackFailed, or Deployed when ``Complete`` had taken
        effect after all; Rejected when another execution has taken the work over.
    """
    state = call.state
    is_back = state.restored and state.restored.status == RollbackStatus.STEADY and not state.rollback_error
    outcome = Outcome.ROLLED_BACK if is_back else Outcome.ROLLBACK_FAILED
    done = what_was_done(state)
    lost = any(error and error.error_type == LeaseLost.__name__ for error in (state.error, state.rollback_error))
    if state.rollback_error:
        broken = caught_failure(state.rollback_error, state.ended_steps)
        done = (*done, f"The rollback failed: {broken.error_type}: {broken.message}")
    failure = with_done(describe_failure(state), done)
    report = Report(
        outcome=outcome,
        step=failure.step,
        error_type=failure.error_type,
        message=failure.message,
        explanation=failure.explanation,
        release=state.release_id,
    )
    logger.info("failure", outcome=outcome, error_type=failure.error_type, reason=failure.message)
    return _report(call, dependencies, logger, report, holds_lock=not lost)


def _report(
    call: Invocation, dependencies: Dependencies, logger: Logger, report: Report, *, holds_lock: bool
) -> Report:
    is_mixed = report.outcome == Outcome.ROLLBACK_FAILED
    try:
        if holds_lock:
            return report_outcome(call, dependencies, logger, report, keep_journal=is_mixed)
        return report_without_lock(call, dependencies, logger, report)
    except LeaseLost:
        return report_without_lock(call, dependencies, logger, report)
    except AlreadyRecorded as error:
        return refuse_redrive(call, dependencies, logger, str(error))


handler = Handler(record_failure)
