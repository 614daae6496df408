"""What ``[network]`` allows: a range that is private, and services that have a private endpoint."""

from __future__ import annotations

import ipaddress

from config.rule import Rule, at_least, texts

PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""RFC 1918. Python's ``is_private`` takes loopback, link-local and reserved ranges too, which no VPC should have."""

ENDPOINT_SERVICES = (
    *("application-autoscaling", "appconfig", "appconfigdata", "athena", "bedrock-runtime", "cloudformation"),
    *("cognito-idp", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "elasticfilesystem", "email"),
    *("email-smtp", "events", "execute-api", "glue", "kinesis-firehose", "kinesis-streams", "kms", "lambda", "logs"),
    *("monitoring", "rds", "rds-data", "secretsmanager", "servicediscovery", "sns", "sqs", "ssm", "ssmmessages"),
    *("states", "sts", "xray"),
)
"""What an application in ECS and Lambda calls, as PrivateLink names it; a name that it does not know fails the deploy.
A test compares it with the CDK's list, which is ten times as long: add what you call. S3 and DynamoDB are not in it,
since their gateway endpoints are there without it and cost nothing."""


def is_private(text: str) -> bool:
    """Whether a text is a private IPv4 network in which every zone has room.

    Examples
    --------
    >>> is_private("10.20.0.0/16"), is_private("172.32.0.0/16"), is_private("127.0.0.0/16"), is_private("10.0.0.0/8")
    (True, False, False, False)
    """
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        return False
    # VPC User Guide, "VPC CIDR blocks", for /16.
    return 16 <= network.prefixlen <= 22 and any(map(network.subnet_of, PRIVATE))  # noqa: PLR2004 (the rule names them)


NETWORK_RULES: dict[str, Rule] = {
    "[network] cidr": Rule(
        "a private IPv4 range, /16 to /22 in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
        '"10.20.0.0/16"',
        lambda value: isinstance(value, str) and is_private(value),
    ),
    "[network] availability_zones": at_least(2, "a whole number of zones", 2, at_most=3),
    "[network] nat_gateways": at_least(1, "a whole number of NAT gateways", 1, at_most=3),
    "[network] interface_endpoints": texts(
        "|".join(each.replace(".", r"\.") for each in ENDPOINT_SERVICES),
        f"a list of AWS services, of these: {', '.join(ENDPOINT_SERVICES)} (config/network.py)",
        '["ecr.api", "ecr.dkr", "logs"]',
        not_empty=False,
    ),
}
