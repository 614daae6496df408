"""The IAM kit: what is granted, the roles that are granted it, and the answers to cdk-nag for what is wide.

Nothing is acknowledged for a whole stack; each answer carries its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

NO_RESOURCE = "IAM has no resource for this action (Service Authorization Reference)."


@dataclass(frozen=True)
class Grant:
    """Actions that are allowed on resources.

    Attributes
    ----------
    actions
        Such as ``ecs:DescribeServices``; never with a wildcard.
    resources
        ARNs, or ``*`` where IAM knows no resource for the action.
    conditions
        As in an IAM policy: operator, key, values.
    wildcard_reason
        Why a ``*`` in the resources is right. Required when there is one.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, object]] | None = None
    wildcard_reason: str | None = None

    def statement(self) -> iam.PolicyStatement:
        """Return the statement for a policy."""
        return iam.PolicyStatement(
            actions=list(self.actions), resources=list(self.resources), conditions=self.conditions
        )


def role(scope: Construct, id: str, grants: Sequence[Grant], **kwargs: Any) -> iam.Role:
    """Create a role with these grants, and answer cdk-nag for their wildcards.

    The grants are part of the role and no policy beside it: nothing that assumes it is created before it has them.

    Parameters
    ----------
    scope, id
        Where the role stands.
    grants
        All that it may do.
    **kwargs
        As for ``aws_cdk.aws_iam.Role``.
    """
    policy = iam.PolicyDocument(statements=[grant.statement() for grant in grants])
    created = iam.Role(scope, id, inline_policies={"grants": policy}, **kwargs)
    acknowledge_wildcards(created, grants)
    return created


def task_role(scope: Construct, id: str, grants: Sequence[Grant], **kwargs: Any) -> iam.Role:
    """Create a role for the tasks of this account.

    ECS of another account may not take it (ECS Developer Guide, "Task IAM role": against a confused deputy).

    Parameters
    ----------
    scope, id, grants, **kwargs
        As for ``role``.
    """
    tasks_of_this_account = iam.ServicePrincipal(
        "ecs-tasks.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(scope).account}}
    )
    return role(scope, id, grants, assumed_by=tasks_of_this_account, **kwargs)


def acknowledge(construct: Construct, rule: str, reason: str) -> None:
    """Acknowledge one finding of cdk-nag on a construct and what is below it."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def acknowledge_wildcards(construct: Construct, grants: Iterable[Grant]) -> None:
    """Acknowledge the wildcards of the grants in a policy, each with the grant's own reason.

    A wildcard without a reason stays a finding, and so fails the check.
    """
    stack = cdk.Stack.of(construct)
    for grant in grants:
        for resource in grant.resources if grant.wildcard_reason else ():
            flat = _flat(stack.resolve(resource))
            if "*" in flat:
                acknowledge(construct, f"AwsSolutions-IAM5[Resource::{flat}]", grant.wildcard_reason or "")


def _flat(value: Any) -> str:
    """Write a CloudFormation expression as cdk-nag does: ``arn:<AWS::Partition>:…``, ``<Logs.Arn>``."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        separator, parts = argument
        return str(separator).join(map(_flat, parts))
    return f"<{argument}>" if function == "Ref" else f"<{'.'.join(argument)}>"
