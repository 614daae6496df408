"""The migration where there is a PostgreSQL cluster: the same task, with a way to the database."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from config import EnvironmentConfig
from stacks.application.migration_stack import migration_workload
from stacks.constructs.task import TaskDefinitions
from stacks.environment_stack import EnvironmentStack


class DbMigrationStack(EnvironmentStack):
    """The task definition of the migration, with the address of the database and the master user's secret.

    ``MigrationStack`` registers it: an environment has one migration, whose program brings the database and the table
    to what the release expects (docs/explanation/decisions/0014).

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "db-migration"
    PURPOSE = "The migration of the database"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        names = self.names
        master = secretsmanager.Secret.from_secret_complete_arn(
            self, "MasterUser", self.read(names.database_secret_arn)
        )
        database = {
            "DATABASE_HOST": self.read(names.database_endpoint),
            "DATABASE_PORT": self.read(names.database_port),
            "DATABASE_NAME": names.database_name,
        }
        secrets = {
            "DATABASE_USER": ecs.Secret.from_secrets_manager(master, "username"),
            "DATABASE_PASSWORD": ecs.Secret.from_secrets_manager(master, "password"),
        }
        TaskDefinitions(self, "Migration", migration_workload(self, environment=database, secrets=secrets))
