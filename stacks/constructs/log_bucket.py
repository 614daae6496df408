"""A bucket for logs: private, encrypted, and emptied by age."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from statemachine.iam import acknowledge


class LogBucket(s3.Bucket):
    """A bucket whose objects AWS services write and nobody changes.

    It outlives its stack in every environment, and a creation that failed: CloudFormation cannot delete a bucket with
    something in it, so a destroy or a rollback would fail half-way. The name is generated, so it is in nobody's way,
    and the lifecycle empties it.

    Parameters
    ----------
    scope, id
        Where the bucket stands.
    days
        How long an object is kept.
    transitions
        To cheaper classes, on the way.
    object_ownership
        Another one for a service that writes by an access control list alone, which is CloudFront.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        days: int,
        transitions: Sequence[s3.Transition] = (),
        object_ownership: s3.ObjectOwnership = s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    ) -> None:
        super().__init__(
            scope,
            id,
            # The load balancer can write to no other encryption (ELB User Guide, "Enable access logs").
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=object_ownership,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=cdk.Duration.days(days),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                    transitions=list(transitions) or None,
                )
            ],
            # In a failed creation too: ELB has written its test object by then, and a rollback cannot delete that.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        acknowledge(
            self,
            "AwsSolutions-S1",
            "It holds logs itself: a log of who read them would need a bucket of its own, endlessly.",
        )
