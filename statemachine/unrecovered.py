"""An alarm that needs no event: executions that ended badly, less those whose end was reported or recovered from.

Events of ``aws.states`` are best effort. Step Functions' own metrics count what was aborted, timed out or failed.
Stepship's metric counts what it reported, and what it put on record for a stopped execution, that at the minute of its
end (``lambdas/completion.py``). So both count one execution in one period, and what is left nobody has looked after.
"""

from __future__ import annotations

import math

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from config import EnvironmentConfig
from lambdas.release.lock import LEASE_MARGIN_SECONDS
from lambdas.release.recovery import RECOVERY_GRACE_SECONDS
from statemachine.steps import STEPS

ENDED_BADLY = ("ExecutionsAborted", "ExecutionsTimedOut", "ExecutionsFailed")
"""Step Functions' metrics of a machine; there is none by error name (Developer Guide, "CloudWatch metrics")."""

UNRECOVERED = "2 * left - DIFF(left)"
"""``DIFF`` is a value minus the one before, so this is the sum of two periods: ``left + (left - DIFF(left))``.

The alarm wants it above zero twice in a row. Worked example, with a period of 15 minutes:

======================================================= ======== ======== ======== ======== =====
what happens                                            9:00     9:15     9:30     9:45     rings
======================================================= ======== ======== ======== ======== =====
stopped at 9:10, and nobody recovers from it            1        1        0        0        9:30
stopped at 9:10, on record at 9:18: for 9:10            1, then 0 0       0        0        no
rejected; reported at 9:14:59, failed at 9:15:00        -1       0        1        0        no
======================================================= ======== ======== ======== ======== =====

A period is named by its beginning. The third line is why one period alone is not enough: its report and its failure are
a moment apart, and that moment may be where two periods meet.
"""

STEP_SECONDS = 300


class UnrecoveredExecutions(Construct):
    """The alarm.

    Parameters
    ----------
    scope, id
        Where the construct stands.
    name
        Name of the alarm.
    machine
        Whose executions.
    settings
        The environment.

    Attributes
    ----------
    alarm
        Fires when an execution is left.
    """

    def __init__(
        self, scope: Construct, id: str, *, name: str, machine: sfn.StateMachine, settings: EnvironmentConfig
    ) -> None:
        super().__init__(scope, id)
        period = cdk.Duration.seconds(period_seconds(settings))

        def counted(namespace: str, metric: str, dimensions: dict[str, str]) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace=namespace, metric_name=metric, dimensions_map=dimensions, statistic="Sum", period=period
            )

        ended = {
            f"ended{number}": counted("AWS/States", each, {"StateMachineArn": machine.state_machine_arn})
            for number, each in enumerate(ENDED_BADLY)
        }
        ours = {"service": settings.app, "environment": settings.environment}
        cared = {"cared": counted("Stepship", "LookedAfter", ours)}
        left = cloudwatch.MathExpression(
            expression=f"{_sum(ended)} - {_sum(cared)}",
            using_metrics={**ended, **cared},
            label="ended badly, less reported or recovered",
            period=period,
        )
        self.alarm = cloudwatch.Alarm(
            self,
            "Alarm",
            alarm_name=name,
            alarm_description="An execution was stopped, timed out or failed, and nothing put things in order",
            metric=cloudwatch.MathExpression(
                expression=UNRECOVERED, using_metrics={"left": left}, label="not recovered", period=period
            ),
            threshold=0,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=2,
            datapoints_to_alarm=2,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )


def period_seconds(settings: EnvironmentConfig) -> int:
    """Return the time that a recovery has before the alarm rings, in whole five minutes.

    The lease of the longest step, the wait for the event, a rollback and its bake. Worked example for dev:
    120 + 5 s, 60 s, 600 s and 60 s are 845 s, so 15 minutes.
    """
    lease = max(step.timeout_seconds for step in STEPS) + LEASE_MARGIN_SECONDS
    rollout = settings.rollout
    needed = lease + RECOVERY_GRACE_SECONDS + rollout.rollback_timeout_seconds + rollout.bake_seconds
    return math.ceil(needed / STEP_SECONDS) * STEP_SECONDS


def _sum(metrics: dict[str, cloudwatch.Metric]) -> str:
    # No execution of a kind in a period is no data, and none of that is zero to metric math.
    return " + ".join(f"FILL({each}, 0)" for each in metrics)
