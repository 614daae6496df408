"""The application's table: items of several kinds beside each other, paid by the request."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from config import EnvironmentConfig
from stacks.environment_stack import EnvironmentStack
from statemachine.protection import protect


class DynamoDbStack(EnvironmentStack):
    """One table with the key ``pk``, ``sk``; an item with ``expiresAt`` (Unix seconds) goes away after it.

    It has no stream: who changes what is to be found says so to the search's queue (``search_lambda_stack.py``).

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "dynamodb"
    PURPOSE = "The application's table"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        sizes = settings.dynamodb
        table = dynamodb.Table(
            self,
            "Table",
            table_name=self.names.application_table,
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            time_to_live_attribute="expiresAt",
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            max_read_request_units=sizes.max_read_units,
            max_write_request_units=sizes.max_write_units,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True, recovery_period_in_days=sizes.recovery_days
            ),
            deletion_protection=settings.is_production,
            removal_policy=self.removal_policy,
        )
        if settings.is_production:
            protect(table, "DeletionProtectionEnabled")
        self.publish(self.names.application_table_arn, table.table_arn, "The application's table")
