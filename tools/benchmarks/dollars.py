"""What a deploy costs, from published prices: us-east-1, without any free tier, as of November 2026."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

TRANSITION = 0.025 / 1000
"""AWS Step Functions pricing, Standard Workflows: $0.025 per 1,000 state transitions."""

LAMBDA_GB_SECOND = 0.0000133334
"""AWS Lambda pricing, Arm, first 7.5 billion GB-seconds a month."""

LAMBDA_REQUEST = 0.20 / 1_000_000
"""AWS Lambda pricing: $0.20 per million requests."""

DYNAMODB_WRITE, DYNAMODB_READ = 0.625 / 1_000_000, 0.125 / 1_000_000
"""Amazon DynamoDB pricing, on-demand, per write and read request unit."""

DYNAMODB_UNITS = {
    "dynamodb:PutItem": 4 * DYNAMODB_WRITE,
    "dynamodb:UpdateItem": 4 * DYNAMODB_WRITE,
    "dynamodb:TransactWriteItems": 4 * 4 * DYNAMODB_WRITE,
    "dynamodb:GetItem": 2 * DYNAMODB_READ,
    "dynamodb:Query": 2 * DYNAMODB_READ,
}
"""Rounded up: a write counts by the KiB of the item (lock with journal, record), a transaction twice (DynamoDB
Developer Guide, "DynamoDB throughput capacity")."""

EVENT = 1.00 / 1_000_000
"""Amazon EventBridge pricing: custom events, per million."""

CLOUDWATCH_REQUEST = 0.01 / 1000
"""Amazon CloudWatch pricing: API requests such as DescribeAlarms, per thousand."""


@dataclass(frozen=True)
class Bill:
    """Dollars of one deploy, by what is paid for. ECS, ECR, SSM (standard parameters) and IAM cost nothing a call."""

    transitions: float
    functions: float
    calls: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.transitions + self.functions + self.calls


def bill(transitions: int, functions: Iterable[dict[str, Any]], calls: Counter[str]) -> Bill:
    """Add up.

    Parameters
    ----------
    functions
        Invocations with ``seconds`` and ``memory_mib``.
    calls
        By operation, as ``dynamodb:GetItem``.
    """
    invocations = list(functions)
    seconds = sum(each["seconds"] * each["memory_mib"] / 1024 for each in invocations)
    priced = {**DYNAMODB_UNITS, "events:PutEvents": EVENT, "monitoring:DescribeAlarms": CLOUDWATCH_REQUEST}
    return Bill(
        transitions * TRANSITION,
        seconds * LAMBDA_GB_SECOND + len(invocations) * LAMBDA_REQUEST,
        sum(count * priced.get(operation, 0.0) for operation, count in calls.items()),
    )
