"""The functions of the application: ``read-item`` and ``write-item``, which the API invokes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from config import EnvironmentConfig
from stacks.application_code import application_code
from stacks.environment_stack import EnvironmentStack
from stacks.roles import role
from statemachine.deployment import RETENTION
from statemachine.nag import acknowledge
from statemachine.permissions import Grant

TIMEOUT = cdk.Duration.seconds(15)
"""Longer than their calls may take together (functions/wiring.py), shorter than the 30 s that the API waits."""


class LambdaStack(EnvironmentStack):
    """Two functions beside the table, outside the VPC: they call AWS's own APIs alone.

    The API finds them by the ARNs that are published here. They have no dead-letter queue: whoever invokes them waits
    for the answer. Their code is part of this stack, not of code deployments.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "lambda"
    PURPOSE = "The functions behind the API"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self._code = application_code("functions")
        table_arn = self.read(self.names.application_table_arn)
        table = {"TABLE_NAME": self.names.application_table}
        read = self._function("read-item", "Reads an item", [Grant(("dynamodb:GetItem",), (table_arn,))], table)
        grants = [Grant(("dynamodb:PutItem",), (table_arn,))]
        search = {}
        if settings.search.enabled:
            # By its name: the queue may be made at the same time as this function.
            queue = self.names.search_queue
            grants.append(Grant(("sqs:SendMessage",), (self.format_arn(service="sqs", resource=queue),)))
            search = {"SEARCH_QUEUE_URL": f"https://sqs.{self.region}.{self.url_suffix}/{self.account}/{queue}"}
        write = self._function("write-item", "Writes an item", grants, table | search)
        self.publish(self.names.read_item_function_arn, read.function_arn, "The function behind GET /items/{id}")
        self.publish(self.names.write_item_function_arn, write.function_arn, "The function behind PUT /items/{id}")

    def _function(
        self, name: str, purpose: str, grants: list[Grant], environment: Mapping[str, str]
    ) -> lambda_.Function:
        function_name = self.names.service(name)
        part = Construct(self, name.title().replace("-", ""))
        log_group = logs.LogGroup(
            part,
            "Logs",
            log_group_name=f"/aws/lambda/{function_name}",
            retention=RETENTION[self.settings.logs.retention_days],
            removal_policy=self.removal_policy,
        )
        write_log = Grant(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (log_group.log_group_arn,),
            wildcard_reason="The log streams of the function's own log group.",
        )
        execution_role = role(
            part,
            "Role",
            [*grants, write_log],
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {function_name} may do",
        )
        function = lambda_.Function(
            part,
            "Function",
            function_name=function_name,
            description=f"{purpose} of {self.names.prefix}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=self._code,
            handler=f"functions.{name.replace('-', '_')}.handler",
            timeout=TIMEOUT,
            memory_size=self.settings.functions.memory,
            environment=dict(environment),
            logging_format=lambda_.LoggingFormat.JSON,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
            # All that it may do stands above.
            role=execution_role.without_policy_updates(),
            log_group=log_group,
        )
        acknowledge(function, "AwsSolutions-L1", "Python 3.13 is what the tests run, and AWS supports it.")
        return function
