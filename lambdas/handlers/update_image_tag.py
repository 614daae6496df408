"""``Update image tag``: the first write. The journal is written before it, so that a recovery knows what to undo."""

from __future__ import annotations

import json

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.gatekeeper import pass_gates
from lambdas.handler import Handler, Invocation
from lambdas.release.approval import require_approval
from lambdas.release.codec import encode
from lambdas.release.errors import PlanStale
from lambdas.release.plan import Plan
from lambdas.release.policies import ApprovalPolicy
from lambdas.release.results import TagResult


def update_image_tag(call: Invocation, dependencies: Dependencies, logger: Logger) -> TagResult:
    """Write the tag and the pinned images; the values that are right already are left alone.

    Raises
    ------
    ApprovalRejected
        The yes does not count; nothing was written.
    DeploysPaused, Frozen
        A deploy is held back now; nothing was written.
    PlanStale
        A service moved while the approval was open; nothing was written.
    LeaseLost
    """
    plan = call.plan
    if call.state.is_answered:
        # Time has passed since the plan.
        may_approve = dependencies.policy(ApprovalPolicy).requester_may_approve
        require_approval(call.state.approval, call.request.requested_by, requester_may_approve=may_approve)
        pass_gates(call, dependencies)
        check_fresh(plan, dependencies)
    # A recovery keeps the journal of the deployment that it rolls back: it may be stopped too.
    call.renew_lease(dependencies, journal=None if plan.recovers else json.dumps(encode(plan)))
    written = dependencies.parameters.set_all({parameter.name: parameter.target for parameter in plan.parameters})
    logger.info("parameters written", parameters=written)
    return TagResult(plan.image_tag, tuple(written))


def check_fresh(plan: Plan, dependencies: Dependencies) -> None:
    """Refuse when a service no longer runs what the plan wants to return to."""
    facts = dependencies.ecs.services(plan.in_order())
    moved = [s.name for s in plan.in_order() if s.name not in facts or facts[s.name].task_definition != s.previous]
    if moved:
        raise PlanStale(f"{', '.join(moved)}: deployed by somebody else while the approval was open; start again")


handler = Handler(update_image_tag)
