"""The functions of search: ``index`` takes changes from a queue, ``query`` answers the API."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from config import EnvironmentConfig
from stacks.application_code import application_code
from stacks.environment_stack import EnvironmentStack
from stacks.roles import role
from statemachine.deployment import RETENTION
from statemachine.nag import acknowledge
from statemachine.permissions import Grant

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
        queue = self._queue()
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

    def _queue(self) -> sqs.Queue:
        dead = sqs.Queue(
            self,
            "DeadChanges",
            queue_name=f"{self.names.search_queue}-dead",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        acknowledge(dead, "AwsSolutions-SQS3", "This is the dead-letter queue itself.")
        cloudwatch.Alarm(
            self,
            "DeadChangesAlarm",
            alarm_name=self.names.alarm("search-dead-changes"),
            alarm_description="Changes could not be indexed: the log of search-index says why, the queue holds them.",
            metric=dead.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=cdk.Duration.minutes(5)
            ),
            threshold=0,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        return sqs.Queue(
            self,
            "Changes",
            queue_name=self.names.search_queue,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=VISIBILITY,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=MAX_RECEIVES),
        )

    def _function(self, name: str, purpose: str, timeout: cdk.Duration, grants: list[Grant]) -> lambda_.Function:
        """Create a function in the private subnets, where the server is, with its log group and its role."""
        function_name = self.names.service(f"search-{name}")
        part = Construct(self, name.title())
        log_group = logs.LogGroup(
            part,
            "Logs",
            log_group_name=f"/aws/lambda/{function_name}",
            retention=RETENTION[self.settings.logs.retention_days],
            removal_policy=self.removal_policy,
        )
        key_arn = self.read(self.names.search_key_arn)
        execution_role = role(
            part,
            "Role",
            [
                *grants,
                Grant(("secretsmanager:GetSecretValue",), (key_arn,)),
                Grant(
                    ("logs:CreateLogStream", "logs:PutLogEvents"),
                    (log_group.log_group_arn,),
                    wildcard_reason="The log streams of the function's own log group.",
                ),
                # Lambda Developer Guide, "Giving Lambda functions access to resources in a VPC".
                Grant(
                    (
                        "ec2:AssignPrivateIpAddresses",
                        "ec2:CreateNetworkInterface",
                        "ec2:DeleteNetworkInterface",
                        "ec2:DescribeNetworkInterfaces",
                        "ec2:DescribeSubnets",
                        "ec2:UnassignPrivateIpAddresses",
                    ),
                    ("*",),
                    wildcard_reason="Lambda checks that the role may do this everywhere before it takes the subnets.",
                ),
            ],
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
            handler=f"search.{name}.handler",
            timeout=timeout,
            memory_size=MEMORY_MB,
            environment={"SEARCH_URL": self.names.search_url, "SEARCH_KEY_ARN": key_arn},
            vpc=self.private_network,
            vpc_subnets=ec2.SubnetSelection(subnets=self.private_network.private_subnets),
            security_groups=[self._clients],
            # All that it may do stands above; the event source would grant the queue once more.
            role=execution_role.without_policy_updates(),
            log_group=log_group,
        )
        acknowledge(function, "AwsSolutions-L1", "Python 3.13 is what the tests run, and AWS supports it.")
        return function
