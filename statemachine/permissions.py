"""What each step may do: the table ``PERMISSIONS`` below, one short block per step.

A grant names its resources as narrowly as IAM allows; which action supports which resource is in the
AWS Service Authorization Reference. Where a wildcard stays, the grant says why, and the same words
answer cdk-nag. Names come from ``[permissions]`` and ``[image]`` of the environment's config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import aws_cdk as cdk
from constructs import Construct

from config import EnvironmentConfig
from statemachine import steps
from statemachine.iam import NO_RESOURCE, Grant
from statemachine.steps import Step


class Resources:
    """The resources of one environment, and what can be granted on them.

    Parameters
    ----------
    scope
        Anything in the stack: it gives partition, region and account.
    settings
        The environment.
    """

    def __init__(self, scope: Construct, settings: EnvironmentConfig) -> None:
        self._stack = cdk.Stack.of(scope)
        self._settings = settings

    # DynamoDB: a transaction needs the permissions of its parts (Developer Guide, "IAM and transactions").

    def table(self, *calls: str) -> Grant:
        """Allow calls on the table with the lock and the releases."""
        return Grant(
            tuple(f"dynamodb:{call}" for call in calls),
            (self._arn("dynamodb", "table", self._settings.identity.table),),
        )

    def renew_lease(self) -> Grant:
        """Allow the renewal that stands before every write to the world."""
        return self.table("UpdateItem")

    def end_execution(self) -> list[Grant]:
        """Allow the one transaction that writes the record, moves the live release and frees the lock, and the event.

        The record of a stopped execution is written for it: what it was is read from Step Functions.
        """
        return [self.table("GetItem", "PutItem", "UpdateItem"), self.read_executions(), self.put_events()]

    # Parameters: the registry, the current tag, the current images.

    def read_catalog(self) -> Grant:
        """Allow reading the services that registered themselves.

        IAM is asked for the path that is read, and not for what is below it: "If a user has access to a path, then
        the user can access all levels of that path" (Systems Manager API Reference, GetParametersByPath).
        """
        path = self._settings.identity.services_path
        return Grant(("ssm:GetParametersByPath",), (self._parameter(path.rstrip("/")),))

    def image_parameters(self, *calls: str) -> Grant:
        """Allow calls on the current tag and on the pinned images."""
        identity = self._settings.identity
        return Grant(
            tuple(f"ssm:{call}" for call in calls),
            (self._parameter(identity.tag_parameter), self._parameter(f"{identity.images_path}*")),
            wildcard_reason="One parameter per registered service below this path, and nothing else.",
        )

    def write_images(self) -> Grant:
        """Allow setting and restoring the tag and the images; a new one is restored by deleting it."""
        return self.image_parameters("GetParameters", "PutParameter", "DeleteParameter")

    # What the preflight looks at: that it exists, never what a secret holds.

    def check_parameters(self) -> Grant:
        """Allow asking for the parameters that a task definition names as secrets."""
        prefix = self._settings.permissions.secret_prefix.strip("/")
        return Grant(
            ("ssm:GetParameters",),
            (self._parameter(f"/{prefix}/*"),),
            wildcard_reason="Which parameters there are is in the task definitions; the prefix is this environment's.",
        )

    def check_secrets(self) -> Grant:
        """Allow seeing that a secret exists, without its value."""
        prefix = self._settings.permissions.secret_prefix
        return Grant(
            ("secretsmanager:DescribeSecret",),
            (self._arn("secretsmanager", "secret", f"{prefix}*", colon=True),),
            wildcard_reason="Which secrets there are is in the task definitions; an ARN ends in six random letters.",
        )

    def check_roles(self) -> Grant:
        """Allow seeing that the roles of a task definition exist."""
        return Grant(("iam:GetRole",), (self._roles(),), wildcard_reason=self._ROLES_REASON)

    def check_log_groups(self) -> Grant:
        """Allow seeing that the log groups of a task definition exist."""
        return Grant(("logs:DescribeLogGroups",), ("*",), wildcard_reason=NO_RESOURCE)

    # Images.

    def read_images(self, *calls: str) -> Grant:
        """Allow calls on the repositories of the config."""
        return Grant(
            tuple(f"ecr:{call}" for call in calls),
            tuple(self._arn("ecr", "repository", name) for name in self._settings.image.repositories),
        )

    def read_scans(self) -> list[Grant]:
        """Allow reading what scans have found; what Amazon Inspector has found is asked for with its own permissions.

        ECR User Guide, "Retrieving the findings for enhanced scans".
        """
        findings = ("inspector2:ListCoverage", "inspector2:ListFindings")
        return [self.read_images("DescribeImageScanFindings"), Grant(findings, ("*",), wildcard_reason=NO_RESOURCE)]

    # ECS.

    def read_task_definitions(self) -> Grant:
        """Allow reading task definitions."""
        return Grant(("ecs:DescribeTaskDefinition",), ("*",), wildcard_reason=NO_RESOURCE)

    def services(self, *calls: str) -> Grant:
        """Allow calls on the services of the config's clusters."""
        return Grant(
            tuple(f"ecs:{call}" for call in calls),
            self._in_clusters("service"),
            wildcard_reason="The catalog names the services at run time; the clusters are this environment's.",
        )

    def list_tasks(self) -> Grant:
        """Allow finding the tasks of the config's clusters."""
        return Grant(
            ("ecs:ListTasks",),
            ("*",),
            self._only_clusters(),
            wildcard_reason="Its resource, a container instance, does not exist in Fargate; the cluster is given.",
        )

    def read_service_deployments(self) -> list[Grant]:
        """Allow reading how ECS itself counts a rollout that is in trouble."""
        reason = "The catalog names the services at run time; the clusters are this environment's."
        of_services = self._in_clusters("service")
        return [
            Grant(("ecs:ListServiceDeployments",), of_services, wildcard_reason=reason),
            Grant(
                ("ecs:DescribeServiceDeployments",),
                (*of_services, *self._in_clusters("service-deployment")),
                wildcard_reason=reason,
            ),
        ]

    def read_tasks(self) -> list[Grant]:
        """Allow finding and reading the tasks of the config's clusters."""
        return [
            self.list_tasks(),
            Grant(
                ("ecs:DescribeTasks",),
                self._in_clusters("task"),
                wildcard_reason="ECS chooses the ids of tasks; the clusters are this environment's.",
            ),
        ]

    def register_task_definitions(self) -> list[Grant]:
        """Allow registering revisions with tags and with this environment's roles."""
        reason = "The catalog names the families at run time, and ECS counts the revisions."
        revisions = (self._arn("ecs", "task-definition", "*"),)
        tags_only_then = {"StringEquals": {"ecs:CreateAction": "RegisterTaskDefinition"}}
        return [
            Grant(("ecs:RegisterTaskDefinition",), revisions, wildcard_reason=reason),
            Grant(("ecs:TagResource",), revisions, tags_only_then, wildcard_reason=reason),
            self._pass_roles(),
        ]

    def run_tasks(self) -> list[Grant]:
        """Allow starting the migration in the config's clusters, with this environment's roles."""
        return [
            Grant(
                ("ecs:RunTask",),
                (self._arn("ecs", "task-definition", "*"),),
                self._only_clusters(),
                wildcard_reason="The catalog names the family at run time, and ECS counts the revisions.",
            ),
            self.stop_tasks(),
            self._pass_roles(),
        ]

    def stop_tasks(self) -> Grant:
        """Allow stopping tasks of the config's clusters: a migration that is given up on."""
        return Grant(
            ("ecs:StopTask",),
            self._in_clusters("task"),
            wildcard_reason="ECS chooses the ids of tasks; the clusters are this environment's.",
        )

    # What explains a failure.

    def read_logs(self) -> Grant:
        """Allow reading the last lines of the containers."""
        prefix = self._settings.permissions.log_group_prefix
        return Grant(
            ("logs:GetLogEvents",),
            (self._arn("logs", "log-group", f"{prefix}*:log-stream:*", colon=True),),
            wildcard_reason="Every task has a log stream of its own; the prefix is this environment's.",
        )

    def read_alarms(self) -> Grant:
        """Allow reading alarms, composite ones too."""
        return Grant(
            ("cloudwatch:DescribeAlarms",),
            ("*",),
            wildcard_reason="A narrower resource leaves composite alarms out (API reference, DescribeAlarms).",
        )

    # The rest of the world.

    def read_executions(self) -> Grant:
        """Allow seeing whether the holder of the lock still runs."""
        name = steps.machine_name(self._settings.identity)
        return Grant(
            ("states:DescribeExecution",),
            (self._arn("states", "execution", f"{name}:*", colon=True),),
            wildcard_reason="Executions of this one state machine; their names are not known here.",
        )

    def start_executions(self) -> Grant:
        """Allow starting this one state machine; its ARN is made from its name, for the machine needs the function."""
        name = steps.machine_name(self._settings.identity)
        return Grant(("states:StartExecution",), (self._arn("states", "stateMachine", name, colon=True),))

    def answer_questions(self) -> Grant:
        """Allow ending a question for approval; who knows its token is told by the table."""
        return Grant(("states:SendTaskFailure",), ("*",), wildcard_reason=NO_RESOURCE)

    def put_events(self) -> Grant:
        """Allow our own events on the default bus."""
        return Grant(
            ("events:PutEvents",),
            (self._arn("events", "event-bus", "default"),),
            {"StringEquals": {"events:source": "stepship"}},
        )

    _ROLES_REASON = "The roles of this environment's tasks, by path; their own stacks name them."

    def _pass_roles(self) -> Grant:
        to_tasks = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
        return Grant(("iam:PassRole",), (self._roles(),), to_tasks, wildcard_reason=self._ROLES_REASON)

    def _roles(self) -> str:
        path = self._settings.permissions.role_path.removeprefix("/")
        return self._stack.format_arn(service="iam", region="", resource="role", resource_name=f"{path}*")

    def _parameter(self, name: str) -> str:
        return self._arn("ssm", "parameter", name.removeprefix("/"))

    def _in_clusters(self, resource: str) -> tuple[str, ...]:
        return tuple(self._arn("ecs", resource, f"{name}/*") for name in self._settings.permissions.clusters)

    def _only_clusters(self) -> dict[str, dict[str, object]]:
        clusters = [self._arn("ecs", "cluster", name) for name in self._settings.permissions.clusters]
        return {"ArnEquals": {"ecs:cluster": clusters}}

    def _arn(self, service: str, resource: str, name: str, *, colon: bool = False) -> str:
        separator = cdk.ArnFormat.COLON_RESOURCE_NAME if colon else cdk.ArnFormat.SLASH_RESOURCE_NAME
        return self._stack.format_arn(service=service, resource=resource, resource_name=name, arn_format=separator)


PERMISSIONS: Mapping[Step, Callable[[Resources], list[Grant]]] = {
    steps.VERIFY_IMAGE: lambda resources: [
        resources.read_catalog(),
        resources.read_images("DescribeRepositories", "DescribeImages", "BatchGetImage"),
        *resources.read_scans(),
        resources.read_task_definitions(),
    ],
    steps.ACQUIRE_LOCK: lambda resources: [
        # The whole item is swapped, so that a race is lost cleanly.
        resources.table("GetItem", "PutItem"),
        resources.read_executions(),
        # The recovery from a dead holder, when no event has started it.
        resources.start_executions(),
        # A rollback ends an open question about a deploy.
        resources.answer_questions(),
    ],
    steps.PLAN: lambda resources: [
        resources.read_catalog(),
        resources.image_parameters("GetParameters"),
        resources.check_parameters(),
        resources.check_secrets(),
        resources.check_roles(),
        resources.check_log_groups(),
        resources.services("DescribeServices"),
        resources.read_task_definitions(),
        # A recovery finds the migration that a stopped execution has left running.
        resources.list_tasks(),
        resources.read_images("DescribeImages"),
        resources.read_alarms(),
        resources.table("GetItem", "Query"),
    ],
    steps.REQUEST_APPROVAL: lambda resources: [
        resources.table("PutItem", "UpdateItem"),
        resources.put_events(),
    ],
    steps.UPDATE_IMAGE_TAG: lambda resources: [
        resources.renew_lease(),
        resources.table("GetItem"),
        resources.write_images(),
        resources.services("DescribeServices"),
    ],
    steps.REGISTER_TASK_DEFINITIONS: lambda resources: [
        resources.renew_lease(),
        resources.read_task_definitions(),
        # What a rollback leaves where it is needs no new revision.
        resources.services("DescribeServices"),
        *resources.register_task_definitions(),
    ],
    steps.RUN_MIGRATION: lambda resources: [
        resources.renew_lease(),
        resources.read_task_definitions(),
        *resources.run_tasks(),
        *resources.read_tasks(),
        resources.read_logs(),
    ],
    steps.DEPLOY_WAVE: lambda resources: [
        resources.renew_lease(),
        resources.services("DescribeServices", "UpdateService"),
        # A rollback registers again what was deregistered since the plan.
        resources.read_task_definitions(),
        *resources.register_task_definitions(),
    ],
    steps.CHECK_ROLLOUT: lambda resources: [
        resources.services("DescribeServices"),
        *resources.read_service_deployments(),
        *resources.read_tasks(),
        resources.read_task_definitions(),
        resources.read_logs(),
        resources.read_alarms(),
    ],
    steps.CHECK_HEALTH: lambda resources: [
        resources.services("DescribeServices"),
        *resources.read_tasks(),
        resources.read_task_definitions(),
        resources.read_logs(),
        resources.read_alarms(),
    ],
    steps.COMPLETE: lambda resources: [
        *resources.end_execution(),
        # What somebody changed in mid-rollout is set again.
        resources.image_parameters("GetParameters", "PutParameter"),
    ],
    steps.ROLL_BACK: lambda resources: [
        resources.renew_lease(),
        resources.write_images(),
        resources.services("DescribeServices", "UpdateService"),
        resources.read_task_definitions(),
        # What was deregistered is registered again.
        *resources.register_task_definitions(),
        # A migration that still runs is stopped.
        *resources.read_tasks(),
        resources.stop_tasks(),
    ],
    steps.CHECK_ROLLBACK: lambda resources: [
        resources.image_parameters("GetParameters"),
        resources.services("DescribeServices"),
        resources.read_task_definitions(),
    ],
    steps.RECORD_FAILURE: lambda resources: [
        *resources.end_execution(),
    ],
    steps.RECORD_OUTCOME: lambda resources: [
        *resources.end_execution(),
    ],
}
