"""The task definition of a workload, and the placeholder that stands in for it until code was deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from config.platform import MigrationSettings, Task
from stacks.constructs.carried_image import PLACEHOLDER_IMAGE, resolve
from stacks.environment_stack import EnvironmentStack
from stacks.names import API_PORT
from statemachine.iam import NO_RESOURCE, Grant, acknowledge, acknowledge_wildcards, task_role

USER = "10001:10001"
"""The user and group of the image (``Dockerfile``); root could write where the file system is not read-only."""

PLACEHOLDER_SERVER = """\
import http.server
class Placeholder(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"no code was deployed yet"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", PORT), Placeholder).serve_forever()
"""

WRITABLE = ("/tmp",)  # noqa: S108 (a volume of the task, not a file of this machine)
EXEC_WRITES = ("/var/lib/amazon", "/var/log/amazon")
"""Where the agent of ECS Exec writes; with the root file system read-only these have to be volumes.

AWS promises nothing: "the SSM agent requires that the container file system is able to be written to" (ECS Developer
Guide, "Monitor Amazon ECS containers with ECS Exec"). That volumes are enough is others' experience
(aws/containers-roadmap#1359).
"""


@dataclass(frozen=True)
class Workload:
    """What is special about one workload.

    Attributes
    ----------
    name
        One of ``image.WORKLOADS``; also the role that the container is told to play.
    size
        Its section of the config.
    environment
        Environment variables beside those that all have.
    grants
        What its task may do in AWS.
    uses_subgraph
        Whether it gets the API keys of the subgraphs.
    secrets
        Environment variables beside those keys that hold secrets.
    health_check
        Whether the container is asked for its health; a one-off task is not.
    """

    name: str
    size: Task | MigrationSettings
    environment: Mapping[str, str] = field(default_factory=dict)
    grants: Sequence[Grant] = ()
    uses_subgraph: bool = False
    secrets: Mapping[str, ecs.Secret] = field(default_factory=dict)
    health_check: bool = True


class TaskDefinitions(Construct):
    """The task definition of a workload in its own family, and its placeholder in another.

    A code deploy copies the family's newest revision and changes its image alone, so everything else in it
    must be right for the application from the beginning. What runs before there is an image needs another
    command and no secrets; it therefore has a family of its own, ``<family>-placeholder``, which exists until
    the first infrastructure deploy after the first code deploy.

    Parameters
    ----------
    scope, id
        In the stack of the workload.
    workload
        The workload.

    Attributes
    ----------
    definition
        The application's.
    in_use
        ARN of what the service runs: the placeholder, or ``definition``.
    container
        The name of the container in both.
    execution_role
        What ECS starts both with.
    """

    def __init__(self, scope: Construct, id: str, workload: Workload) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        assert isinstance(stack, EnvironmentStack)  # noqa: S101 (`resolve` says it to a person)
        self._stack, self._workload = stack, workload
        image = resolve(self, workload.name)
        self.container = stack.names.container(workload.name)
        self._log_group = logs.LogGroup.from_log_group_name(self, "Logs", stack.names.log_group(workload.name))
        self.execution_role = self._role("ExecutionRole", "Starts the tasks", self._start_grants())
        # The log driver itself grants these, on what `acknowledge_wildcards` then answers for.
        write_logs = Grant(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (self._log_group.log_group_arn,),
            wildcard_reason="The log streams of this workload's own group.",
        )
        acknowledge_wildcards(self.execution_role, [write_logs])
        self._task_role = self._role("TaskRole", "Is what the code may do", workload.grants)
        self.definition = self._application(image.uri)
        self.in_use = self.definition.task_definition_arn
        if image.is_pinned and workload.health_check:
            self.in_use = self._placeholder_until_deployed(image.uri)

    def _placeholder_until_deployed(self, image: str) -> str:
        never = cdk.CfnCondition(
            self._stack, "NeverDeployed", expression=cdk.Fn.condition_equals(image, PLACEHOLDER_IMAGE)
        )
        placeholder = self._placeholder().node.default_child
        assert isinstance(placeholder, ecs.CfnTaskDefinition)  # noqa: S101 (default_child knows no types)
        placeholder.cfn_options.condition = never
        return cdk.Token.as_string(
            cdk.Fn.condition_if(never.logical_id, placeholder.ref, self.definition.task_definition_arn)
        )

    def _application(self, image: str) -> ecs.FargateTaskDefinition:
        workload, settings = self._workload, self._stack.settings
        definition = self._definition("Definition", self._stack.names.service(workload.name), self._task_role)
        # An older revision stays ACTIVE when infrastructure makes a new one: it may be what a rollback returns to.
        resource = definition.node.default_child
        assert isinstance(resource, ecs.CfnTaskDefinition)  # noqa: S101 (default_child knows no types)
        resource.cfn_options.update_replace_policy = cdk.CfnDeletionPolicy.RETAIN
        resource.cfn_options.deletion_policy = cdk.CfnDeletionPolicy.DELETE
        container = definition.add_container(
            "Container",
            container_name=self.container,
            image=ecs.ContainerImage.from_registry(image),
            command=[self._role_of_container],
            environment={"APP_ENVIRONMENT": settings.environment, **workload.environment},
            secrets={**(self._secrets() if workload.uses_subgraph else {}), **workload.secrets} or None,
            logging=self._logging(),
            readonly_root_filesystem=True,
            user=USER,
            linux_parameters=ecs.LinuxParameters(self, "Init", init_process_enabled=True),
            stop_timeout=cdk.Duration.seconds(settings.compute.stop_timeout_seconds),
            health_check=self._health_check() if workload.health_check else None,
            port_mappings=self._ports(),
        )
        for index, path in enumerate((*WRITABLE, *(EXEC_WRITES if settings.compute.execute_command else ()))):
            definition.add_volume(name=f"writable{index}")
            container.add_mount_points(
                ecs.MountPoint(container_path=path, source_volume=f"writable{index}", read_only=False)
            )
        return definition

    def _placeholder(self) -> ecs.FargateTaskDefinition:
        """Serve 200 on the same port under the same container name, and end at once on SIGTERM: init does."""
        family = f"{self._stack.names.service(self._workload.name)}-placeholder"
        definition = self._definition("Placeholder", family, None)
        definition.add_container(
            "Container",
            container_name=self.container,
            image=ecs.ContainerImage.from_registry(PLACEHOLDER_IMAGE),
            command=["python", "-c", PLACEHOLDER_SERVER.replace("PORT", str(API_PORT))],
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
            logging=self._logging(),
            readonly_root_filesystem=True,
            user=USER,
            linux_parameters=ecs.LinuxParameters(self, "PlaceholderInit", init_process_enabled=True),
            port_mappings=self._ports(),
        )
        return definition

    def _definition(self, id: str, family: str, task_role: iam.IRole | None) -> ecs.FargateTaskDefinition:
        size = self._workload.size
        definition = ecs.FargateTaskDefinition(
            self,
            id,
            family=family,
            cpu=size.cpu,
            memory_limit_mib=size.memory,
            execution_role=self.execution_role,
            task_role=task_role or self._task_role,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        acknowledge(
            definition, "AwsSolutions-ECS2", "Names and intervals, no secrets: those come from Secrets Manager by ARN."
        )
        return definition

    @property
    def _role_of_container(self) -> str:
        return "migrate" if self._workload.name == "migration" else self._workload.name

    def _ports(self) -> list[ecs.PortMapping] | None:
        # Named, so that the load balancer, the service and Cloud Map mean the same port.
        return [ecs.PortMapping(name="http", container_port=API_PORT)] if self._workload.name == "api" else None

    def _health_check(self) -> ecs.HealthCheck:
        """Ask the application itself, with what is in its image.

        Worked example: a task that hangs is replaced after 3 failed checks, 3 x 10 = 30 s; a new one has
        15 s to start before a failed check counts.
        """
        return ecs.HealthCheck(
            command=["CMD", "python", "-m", "app", "health"],
            interval=cdk.Duration.seconds(10),
            timeout=cdk.Duration.seconds(5),
            retries=3,
            start_period=cdk.Duration.seconds(15),
        )

    def _logging(self) -> ecs.LogDriver:
        """Write to the group that compute-shared made; a slow CloudWatch must not stop the application."""
        return ecs.LogDrivers.aws_logs(
            log_group=self._log_group,
            stream_prefix="ecs",
            mode=ecs.AwsLogDriverMode.NON_BLOCKING,
            max_buffer_size=cdk.Size.mebibytes(4),
        )

    def _secrets(self) -> dict[str, ecs.Secret]:
        secret = secretsmanager.Secret.from_secret_complete_arn(
            self, "SubgraphKeys", self._stack.read(self._stack.names.subgraph_keys_arn)
        )
        return {
            "THEGRAPH_BALANCER_KEY": ecs.Secret.from_secrets_manager(secret, "thegraph_balancer"),
            "THEGRAPH_FANTOM_KEY": ecs.Secret.from_secrets_manager(secret, "thegraph_fantom"),
        }

    def _start_grants(self) -> list[Grant]:
        """Allow what ECS does before the code runs: pull the image, open the log (secrets: `ecs.Secret` adds them)."""
        stack = self._stack
        repository = stack.format_arn(service="ecr", resource="repository", resource_name=stack.names.repository)
        return [
            Grant(("ecr:GetAuthorizationToken",), ("*",), wildcard_reason=NO_RESOURCE),
            Grant(
                ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"), (repository,)
            ),
        ]

    def _role(self, id: str, purpose: str, grants: Sequence[Grant]) -> iam.Role:
        """Create a role below the path that the deployer may pass, and nothing else may be."""
        return task_role(
            self,
            id,
            grants,
            path=self._stack.names.role_path,
            description=f"{purpose} of {self._stack.names.service(self._workload.name)}",
        )
