"""One page that says how the environment is: deployments, load balancer, services, queue."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from config import EnvironmentConfig
from stacks.alarms import alarm_names
from stacks.constructs.carried_image import SERVICES
from stacks.environment_stack import EnvironmentStack
from statemachine.steps import machine_name

MINUTE = cdk.Duration.minutes(1)
HOUR = cdk.Duration.hours(1)
OWN_METRICS = "Stepship,environment,outcome,service"
"""Namespace and dimensions of what the last step of an execution writes (``lambdas/completion.py``)."""
COLUMNS = 24
"""Width of a dashboard (CloudWatch API Reference, "Dashboard Body Structure and Syntax")."""


class MonitoringStack(EnvironmentStack):
    """A CloudWatch dashboard. It knows other stacks' resources by name, so they need not be there.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "monitoring"
    PURPOSE = "The dashboard"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.names.prefix,
            default_interval=cdk.Duration.hours(3),
            widgets=[
                *self._alarms(),
                self._deployments(),
                self._load_balancer(),
                *(self._service(name) for name in SERVICES),
                self._queue(),
            ],
        )

    def _alarms(self) -> list[list[cloudwatch.IWidget]]:
        """Show the alarms that end a rollout, where there are any, and below them all others of the environment."""
        ending = self.settings.circuit_breaker.alarms
        others = [name for name in alarm_names(self.settings) if name not in ending]
        return [
            [
                cloudwatch.AlarmStatusWidget(
                    title=title,
                    alarms=[cloudwatch.Alarm.from_alarm_name(self, f"Alarm-{name}", name) for name in names],
                    width=COLUMNS,
                    height=2,
                )
            ]
            for title, names in (("Alarms that end a rollout", ending), ("Other alarms", others))
            if names
        ]

    def _deployments(self) -> list[cloudwatch.IWidget]:
        identity = self.settings.identity
        machine = self.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=machine_name(identity),
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

        def executions(metric: str, label: str, statistic: str = "Sum") -> cloudwatch.Metric:
            return self._metric("AWS/States", metric, {"StateMachineArn": machine}, statistic, label, period=HOUR)

        # A search finds each outcome that there has been.
        own = f'environment="{identity.environment}" service="{identity.app}"'
        return [
            _graph(
                "Executions",
                [
                    executions("ExecutionsStarted", "started"),
                    executions("ExecutionsSucceeded", "succeeded"),
                    executions("ExecutionsFailed", "failed"),
                    executions("ExecutionsAborted", "stopped"),
                    executions("ExecutionsTimedOut", "timed out"),
                ],
            ),
            _graph(
                "Outcomes",
                [_search(f'{{{OWN_METRICS}}} MetricName="Deployments" {own}', "Sum", HOUR, by="outcome")],
            ),
            _graph(
                "How long (left: ms, all executions; right: s, by outcome)",
                [
                    executions("ExecutionTime", "median", "p50"),
                    executions("ExecutionTime", "longest", "Maximum"),
                ],
                right=[
                    _search(f'{{{OWN_METRICS}}} MetricName="DeploymentDuration" {own}', "Average", HOUR, by="outcome")
                ],
            ),
        ]

    def _load_balancer(self) -> list[cloudwatch.IWidget]:
        name = self.read(self.names.load_balancer_name)

        def metric(metric: str, label: str, statistic: str = "Sum") -> cloudwatch.Metric:
            return self._metric("AWS/ApplicationELB", metric, {"LoadBalancer": name}, statistic, label)

        return [
            _graph(
                "Requests",
                [metric("RequestCount", "requests")],
                right=[
                    metric("HTTPCode_Target_5XX_Count", "5xx of the API"),
                    metric("HTTPCode_ELB_5XX_Count", "5xx of the load balancer"),
                ],
            ),
            _graph(
                "Latency (s)",
                [metric("TargetResponseTime", "p50", "p50"), metric("TargetResponseTime", "p99", "p99")],
            ),
            # Target groups belong to the services' stacks, so their names are searched for.
            _graph(
                "Healthy hosts",
                [
                    _search(
                        "{AWS/ApplicationELB,LoadBalancer,TargetGroup} "
                        f'MetricName="HealthyHostCount" LoadBalancer="{name}"',
                        "Minimum",
                        MINUTE,
                        by="TargetGroup",
                    )
                ],
            ),
        ]

    def _service(self, name: str) -> list[cloudwatch.IWidget]:
        dimensions = {"ClusterName": self.names.cluster, "ServiceName": self.names.service(name)}

        def tasks(metric: str, label: str) -> cloudwatch.Metric:
            return self._metric("ECS/ContainerInsights", metric, dimensions, "Average", label)

        def used(metric: str, label: str, statistic: str = "Average") -> cloudwatch.Metric:
            return self._metric("AWS/ECS", metric, dimensions, statistic, label)

        return [
            _graph(f"{name}: tasks", [tasks("DesiredTaskCount", "desired"), tasks("RunningTaskCount", "running")]),
            _graph(
                f"{name}: CPU (%)", [used("CPUUtilization", "average"), used("CPUUtilization", "busiest", "Maximum")]
            ),
            _graph(
                f"{name}: memory (%)",
                [used("MemoryUtilization", "average"), used("MemoryUtilization", "fullest", "Maximum")],
            ),
        ]

    def _queue(self) -> list[cloudwatch.IWidget]:
        def metric(queue: str, metric: str, label: str) -> cloudwatch.Metric:
            return self._metric("AWS/SQS", metric, {"QueueName": queue}, "Maximum", label)

        jobs = self.names.jobs_queue
        dead = f"{jobs}-dead"
        return [
            _graph(
                "Jobs",
                [
                    metric(jobs, "ApproximateNumberOfMessagesVisible", "waiting"),
                    metric(jobs, "ApproximateNumberOfMessagesNotVisible", "in work"),
                ],
            ),
            _graph("Oldest job (s)", [metric(jobs, "ApproximateAgeOfOldestMessage", "age")]),
            _graph("Jobs that failed", [metric(dead, "ApproximateNumberOfMessagesVisible", "dead")]),
        ]

    @staticmethod
    def _metric(
        namespace: str,
        name: str,
        dimensions: dict[str, str],
        statistic: str,
        label: str,
        *,
        period: cdk.Duration = MINUTE,
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            label=label,
            period=period,
        )


def _search(what: str, statistic: str, period: cdk.Duration, by: str) -> cloudwatch.IMetric:
    """Find metrics when the page is looked at; each line is labelled by its value of the dimension ``by``."""
    return cloudwatch.SearchExpression(
        expression=f"SEARCH('{what}', '{statistic}', {int(period.to_seconds())})",
        label=f"${{PROP('Dim.{by}')}}",
        period=period,
    )


def _graph(
    title: str, left: list[cloudwatch.IMetric] | list[cloudwatch.Metric], right: list[Any] | None = None
) -> cloudwatch.GraphWidget:
    """Draw a third of a row."""
    return cloudwatch.GraphWidget(title=title, left=list(left), right=right or [], width=COLUMNS // 3, height=6)
