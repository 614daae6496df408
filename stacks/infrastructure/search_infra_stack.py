"""What the search server stands on: its image's name, its file system, its key, and who may talk to it."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.security_group import from_group, security_group, to_anywhere, to_nowhere, to_range
from stacks.environment_stack import EnvironmentStack
from stacks.names import SEARCH_PORT
from statemachine.iam import acknowledge

NFS = 2049

DATA_USER = 10001
"""User and group that own the data; the access point makes everybody who mounts it this user."""

KEY_LENGTH = 48


class SearchInfraStack(EnvironmentStack):
    """The file system, the key, the security groups and the image parameter of the search server.

    It outlives the server: the service can be destroyed and deployed again, and finds its data. The image is
    Typesense's own, named by version in the config; there is no repository and no build for it.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "search-infra"
    PURPOSE = "Data and key of the search server"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self.publish(self.names.search_image, settings.search.image, "The official image that the search service runs")
        client, server = self._groups()
        self.publish(self.names.search_client_security_group, client, "May talk to the search server")
        self.publish(self.names.search_server_security_group, server, "Lets the clients in")
        self._file_system(server)
        self._key()
        self.log_group("Logs", self.names.log_group("search"))

    def _groups(self) -> tuple[str, str]:
        """Create the groups of the clients and of the server, and return their ids."""
        outside = to_anywhere("HTTPS to anywhere: image, key, logs")
        cidr = self.settings.network.cidr
        client = security_group(
            self,
            "ClientGroup",
            "May talk to the search server: from nowhere",
            egress=[outside, to_range(cidr, SEARCH_PORT, "The search server, by its name")],
        )
        server = security_group(
            self,
            "ServerGroup",
            "The search server: from its clients",
            ingress=[from_group(client, SEARCH_PORT, "Those that may search")],
            egress=[outside, to_range(cidr, NFS, "Its file system")],
        )
        return client, server

    def _file_system(self, server: str) -> None:
        """Create the file system, a way in for one user into one folder, and let the server alone reach it.

        Elastic throughput: an index is small and busy when a task starts, which is what bursting, by size, is worst
        at. Automatic backups are AWS Backup's daily plan, kept for 35 days (EFS User Guide, "Backing up").
        """
        group = security_group(
            self,
            "FileSystemGroup",
            "Data of the search server: from the server",
            ingress=[from_group(server, NFS, "The search server")],
            egress=[to_nowhere("Nowhere")],
        )
        file_system = efs.FileSystem(
            self,
            "Data",
            file_system_name=self.names.service("search"),
            vpc=self.vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=self.vpc.private_subnets),
            security_group=ec2.SecurityGroup.from_security_group_id(self, "FileSystemAccess", group, mutable=False),
            encrypted=True,
            enable_automatic_backups=True,
            throughput_mode=efs.ThroughputMode.ELASTIC,
            file_system_policy=_only_encrypted_and_allowed(),
            removal_policy=self.removal_policy,
        )
        owner = str(DATA_USER)
        access_point = efs.AccessPoint(
            self,
            "DataAccess",
            file_system=file_system,
            path="/typesense",
            create_acl=efs.Acl(owner_uid=owner, owner_gid=owner, permissions="0750"),
            posix_user=efs.PosixUser(uid=owner, gid=owner),
        )
        self.publish(self.names.search_file_system_id, file_system.file_system_id, "The search server's data")
        self.publish(self.names.search_access_point_id, access_point.access_point_id, "The way to the data")

    def _key(self) -> None:
        """Create the API key; CloudFormation makes a new one only when these lines change."""
        secret = secretsmanager.Secret(
            self,
            "Key",
            secret_name=self.names.search_key,
            description="API key of the search server; a new value needs a new task of it",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                exclude_punctuation=True, password_length=KEY_LENGTH
            ),
            removal_policy=self.removal_policy,
        )
        acknowledge(
            secret,
            "AwsSolutions-SMG4",
            "The server reads its key once, at its start: a rotation would lock everybody out until a new task runs.",
        )
        resource = secret.node.default_child
        assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101 (default_child knows no types)
        self.publish(self.names.search_key_arn, resource.attr_id, "The secret with the search server's API key")


def _only_encrypted_and_allowed() -> iam.PolicyDocument:
    """Refuse whoever does not encrypt.

    Any policy at all also ends what EFS grants without one, namely everything to everybody who reaches a mount target
    (EFS User Guide, "Using IAM to control access"); from then on a role has to be allowed to mount.
    """
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[
                    "elasticfilesystem:ClientMount",
                    "elasticfilesystem:ClientRootAccess",
                    "elasticfilesystem:ClientWrite",
                ],
                conditions={"Bool": {"aws:SecureTransport": "false"}},
            )
        ]
    )
