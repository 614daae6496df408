"""The archive of what the services write: CloudWatch Logs, Firehose, S3."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.carried_image import WORKLOADS
from stacks.constructs.log_bucket import LogBucket
from stacks.environment_stack import EnvironmentStack
from statemachine.deployment import RETENTION
from statemachine.iam import Grant, role

PREFIX = "logs/!{timestamp:yyyy/MM/dd}/"
ERROR_PREFIX = "errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/"

BUFFER_SECONDS = 300
BUFFER_MIB = 64
"""Whichever comes first. Few large objects: S3 takes money per request, and cheap classes for 128 KB at least."""

ERROR_STREAM = "delivery"

WARM_DAYS = 30
COLD_DAYS = 90
"""Glacier Instant Retrieval costs a sixth of Standard and bills 90 days at least (S3 pricing), so it pays for
what is kept for 30 + 90 days or longer. The first month is when somebody looks."""


class LogForwarderStack(EnvironmentStack):
    """One Firehose stream that the four log groups feed, and its bucket.

    It names the log groups and needs nothing else of other stacks, and nothing needs it: it can be deployed,
    destroyed and deployed again at any time. Without it, logs stay in CloudWatch for ``[logs] retention_days``.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "log-forwarder"
    PURPOSE = "The archive of the logs"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        stream = self._stream(self._archive())
        self._subscribe(stream)

    def _archive(self) -> LogBucket:
        days = self.settings.logs.archive_days
        to_glacier = s3.Transition(
            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=cdk.Duration.days(WARM_DAYS)
        )
        bucket = LogBucket(
            self, "Archive", days=days, transitions=[to_glacier] if days >= WARM_DAYS + COLD_DAYS else []
        )
        cdk.CfnOutput(self, "ArchiveBucket", value=bucket.bucket_name, description="Logs by day")
        return bucket

    def _stream(self, bucket: LogBucket) -> firehose.CfnDeliveryStream:
        name = f"{self.names.prefix}-logs"
        errors = logs.LogGroup(
            self,
            "DeliveryErrors",
            log_group_name=f"/aws/kinesisfirehose/{name}",
            retention=RETENTION[self.settings.logs.retention_days],
            # Kept, its name would be in the way of the next deploy of this stack.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        errors_stream = logs.CfnLogStream(
            self, "DeliveryErrorStream", log_group_name=errors.log_group_name, log_stream_name=ERROR_STREAM
        )
        stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_name=name,
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=(
                firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(key_type="AWS_OWNED_CMK")
            ),
            extended_s3_destination_configuration=firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty(
                bucket_arn=bucket.bucket_arn,
                role_arn=self._delivery_role(bucket, name).role_arn,
                prefix=PREFIX,
                error_output_prefix=ERROR_PREFIX,
                buffering_hints=firehose.CfnDeliveryStream.BufferingHintsProperty(
                    interval_in_seconds=BUFFER_SECONDS, size_in_m_bs=BUFFER_MIB
                ),
                compression_format="GZIP",
                processing_configuration=self._processing(),
                cloud_watch_logging_options=firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty(
                    enabled=True, log_group_name=errors.log_group_name, log_stream_name=ERROR_STREAM
                ),
            ),
        )
        stream.node.add_dependency(errors_stream)
        return stream

    def _processing(self) -> firehose.CfnDeliveryStream.ProcessingConfigurationProperty:
        """Unpack the records, end each with a new line, and pack the object as a whole.

        CloudWatch sends each record as gzip of its own, without a new line. Stored as they come, records run
        into each other, and Athena reads the first of each object alone; packed again, they would be gzip in
        gzip. Now an object is gzip of one JSON document per line, with log group, stream and events. The messages
        are not taken out of it: they would lose the names of group and stream, and their time.
        """
        processor = firehose.CfnDeliveryStream.ProcessorProperty
        parameter = firehose.CfnDeliveryStream.ProcessorParameterProperty
        return firehose.CfnDeliveryStream.ProcessingConfigurationProperty(
            enabled=True,
            processors=[
                processor(
                    type="Decompression",
                    parameters=[parameter(parameter_name="CompressionFormat", parameter_value="GZIP")],
                ),
                processor(type="AppendDelimiterToRecord", parameters=[]),
            ],
        )

    def _delivery_role(self, bucket: LogBucket, name: str) -> iam.Role:
        """Let Firehose write (Developer Guide, "Grant Firehose access to an Amazon S3 destination")."""
        on_bucket = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
        on_objects = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
        error_stream = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/kinesisfirehose/{name}:log-stream:{ERROR_STREAM}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return role(
            self,
            "DeliveryRole",
            [
                Grant(on_bucket, (bucket.bucket_arn,)),
                Grant(
                    on_objects,
                    (bucket.arn_for_objects("*"),),
                    wildcard_reason="Objects of the archive, which Firehose alone writes; it chooses their names.",
                ),
                Grant(("logs:PutLogEvents",), (error_stream,)),
            ],
            assumed_by=iam.ServicePrincipal(
                "firehose.amazonaws.com", conditions={"StringEquals": {"sts:ExternalId": self.account}}
            ),
            description=f"Lets {name} write to its bucket",
        )

    def _subscribe(self, stream: firehose.CfnDeliveryStream) -> None:
        """Send every event of the log groups to the stream."""
        subscriber = role(
            self,
            "SubscriptionRole",
            [Grant(("firehose:PutRecord", "firehose:PutRecordBatch"), (stream.attr_arn,))],
            assumed_by=iam.ServicePrincipal(
                "logs.amazonaws.com",
                # CloudWatch Logs User Guide, "Subscription filters with Firehose": against a confused deputy.
                conditions={
                    "StringLike": {
                        "aws:SourceArn": self.format_arn(
                            service="logs", resource="*", arn_format=cdk.ArnFormat.NO_RESOURCE_NAME
                        )
                    }
                },
            ),
            description="Lets CloudWatch Logs send the services' logs to the archive",
        )
        for name in WORKLOADS:
            logs.CfnSubscriptionFilter(
                self,
                f"Subscription-{name}",
                log_group_name=self.names.log_group(name),
                filter_name="archive",
                filter_pattern="",
                destination_arn=stream.attr_arn,
                role_arn=subscriber.role_arn,
            )
