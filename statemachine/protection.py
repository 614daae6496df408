"""Deletion protection that is on, but for the moment in which a stack is created.

A resource that is protected from the start cannot be deleted by the rollback of its own creation: the stack ends as
ROLLBACK_FAILED, and what keeps its name stops the next creation (CloudFormation User Guide, "DeletionPolicy attribute",
RetainExceptOnCreate; DynamoDB Developer Guide, "Using deletion protection"). So whoever creates the stack says that it
is off, and switches it on when everything is there. ``stepship infra deploy`` does both.
"""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

PARAMETER = "DeletionProtection"
"""The template's parameter; ``stepship/infra/cdk.py`` gives it. On, where nobody says anything."""


def protection(scope: Construct) -> str:
    """Return the value for the property that protects a resource: the stack's parameter, ``true`` or ``false``."""
    stack = cdk.Stack.of(scope)
    parameter = stack.node.try_find_child(PARAMETER) or cdk.CfnParameter(
        stack,
        PARAMETER,
        type="String",
        default="true",
        allowed_values=["true", "false"],
        description="Off while the stack is created, so that a creation that fails can be rolled back; then on",
    )
    assert isinstance(parameter, cdk.CfnParameter)  # noqa: S101 (try_find_child knows no types)
    return parameter.value_as_string


def protect(resource: Construct, path: str) -> None:
    """Protect a resource for as long as the stack's parameter says.

    Parameters
    ----------
    resource
        An L1 construct, or one whose default child is one.
    path
        The property of the template that protects it.
    """
    child = resource if isinstance(resource, cdk.CfnResource) else resource.node.default_child
    assert isinstance(child, cdk.CfnResource)  # noqa: S101 (default_child knows no types)
    child.add_property_override(path, protection(resource))
