"""The API: behind the load balancer, in Cloud Map, scaled by requests."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.service import COOLDOWN, SLOWLY, Service
from stacks.constructs.task import Workload
from stacks.environment_stack import EnvironmentStack
from stacks.names import API_PORT
from statemachine.iam import Grant

ERRORS_5XX = 10
"""Server errors a minute, two minutes running, that mean the release is bad and not that one request was."""


class ApiServiceStack(EnvironmentStack):
    """The service ``api`` with its target group, its rule at the shared listener and its alarm.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "api-service"
    PURPOSE = "The API"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        targets = self._target_group()
        rule = self._listener_rule(targets)
        service = Service(
            self,
            "Api",
            Workload(
                "api",
                settings.api,
                environment={"POOLS_TABLE": self.names.pools_table, "PORT": str(API_PORT)},
                grants=[self._read_pools()],
                uses_subgraph=True,
            ),
            security_group_id=self.read(self.names.api_security_group),
            alarms=self._alarms(targets),
            # As long as the container's own health check may take: 15 s and 3 times 10 s, and some air.
            health_check_grace=cdk.Duration.seconds(60),
            cloud_map=self.found_as("api"),
        )
        service.service.attach_to_application_target_group(targets)
        # ECS refuses a service whose target group belongs to no load balancer yet.
        service.service.node.add_dependency(rule)
        self._scale(service, targets, rule)

    def _target_group(self) -> elbv2.ApplicationTargetGroup:
        return elbv2.ApplicationTargetGroup(
            self,
            "Targets",
            target_type=elbv2.TargetType.IP,
            protocol=elbv2.ApplicationProtocol.HTTP,
            port=API_PORT,
            vpc=self.vpc,
            deregistration_delay=cdk.Duration.seconds(self.settings.compute.deregistration_delay_seconds),
            health_check=elbv2.HealthCheck(
                path="/health",
                interval=cdk.Duration.seconds(10),
                timeout=cdk.Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
                healthy_http_codes="200",
            ),
        )

    def _listener_rule(self, targets: elbv2.ApplicationTargetGroup) -> elbv2.CfnListenerRule:
        """Take every path of the shared listener; another service would take its own with a lower number."""
        rule = elbv2.CfnListenerRule
        return rule(
            self,
            "Rule",
            listener_arn=self.read(self.names.listener_arn),
            priority=1000,
            conditions=[
                rule.RuleConditionProperty(
                    field="path-pattern", path_pattern_config=rule.PathPatternConfigProperty(values=["/*"])
                )
            ],
            actions=[rule.ActionProperty(type="forward", target_group_arn=targets.target_group_arn)],
        )

    def _alarms(self, targets: elbv2.ApplicationTargetGroup) -> list[cloudwatch.Alarm]:
        """Watch what the tasks answer, and what the load balancer answers for tasks that it cannot reach."""
        balancer = {"LoadBalancer": self.read(self.names.load_balancer_name)}
        return [
            self._errors_alarm(
                "Errors",
                "api-5xx",
                "The API answers with server errors.",
                "HTTPCode_Target_5XX_Count",
                {**balancer, "TargetGroup": targets.target_group_full_name},
            ),
            self._errors_alarm(
                "Unreachable",
                "api-unreachable",
                "The load balancer gets no answer from the API (502, 503, 504).",
                "HTTPCode_ELB_5XX_Count",
                balancer,
            ),
        ]

    def _errors_alarm(
        self, id: str, name: str, description: str, metric: str, dimensions: dict[str, str]
    ) -> cloudwatch.Alarm:
        return self.alarm(
            id,
            name,
            alarm_description=f"{description} A rollout during which this fires is rolled back.",
            metric=cloudwatch.Metric(
                namespace="AWS/ApplicationELB",
                metric_name=metric,
                dimensions_map=dimensions,
                statistic="Sum",
                period=cdk.Duration.minutes(1),
            ),
            threshold=ERRORS_5XX,
            evaluation_periods=2,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        )

    def _scale(self, service: Service, targets: elbv2.ApplicationTargetGroup, rule: elbv2.CfnListenerRule) -> None:
        """Scale by requests as well, which rise before the CPU does."""
        count = service.scale(self.settings.api)
        target = count.node.find_child("Target")
        assert isinstance(target, appscaling.ScalableTarget)  # noqa: S101 (find_child knows no types)
        policy = appscaling.TargetTrackingScalingPolicy(
            self,
            "Requests",
            scaling_target=target,
            predefined_metric=appscaling.PredefinedMetric.ALB_REQUEST_COUNT_PER_TARGET,
            # `scale_on_request_count` would want the load balancer itself, which another stack owns.
            resource_label=f"{self.read(self.names.load_balancer_name)}/{targets.target_group_full_name}",
            target_value=self.settings.api.requests_per_task,
            scale_out_cooldown=COOLDOWN,
            scale_in_cooldown=SLOWLY,
        )
        policy.node.add_dependency(rule)

    def _read_pools(self) -> Grant:
        table = self.format_arn(service="dynamodb", resource="table", resource_name=self.names.pools_table)
        return Grant(("dynamodb:GetItem", "dynamodb:Query"), (table,))
