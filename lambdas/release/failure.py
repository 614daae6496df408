"""What ended a deployment, read from the execution's state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lambdas.release.approval import rejection_message
from lambdas.release.codec import read_object
from lambdas.release.explanation import MAX_CAUSES, MAX_LOG_LINES, Explanation
from lambdas.release.plan import Plan
from lambdas.release.results import RollbackResult
from lambdas.release.state import CaughtError, ExecutionState
from lambdas.release.verdicts import FAILING, MigrationStatus, RollbackStatus
from lambdas.release.wording import counted

MAX_MESSAGE = 4000
"""Characters of a message: with the explanation it stays below the 32,768 of a Fail state's Cause."""

MAX_NAMED = 5
"""Parameters that a sentence names at most, and services that have a sentence of their own."""

STEP_PREFIX = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)*): (.*)$", re.DOTALL)
"""Every error of a handler begins with the name of its state (``lambdas/handler.py``)."""


@dataclass(frozen=True)
class Failure:
    """One failure: where, what kind, and what was said."""

    step: str | None
    error_type: str
    message: str
    explanation: Explanation | None = None


def caught_failure(error: CaughtError, ended_steps: Sequence[tuple[float, str]] = ()) -> Failure:
    """Read what a Catch kept.

    Parameters
    ----------
    error
        A Lambda function's cause is JSON with ``errorMessage``; the service's own cause is a sentence.
    ended_steps
        To name the step when the message does not: after the last step that ended.
    """
    message = str(read_object(error.cause).get("errorMessage", error.cause))
    match = STEP_PREFIX.match(message)
    # Nothing else is known of a function that died.
    step, message = (match[1], match[2]) if match else (f"after {ended_steps[-1][1]}" if ended_steps else None, message)
    return Failure(step, error.error_type, message[:MAX_MESSAGE] or error.error_type)


def refused_approval(error: CaughtError, state: ExecutionState) -> Failure | None:
    """Say how an open approval ended without a yes; None when nobody was asked."""
    plan = state.readable_plan
    if plan is None or not plan.approval.required or state.is_answered:
        return None
    failure = replace(caught_failure(error), step="Wait for approval")
    if failure.error_type == "States.Timeout":
        return replace(failure, message=f"nobody answered within {plan.approval.timeout_seconds} s")
    return replace(failure, message=rejection_message(failure.message))


def failed_verdict(state: ExecutionState) -> Failure | None:
    """Find the verdict that ended the deployment: the newest of migration, rollout and health that is bad."""
    results = {"migration": state.migration, "rollout": state.rollout, "health": state.health}
    bad = [(key, result) for key, result in results.items() if result and result.status == FAILING[key].status]
    if not bad:
        return None
    key, newest = max(bad, key=lambda found: found[1].at)
    explanation = newest.explanation
    summary = explanation.summary if explanation else newest.message
    return Failure(newest.step, FAILING[key].error_type, summary, explanation)


def describe_failure(state: ExecutionState) -> Failure:
    """Say why the execution rolls back: a caught error outweighs a verdict, which came before it."""
    if state.error:
        return caught_failure(state.error, state.ended_steps)
    return failed_verdict(state) or Failure(None, "Unknown", "no step says why")


def with_done(failure: Failure, done: tuple[str, ...]) -> Failure:
    """Say what was done about it, and keep the whole small enough for a Cause."""
    explanation = failure.explanation or Explanation(summary=failure.message[:MAX_MESSAGE])
    return replace(
        failure,
        explanation=replace(
            explanation,
            causes=explanation.causes[:MAX_CAUSES],
            log_lines=explanation.log_lines[-MAX_LOG_LINES:],
            done=done,
        ),
    )


def what_was_done(state: ExecutionState) -> tuple[str, ...]:
    """Say in sentences what the rollback did; first what it cannot undo."""
    rollback, restored, plan = state.rollback, state.restored, state.readable_plan
    done = list(_what_stays(state))
    if rollback is None:
        unread = "What was rolled back was noted by another version of the functions and cannot be read."
        return (*done, unread if "rollback" in state.keys else "Nothing was rolled back.")
    if rollback.services:
        done.append(f"Rolled back to their previous task definitions: {', '.join(rollback.services)}.")
    if rollback.returned:
        done.append(f"ECS had rolled back to the previous task definition by itself: {', '.join(rollback.returned)}.")
    if not rollback.services and not rollback.returned:
        done.append("Stepship had no service to roll back.")
    done += _first(
        _runs_instead(name, twin.rsplit("/", 1)[-1], is_deleted=name in state.deleted)
        for name, twin in state.twins.items()
        if name in rollback.services
    )
    done += _first(
        f"{name} ran {ran}, which somebody else had deployed meanwhile: make that change again."
        for name, ran in rollback.overwritten.items()
    )
    done += _parameters(plan, rollback)
    if restored and restored.status == RollbackStatus.STEADY:
        done.append("All services are steady on what they ran before.")
    return tuple(done)


def _runs_instead(name: str, twin: str, *, is_deleted: bool) -> str:
    if is_deleted:
        return (
            f"The previous task definition of {name} was deleted; it runs {twin}, which has the same image: "
            "its settings may differ."
        )
    return f"{name} runs {twin}, which has the content of its previous task definition: that was deregistered."


def _first(sentences: Iterable[str]) -> Iterator[str]:
    """Yield the first of these sentences, one for each service, and how many more there are."""
    said = list(sentences)
    yield from said[:MAX_NAMED]
    if len(said) > MAX_NAMED:
        yield f"The same goes for {counted(len(said) - MAX_NAMED, 'more service')}: see $.rollback of the execution."


def _parameters(plan: Plan | None, rollback: RollbackResult) -> Iterator[str]:
    if plan:
        yield f"Restored {counted(len(plan.parameters), 'parameter')}."
    if rollback.parameters:
        yield f"Set again what somebody had changed meanwhile: {', '.join(rollback.parameters[:MAX_NAMED])}."


def _what_stays(state: ExecutionState) -> tuple[str, ...]:
    """Say of a migration that ran that no rollback undoes it."""
    migration = state.migration
    if state.rollback and state.rollback.stopped_migration:
        return ("Stopped the migration, which was still running; what it has changed stays changed.",)
    if migration is None or migration.task is None:
        return ()
    if migration.status == MigrationStatus.SUCCEEDED:
        return ("The migration was applied and stays applied: what runs now meets the new schema.",)
    return ("The migration was started: what it has changed stays changed.",)
