"""``Wait for approval``: keep the task token, and announce the question. Step Functions waits for the answer."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.completion import announce
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.results import ApprovalRequest


def request_approval(call: Invocation, dependencies: Dependencies, logger: Logger) -> ApprovalRequest:
    """Keep the token in the table until somebody answers with SendTaskSuccess or SendTaskFailure.

    Raises
    ------
    LeaseLost
        Somebody else holds the lock: there is nothing to approve.
    """
    plan = call.plan
    call.renew_lease(dependencies)
    expires_at = dependencies.clock.now() + plan.approval.timeout_seconds
    dependencies.releases.ask_approval(call.execution, call.task_token or "", expires_at)
    announce(
        dependencies,
        logger,
        "ApprovalRequested",
        {
            "app": dependencies.identity.app,
            "environment": dependencies.identity.environment,
            "execution": call.execution,
            "release": plan.release_id,
            # Text in any case: an input transformer makes no message of a null.
            "imageTag": plan.image_tag or "",
            "requestedBy": call.request.requested_by or "",
            "reason": call.request.reason or "",
        },
    )
    return ApprovalRequest(expires_at)


handler = Handler(request_approval)
