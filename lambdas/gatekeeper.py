"""Let a deploy pass, or say what holds it back: a freeze window, or that deploys are paused."""

from __future__ import annotations

from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.release.errors import DeploysPaused, Frozen
from lambdas.release.gates import frozen, frozen_message, paused_message
from lambdas.release.policies import FreezePolicy
from lambdas.release.preflight import Check, ok, skip


def pass_gates(call: Invocation, dependencies: Dependencies) -> list[Check]:
    """Return the checks of a deploy that may go on. A rollback passes, and a dry run passes with the message.

    Raises
    ------
    DeploysPaused, Frozen
        Says until when or by whom, and the fix.
    """
    request, environment = call.request, dependencies.identity.environment
    if not request.is_deploy:
        return []
    checks = []
    paused = dependencies.releases.paused()
    if paused is None:
        checks.append(ok(environment, "deploys not paused"))
    elif request.dry_run:
        checks.append(skip(environment, "deploys not paused", paused_message(environment, paused)))
    else:
        raise DeploysPaused(paused_message(environment, paused))
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
