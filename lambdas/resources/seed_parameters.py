"""Seed SSM parameters: write those that are not there yet, and never a value that is.

``stacks/constructs/seeded_parameters.py`` puts this file into its template as inline code: at most 4096 characters, and
nothing to import but boto3 and ``cfnresponse``, which Lambda adds to inline code.
"""

# mypy: disable-error-code="import-not-found"
# A comment behind `import cfnresponse` would keep Lambda from seeing it, so the one for mypy stands here.

from __future__ import annotations

from typing import Any

import boto3
import cfnresponse
from botocore.config import Config

PROMPT = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
MAX_REASON = 1000  # The whole answer may have 4096 bytes (CloudFormation User Guide, "Custom resource responses").


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer CloudFormation, whatever happens: without an answer the stack would hang until its timeout.

    Parameters
    ----------
    event
        A custom resource request; its properties are ``Parameters``, a list of ``Name`` and ``Value``, and
        ``Tags``, as ``PutParameter`` takes them.
    context
        As Lambda gives it.
    """
    # Always the same: another id would make CloudFormation delete "the old one".
    resource = event.get("PhysicalResourceId") or event["LogicalResourceId"]
    try:
        # Delete does nothing: services still run what the parameters say, and the next stack must find it.
        if event["RequestType"] != "Delete":
            seed(event["ResourceProperties"])
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the answer)
        reason = f"{type(error).__name__}: {error}"[:MAX_REASON]
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, resource, reason=reason)
    else:
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {}, resource)


def seed(properties: dict[str, Any]) -> None:
    """Create each parameter; one that exists keeps its value and gets the tags. Tags are never removed."""
    ssm = boto3.client("ssm", config=PROMPT)
    tags = properties["Tags"]
    for each in properties["Parameters"]:
        name, value = each["Name"], each["Value"]
        try:
            ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=False, Tags=tags)
        except ssm.exceptions.ParameterAlreadyExists:
            # A code deploy has written it, or an earlier stack: that is what runs.
            ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=tags)
