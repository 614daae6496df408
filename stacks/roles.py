"""Roles that may do what is granted, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from statemachine.nag import acknowledge_wildcards
from statemachine.permissions import Grant


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
