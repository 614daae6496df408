"""A queue of work, and beside it the queue of what could not be done."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from statemachine.iam import acknowledge


class WorkQueue(sqs.Queue):
    """An encrypted queue whose messages end as dead letters when they were received too often.

    Parameters
    ----------
    scope, id
        Where both queues stand, as ``<id>`` and ``Dead<id>``.
    name
        Of the queue; the dead letters are in ``<name>-dead``.
    visibility
        How long a message that was received is hidden from others.
    max_receives
        After so many times a message is dead.

    Attributes
    ----------
    dead
        The queue of the dead letters, which keeps them for as long as SQS keeps anything.
    """

    def __init__(self, scope: Construct, id: str, *, name: str, visibility: cdk.Duration, max_receives: int) -> None:
        self.dead = sqs.Queue(
            scope,
            f"Dead{id}",
            queue_name=f"{name}-dead",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        acknowledge(self.dead, "AwsSolutions-SQS3", "This is the dead-letter queue itself.")
        super().__init__(
            scope,
            id,
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=visibility,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead, max_receive_count=max_receives),
        )
