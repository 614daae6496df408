"""The search server: one Typesense task with its data on a file system of its own."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from config import EnvironmentConfig
from stacks.environment_stack import EnvironmentStack
from stacks.infrastructure.search_infra_stack import DATA_USER
from stacks.names import SEARCH_PORT
from statemachine.iam import Grant, task_role

DATA = "/data"
"""Where the file system is mounted and Typesense writes; nothing else of the container can be written to."""

LOOPBACK = "127.0.0.1"
"""The one peer of a cluster of one. Typesense keeps its peers on the disk by their addresses, and takes the task's own
when nobody says one: after a restart, which gives the task another, it would not find itself in the group until it
resets its peers (typesense/typesense, ``raft_server.cpp``: "Single-node with no leader. Resetting peers.")."""

HEALTH = f"""\
exec 3<>/dev/tcp/127.0.0.1/{SEARCH_PORT} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 \
&& read -r -t 4 status <&3 && [[ $status == *' 200 '* ]]"""
"""Typesense's health by bash alone: the image is Ubuntu with the server, and has neither curl nor wget
(typesense/typesense, ``docker/deployment.Dockerfile``). ``/health`` is 503 until the index is loaded."""


class SearchServiceStack(EnvironmentStack):
    """The service ``search``: exactly one task, found at ``search.<namespace>``, reached by its clients alone.

    Two servers on one data directory would corrupt it, so the old task is stopped before the new one starts
    (minimum healthy 0 %, maximum 100 %): a deploy, or a task that fails, means some seconds to minutes without
    search. Writes wait in their queue meanwhile, and queries are answered with 503.

    It takes no part in code deployments and publishes no catalog parameter: what runs is somebody else's release.
    An upgrade is another ``[search] image`` in the config and an infrastructure deploy.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "search-service"
    PURPOSE = "The search server"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self._log_group = logs.LogGroup.from_log_group_name(self, "Logs", self.names.log_group("search"))
        self._execution_role = self._role(
            "ExecutionRole",
            "Starts the task",
            [
                Grant(
                    ("logs:CreateLogStream", "logs:PutLogEvents"),
                    (self._log_group.log_group_arn,),
                    wildcard_reason="The log streams of the server's own group.",
                ),
                Grant(("secretsmanager:GetSecretValue",), (self._key.secret_arn,)),
            ],
        )
        self._memory_alarm(self._service(self._definition()))

    def _definition(self) -> ecs.FargateTaskDefinition:
        definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            family=self.names.service("search"),
            cpu=self.settings.search.cpu,
            memory_limit_mib=self.settings.search.memory,
            # The image is public, so there is nothing else to allow: the CDK would grant the same once more.
            execution_role=self._execution_role.without_policy_updates(),
            task_role=self._role("TaskRole", "Mounts the data", [self._mount()]),
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            volumes=[
                ecs.Volume(
                    name="data",
                    efs_volume_configuration=ecs.EfsVolumeConfiguration(
                        file_system_id=self.read(self.names.search_file_system_id),
                        transit_encryption="ENABLED",
                        authorization_config=ecs.AuthorizationConfig(
                            access_point_id=self.read(self.names.search_access_point_id), iam="ENABLED"
                        ),
                    ),
                )
            ],
        )
        container = definition.add_container(
            "Container",
            container_name=self.names.container("search"),
            image=ecs.ContainerImage.from_registry(self.read(self.names.search_image)),
            command=["--data-dir", DATA, "--api-port", str(SEARCH_PORT), "--peering-address", LOOPBACK],
            secrets={"TYPESENSE_API_KEY": ecs.Secret.from_secrets_manager(self._key)},
            logging=ecs.LogDrivers.aws_logs(
                log_group=self._log_group,
                stream_prefix="ecs",
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=cdk.Size.mebibytes(4),
            ),
            readonly_root_filesystem=True,
            user=f"{DATA_USER}:{DATA_USER}",
            # Typesense ends at SIGTERM when what is being written is on the disk.
            stop_timeout=cdk.Duration.seconds(self.settings.compute.stop_timeout_seconds),
            # A task reads the whole index into memory before it is healthy; ECS allows 300 s at most.
            health_check=ecs.HealthCheck(
                command=["CMD", "bash", "-c", HEALTH],
                interval=cdk.Duration.seconds(10),
                timeout=cdk.Duration.seconds(5),
                retries=3,
                start_period=cdk.Duration.seconds(300),
            ),
            port_mappings=[ecs.PortMapping(name="http", container_port=SEARCH_PORT)],
        )
        container.add_mount_points(ecs.MountPoint(container_path=DATA, source_volume="data", read_only=False))
        return definition

    def _service(self, definition: ecs.FargateTaskDefinition) -> ecs.FargateService:
        compute = self.settings.compute
        return ecs.FargateService(
            self,
            "Service",
            cluster=ecs.Cluster.from_cluster_attributes(
                self, "Cluster", cluster_name=self.names.cluster, vpc=self.private_network, security_groups=[]
            ),
            service_name=self.names.service("search"),
            task_definition=definition,
            desired_count=1,
            # See the class: never two at once, not even for a moment.
            min_healthy_percent=0,
            max_healthy_percent=100,
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
            # Earlier versions know no access points and no IAM (ECS Developer Guide, "Fargate platform versions").
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            security_groups=[
                ec2.SecurityGroup.from_security_group_id(
                    self, "ServerGroup", self.read(self.names.search_server_security_group), mutable=False
                )
            ],
            vpc_subnets=ec2.SubnetSelection(subnets=self.private_network.private_subnets),
            assign_public_ip=False,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT" if compute.spot else "FARGATE", weight=1)
            ],
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            enable_ecs_managed_tags=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            cloud_map_options=self.found_as("search"),
        )

    def _memory_alarm(self, service: ecs.FargateService) -> None:
        """Fire before the index no longer fits: Typesense refuses writes, or is killed, when the memory is full."""
        self.alarm(
            "Memory",
            "search-memory",
            alarm_description="The search server's memory is nearly full: give [search] memory more.",
            metric=service.metric_memory_utilization(statistic="Maximum", period=cdk.Duration.minutes(5)),
            threshold=85,
            evaluation_periods=3,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        )

    @cached_property
    def _key(self) -> secretsmanager.ISecret:
        return secretsmanager.Secret.from_secret_complete_arn(self, "Key", self.read(self.names.search_key_arn))

    def _mount(self) -> Grant:
        """Allow to mount and to write, through the access point alone; not to be root there."""
        file_system = self.format_arn(
            service="elasticfilesystem",
            resource="file-system",
            resource_name=self.read(self.names.search_file_system_id),
        )
        access_point = self.format_arn(
            service="elasticfilesystem",
            resource="access-point",
            resource_name=self.read(self.names.search_access_point_id),
        )
        return Grant(
            ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"),
            (file_system,),
            conditions={"StringEquals": {"elasticfilesystem:AccessPointArn": access_point}},
        )

    def _role(self, id: str, purpose: str, grants: list[Grant]) -> iam.Role:
        """Create a role outside the path of those that the deployer may pass: this is none of its services."""
        return task_role(self, id, grants, description=f"{purpose} of {self.names.service('search')}")
