"""What a run takes, in minutes and dollars: before, from the budgets of its chapters; after, from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.cost.prices import PRICES

GOAL_MINUTES, GOAL_DOLLARS = 45, 2.0

TASKS = 4
"""Of Fargate at the same time, on average: three services, and a second task of each for the time of a rollout."""

VCPU, GB = 0.25, 0.5

X86 = 1.25
"""Fargate on x86-64 costs a quarter more than on Arm, whose price is listed (AWS Fargate pricing, not verified)."""

TRANSITIONS = 60
"""Of one deployment with three waves and a rollback; a measured one has some forty (docs/explanation/benchmarks.md)."""

INVOCATION_GB_SECONDS = 10
"""Of all functions of one deployment, generously: each waits for up to half a minute at 256 MB."""

DESTROY_SECONDS = 300
"""What the end takes: services drain, four stacks are deleted."""

HOUR = 3600


@dataclass(frozen=True)
class Estimate:
    """Time and money of a run.

    Attributes
    ----------
    seconds
        From its first call to its last.
    dollars
        At the prices of ``stacks/cost/prices.py``, without a free tier.
    """

    seconds: float
    dollars: float

    def __str__(self) -> str:
        return f"{self.seconds / 60:.0f} minutes, ${self.dollars:.2f}"


def estimate(seconds: float, deployments: int) -> Estimate:
    """Estimate a run.

    Parameters
    ----------
    seconds
        From its first call to its last.
    deployments
        How many executions of the state machine there are.

    Examples
    --------
    Forty minutes with fifteen deployments: 0.67 hours of 4 tasks at $0.0172, 5 addresses at $0.005, a load balancer and
    its unit at $0.0305, are $0.08; 900 transitions are $0.02; 150 GB-seconds of functions a fifth of a cent.
    """
    hourly = (
        TASKS * X86 * (VCPU * _dollars("vcpu") + GB * _dollars("gb"))
        + (TASKS + 1) * _dollars("ipv4")
        + _dollars("alb")
        + _dollars("lcu")
    )
    by_deployment = TRANSITIONS * _dollars("transition") + INVOCATION_GB_SECONDS * _dollars("lambda-gb")
    return Estimate(seconds, seconds / HOUR * hourly + deployments * by_deployment)


def _dollars(price: str) -> float:
    return PRICES[price].dollars
