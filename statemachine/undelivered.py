"""Events that could not be delivered: kept, and told about. A queue that nobody reads is no safety."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from statemachine.iam import acknowledge


class UndeliveredEvents(Construct):
    """The dead-letter queue of the rules, and the alarm on it.

    Parameters
    ----------
    scope, id
        Where the construct stands.
    name
        Name of the alarm.
    alerts
        The topic that is told.

    Attributes
    ----------
    queue
        Where the rules put what they could not deliver.
    """

    def __init__(self, scope: Construct, id: str, *, name: str, alerts: sns.Topic) -> None:
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Undelivered",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        acknowledge(self.queue, "AwsSolutions-SQS3", "This is the dead-letter queue itself, of EventBridge targets.")
        alarm = cloudwatch.Alarm(
            self,
            "Alarm",
            alarm_name=name,
            alarm_description="An event that should have started or reported a deployment was not delivered",
            metric=self.queue.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=cdk.Duration.minutes(1)
            ),
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(cloudwatch_actions.SnsAction(alerts))
        alerts.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                resources=[alerts.topic_arn],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                conditions={"ArnEquals": {"aws:SourceArn": alarm.alarm_arn}},
            )
        )
