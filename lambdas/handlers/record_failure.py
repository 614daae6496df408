"""``Record failure``: why the deployment failed, and whether everything is back."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.completion import end_execution
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json
from lambdas.release.codec import encode
from lambdas.release.errors import LeaseLost
from lambdas.release.failure import caught_failure, describe_failure, what_was_done, with_done
from lambdas.release.history import Outcome, Report


def record_failure(call: Invocation, dependencies: Dependencies, logger: Logger) -> Json:
    """Write the record and free the lock.

    Returns
    -------
    dict
        The report; its ``outcome`` is RolledBack, RollbackFailed, or Deployed when ``Complete`` had taken
        effect after all.
    """
    state, plan = call.state, call.plan
    is_back = (state.get("restored") or {}).get("status") == "steady" and "rollbackError" not in state
    outcome = Outcome.ROLLED_BACK if is_back else Outcome.ROLLBACK_FAILED
    done = what_was_done(state, plan)
    lost = any((state.get(key) or {}).get("Error") == LeaseLost.__name__ for key in ("error", "rollbackError"))
    if "rollbackError" in state:
        broken = caught_failure(state["rollbackError"], state)
        done = (*done, f"The rollback failed: {broken.error_type}: {broken.message}")
    failure = with_done(describe_failure(state), done)
    report = Report(
        outcome=outcome,
        step=failure.step,
        error_type=failure.error_type,
        message=failure.message,
        explanation=failure.explanation,
        release=plan.release_id,
    )
    logger.info("failure", outcome=outcome, error_type=failure.error_type, reason=failure.message)
    result: Json = encode(_end(call, dependencies, logger, report, holds_lock=not lost))
    return result


def _end(call: Invocation, dependencies: Dependencies, logger: Logger, report: Report, *, holds_lock: bool) -> Report:
    try:
        in_pieces = report.outcome == Outcome.ROLLBACK_FAILED
        return end_execution(call, dependencies, logger, report, holds_lock=holds_lock, keep_journal=in_pieces)
    except LeaseLost:
        # Somebody else has the lock by now; the record is ours to write all the same.
        return end_execution(call, dependencies, logger, report, holds_lock=False)


handler = Handler(record_failure)
