"""The migration: a task definition that each code deploy runs once, before any service moves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.carried_image import MIGRATION
from stacks.constructs.task import TaskDefinitions, Workload
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant


class MigrationStack(EnvironmentStack):
    """The migration's catalog parameter, and its task definition; nothing in it runs by itself.

    Where there is a PostgreSQL cluster the task definition needs a way to it, and is ``DbMigrationStack``'s, in the
    same family: what is registered does not change with it (docs/explanation/decisions/0014).

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "migration"
    PURPOSE = "The data migration"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        registration = ssm.StringParameter(
            self,
            "Registration",
            parameter_name=f"{settings.identity.services_path}{MIGRATION}",
            description="Registers the migration for deployments",
            string_value=json.dumps(
                {
                    "kind": "migration",
                    "cluster": self.names.cluster,
                    "family": self.names.service(MIGRATION),
                    "container": self.names.container(MIGRATION),
                    "repository": self.names.repository,
                    "subnets": self.read_list(self.names.private_subnet_ids, settings.network.availability_zones),
                    "securityGroups": [self.read(self.names.task_security_group)],
                },
                sort_keys=True,
            ),
        )
        if not settings.aurora.enabled:
            tasks = TaskDefinitions(self, "Migration", migration_workload(self))
            registration.node.add_dependency(tasks.definition)


def migration_workload(
    stack: EnvironmentStack,
    *,
    environment: Mapping[str, str] | None = None,
    secrets: Mapping[str, ecs.Secret] | None = None,
) -> Workload:
    """Return the migration as a workload of a stack.

    Parameters
    ----------
    stack
        The stack that has its task definition.
    environment, secrets
        Variables beside those of the table.
    """
    table = stack.format_arn(service="dynamodb", resource="table", resource_name=stack.names.pools_table)
    calls = ("GetItem", "PutItem", "UpdateItem", "Query")
    return Workload(
        MIGRATION,
        stack.settings.migration,
        environment={"POOLS_TABLE": stack.names.pools_table, **(environment or {})},
        grants=[Grant(tuple(f"dynamodb:{call}" for call in calls), (table,))],
        secrets=secrets or {},
        health_check=False,
    )
