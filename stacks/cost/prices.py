"""Published prices of us-east-1 in dollars, as data: what, per what, from which page, and how sure that is.

No free tier and no discount is in them. No CDK in here, so that everybody can read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

AS_OF = "2026-11"
"""The month for which they stand; somebody who changes one looks at all."""


class Evidence(StrEnum):
    """Where the figure was last seen, as the document says it."""

    AWS = "a stored copy of the page"
    REPORTED = "others, who quote the page"
    MEMORY = "not verified"


@dataclass(frozen=True)
class Price:
    """What one unit costs.

    Attributes
    ----------
    what
        As the document calls it.
    dollars
        For one unit.
    unit
        Of what: ``hour``, ``GB-month``.
    page
        The end of the address of AWS's pricing page: ``vpc`` is https://aws.amazon.com/vpc/pricing/.
    evidence
        ``MEMORY`` is what somebody who knows the page wrote down, and nobody has compared.
    """

    what: str
    dollars: float
    unit: str
    page: str
    evidence: Evidence

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"https://aws.amazon.com/{self.page}/pricing/"


AWS, REPORTED, MEMORY = Evidence.AWS, Evidence.REPORTED, Evidence.MEMORY

MILLION = 1e-6

PRICES: dict[str, Price] = {
    "nat": Price("NAT gateway", 0.045, "hour", "vpc", REPORTED),
    "nat-gb": Price("NAT gateway, what passes", 0.045, "GB", "vpc", REPORTED),
    "ipv4": Price("public IPv4 address", 0.005, "hour", "vpc", REPORTED),
    "endpoint": Price("interface endpoint in one zone", 0.01, "hour", "vpc", REPORTED),
    "alb": Price("Application Load Balancer", 0.0225, "hour", "elasticloadbalancing", REPORTED),
    "lcu": Price("its capacity unit", 0.008, "LCU-hour", "elasticloadbalancing", REPORTED),
    "zone": Price("hosted zone of the Cloud Map namespace", 0.50, "zone-month", "route53", MEMORY),
    "vcpu": Price("Fargate, Arm: vCPU", 0.03238, "hour", "fargate", REPORTED),
    "gb": Price("Fargate, Arm: memory", 0.00356, "GB-hour", "fargate", REPORTED),
    # The discount moves with supply, 50 to 70 %: the least of it is counted.
    "spot-vcpu": Price("Fargate Spot, Arm: vCPU, half of the price", 0.03238 / 2, "hour", "fargate", REPORTED),
    "spot-gb": Price("Fargate Spot, Arm: memory, half of the price", 0.00356 / 2, "GB-hour", "fargate", REPORTED),
    "acu": Price("Aurora capacity unit", 0.12, "ACU-hour", "rds/aurora", REPORTED),
    "aurora-gb": Price("Aurora storage", 0.10, "GB-month", "rds/aurora", REPORTED),
    "aurora-backup": Price("Aurora backups beyond one day", 0.021, "GB-month", "rds/aurora", MEMORY),
    "dynamodb-gb": Price("DynamoDB storage", 0.25, "GB-month", "dynamodb", MEMORY),
    "pitr": Price("DynamoDB point-in-time recovery", 0.20, "GB-month", "dynamodb", MEMORY),
    "read": Price("DynamoDB read request unit", 0.125 * MILLION, "unit", "dynamodb", REPORTED),
    "write": Price("DynamoDB write request unit", 0.625 * MILLION, "unit", "dynamodb", REPORTED),
    "efs": Price("EFS storage", 0.30, "GB-month", "efs", AWS),
    "efs-backup": Price("AWS Backup of EFS", 0.05, "GB-month", "backup", MEMORY),
    "s3": Price("S3 Standard", 0.023, "GB-month", "s3", MEMORY),
    "ecr": Price("ECR storage", 0.10, "GB-month", "ecr", MEMORY),
    "secret": Price("Secrets Manager, one secret", 0.40, "secret-month", "secrets-manager", REPORTED),
    "key": Price("KMS, one key of ours", 1.00, "key-month", "kms", AWS),
    "alarm": Price("CloudWatch alarm, one metric", 0.10, "alarm-month", "cloudwatch", MEMORY),
    "dashboard": Price("CloudWatch dashboard", 3.00, "dashboard-month", "cloudwatch", REPORTED),
    "metric": Price("CloudWatch metric of Container Insights", 0.30, "metric-month", "cloudwatch", REPORTED),
    "enhanced": Price("the same, enhanced", 0.07, "metric-month", "cloudwatch", REPORTED),
    "log-gb": Price("CloudWatch Logs, taken in", 0.50, "GB", "cloudwatch", REPORTED),
    "log-kept": Price("CloudWatch Logs, kept", 0.03, "GB-month", "cloudwatch", MEMORY),
    "firehose": Price("Data Firehose", 0.029, "GB", "firehose", MEMORY),
    "sqs": Price("SQS request", 0.40 * MILLION, "request", "sqs", MEMORY),
    "http-api": Price("API Gateway, HTTP API", 1.00 * MILLION, "request", "api-gateway", MEMORY),
    "invocation": Price("Lambda request", 0.20 * MILLION, "request", "lambda", MEMORY),
    "lambda-gb": Price("Lambda, Arm", 0.0000133334, "GB-second", "lambda", MEMORY),
    "transition": Price("Step Functions, standard", 0.025 / 1000, "transition", "step-functions", AWS),
    "action": Price("CodePipeline V2", 0.002, "action-minute", "codepipeline", AWS),
    "build": Price("CodeBuild, arm1.small", 0.0034, "minute", "codebuild", MEMORY),
    "cloudfront-gb": Price("CloudFront, North America and Europe", 0.085, "GB", "cloudfront", AWS),
    "cloudfront": Price("CloudFront, HTTPS", 0.01 / 10_000, "request", "cloudfront", REPORTED),
}
"""By a short name that ``stacks/cost/estimate.py`` counts with."""
