"""What a pipeline keeps, and whom it tells: key, artifacts, caches, topic, chat."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant, acknowledge

ARTIFACT_PREFIX_LENGTH = 16
"""CodePipeline begins the key of an artifact with the pipeline's name, cut after some 20 characters; fewer match it."""

NONCURRENT_DAYS = 7
CACHE_DAYS = 14

WRITES = ("s3:PutObject", "s3:PutObjectAcl")
"""CodePipeline User Guide, "Manage the CodePipeline service role". What a connection uploads comes with an ACL, and is
refused without the second (aws-cdk issue 13557); in this bucket, whose owner owns all, an ACL changes nothing."""

KEY_USES = (
    "kms:Encrypt",
    "kms:Decrypt",
    *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
    *("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
    "kms:DescribeKey",
)
"""CodeBuild User Guide, "Encrypt build outputs using a customer managed key"; its wildcards are spelled out, without
pairs of keys, which nobody asks for here. The CDK grants the roles of CodePipeline's actions the same."""

NOTIFIER = "codestar-notifications.amazonaws.com"
NO_LOOKING_AROUND = "AWSDenyAll"
"""What a person in the chat may do in the account by the bot: nothing. It tells."""


class PipelineStore(Construct):
    """Key, bucket and topic of one pipeline.

    Parameters
    ----------
    scope, stack
        Where it stands.
    name
        Of the pipeline.

    Attributes
    ----------
    key, bucket, topic
        As the pipeline and its builds use them.
    """

    def __init__(self, scope: Construct, stack: EnvironmentStack, name: str) -> None:
        super().__init__(scope, "Store")
        self._stack, self._settings, self._name = stack, stack.settings.pipeline, name
        self.key = self._make_key()
        self.bucket = self._make_bucket()
        self.topic = self._make_topic()

    def _make_key(self) -> kms.Key:
        """Make a key of its own: the notifier may publish to no topic with a key that AWS manages."""
        key = kms.Key(
            self,
            "Key",
            description=f"Artifacts and notifications of {self._name}",
            enable_key_rotation=True,
            removal_policy=self._stack.removal_policy,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(NOTIFIER)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions={"StringEquals": {"kms:ViaService": f"sns.{self._stack.region}.{self._stack.url_suffix}"}},
            )
        )
        return key

    def _make_bucket(self) -> s3.Bucket:
        """Make the bucket of artifacts and caches; it outlives its stack, because it cannot be deleted with content."""
        multipart = cdk.Duration.days(NONCURRENT_DAYS)
        bucket = s3.Bucket(
            self,
            "Artifacts",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,  # CodePipeline names artifacts by their version
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="artifacts",
                    expiration=cdk.Duration.days(self._settings.keep_artifacts_days),
                    noncurrent_version_expiration=cdk.Duration.days(NONCURRENT_DAYS),
                    abort_incomplete_multipart_upload_after=multipart,
                ),
                # What is left of an object when its last version has gone.
                s3.LifecycleRule(id="markers", expired_object_delete_marker=True),
                s3.LifecycleRule(id="caches", prefix="cache/", expiration=cdk.Duration.days(CACHE_DAYS)),
            ],
            # In a failed creation too: a pipeline runs when it is created, and writes to it.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        acknowledge(bucket, "AwsSolutions-S1", "CodePipeline alone reads and writes it; its runs are the log.")
        return bucket

    def artifacts(self, *, write: bool) -> list[Grant]:
        """Return what reading, or also writing, artifacts takes."""
        keys = f"{self.bucket.bucket_arn}/{self._name[:ARTIFACT_PREFIX_LENGTH]}*"
        why = "CodePipeline makes the keys of artifacts; they begin with the pipeline's name."
        calls = ("s3:GetObject", "s3:GetObjectVersion", *(WRITES if write else ()))
        return [
            Grant(calls, (keys,), wildcard_reason=why),
            Grant(("s3:GetBucketLocation", "s3:GetBucketAcl", "s3:GetBucketVersioning"), (self.bucket.bucket_arn,)),
            Grant(KEY_USES, (self.key.key_arn,)),
        ]

    def _make_topic(self) -> sns.Topic:
        topic = sns.Topic(
            self, "Notifications", topic_name=f"{self._name}-notifications", master_key=self.key, enforce_ssl=True
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(NOTIFIER)],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self._stack.account}},
            )
        )
        cdk.CfnOutput(
            self._stack, "NotificationsTopicArn", value=topic.topic_arn, description="Every state is told here"
        )
        if self._settings.slack_channel_id:
            self._chat(topic)
        return topic

    def _chat(self, topic: sns.Topic) -> None:
        chatbot.CfnSlackChannelConfiguration(
            self,
            "Chat",
            configuration_name=self._name,
            slack_workspace_id=self._settings.slack_workspace_id,
            slack_channel_id=self._settings.slack_channel_id,
            iam_role_arn=iam.Role(self, "ChatRole", assumed_by=iam.ServicePrincipal("chatbot.amazonaws.com")).role_arn,
            guardrail_policies=[
                self._stack.format_arn(
                    service="iam", region="", account="aws", resource="policy", resource_name=NO_LOOKING_AROUND
                )
            ],
            sns_topic_arns=[topic.topic_arn],
        )

    def telling(self) -> list[Grant]:
        """Return what telling the topic takes."""
        return [
            Grant(("sns:Publish",), (self.topic.topic_arn,)),
            Grant(("kms:Decrypt", "kms:GenerateDataKey"), (self.key.key_arn,)),
        ]
