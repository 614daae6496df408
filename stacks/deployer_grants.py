"""What whoever deploys the stacks may do: take the CDK's roles, hold the deployment lock, free stuck stacks.

Read by the roles of GitHub's jobs and of the pipeline's builds. Every name is known before anything is deployed.
"""

from __future__ import annotations

import aws_cdk as cdk

from config import EnvironmentConfig
from stacks.account import ROLES
from stacks.names import Names
from stacks.stages import parts
from statemachine.iam import Grant
from statemachine.permissions import Resources

BOOTSTRAP_ROLES = ("deploy", "file-publishing", "lookup")
"""Roles of ``cdk bootstrap`` that a deploy assumes. Not ``image-publishing``: no asset here is an image."""

LOCK = "lock"
"""The key of the lock's item (lambdas/aws/releases_table.py)."""

LOCK_CALLS = ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")

STACK_CALLS = (
    "cloudformation:DescribeStacks",
    # Why it failed.
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResources",
    # Free a stuck one (stepship/infra/repair.py). CloudFormation does it with the role that the stack was made with,
    # "even if the users don't have permission to pass it" (API Reference, CreateStack, RoleARN).
    "cloudformation:DeleteStack",
    "cloudformation:ContinueUpdateRollback",
    "cloudformation:UpdateTerminationProtection",
)


def assume_cdk_roles(stack: cdk.Stack, *purposes: str) -> Grant:
    """Allow handing over to roles of ``cdk bootstrap``, which deploy."""
    qualifier = cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER
    names = (f"cdk-{qualifier}-{purpose}-role-{stack.account}-{stack.region}" for purpose in purposes)
    return Grant(
        ("sts:AssumeRole",),
        tuple(stack.format_arn(service="iam", region="", resource="role", resource_name=name) for name in names),
    )


def hold_lock(stack: cdk.Stack, settings: EnvironmentConfig) -> list[Grant]:
    """Allow taking, renewing and freeing the lock, and seeing whether who has it still runs."""
    table = stack.format_arn(service="dynamodb", resource="table", resource_name=settings.identity.table)
    return [
        # Records of deployments have keys of their own (lambdas/aws/releases_table.py).
        Grant(LOCK_CALLS, (table,), {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [LOCK]}}),
        Resources(stack, settings).read_executions(),
    ]


def look_at_and_free_stacks(stack: cdk.Stack, settings: EnvironmentConfig) -> Grant:
    """Allow what ``stepship infra deploy`` asks of CloudFormation itself.

    All parts, and not those alone that the environment has: one that is switched on may be deployed beside the stack
    of the role that deploys it.
    """
    names = Names(settings)
    return Grant(
        STACK_CALLS,
        tuple(
            stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{names.stack(part)}/*")
            for part in parts()
        ),
        wildcard_reason="The stack that has this name; its ARN ends with an id that CloudFormation makes up.",
    )


def look_at_the_account(stack: cdk.Stack) -> list[Grant]:
    """Allow what ``stepship infra deploy`` asks before it makes a stack, and creating the roles of AWS's services.

    Each role can be created for its own service alone: what it may do, the service says.
    """
    roles = tuple(
        stack.format_arn(service="iam", region="", resource="role", resource_name=role.path) for role in ROLES
    )
    return [
        Grant(("iam:GetRole",), roles),
        Grant(
            ("iam:CreateServiceLinkedRole",),
            roles,
            {"StringEquals": {"iam:AWSServiceName": [role.service for role in ROLES]}},
        ),
        Grant(
            ("servicequotas:GetServiceQuota", "ec2:DescribeAddresses", "ecr:GetRegistryScanningConfiguration"),
            ("*",),
            wildcard_reason="IAM knows no resource for any of the three; they read settings of the account.",
        ),
    ]
