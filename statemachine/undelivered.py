"""Events that could not be delivered: kept, with an alarm on them. A queue that nobody reads is no safety."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
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

    Attributes
    ----------
    queue
        Where the rules put what they could not deliver.
    alarm
        Fires while something is in it.
    """

    def __init__(self, scope: Construct, id: str, *, name: str) -> None:
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Undelivered",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        acknowledge(self.queue, "AwsSolutions-SQS3", "This is the dead-letter queue itself, of EventBridge targets.")
        self.alarm = cloudwatch.Alarm(
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
