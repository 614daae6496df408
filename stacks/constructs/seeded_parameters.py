"""Parameters that CloudFormation creates and never writes again (docs/explanation/decisions/0007)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.environment_stack import EnvironmentStack, tags
from statemachine.deployment import RETENTION
from statemachine.iam import Grant, acknowledge, role

HANDLER = Path(__file__).parents[2] / "lambdas" / "resources" / "seed_parameters.py"

FUNCTION_TIMEOUT = cdk.Duration.seconds(60)
RESOURCE_TIMEOUT = cdk.Duration.seconds(200)
"""A function that dies without an answer would hold the stack for an hour. Lambda runs it again a minute later
(Developer Guide, "Asynchronous invocation"), so there is time for two runs: 60 + 60 + 60 seconds, and some air."""


class SeededParameters(Construct):
    """SSM parameters with a first value that code deploys replace; this construct only ever adds what is missing.

    Parameters
    ----------
    scope, id
        In a stack of the environment.
    values
        Name to first value.
    """

    def __init__(self, scope: EnvironmentStack, id: str, *, values: Mapping[str, str]) -> None:
        super().__init__(scope, id)
        self._stack = scope
        function = self._function(tuple(values))
        cdk.CustomResource(
            self,
            "Values",
            resource_type="Custom::SeededParameters",
            service_token=function.function_arn,
            service_timeout=RESOURCE_TIMEOUT,
            properties={
                "Parameters": [{"Name": name, "Value": value} for name, value in values.items()],
                # The tags of a stack do not reach what a custom resource makes.
                "Tags": [{"Key": key, "Value": value} for key, value in tags(scope.settings).items()],
            },
        )

    def _function(self, names: tuple[str, ...]) -> lambda_.Function:
        stack = self._stack
        name = f"{stack.names.prefix}-seed-parameters"
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{name}",
            retention=RETENTION[stack.settings.machine.log_retention_days],
            # Kept, its name would be in the way when the stack is created again.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description="Creates the parameters that code deploys write, and never writes them again",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_inline(HANDLER.read_text(encoding="utf-8")),
            handler="index.handler",
            timeout=FUNCTION_TIMEOUT,
            memory_size=128,
            role=self._role(names, log_group),
            log_group=log_group,
        )
        acknowledge(function, "AwsSolutions-L1", "The runtime of all functions here, which AWS supports.")
        return function

    def _role(self, names: tuple[str, ...], log_group: logs.LogGroup) -> iam.Role:
        parameters = tuple(
            self._stack.format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
            for name in names
        )
        grants = [
            Grant(("ssm:PutParameter", "ssm:AddTagsToResource"), parameters),
            Grant(
                ("logs:CreateLogStream", "logs:PutLogEvents"),
                (log_group.log_group_arn,),
                wildcard_reason="The log streams of the function's own log group.",
            ),
        ]
        return role(
            self,
            "Role",
            grants,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Lets a function create the deployment parameters",
        )
