"""CloudFormation resource types that our templates use and the emulator does not have, or has in part.

A handler is what the emulator's own are: ``create(logical id, properties, stack) -> (physical id, attributes)``.
Where the emulator knows the API behind a type, the handler calls that; the rest is only remembered.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ec2, ecs, iam
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]


def register() -> None:
    """Add the handlers to the emulator's table."""
    for kind, create in CREATE.items():
        provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "update": _keep, "delete": _forget}
    provisioners._RESOURCE_HANDLERS["AWS::ECS::TaskDefinition"].update(create=_task_definition, update=_next_revision)
    alarm = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]
    create, update = alarm["create"], alarm["update"]
    alarm["create"] = lambda logical_id, properties, stack: create(logical_id, _plain_alarm(properties), stack)
    alarm["update"] = lambda physical_id, old, new, stack, logical_id: update(
        physical_id, _plain_alarm(old), _plain_alarm(new), stack, logical_id
    )


def _keep(physical_id: str, old: Properties, new: Properties, stack: str) -> Created:
    raise ValueError(f"{physical_id}: the e2e launcher does not update resources of this type")


def _forget(physical_id: str, properties: Properties) -> None:
    """Remember nothing of it: no test asks for a network that was deleted."""


# The network, by the emulator's EC2 API.


def _call_ec2(action: str, answer: str, **parameters: str) -> str:
    """Call EC2, and return one element of its answer."""
    status, _, body = ec2._ACTION_MAP[action](parameters)
    text = body.decode() if isinstance(body, bytes) else body
    found = re.search(rf"<{answer}>([^<]+)<", text) or re.search(rf"<{answer}><item>([^<]+)<", text)
    if status >= 400 or found is None:
        raise ValueError(f"ec2:{action}: {text}")
    return found[1]


def _elastic_ip(logical_id: str, properties: Properties, stack: str) -> Created:
    allocation = _call_ec2("AllocateAddress", "allocationId", Domain=properties.get("Domain", "vpc"))
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _nat_gateway(logical_id: str, properties: Properties, stack: str) -> Created:
    gateway = _call_ec2(
        "CreateNatGateway", "natGatewayId", SubnetId=properties["SubnetId"], AllocationId=properties["AllocationId"]
    )
    return gateway, {"NatGatewayId": gateway}


def _flow_log(logical_id: str, properties: Properties, stack: str) -> Created:
    flow_log = _call_ec2(
        "CreateFlowLogs",
        "flowLogIdSet",
        **{"ResourceId.1": properties["ResourceId"]},
        ResourceType=properties["ResourceType"],
        TrafficType=properties["TrafficType"],
        LogGroupName=properties["LogGroupName"],
    )
    return flow_log, {"Id": flow_log}


# Who may come from GitHub, by the emulator's IAM API.


def _identity_provider(logical_id: str, properties: Properties, stack: str) -> Created:
    clients = {f"ClientIDList.member.{n}": each for n, each in enumerate(properties["ClientIdList"], start=1)}
    status, _, body = iam._IAM_HANDLERS["CreateOpenIDConnectProvider"]({"Url": properties["Url"], **clients})
    if status >= 400:
        raise ValueError(f"iam:CreateOpenIDConnectProvider: {body!r}")
    arn = f"arn:aws:iam::{get_account_id()}:oidc-provider/{properties['Url'].removeprefix('https://')}"
    return arn, {"Arn": arn}


# Autoscaling, remembered alone: nothing here has a load.


def _scalable_target(logical_id: str, properties: Properties, stack: str) -> Created:
    parts = (properties["ResourceId"], properties["ScalableDimension"], properties["ServiceNamespace"])
    return "|".join(parts), {"Id": "|".join(parts)}


def _scaling_policy(logical_id: str, properties: Properties, stack: str) -> Created:
    name = properties["PolicyName"]
    arn = f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{new_uuid()}:policyName/{name}"
    return arn, {"Arn": arn, "PolicyName": name}


# Task definitions: the emulator's own handler keeps secrets and volumes in CloudFormation's spelling and drops
# the platform, so nothing could be registered from what it made.


def _task_definition(logical_id: str, properties: Properties, stack: str) -> Created:
    """Do what CloudFormation does: call RegisterTaskDefinition."""
    request = _as_api(properties, _register_input())
    status, _, body = ecs._ACTION_MAP["RegisterTaskDefinition"](request)
    answer = json.loads(body)
    if status >= 400:
        raise ValueError(f"ecs:RegisterTaskDefinition: {answer}")
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    return arn, {"TaskDefinitionArn": arn}


def _next_revision(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    return _task_definition(logical_id, new, stack)


@cache
def _register_input() -> Any:
    service = botocore.session.get_session().get_service_model("ecs")
    return service.operation_model("RegisterTaskDefinition").input_shape


def _as_api(value: Any, shape: Any) -> Any:
    """Translate a property by the API's own model: CloudFormation begins each name with a capital."""
    if shape.type_name == "structure":
        by_name = {name[0].upper() + name[1:]: name for name in shape.members}
        return {by_name[key]: _as_api(each, shape.members[by_name[key]]) for key, each in value.items()}
    if shape.type_name == "list":
        return [_as_api(each, shape.member) for each in value]
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name == "boolean":
        return value in (True, "true")
    return value


# Alarms: the emulator knows no metric math, neither here nor in its API.


def _plain_alarm(properties: Properties) -> Properties:
    """Let an alarm on an expression watch the first metric of it: it is there, and nothing here makes it fire."""
    if "Metrics" not in properties:
        return properties
    watched = next(each["MetricStat"] for each in properties["Metrics"] if "MetricStat" in each)
    rest = {key: value for key, value in properties.items() if key != "Metrics"}
    return {**rest, **watched["Metric"], "Period": watched["Period"], "Statistic": watched["Stat"]}


CREATE: dict[str, Callable[[str, Properties, str], Created]] = {
    "AWS::EC2::EIP": _elastic_ip,
    "AWS::EC2::NatGateway": _nat_gateway,
    "AWS::EC2::FlowLog": _flow_log,
    "AWS::IAM::OIDCProvider": _identity_provider,
    "AWS::ApplicationAutoScaling::ScalableTarget": _scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": _scaling_policy,
}
