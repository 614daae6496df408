"""Answers to cdk-nag: what is acknowledged, where, and why. Nothing is acknowledged for a whole stack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aws_cdk as cdk
from constructs import Construct

from statemachine.permissions import Grant


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
