"""The web page: files in a private bucket, CloudFront in front, and the API at the same address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.log_bucket import LogBucket
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import acknowledge

EDGE = Path(__file__).with_name("frontend_edge.js")

API_PATHS = ("/items/*", "/search")
"""What CloudFront hands on to the API; everything else is the page's."""

CONTENT_SECURITY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
"""The page's own files and its own address, and nothing inline: text from the API can never become code."""

TWO_YEARS = cdk.Duration.days(2 * 365)


class FrontendStack(EnvironmentStack):
    """Bucket, distribution, and the parameters by which a deploy of the page finds them.

    The files themselves are no part of it: whoever deploys the page copies ``workload/frontend/site`` to the bucket
    and tells the distribution (workload/frontend/README.md), so that an infrastructure deploy never brings an old
    page back.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "frontend"
    PURPOSE = "The web page"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        bucket = self._bucket()
        distribution = self._distribution(bucket)
        name = settings.frontend.domain or distribution.distribution_domain_name
        self.publish(self.names.site_bucket, bucket.bucket_name, "Where the page's files are copied to")
        self.publish(self.names.site_distribution_id, distribution.distribution_id, "Keeps copies of the page's files")
        self.publish(self.names.site_url, f"https://{name}", "Where people find the page")

    def _bucket(self) -> s3.Bucket:
        """Create the bucket; each copy of a file is a version, so that a deploy can be undone.

        It outlives its stack as the log buckets do: CloudFormation cannot delete a bucket with something in it.
        """
        bucket = s3.Bucket(
            self,
            "Site",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=cdk.Duration.days(self.settings.frontend.noncurrent_days),
                    # What is left of a deleted file when its last version has gone.
                    expired_object_delete_marker=True,
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                )
            ],
            # In a failed creation too: no rollback deletes what is not empty, and the name is generated.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        acknowledge(bucket, "AwsSolutions-S1", "CloudFront alone reads it, and its own log says who asked for what.")
        return bucket

    def _distribution(self, bucket: s3.Bucket) -> cloudfront.Distribution:
        chosen = self.settings.frontend
        headers = self._headers()
        # CloudFront writes by an access control list alone (Developer Guide, "Standard logging (legacy)"); its newer
        # way would need resources in us-east-1.
        access_log = LogBucket(
            self,
            "AccessLogs",
            days=self.settings.logs.archive_days,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
        )
        edge = cloudfront.Function(
            self,
            "Edge",
            function_name=self.names.service("pages"),
            comment=f"Addresses of the page of {self.names.prefix} are index.html",
            code=cloudfront.FunctionCode.from_file(file_path=str(EDGE)),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"The page of {self.names.prefix}",
            default_root_object="index.html",
            default_behavior=cloudfront.BehaviorOptions(
                # LIST: without it S3 answers 403 for a file that is not there, and no 404.
                origin=origins.S3BucketOrigin.with_origin_access_control(
                    bucket, origin_access_levels=[cloudfront.AccessLevel.READ, cloudfront.AccessLevel.LIST]
                ),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                response_headers_policy=headers,
                compress=True,
                function_associations=[
                    cloudfront.FunctionAssociation(
                        function=edge, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                    )
                ],
            ),
            additional_behaviors=dict.fromkeys(API_PATHS, self._api(headers)),
            price_class=cloudfront.PriceClass[chosen.price_class.upper().replace("PRICECLASS", "PRICE_CLASS")],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            enable_ipv6=True,
            enable_logging=True,
            log_bucket=access_log,
            log_includes_cookies=False,
            **self._own_name(),
        )
        if not chosen.certificate_arn:
            acknowledge(
                distribution,
                "AwsSolutions-CFR4",
                "CloudFront's own certificate takes no minimum; [frontend] certificate_arn brings TLS 1.2.",
            )
        acknowledge(
            distribution,
            "Annotation::@aws-cdk/aws-cloudfront-origins:listBucketSecurityRisk",
            "The default root object is given, and so nobody is shown a list of the files; LIST is for an honest 404.",
        )
        acknowledge(distribution, "AwsSolutions-CFR1", "The page is for people everywhere.")
        acknowledge(
            distribution,
            "AwsSolutions-CFR2",
            "Files and reads that the API's stage throttles: nothing that rules of a firewall would protect.",
        )
        return distribution

    def _own_name(self) -> dict[str, Any]:
        """Return what a name of its own takes; DNS that points it to the distribution is the owner's."""
        chosen = self.settings.frontend
        if not chosen.domain:
            return {}
        return {
            "domain_names": [chosen.domain],
            "certificate": acm.Certificate.from_certificate_arn(self, "Certificate", chosen.certificate_arn),
            "minimum_protocol_version": cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
        }

    def _api(self, headers: cloudfront.ResponseHeadersPolicy) -> cloudfront.BehaviorOptions:
        """Hand reads on to the API at the page's own address: no CORS, and no address to write into the page.

        Writes are not let through: they are signed for the API's own address.
        """
        address = self.read(self.names.http_api_url)
        return cloudfront.BehaviorOptions(
            origin=origins.HttpOrigin(
                cdk.Fn.select(2, cdk.Fn.split("/", address)),
                protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            ),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            # API Gateway knows its own name alone.
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            response_headers_policy=headers,
            compress=True,
        )

    def _headers(self) -> cloudfront.ResponseHeadersPolicy:
        """Create the headers that each answer carries, also those of the API and of errors."""
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            response_headers_policy_name=self.names.service("pages"),
            comment=f"Security headers of {self.names.prefix}",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy="; ".join(f"{name} {value}" for name, value in CONTENT_SECURITY.items()),
                    override=True,
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.SAME_ORIGIN, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    # The page's name may be the parent of names that are not ours to speak for.
                    access_control_max_age=TWO_YEARS,
                    include_subdomains=False,
                    override=True,
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                    for name, value in (
                        ("Cross-Origin-Opener-Policy", "same-origin"),
                        ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
                    )
                ]
            ),
        )
