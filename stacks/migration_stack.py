"""The migration: a task definition that each code deploy runs once, before any service moves."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config import EnvironmentConfig
from stacks.environment_stack import EnvironmentStack
from stacks.image import MIGRATION
from stacks.task import TaskDefinitions, Workload
from statemachine.permissions import Grant


class MigrationStack(EnvironmentStack):
    """The task definition of the migration, and its registry parameter; nothing in it runs by itself.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "migration"
    PURPOSE = "The data migration"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        table = self.format_arn(service="dynamodb", resource="table", resource_name=self.names.pools_table)
        calls = ("GetItem", "PutItem", "UpdateItem", "Query")
        tasks = TaskDefinitions(
            self,
            "Migration",
            Workload(
                MIGRATION,
                settings.migration,
                environment={"POOLS_TABLE": self.names.pools_table},
                grants=[Grant(tuple(f"dynamodb:{call}" for call in calls), (table,))],
                health_check=False,
            ),
        )
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
                    "container": tasks.container,
                    "repository": self.names.repository,
                    "subnets": self.read_list(self.names.private_subnet_ids, settings.network.availability_zones),
                    "securityGroups": [self.read(self.names.task_security_group)],
                },
                sort_keys=True,
            ),
        )
        registration.node.add_dependency(tasks.definition)
