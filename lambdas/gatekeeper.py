"""Lets a deploy pass, or says what holds it back: a frozen time, a stopped line."""

from __future__ import annotations

from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.release.errors import Frozen, LineStopped
from lambdas.release.gates import frozen, frozen_message, stopped_message
from lambdas.release.policies import FreezePolicy
from lambdas.release.preflight import Check, ok, skip


def pass_gates(call: Invocation, dependencies: Dependencies) -> list[Check]:
    """Return the checks of a deploy that may go on. A rollback passes, and a dry run passes with the message.

    Raises
    ------
    LineStopped, Frozen
        Says until when or by whom, and the fix.
    """
    request, environment = call.request, dependencies.identity.environment
    if not request.is_deploy:
        return []
    checks = []
    line = dependencies.releases.line()
    if line is None:
        checks.append(ok(environment, "line"))
    elif request.dry_run:
        checks.append(skip(environment, "line", stopped_message(environment, line)))
    else:
        raise LineStopped(stopped_message(environment, line))
    policy = dependencies.policy(FreezePolicy)
    freeze = frozen(policy.windows, policy.time_zone, dependencies.clock.now())
    if freeze is None:
        checks.append(ok(environment, "freeze"))
    elif request.override_freeze:
        checks.append(skip(environment, "freeze", f"overridden: {request.override_freeze}"))
    elif request.dry_run:
        checks.append(skip(environment, "freeze", frozen_message(environment, freeze)))
    else:
        raise Frozen(frozen_message(environment, freeze))
    return checks
