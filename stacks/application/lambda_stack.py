"""The functions of the application: ``read-item`` and ``write-item``, which the API invokes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.application_code import application_code
from stacks.constructs.application_function import ApplicationFunction
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant

TIMEOUT = cdk.Duration.seconds(15)
"""Longer than their calls may take together (workload/functions/dependencies.py), shorter than the API's 30 s."""


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
        return ApplicationFunction(
            self,
            name.title().replace("-", ""),
            name=name,
            purpose=purpose,
            code=self._code,
            handler=f"functions.{name.replace('-', '_')}.handler",
            timeout=TIMEOUT,
            memory_mb=self.settings.functions.memory,
            environment=environment,
            grants=grants,
            json_log=True,
        ).function
