"""An ECS service as all of them are run: spread, watched, healed, scaled, and registered for deployments."""

from __future__ import annotations

import json
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config.platform import ScaledTask
from stacks.constructs.task import TaskDefinitions, Workload
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant, acknowledge, acknowledge_wildcards

COOLDOWN = cdk.Duration.seconds(60)
"""Between two steps of autoscaling outwards; inwards is five times as slow, because starting costs more than idling."""


class Service(Construct):
    """A Fargate service, its task definitions, its autoscaling and its catalog parameter.

    Parameters
    ----------
    scope, id
        In the stack of the service.
    workload
        What it runs.
    security_group_id
        Of its tasks.
    alarms
        A rollout during which one of these fires is rolled back, by ECS too.
    health_check_grace
        How long a task may be unhealthy at the load balancer after its start; None without load balancer.
    singleton
        Whether two tasks at once are worse than none for a moment: the old one is stopped first.
    cloud_map
        Name and port under which other services find it.

    Attributes
    ----------
    service
        The ECS service.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        workload: Workload,
        *,
        security_group_id: str,
        alarms: Sequence[cloudwatch.Alarm] = (),
        health_check_grace: cdk.Duration | None = None,
        singleton: bool = False,
        cloud_map: ecs.CloudMapOptions | None = None,
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        assert isinstance(stack, EnvironmentStack)  # noqa: S101 (`image.resolve` says it to a person)
        self._stack, self._workload = stack, workload
        self.tasks = TaskDefinitions(self, "Tasks", workload)
        security_group = ec2.SecurityGroup.from_security_group_id(
            self, "SecurityGroup", security_group_id, mutable=False
        )
        compute = stack.settings.compute
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=ecs.Cluster.from_cluster_attributes(
                self,
                "Cluster",
                cluster_name=stack.names.cluster,
                vpc=stack.private_network,
                security_groups=[],
                # Without it the CDK would let the tasks write to every log group.
                execute_command_configuration=self._exec_logging() if compute.execute_command else None,
            ),
            service_name=stack.names.service(workload.name),
            task_definition=self.tasks.definition,
            security_groups=[security_group],
            vpc_subnets=ec2.SubnetSelection(subnets=stack.private_network.private_subnets),
            assign_public_ip=False,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT" if compute.spot else "FARGATE", weight=1)
            ],
            min_healthy_percent=0 if singleton else 100,
            max_healthy_percent=100 if singleton else 200,
            availability_zone_rebalancing=(
                ecs.AvailabilityZoneRebalancing.DISABLED if singleton else ecs.AvailabilityZoneRebalancing.ENABLED
            ),
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            deployment_alarms=(
                ecs.DeploymentAlarmConfig(
                    alarm_names=[alarm.alarm_name for alarm in alarms],
                    behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM,
                )
                if alarms
                else None
            ),
            health_check_grace_period=health_check_grace,
            enable_execute_command=compute.execute_command,
            enable_ecs_managed_tags=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            cloud_map_options=cloud_map,
        )
        resource = self.service.node.default_child
        assert isinstance(resource, ecs.CfnService)  # noqa: S101 (default_child knows no types)
        resource.task_definition = self.tasks.in_use
        # The first task must find all that its start needs to be allowed.
        self.service.node.add_dependency(self.tasks.execution_role)
        for alarm in alarms:
            self.service.node.add_dependency(alarm)
        if compute.execute_command:
            acknowledge(
                self.tasks,
                "AwsSolutions-IAM5[Resource::*]",
                "ECS Exec: ssmmessages and logs:DescribeLogGroups have no resources (Service Authorization Reference).",
            )
        self._register()

    def scale(self, size: ScaledTask) -> ecs.ScalableTaskCount:
        """Scale by CPU and memory; the service adds what it is really about.

        The desired count is nowhere in the template, so an infrastructure deploy does not undo what
        autoscaling, or a person in an emergency, has set.
        """
        count = self.service.auto_scale_task_count(min_capacity=size.min_tasks, max_capacity=size.max_tasks)
        count.scale_on_cpu_utilization(
            "Cpu", target_utilization_percent=size.cpu_percent, scale_out_cooldown=COOLDOWN, scale_in_cooldown=SLOWLY
        )
        count.scale_on_memory_utilization(
            "Memory",
            target_utilization_percent=size.memory_percent,
            scale_out_cooldown=COOLDOWN,
            scale_in_cooldown=SLOWLY,
        )
        return count

    def _exec_logging(self) -> ecs.ExecuteCommandConfiguration:
        group = logs.LogGroup.from_log_group_name(self, "ExecLogs", self._stack.names.exec_log_group)
        streams = Grant(("logs:PutLogEvents",), (group.log_group_arn,), wildcard_reason="The log streams of ECS Exec.")
        acknowledge_wildcards(self.tasks, [streams])  # the CDK grants them, with all that a session needs
        return ecs.ExecuteCommandConfiguration(
            logging=ecs.ExecuteCommandLogging.OVERRIDE,
            log_configuration=ecs.ExecuteCommandLogConfiguration(cloud_watch_log_group=group),
        )

    def _register(self) -> None:
        """Join deployments; after the service, so that no deployment finds a service that is not there."""
        stack, name = self._stack, self._workload.name
        parameter = ssm.StringParameter(
            self,
            "Registration",
            parameter_name=f"{stack.settings.identity.services_path}{name}",
            description=f"Registers {name} for deployments",
            string_value=json.dumps(
                {
                    "cluster": stack.names.cluster,
                    "service": stack.names.service(name),
                    "family": stack.names.service(name),
                    "container": self.tasks.container,
                    "repository": stack.names.repository,
                    "wave": getattr(self._workload.size, "wave", 1),
                },
                sort_keys=True,
            ),
        )
        parameter.node.add_dependency(self.service)


SLOWLY = cdk.Duration.seconds(300)
