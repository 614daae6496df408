"""What ended a deployment, read from the execution's state."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lambdas.release.approval import rejection_message
from lambdas.release.codec import decode
from lambdas.release.explanation import MAX_CAUSES, MAX_LOG_LINES, Explanation
from lambdas.release.plan import Plan

MAX_MESSAGE = 4000
"""Characters of a message: with the explanation it stays below the 32,768 of a Fail state's Cause."""

STEP_PREFIX = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)*): (.*)$", re.DOTALL)
"""Every error of a handler begins with the name of its state (``lambdas/handler.py``)."""


@dataclass(frozen=True)
class Failure:
    """One failure: where, what kind, and what was said."""

    step: str | None
    error_type: str
    message: str
    explanation: Explanation | None = None


def caught_failure(error: Mapping[str, Any], state: Mapping[str, Any]) -> Failure:
    """Read what a Catch kept: ``{"Error": …, "Cause": …}``.

    Parameters
    ----------
    error
        A Lambda function's Cause is JSON with ``errorMessage``; the service's own Cause is a sentence.
    state
        To name the step when the message does not: after the last step that ended.
    """
    error_type, cause = str(error.get("Error", "Unknown")), str(error.get("Cause", ""))
    try:
        parsed = json.loads(cause)
        message = str(parsed["errorMessage"]) if isinstance(parsed, dict) and "errorMessage" in parsed else cause
    except (ValueError, RecursionError):
        message = cause
    match = STEP_PREFIX.match(message)
    step, message = (match[1], match[2]) if match else (_after_last_step(state), message)
    return Failure(step, error_type, message[:MAX_MESSAGE] or error_type)


def refused_approval(error: Mapping[str, Any], state: Mapping[str, Any]) -> Failure | None:
    """Tell how an open approval ended without a yes; None when no person was being asked."""
    approval = (state.get("plan") or {}).get("approval") or {}
    if not approval.get("required") or "approval" in state:
        return None
    failure = replace(caught_failure(error, state), step="Wait for approval")
    if failure.error_type == "States.Timeout":
        return replace(failure, message=f"nobody answered within {approval['timeoutSeconds']} s")
    return replace(failure, message=rejection_message(failure.message))


def failed_verdict(state: Mapping[str, Any]) -> Failure | None:
    """Find the verdict that ended the deployment: the newest of migration, rollout and health that is bad."""
    bad = {"migration": "failed", "rollout": "failed", "health": "unhealthy"}
    kinds = {"migration": "MigrationFailed", "rollout": "RolloutFailed", "health": "Unhealthy"}
    found = [
        (state[key].get("at", 0.0), key)
        for key, status in bad.items()
        if key in state and state[key].get("status") == status
    ]
    if not found:
        return None
    _, key = max(found)
    result = state[key]
    explanation = decode(Explanation, result["explanation"])
    return Failure(result.get("step"), kinds[key], explanation.summary, explanation)


def describe_failure(state: Mapping[str, Any]) -> Failure:
    """Tell why the execution is on its way back: a caught error outweighs a verdict, which came before it."""
    if "error" in state:
        return caught_failure(state["error"], state)
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


def what_was_done(state: Mapping[str, Any], plan: Plan) -> tuple[str, ...]:
    """Say in sentences what the way back did."""
    rollback = state.get("rollback")
    if rollback is None:
        return ("Nothing was put back.",)
    done = []
    services = rollback.get("services", ())
    if services:
        done.append(f"Put back on their previous task definitions: {', '.join(services)}.")
    else:
        done.append("No service had to be put back by us.")
    for name, ran in (rollback.get("overwritten") or {}).items():
        done.append(f"{name} ran {ran}, which somebody else had deployed meanwhile: that change has to be made again.")
    done.append(f"Restored {len(plan.parameters)} parameters.")
    if (state.get("restored") or {}).get("status") == "steady":
        done.append("All services are steady on what they ran before.")
    return tuple(done)


def _after_last_step(state: Mapping[str, Any]) -> str | None:
    """Name the place by the last step that ended: nothing else is known of a function that died."""
    results = (state, *state.values())
    ended = [(r["at"], r["step"]) for r in results if isinstance(r, Mapping) and "at" in r and "step" in r]
    return f"after {max(ended)[1]}" if ended else None
