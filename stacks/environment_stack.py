"""What all stacks have in common: a name, tags, and how they find each other.

Stacks of one environment find each other by names (``names.py``) and by SSM parameters, which the owner
publishes and a reader resolves when CloudFormation deploys it. There are no exports, so no stack holds
another one's resources fast: each can be changed and destroyed alone (docs/explanation/decisions/0008).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from aws_cdk import aws_servicediscovery as servicediscovery
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config import EnvironmentConfig
from stacks.names import Names
from statemachine.deployment import RETENTION
from statemachine.iam import acknowledge


class EnvironmentStack(cdk.Stack):
    """A stack of one environment, named ``<app>-<environment>-<part>``.

    Parameters
    ----------
    scope
        The app.
    settings
        The environment.
    **kwargs
        As for ``aws_cdk.Stack``.

    Attributes
    ----------
    PART
        The last part of the name, such as ``network``.
    PURPOSE
        What it is for: begins the stack's description.
    """

    PART: str
    PURPOSE: str

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        self.settings = settings
        self.names = Names(settings)
        super().__init__(
            scope,
            self.names.stack(self.PART),
            description=f"{self.PURPOSE} of {settings.app} in {settings.environment}",
            termination_protection=settings.is_production,
            **kwargs,
        )
        for key, value in tags(settings).items():
            cdk.Tags.of(self).add(key, value)
        acknowledge(
            self, "Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId", "Only the network's stack writes routes."
        )

    @property
    def availability_zones(self) -> list[str]:
        """The zones of whatever region the stack is deployed to, without a look-up at synth."""
        return [cdk.Fn.select(zone, cdk.Fn.get_azs()) for zone in range(self.settings.network.availability_zones)]

    @property
    def removal_policy(self) -> cdk.RemovalPolicy:
        """What becomes of data when its stack goes: production keeps it, unless it was never wholly made.

        ``RETAIN`` would also keep what a failed first deploy has made, and its name would be in the second one's way.
        """
        return (
            cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if self.settings.is_production else cdk.RemovalPolicy.DESTROY
        )

    def log_group(self, id: str, name: str, *, scope: Construct | None = None) -> logs.LogGroup:
        """Create a log group that keeps its lines for as long as the config says.

        Parameters
        ----------
        id, name
            What it is called in the template, and in CloudWatch.
        scope
            Where it stands, if not in the stack itself.
        """
        return logs.LogGroup(
            scope or self,
            id,
            log_group_name=name,
            retention=RETENTION[self.settings.logs.retention_days],
            removal_policy=self.removal_policy,
        )

    def alarm(self, id: str, name: str, **kwargs: Any) -> cloudwatch.Alarm:
        """Create an alarm that tells the coordinator's topic of alerts.

        The topic is known by its name, so a stack can be deployed before the coordinator; CloudWatch looks for it
        when it has something to tell (CloudWatch User Guide, "Common features of CloudWatch alarms").

        Parameters
        ----------
        id
            What it is called in the template.
        name
            As ``Names.alarm`` takes it; it stands in ``alarms.ALARMS`` too.
        **kwargs
            As for ``aws_cloudwatch.Alarm``. No data is no alarm: an empty queue, a minute without errors and a service
            that is not there yet have none.
        """
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_name=self.names.alarm(name),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            **kwargs,
        )
        alarm.add_alarm_action(cloudwatch_actions.SnsAction(self._alerts))
        return alarm

    @cached_property
    def _alerts(self) -> sns.ITopic:
        topic = self.format_arn(service="sns", resource=self.names.alerts_topic)
        return sns.Topic.from_topic_arn(self, "Alerts", topic)

    def publish(self, name: str, value: str, description: str) -> None:
        """Publish a value for other stacks as an SSM parameter.

        Parameters
        ----------
        name
            One of the parameters of ``Names``.
        value, description
            The value, an attribute of a resource most often, and what it is.
        """
        ssm.StringParameter(
            self,
            f"Parameter{name.removeprefix(self.names.parameter_path).title().replace('/', '')}",
            parameter_name=name,
            string_value=value,
            description=description,
        )

    def read(self, name: str) -> str:
        """Return the value that another stack has published, resolved when this stack is deployed.

        Raises
        ------
        CloudFormation's "Unable to fetch parameters", when the other stack was not deployed before.
        """
        return ssm.StringParameter.value_for_string_parameter(self, name)

    def read_list(self, name: str, count: int) -> list[str]:
        """Return the values of a parameter that holds ``count`` values with commas between."""
        return [cdk.Fn.select(each, cdk.Fn.split(",", self.read(name))) for each in range(count)]

    @cached_property
    def vpc(self) -> ec2.IVpc:
        """The environment's VPC with its private subnets, as the network's stack has published them."""
        zones = self.settings.network.availability_zones
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=self.read(self.names.vpc_id),
            vpc_cidr_block=self.settings.network.cidr,
            availability_zones=self.availability_zones,
            private_subnet_ids=self.read_list(self.names.private_subnet_ids, zones),
        )

    @cached_property
    def private_network(self) -> ec2.IVpc:
        """The private subnets alone, for what names its subnets and needs nothing else of a VPC."""
        return ec2.Vpc.from_vpc_attributes(
            self,
            "PrivateNetwork",
            vpc_id="vpc-of-the-subnets",
            availability_zones=self.availability_zones,
            private_subnet_ids=self.read_list(self.names.private_subnet_ids, self.settings.network.availability_zones),
        )

    def found_as(self, name: str) -> ecs.CloudMapOptions:
        """Return the options of a service that others in the VPC find as ``<name>.<namespace>``."""
        namespace = self.read(self.names.namespace_id)
        return ecs.CloudMapOptions(
            name=name,
            cloud_map_namespace=servicediscovery.PrivateDnsNamespace.from_private_dns_namespace_attributes(
                self,
                "Namespace",
                namespace_name=self.names.namespace,
                namespace_id=namespace,
                namespace_arn=self.format_arn(
                    service="servicediscovery", resource="namespace", resource_name=namespace
                ),
            ),
            dns_ttl=cdk.Duration.seconds(10),
        )


def tags(settings: EnvironmentConfig) -> dict[str, str]:
    """Return the tags that every resource of an environment carries."""
    return {
        "app": settings.app,
        "environment": settings.environment,
        "owner": settings.owner,
        "cost-center": settings.cost_center,
    }
