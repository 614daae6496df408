"""The worker: takes jobs from its queue, scaled by how many wait for each of its tasks."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.service import COOLDOWN, SLOWLY, Service
from stacks.constructs.task import Workload
from stacks.constructs.work_queue import WorkQueue
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant

VISIBILITY = cdk.Duration.minutes(1)
"""How long a job is hidden from other tasks: several times what one takes."""

MAX_RECEIVES = 3
"""A job that fails is tried again after a minute, and is a dead one after 3 x 1 minute."""

OLDEST_JOB = cdk.Duration.minutes(5)

NAMESPACE, FAILED_JOBS = "Worker", "FailedJobs"
"""As the worker counts (``workload/app/metrics.py``)."""


class WorkerServiceStack(EnvironmentStack):
    """The service ``worker`` with its queue of jobs and the alarm on it.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "worker-service"
    PURPOSE = "The worker"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self.queue = WorkQueue(
            self, "Jobs", name=self.names.jobs_queue, visibility=VISIBILITY, max_receives=MAX_RECEIVES
        )
        service = Service(
            self,
            "Worker",
            Workload(
                "worker",
                settings.worker,
                environment={"POOLS_TABLE": self.names.pools_table, "JOBS_QUEUE_URL": self.queue.queue_url},
                grants=self._grants(),
                uses_subgraph=True,
            ),
            security_group_id=self.read(self.names.task_security_group),
            alarms=[self._age_alarm(), self._dead_jobs_alarm()],
        )
        self._scale(service)

    def _age_alarm(self) -> cloudwatch.Alarm:
        """Fire while jobs wait too long: the worker takes none, or too few."""
        return self.alarm(
            "OldJobs",
            "worker-queue-age",
            alarm_description="Jobs wait too long. A rollout during which this fires is rolled back.",
            metric=self.queue.metric_approximate_age_of_oldest_message(
                statistic="Maximum", period=cdk.Duration.minutes(1)
            ),
            threshold=OLDEST_JOB.to_seconds(),
            evaluation_periods=3,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        )

    def _dead_jobs_alarm(self) -> cloudwatch.Alarm:
        """Fire while jobs fail again and again: one that has failed once may go well the next time.

        The worker counts them itself. SQS's own metrics of the dead letters begin up to 15 minutes late when the queue
        was idle for six hours (SQS Developer Guide, "Available CloudWatch metrics"): a bake is over by then.

        Worked example: a job fails at 09:00:10, is visible again a minute later, and fails at 09:01:10: two minutes in
        a row with failures, and the alarm fires some seconds after 09:02.
        """
        return self.alarm(
            "DyingJobs",
            "worker-dead-jobs",
            alarm_description="Jobs fail again and again. A rollout during which this fires is rolled back.",
            metric=cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=FAILED_JOBS,
                dimensions_map={"Queue": self.names.jobs_queue},
                statistic="Sum",
                period=cdk.Duration.minutes(1),
            ),
            threshold=0,
            evaluation_periods=2,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        )

    def _scale(self, service: Service) -> None:
        """Track the jobs per running task.

        Source: ECS Developer Guide and Application Auto Scaling User Guide, "target tracking with metric
        math". Worked example: 130 jobs wait, 2 tasks run, 20 are wanted per task: 65 > 20, so the count
        goes towards 130 / 20, 7 tasks.
        """
        count = service.scale(self.settings.worker)
        target = count.node.find_child("Target")
        assert isinstance(target, appscaling.ScalableTarget)  # noqa: S101 (find_child knows no types)
        policy = appscaling.CfnScalingPolicy
        queue = {"QueueName": self.queue.queue_name}
        service_name = {"ClusterName": self.names.cluster, "ServiceName": self.names.service("worker")}
        policy(
            self,
            "JobsPerTask",
            policy_name=f"{self.names.service('worker')}-jobs-per-task",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.scalable_target_id,
            target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=self.settings.worker.messages_per_task,
                scale_out_cooldown=COOLDOWN.to_seconds(),
                scale_in_cooldown=SLOWLY.to_seconds(),
                # The CDK's own policy takes no metric math.
                customized_metric_specification=policy.CustomizedMetricSpecificationProperty(
                    metrics=[
                        _metric("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", queue),
                        _metric("running", "ECS/ContainerInsights", "RunningTaskCount", service_name),
                        policy.TargetTrackingMetricDataQueryProperty(
                            id="perTask", expression="waiting / IF(running > 0, running, 1)", return_data=True
                        ),
                    ]
                ),
            ),
        )

    def _grants(self) -> list[Grant]:
        table = self.format_arn(service="dynamodb", resource="table", resource_name=self.names.pools_table)
        jobs = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
        return [Grant(jobs, (self.queue.queue_arn,)), Grant(("dynamodb:BatchWriteItem",), (table,))]


def _metric(
    id: str, namespace: str, name: str, dimensions: dict[str, str]
) -> appscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    policy = appscaling.CfnScalingPolicy
    return policy.TargetTrackingMetricDataQueryProperty(
        id=id,
        return_data=False,
        metric_stat=policy.TargetTrackingMetricStatProperty(
            stat="Average",
            metric=policy.TargetTrackingMetricProperty(
                namespace=namespace,
                metric_name=name,
                dimensions=[
                    policy.TargetTrackingMetricDimensionProperty(name=key, value=value)
                    for key, value in dimensions.items()
                ],
            ),
        ),
    )
