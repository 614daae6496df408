"""The surroundings of a run as two CloudFormation templates: one create, one destroy, and AWS's own list of what stays.

They are what a team has before it adopts Stepship: a cluster, an image in a repository, three services (one behind a
load balancer), a migration, and roles. Data, without the CDK.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3

from tools.acceptance.world.account import ENVIRONMENT, Account, Run
from tools.acceptance.world.settings import COMMANDS, MIGRATION, SERVICES, catalog_entry

Template = dict[str, Any]
PORT = 8080
ZONES = 2
"""An Application Load Balancer wants subnets in two zones (ELB User Guide, "Subnets for your load balancer")."""

STOP_SECONDS = 2
"""From SIGTERM to SIGKILL: the program ends at nothing else, and waiting for it is nobody's proof."""


@dataclass(frozen=True)
class Network:
    """Where tasks run: public subnets, for without a NAT gateway only they reach ECR."""

    vpc: str
    subnets: tuple[str, ...]


def base(run: Run, *, own_network: bool) -> Template:
    """Return the template of what is there before any image is.

    Parameters
    ----------
    run
        For the names.
    own_network
        Whether a VPC is made, because the account has no default VPC.
    """
    resources: dict[str, Any] = {
        "Repository": {
            "Type": "AWS::ECR::Repository",
            "Properties": {
                "RepositoryName": run.app,
                "EmptyOnDelete": True,
                "ImageScanningConfiguration": {"ScanOnPush": True},
            },
        },
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": run.prefix}},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": f"{run.prefix}-task",
                "Path": f"/{run.app}/{ENVIRONMENT}/",
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                },
                "ManagedPolicyArns": [
                    {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"}
                ],
            },
        },
        **{
            f"Logs{name.title()}": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": _log_group(run, name), "RetentionInDays": 1},
            }
            for name in COMMANDS
        },
    }
    if not own_network:
        return _template("what a run needs before its first image", resources)
    resources |= _own_network()
    outputs = {
        "Vpc": {"Value": {"Ref": "Vpc"}},
        "Subnets": {"Value": {"Fn::Join": [",", [{"Ref": f"Subnet{zone}"} for zone in range(ZONES)]]}},
    }
    return {**_template("what a run needs before its first image, and a network", resources), "Outputs": outputs}


def services(run: Run, account: Account, network: Network, image: str) -> Template:
    """Return the template of three services and a migration that run ``image``."""
    resources: dict[str, Any] = {
        "BalancerGroup": _group(run, network, "of the load balancer", {"CidrIp": "10.0.0.0/8"}, 80),
        "TaskGroup": _group(
            run, network, "of the tasks", {"SourceSecurityGroupId": {"Fn::GetAtt": ["BalancerGroup", "GroupId"]}}, PORT
        ),
        "Balancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {
                "Name": f"{run.prefix}-alb",
                "Scheme": "internal",
                "Type": "application",
                "Subnets": list(network.subnets),
                "SecurityGroups": [{"Fn::GetAtt": ["BalancerGroup", "GroupId"]}],
            },
        },
        "Targets": {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {
                "Name": f"{run.prefix}-tg",
                "VpcId": network.vpc,
                "TargetType": "ip",
                "Protocol": "HTTP",
                "Port": PORT,
                "HealthCheckPath": "/",
                "HealthCheckIntervalSeconds": 5,
                "HealthCheckTimeoutSeconds": 2,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 2,
                "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
            },
        },
        "Listener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}],
            },
        },
    }
    resources["Catalog"] = {
        "Type": "AWS::SSM::Parameter",
        "Properties": {
            "Name": f"/{run.app}/{ENVIRONMENT}/services/{MIGRATION}",
            "Type": "String",
            "Value": json.dumps(catalog_entry(run, MIGRATION)),
        },
    }
    for name in COMMANDS:
        resources[f"Definition{name.title()}"] = _definition(run, account, name, image)
    for name in SERVICES:
        resources[f"Service{name.title()}"] = _service(run, network, name)
    return _template("three services and a migration, as a team has them", resources)


def _template(what: str, resources: dict[str, Any]) -> Template:
    return {"AWSTemplateFormatVersion": "2010-09-09", "Description": f"make accept: {what}", "Resources": resources}


def _log_group(run: Run, name: str) -> str:
    return f"/{run.app}/{ENVIRONMENT}/{name}"


def _definition(run: Run, account: Account, name: str, image: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "Name": name,
        "Image": image,
        "Essential": True,
        "Command": [COMMANDS[name]],
        "ReadonlyRootFilesystem": True,
        "StopTimeout": STOP_SECONDS,
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": _log_group(run, name),
                "awslogs-region": account.region,
                "awslogs-stream-prefix": name,
            },
        },
    }
    if name == "api":
        container["PortMappings"] = [{"ContainerPort": PORT, "Protocol": "tcp"}]
    role = f"arn:{partition(account.region)}:iam::{account.number}:role/{run.app}/{ENVIRONMENT}/{run.prefix}-task"
    return {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {
            "Family": f"{run.prefix}-{name}",
            "Cpu": "256",
            "Memory": "512",
            "NetworkMode": "awsvpc",
            "RequiresCompatibilities": ["FARGATE"],
            "RuntimePlatform": {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"},
            "ExecutionRoleArn": role,
            "TaskRoleArn": role,
            "ContainerDefinitions": [container],
        },
    }


def _service(run: Run, network: Network, name: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "ServiceName": f"{run.prefix}-{name}",
        "Cluster": run.prefix,
        "TaskDefinition": {"Ref": f"Definition{name.title()}"},
        "LaunchType": "FARGATE",
        "DesiredCount": 1,
        "DeploymentConfiguration": {
            "MinimumHealthyPercent": 100,
            "MaximumPercent": 200,
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        },
        "PropagateTags": "SERVICE",
        "NetworkConfiguration": {
            "AwsvpcConfiguration": {
                "Subnets": list(network.subnets),
                "SecurityGroups": [{"Fn::GetAtt": ["TaskGroup", "GroupId"]}],
                "AssignPublicIp": "ENABLED",
            }
        },
    }
    service: dict[str, Any] = {"Type": "AWS::ECS::Service", "Properties": properties}
    if name == "api":
        properties["LoadBalancers"] = [
            {"ContainerName": name, "ContainerPort": PORT, "TargetGroupArn": {"Ref": "Targets"}}
        ]
        # ECS refuses a target group that no listener has yet.
        service["DependsOn"] = ["Listener"]
    return service


def _group(run: Run, network: Network, what: str, source: dict[str, Any], port: int) -> dict[str, Any]:
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": f"make accept {run.id} {what}",
            "VpcId": network.vpc,
            "SecurityGroupIngress": [rule],
        },
    }


def _own_network() -> dict[str, Any]:
    resources: dict[str, Any] = {
        "Vpc": {
            "Type": "AWS::EC2::VPC",
            "Properties": {"CidrBlock": "10.97.0.0/16", "EnableDnsSupport": True, "EnableDnsHostnames": True},
        },
        "Gateway": {"Type": "AWS::EC2::InternetGateway", "Properties": {}},
        "Attachment": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"}},
        },
        "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Route": {
            "Type": "AWS::EC2::Route",
            "DependsOn": ["Attachment"],
            "Properties": {
                "RouteTableId": {"Ref": "Routes"},
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": {"Ref": "Gateway"},
            },
        },
    }
    for zone in range(ZONES):
        resources[f"Subnet{zone}"] = {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "CidrBlock": f"10.97.{zone}.0/24",
                "AvailabilityZone": {"Fn::Select": [zone, {"Fn::GetAZs": ""}]},
            },
        }
        resources[f"Association{zone}"] = {
            "Type": "AWS::EC2::SubnetRouteTableAssociation",
            "Properties": {"RouteTableId": {"Ref": "Routes"}, "SubnetId": {"Ref": f"Subnet{zone}"}},
        }
    return resources


def partition(region: str) -> str:
    """Return the partition of a region, as its ARNs have it."""
    return str(boto3.Session().get_partition_for_region(region))


def text(template: Template) -> str:
    """Return a template as CloudFormation takes it."""
    return json.dumps(template)
