"""``Record outcome``: an execution that moved nothing ends: rejected, planned only, superseded, or nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.completion import end_execution
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json
from lambdas.release.codec import encode
from lambdas.release.errors import InvalidInput, LeaseLost, RecoveryRefused
from lambdas.release.failure import caught_failure, refused_approval
from lambdas.release.history import Outcome, Report
from lambdas.release.lock import LockStatus


def record_outcome(call: Invocation, dependencies: Dependencies, logger: Logger) -> Json:
    """Write the record and free the lock, if this execution had it.

    Returns
    -------
    dict
        The report; with the whole ``plan`` when that was all that was asked for.
    """
    state = call.state if isinstance(call.state, dict) else {}
    report = _report(state, is_recovery=_is_recovery(call))
    lock = state.get("lock") or {}
    held = lock.get("status") == LockStatus.HELD
    # A rollback that took a journal over and then changed nothing leaves it for the next one.
    in_pieces = bool(lock.get("inherited")) and report.outcome != Outcome.NOTHING_TO_DO
    try:
        report = end_execution(call, dependencies, logger, report, holds_lock=held, keep_journal=in_pieces)
    except LeaseLost:
        report = end_execution(call, dependencies, logger, report, holds_lock=False)
    result: Json = encode(report)
    if report.outcome == Outcome.PLANNED:
        result["plan"] = state["plan"]
    return result


def _is_recovery(call: Invocation) -> bool:
    """Whether the execution was to put back what a stopped one had moved; the input may be anything."""
    return isinstance(call.input, dict) and "takeover" in call.input


def _report(state: Mapping[str, Any], *, is_recovery: bool) -> Report:
    release = (state.get("plan") or {}).get("releaseId")
    # `Verify image` has no state yet: what its Catch kept is the state itself.
    error = state.get("error") or (state if "Error" in state else None)
    if error:
        failure = refused_approval(error, state) or caught_failure(error, state)
        # A recovery that cannot even begin leaves the world between two releases: a person has to know.
        asked_wrongly = failure.error_type in (InvalidInput.__name__, RecoveryRefused.__name__)
        outcome = Outcome.ROLLBACK_FAILED if is_recovery and not asked_wrongly else Outcome.REJECTED
        return Report(outcome, failure.step, failure.error_type, failure.message, None, release)
    lock = state["lock"]
    if lock["status"] == LockStatus.SUPERSEDED:
        return Report(Outcome.SUPERSEDED, lock["step"], None, lock["reason"])
    if lock["status"] == LockStatus.NOT_NEEDED:
        return Report(Outcome.NOTHING_TO_DO, lock["step"], None, lock["reason"])
    if state["plan"]["nothingToDo"]:
        return Report(Outcome.NOTHING_TO_DO, None, None, "everything already is as asked", None, release)
    return Report(Outcome.PLANNED, None, None, "dry run: nothing was written", None, release)


handler = Handler(record_outcome)
