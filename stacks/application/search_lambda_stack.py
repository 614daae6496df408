"""The functions of search: ``index`` takes changes from a queue, ``query`` answers the API."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.application_code import application_code
from stacks.constructs.application_function import ApplicationFunction
from stacks.constructs.work_queue import WorkQueue
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant

MEMORY_MB = 256

INDEX_TIMEOUT = cdk.Duration.seconds(60)
QUERY_TIMEOUT = cdk.Duration.seconds(10)
"""The API in front of it waits for 30 s at most, and the request to the server for 3 s."""

VISIBILITY = cdk.Duration.seconds(6 * 60)
"""Six times the function's timeout (Lambda Developer Guide, "Using Lambda with Amazon SQS")."""
MAX_RECEIVES = 10
"""Worked example: a server that is away for as long as 10 x 6 minutes, an hour, loses nothing to the dead letters."""

BATCH_SIZE = 100
BATCHING_WINDOW = cdk.Duration.seconds(1)
MAX_CONCURRENCY = 2
"""The least that Lambda has: there is one server, and large batches are what it likes best."""


class SearchLambdaStack(EnvironmentStack):
    """The queue of changes, its dead letters, and the two functions.

    Whoever changes something that is to be found sends it to the queue ``<app>-<environment>-search``; the API
    invokes the function whose ARN is in ``names.search_query_function_arn``. Neither function takes part in code
    deployments of the state machine: their code is part of this stack.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "search-lambda"
    PURPOSE = "The functions of search"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self._code = application_code("search")
        self._clients = ec2.SecurityGroup.from_security_group_id(
            self, "ClientGroup", self.read(self.names.search_client_security_group), mutable=False
        )
        queue = WorkQueue(
            self, "Changes", name=self.names.search_queue, visibility=VISIBILITY, max_receives=MAX_RECEIVES
        )
        self._dead_changes_alarm(queue)
        index = self._function(
            "index",
            "Writes changes to the search server",
            INDEX_TIMEOUT,
            [Grant(("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"), (queue.queue_arn,))],
        )
        index.add_event_source(
            event_sources.SqsEventSource(
                queue,
                batch_size=BATCH_SIZE,
                max_batching_window=BATCHING_WINDOW,
                max_concurrency=MAX_CONCURRENCY,
                report_batch_item_failures=True,
            )
        )
        query = self._function("query", "Answers searches", QUERY_TIMEOUT, [])
        self.publish(self.names.search_query_function_arn, query.function_arn, "The function that answers searches")

    def _dead_changes_alarm(self, changes: WorkQueue) -> None:
        self.alarm(
            "DeadChangesAlarm",
            "search-dead-changes",
            alarm_description="Changes could not be indexed: the log of search-index says why, the queue holds them.",
            metric=changes.dead.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=cdk.Duration.minutes(5)
            ),
            threshold=0,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        )

    def _function(self, name: str, purpose: str, timeout: cdk.Duration, grants: list[Grant]) -> lambda_.Function:
        """Create a function where the server is."""
        key_arn = self.read(self.names.search_key_arn)
        return ApplicationFunction(
            self,
            name.title(),
            name=f"search-{name}",
            purpose=purpose,
            code=self._code,
            handler=f"search.{name}.handler",
            timeout=timeout,
            memory_mb=MEMORY_MB,
            environment={"SEARCH_URL": self.names.search_url, "SEARCH_KEY_ARN": key_arn},
            grants=[*grants, Grant(("secretsmanager:GetSecretValue",), (key_arn,))],
            security_group=self._clients,
        ).function
