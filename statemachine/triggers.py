"""The EventBridge rules that start the state machine by themselves, as data.

Read by the construct that deploys the rules and by the simulator that plays EventBridge.
"""

from __future__ import annotations

from typing import Any

from lambdas.release.request import ECR_PUSH, STOPPED_EXECUTION

OWN_FAILURES = ("Rejected", "RolledBack", "RollbackFailed")
"""The Fail states: each has put the world in order before it ended, or on-call is notified."""


def stopped_execution_pattern(machine_arn: str) -> dict[str, Any]:
    """Match an execution that ended without its own last step: stopped, timed out, or failed by the service.

    Source: Step Functions Developer Guide, "Step Functions Execution Status Change" events.
    """
    ended = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
    return {
        **ended,
        "detail": {
            "stateMachineArn": [machine_arn],
            "$or": [
                {"status": ["ABORTED", "TIMED_OUT"]},
                {"status": ["FAILED"], "error": [{"anything-but": list(OWN_FAILURES)}]},
                {"status": ["FAILED"], "error": [{"exists": False}]},
            ],
        },
    }


def rollback_failed_pattern(machine_arn: str) -> dict[str, Any]:
    """Match an execution that could not bring the old release back: action needed."""
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [machine_arn], "status": ["FAILED"], "error": ["RollbackFailed"]},
    }


def reverted_stack_pattern(stack_prefix: str) -> dict[str, Any]:
    """Match a stack whose update failed and was rolled back, of those whose ARN begins so.

    CloudFormation then deploys again what *its* last good update had, which is older than what code deploys have
    brought since. Source: CloudFormation User Guide, "Managing events with CloudFormation and Amazon EventBridge".
    """
    return {
        "source": ["aws.cloudformation"],
        "detail-type": ["CloudFormation Stack Status Change"],
        "detail": {
            "stack-id": [{"prefix": stack_prefix}],
            "status-details": {"status": ["UPDATE_ROLLBACK_COMPLETE"]},
        },
    }


REVERTED_STACK_PATHS = {"stack": "$.detail.stack-id"}

REVERTED_STACK_INPUT = {
    "action": "rollback",
    "releaseId": "live",
    "requestedBy": "eventbridge:reverted-stack",
    "reason": "CloudFormation rolled an update back: <stack>",
}
"""What the rule starts the machine with: services that are not on the live release return to it."""


def approval_requested_pattern(app: str, environment: str) -> dict[str, Any]:
    """Match our own event that a person is asked (``lambdas/handlers/request_approval.py``)."""
    return {
        "source": ["stepship"],
        "detail-type": ["ApprovalRequested"],
        "detail": {"app": [app], "environment": [environment]},
    }


STOPPED_EXECUTION_PATHS = {"arn": "$.detail.executionArn", "status": "$.detail.status"}
"""What the input transformer takes out of the event."""

STOPPED_EXECUTION_INPUT = {
    "action": "rollback",
    "takeover": "<arn>",
    "requestedBy": STOPPED_EXECUTION,
    "reason": "the execution ended as <status>",
}
"""What the rule starts the machine with: roll back whatever that execution had moved."""


def pushed_image_pattern(repositories: list[str], tag_patterns: list[str]) -> dict[str, Any]:
    """Match a finished push of a tag that this environment deploys.

    Source: Amazon ECR User Guide, "Amazon ECR events and EventBridge" (a push event has ``action-type``
    PUSH and ``result`` SUCCESS); the patterns are EventBridge wildcards, such as ``sha-*``.
    """
    return {
        "source": ["aws.ecr"],
        "detail-type": ["ECR Image Action"],
        "detail": {
            "action-type": ["PUSH"],
            "result": ["SUCCESS"],
            "repository-name": repositories,
            "image-tag": [_tag(pattern) for pattern in tag_patterns],
        },
    }


def _tag(pattern: str) -> dict[str, Any]:
    # The children of an index are pushed too, each with a tag that is empty: `*` must not match them.
    return {"wildcard": pattern} if pattern.strip("*") else {"anything-but": [""]}


PUSHED_IMAGE_PATHS = {"tag": "$.detail.image-tag", "digest": "$.detail.image-digest"}

PUSHED_IMAGE_INPUT = {
    "action": "deploy",
    "imageTag": "<tag>",
    "imageDigest": "<digest>",
    "requestedBy": ECR_PUSH,
    "reason": "image pushed",
}
