"""The request quotas of the AWS APIs that the steps call: token buckets of one account and region, in virtual time.

A bucket holds ``burst`` tokens, a call takes one, and ``per_second`` flow back. An example: RegisterTaskDefinition has
20 and 1 a second, so 100 calls in a row take at least 80 seconds. An attempt that finds the bucket empty is answered
with the throttling error of its service; that costs no token. Where AWS publishes a rate alone, the bucket holds one
second's worth.

State transitions, and Step Functions' own starting of functions, are queued by AWS and never fail: no bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault

if TYPE_CHECKING:
    from simulator.clock import VirtualClock
    from simulator.faults.api_call import ApiCall


@dataclass(frozen=True)
class Quota:
    """How often some operations may be called, together, in one account and region.

    Attributes
    ----------
    service
        boto3 name.
    operations
        Those that share the bucket; empty for all operations of the service.
    burst
        Calls that the full bucket allows at once.
    per_second
        Calls a second that it allows for ever.
    source
        Where the numbers are from.
    """

    service: str
    operations: tuple[str, ...]
    burst: int
    per_second: float
    source: str


_ECS = "ECS API Reference, Request throttling for the Amazon ECS API"
_SSM = "AWS General Reference, Systems Manager endpoints and quotas: default throughput"
_ECR = "ECR User Guide, Amazon ECR service quotas"
_STATES = "Step Functions Developer Guide, Service quotas, API action throttling: regions other than the largest three"

QUOTAS: tuple[Quota, ...] = (
    Quota("ecs", ("RegisterTaskDefinition", "DeregisterTaskDefinition"), 20, 1, _ECS),
    Quota("ecs", ("DescribeTaskDefinition", "ListTaskDefinitions"), 50, 20, _ECS),
    Quota("ecs", ("UpdateService", "CreateService", "DeleteService"), 50, 5, _ECS),
    Quota("ecs", ("DescribeServices", "ListServices"), 100, 20, _ECS),
    Quota("ecs", ("DescribeTasks", "ListTasks"), 100, 20, _ECS),
    Quota("ecs", ("RunTask",), 100, 40, _ECS),
    Quota("ecs", ("StopTask",), 100, 40, _ECS),
    Quota("ssm", ("GetParameter", "GetParameters", "GetParametersByPath"), 40, 40, _SSM),
    # AWS publishes no number; its support told github-aws-runners/terraform-aws-github-runner#2944 this one.
    Quota("ssm", ("PutParameter",), 3, 3, "AWS support: 3 a second by default, 10 with higher throughput"),
    Quota("ssm", ("DeleteParameter",), 3, 3, "not published: taken as PutParameter's"),
    Quota("ecr", ("DescribeImages",), 1000, 1000, _ECR),
    Quota("ecr", ("DescribeImageScanFindings",), 20, 20, "not published: an assumption"),
    Quota("ecr", ("BatchGetImage",), 2000, 2000, _ECR),
    Quota("ecr", ("DescribeRepositories",), 20, 20, "not published: an assumption"),
    Quota("cloudwatch", ("DescribeAlarms",), 9, 9, "CloudWatch User Guide, CloudWatch service quotas"),
    Quota("logs", ("DescribeLogGroups",), 10, 10, "CloudWatch Logs User Guide, CloudWatch Logs quotas"),
    Quota("logs", ("GetLogEvents",), 25, 25, "CloudWatch Logs User Guide, CloudWatch Logs quotas"),
    Quota("iam", ("GetRole",), 20, 20, "not published: an assumption"),
    Quota("secretsmanager", ("DescribeSecret",), 10_000, 10_000, "Secrets Manager User Guide, quotas"),
    Quota("stepfunctions", ("DescribeExecution",), 250, 10, _STATES),
    Quota("stepfunctions", ("SendTaskSuccess", "SendTaskFailure"), 500, 25, _STATES),
    Quota("events", ("PutEvents",), 400, 400, "EventBridge User Guide, quotas: the smallest of all regions"),
    # On-demand tables scale; one partition key, and each of our items has one, takes 1,000 writes a second.
    Quota("dynamodb", (), 1000, 1000, "DynamoDB Developer Guide, partition key design: writes to one partition"),
)
"""Default quotas, before anybody asked AWS for more. The smaller one where regions differ.

DynamoDB's is that of one partition of one table, here for all tables: stricter than AWS.
"""


class _Bucket:
    def __init__(self, quota: Quota, now: float) -> None:
        self._quota = quota
        self._tokens = float(quota.burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; False when there is none."""
        self._tokens = min(self._quota.burst, self._tokens + (now - self._at) * self._quota.per_second)
        self._at = now
        # Sums of floats end a hair below one: at 1 a second the second call after exactly one second is allowed.
        if self._tokens < 1 - 1e-6:
            return False
        self._tokens = max(0.0, self._tokens - 1)
        return True


class Buckets:
    """The buckets of one account and region.

    Parameters
    ----------
    clock
        Virtual time.
    quotas
        Empty for an account without limits.

    Attributes
    ----------
    throttled
        How many attempts were refused so far.
    """

    def __init__(self, clock: VirtualClock, quotas: Sequence[Quota] = ()) -> None:
        self.throttled = 0
        self._clock = clock
        self._quotas = tuple(quotas)
        self._buckets: dict[Quota, _Bucket] = {}

    def for_attempt(self, call: ApiCall) -> CallFault | None:
        """Take the token of this attempt; the throttling answer when its bucket is empty.

        Raises
        ------
        LookupError
            There are quotas, and none for this operation: without one, a test at scale would prove nothing about it.
        """
        if not self._quotas:
            return None
        quota = next((each for each in self._quotas if _covers(each, call)), None)
        if quota is None:
            raise LookupError(f"{call.service}.{call.operation} has no quota in simulator/faults/quotas.py")
        now = self._clock.now()
        bucket = self._buckets.setdefault(quota, _Bucket(quota, now))
        if bucket.take(now):
            return None
        self.throttled += 1
        return CallFault(CallAction.THROTTLE)


def _covers(quota: Quota, call: ApiCall) -> bool:
    return quota.service == call.service and (not quota.operations or call.operation in quota.operations)
