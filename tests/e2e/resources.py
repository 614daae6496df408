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
from ministack.services import dynamodb, ec2, ecs, iam, rds, secretsmanager
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
Create = Callable[[str, Properties, str], Created]
Delete = Callable[[str, Properties], object]


def register() -> None:
    """Add the handlers to the emulator's table."""
    handlers = provisioners._RESOURCE_HANDLERS
    for kind, (create, delete) in NEW.items():
        handlers[kind] = {"create": create, "update": _keep, "delete": delete}
    handlers["AWS::ECS::TaskDefinition"].update(create=_task_definition, update=_next_revision)
    handlers["AWS::DynamoDB::Table"]["create"] = _with_backups(handlers["AWS::DynamoDB::Table"]["create"])
    cluster = handlers["AWS::RDS::DBCluster"]
    cluster.update(create=_with_secret(cluster["create"]), delete=_without_secret(cluster["delete"]))
    alarm = handlers["AWS::CloudWatch::Alarm"]
    create, update = alarm["create"], alarm["update"]
    alarm["create"] = lambda logical_id, properties, stack: create(logical_id, _plain_alarm(properties), stack)
    alarm["update"] = lambda physical_id, old, new, stack, logical_id: update(
        physical_id, _plain_alarm(old), _plain_alarm(new), stack, logical_id
    )


def _keep(physical_id: str, old: Properties, new: Properties, stack: str) -> Created:
    raise ValueError(f"{physical_id}: the e2e launcher does not update resources of this type")


def _forget(physical_id: str, properties: Properties) -> None:
    """Remember nothing of it: it was only remembered."""


# The network, by the emulator's EC2 API.


def _call_ec2(action: str, answer: str, **parameters: str) -> str:
    """Call EC2, and return one element of its answer."""
    text = _ask_ec2(action, **parameters)
    found = re.search(rf"<{answer}>([^<]+)<", text) or re.search(rf"<{answer}><item>([^<]+)<", text)
    if found is None:
        raise ValueError(f"ec2:{action}: {text}")
    return found[1]


def _ask_ec2(action: str, **parameters: str) -> str:
    status, _, body = ec2._ACTION_MAP[action](parameters)
    text: str = body.decode() if isinstance(body, bytes) else body
    if status >= 400:
        raise ValueError(f"ec2:{action}: {text}")
    return text


def _elastic_ip(logical_id: str, properties: Properties, stack: str) -> Created:
    allocation = _call_ec2("AllocateAddress", "allocationId", Domain=properties.get("Domain", "vpc"))
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _release(physical_id: str, properties: Properties) -> None:
    (allocation,) = (key for key, each in ec2._addresses.items() if each["PublicIp"] == physical_id)
    _ask_ec2("ReleaseAddress", AllocationId=allocation)


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


def _delete_by(action: str, parameter: str) -> Delete:
    return lambda physical_id, _: _ask_ec2(action, **{parameter: physical_id})


# Who may come from GitHub, by the emulator's IAM API.


def _identity_provider(logical_id: str, properties: Properties, stack: str) -> Created:
    clients = {f"ClientIDList.member.{n}": each for n, each in enumerate(properties["ClientIdList"], start=1)}
    status, _, body = iam._IAM_HANDLERS["CreateOpenIDConnectProvider"]({"Url": properties["Url"], **clients})
    if status >= 400:
        raise ValueError(f"iam:CreateOpenIDConnectProvider: {body!r}")
    arn = f"arn:aws:iam::{get_account_id()}:oidc-provider/{properties['Url'].removeprefix('https://')}"
    return arn, {"Arn": arn}


def _delete_identity_provider(physical_id: str, properties: Properties) -> None:
    status, _, body = iam._IAM_HANDLERS["DeleteOpenIDConnectProvider"]({"OpenIDConnectProviderArn": physical_id})
    if status >= 400:
        raise ValueError(f"iam:DeleteOpenIDConnectProvider: {body!r}")


# Tables: the emulator's own handler drops what other calls than CreateTable set.


def _with_backups(create: Create) -> Create:
    """Go on after the table's creation with the calls that CloudFormation goes on with."""

    def create_table(logical_id: str, properties: Properties, stack: str) -> Created:
        created = create(logical_id, properties, stack)
        name = {"TableName": created[0]}
        for setting, call in (
            ("PointInTimeRecoverySpecification", dynamodb._update_continuous_backups),
            ("TimeToLiveSpecification", dynamodb._update_ttl),
        ):
            if setting in properties:
                status, _, body = call({**name, setting: properties[setting]})
                if status >= 400:
                    raise ValueError(f"{setting} of {created[0]}: {body!r}")
        return created

    return create_table


# Clusters of databases: the emulator's own handler knows no master password that RDS itself keeps, its API does.


def _with_secret(create: Create) -> Create:
    """Put the master user's secret where the emulator's CreateDBCluster puts it."""

    def create_cluster(logical_id: str, properties: Properties, stack: str) -> Created:
        name, attributes = create(logical_id, properties, stack)
        if properties.get("ManageMasterUserPassword") not in (True, "true"):
            return name, attributes
        password = rds._generate_master_user_password()
        secret = secretsmanager.create_secret_in_process(
            f"rds!cluster-{new_uuid()}",
            json.dumps({"username": properties["MasterUsername"], "password": password}),
            description=f"Secret managed by RDS for DB cluster {name}",
        )
        rds._clusters[name].update(
            MasterUserSecret={"SecretArn": secret, "SecretStatus": "active", "KmsKeyId": ""},
            _MasterUserPassword=password,
        )
        return name, {**attributes, "MasterUserSecret.SecretArn": secret}

    return create_cluster


def _without_secret(delete: Delete) -> Delete:
    """Delete the secret with the cluster, as RDS does."""

    def delete_cluster(physical_id: str, properties: Properties) -> None:
        cluster = rds._clusters.get(physical_id) or {}
        delete(physical_id, properties)
        if secret := cluster.get("MasterUserSecret"):
            secretsmanager.delete_secret_in_process(secret["SecretArn"])

    return delete_cluster


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
    """Translate a property by the API's own model: CloudFormation has other capitals, such as ``EFS`` or ``IAM``."""
    if shape.type_name == "structure":
        by_name = {name.lower(): name for name in shape.members}
        return {by_name[key.lower()]: _as_api(each, shape.members[by_name[key.lower()]]) for key, each in value.items()}
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


NEW: dict[str, tuple[Create, Delete]] = {
    "AWS::EC2::EIP": (_elastic_ip, _release),
    "AWS::EC2::NatGateway": (_nat_gateway, _delete_by("DeleteNatGateway", "NatGatewayId")),
    "AWS::EC2::FlowLog": (_flow_log, _delete_by("DeleteFlowLogs", "FlowLogId.1")),
    "AWS::IAM::OIDCProvider": (_identity_provider, _delete_identity_provider),
    "AWS::ApplicationAutoScaling::ScalableTarget": (_scalable_target, _forget),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (_scaling_policy, _forget),
}
"""Types that the emulator does not have: what makes one, and what deletes it."""
