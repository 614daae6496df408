"""The VPC of an environment."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from config import EnvironmentConfig
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant, role

MAX_ZONES = 3
"""As in the config's rules. Ranges are reserved for all of them: a zone more leaves the other subnets alone."""

HTTPS = ec2.Port.tcp(443)


class NetworkStack(EnvironmentStack):
    """VPC with public and private subnets, its way out, its endpoints and its flow logs.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "network"
    PURPOSE = "The network"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self._flow_logs()
        self._interface_endpoints()
        self.publish(self.names.vpc_id, self.vpc.vpc_id, "The VPC")
        for name, subnets in (("public", self.vpc.public_subnets), ("private", self._private_subnets)):
            self.publish(
                getattr(self.names, f"{name}_subnet_ids"),
                ",".join(subnet.subnet_id for subnet in subnets),
                f"The {name} subnets, one per zone",
            )

    @cached_property
    def vpc(self) -> ec2.Vpc:
        """The VPC itself: here it is made, every other stack reads it."""
        network = self.settings.network
        private = ec2.SubnetType.PRIVATE_WITH_EGRESS if network.nat_gateways else ec2.SubnetType.PRIVATE_ISOLATED
        return ec2.Vpc(
            self,
            "Vpc",
            vpc_name=self.names.prefix,
            ip_addresses=ec2.IpAddresses.cidr(network.cidr),
            max_azs=network.availability_zones,
            reserved_azs=MAX_ZONES - network.availability_zones,
            nat_gateways=network.nat_gateways,
            subnet_configuration=[
                # A load balancer gets its addresses from AWS; nothing else is meant to run there.
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="private", subnet_type=private),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
            # The CDK would do it by a custom resource with rights on every group. Nothing here uses that group:
            # each task, endpoint and load balancer names its own.
            restrict_default_security_group=False,
        )

    @property
    def _private_subnets(self) -> list[ec2.ISubnet]:
        return self.vpc.select_subnets(subnet_group_name="private").subnets

    def _flow_logs(self) -> None:
        name = f"/aws/vpc/{self.names.prefix}/flow-logs"
        log_group = self.log_group("FlowLogGroup", name)
        # VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs", without creating groups.
        writing = ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")
        writer = role(
            self,
            "FlowLogRole",
            [
                Grant(
                    writing, (log_group.log_group_arn,), wildcard_reason="The streams of the flow logs' own log group."
                )
            ],
            assumed_by=iam.ServicePrincipal(
                "vpc-flow-logs.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
            ),
            description=f"Writes {name}",
        )
        ec2.FlowLog(
            self,
            "FlowLogs",
            resource_type=ec2.FlowLogResourceType.from_vpc(self.vpc),
            traffic_type=ec2.FlowLogTrafficType.ALL,
            # The CDK would also let the role pass itself on.
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(log_group, writer.without_policy_updates()),
        )

    def _interface_endpoints(self) -> None:
        """Reach AWS services without the NAT gateway, where the config says that it pays."""
        services = self.settings.network.interface_endpoints
        if not services:
            return
        security_group = ec2.SecurityGroup(
            self,
            "EndpointGroup",
            vpc=self.vpc,
            description="Endpoints of AWS services: HTTPS from the VPC",
            allow_all_outbound=False,
        )
        security_group.add_ingress_rule(ec2.Peer.ipv4(self.settings.network.cidr), HTTPS, "HTTPS from the VPC")
        for service in services:
            self.vpc.add_interface_endpoint(
                service.title().replace(".", "").replace("-", ""),
                service=ec2.InterfaceVpcEndpointAwsService(service),
                security_groups=[security_group],
                # Else the CDK adds a rule of its own to the group.
                open=False,
                private_dns_enabled=True,
                subnets=ec2.SubnetSelection(subnet_group_name="private"),
            )
