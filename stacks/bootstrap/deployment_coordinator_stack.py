"""The deployer of one environment. Alone it is enough for a team that has its cluster already."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config import EnvironmentConfig
from stacks.environment_stack import EnvironmentStack
from statemachine.deployment import CodeDeployment


class DeploymentCoordinatorStack(EnvironmentStack):
    """The construct ``CodeDeployment``, and the registry of services that no other stack registers.

    The current tag and the current images are not here on purpose: a code deploy writes them, and what
    CloudFormation owns, the next infrastructure deploy would overwrite.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "deployment-coordinator"
    PURPOSE = "Code deploys"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self.deployment = CodeDeployment(self, "CodeDeployment", settings=settings)
        self._register_services(settings)
        if settings.platform.enabled:
            self._let_alarms_tell()
        cdk.CfnOutput(self, "StateMachineArn", value=self.deployment.machine.state_machine_arn)
        cdk.CfnOutput(
            self,
            "AlertsTopicArn",
            value=self.deployment.alerts.topic_arn,
            description="Subscribe whoever is on call: a failed rollback and every alarm are published here",
        )
        if settings.approval.required:
            cdk.CfnOutput(
                self,
                "ApprovalsTopicArn",
                value=self.deployment.approvals.topic_arn,
                description="Subscribe those who approve deployments: each question is published here",
            )

    def _let_alarms_tell(self) -> None:
        """Let the alarms of the platform publish to the topic of alerts: those of this environment's name alone."""
        alarms = self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=self.names.alarm("*"),
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self.deployment.alerts.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                resources=[self.deployment.alerts.topic_arn],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                conditions={"ArnLike": {"aws:SourceArn": alarms}},
            )
        )

    def _register_services(self, settings: EnvironmentConfig) -> None:
        for name, service in settings.services.items():
            ssm.StringParameter(
                self,
                f"Service-{name}",
                parameter_name=f"{settings.identity.services_path}{name}",
                description=f"Registers {name} for deployments",
                string_value=json.dumps(service.catalog_entry(), sort_keys=True),
            )
