"""What has to be there before anything is deployed: images have a place, workflows a role, parameters a value."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.carried_image import PLACEHOLDER_IMAGE, WORKLOADS
from stacks.constructs.seeded_parameters import SeededParameters
from stacks.deployer_grants import (
    BOOTSTRAP_ROLES,
    assume_cdk_roles,
    hold_lock,
    look_at_and_free_stacks,
    look_at_the_account,
)
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import NO_RESOURCE, Grant, role
from statemachine.steps import machine_name

GITHUB = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"

MOVING_TAGS = "*-latest"
"""``dev-latest``, ``production-latest``: one tag per environment that moves; every other tag stays what it is."""
MOVING_TAGS_KEPT = 100
"""More than there are environments, so the rule with it never expires anything; it is there to protect."""
UNTAGGED_DAYS = 7

NO_TAG = "none"
"""The current tag before the first code deploy."""

CODE_HOURS = 1
INFRA_HOURS = 2
"""How long a session lasts. A job that deploys infrastructure signs calls to its end, for the lock and for each stack:
its session lasts as long as the job may. A job that follows an execution renews its own."""


class BootstrapStack(EnvironmentStack):
    """The ECR repository, GitHub's identity provider, the roles of its workflows, and the deployment parameters.

    Repository and provider exist once in an account, so one environment's config creates them for all; for the
    others they have to be there already. Both outlive the stack. To create it again, import them
    (``cdk import``), or switch ``creates_repository`` and ``creates_oidc_provider`` off.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "bootstrap"
    PURPOSE = "Images, workflow roles and deployment parameters"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        if settings.bootstrap.creates_repository:
            self._repository()
        # Without a repository nobody is trusted: an example's name would be somebody's.
        if settings.github.repository:
            provider = self._provider_arn()
            self._workflow_role(
                "Code",
                self.names.code_role,
                provider,
                github_environment=settings.environment,
                session_hours=CODE_HOURS,
                grants=self._code_grants(),
            )
            self._workflow_role(
                "Infra",
                self.names.infra_role,
                provider,
                github_environment=f"{settings.environment}-infra",
                session_hours=INFRA_HOURS,
                grants=self._infra_grants(),
            )
        SeededParameters(
            self,
            "DeploymentParameters",
            values={
                settings.identity.tag_parameter: NO_TAG,
                **{f"{settings.identity.images_path}{name}": PLACEHOLDER_IMAGE for name in WORKLOADS},
            },
        )

    def _repository(self) -> None:
        ecr.Repository(
            self,
            "Repository",
            repository_name=self.names.repository,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE_WITH_EXCLUSION,
            image_tag_mutability_exclusion_filters=[ecr.ImageTagMutabilityExclusionFilter.wildcard(MOVING_TAGS)],
            encryption=ecr.RepositoryEncryption.AES_256,
            lifecycle_rules=[
                # "An image that matches the tagging requirements of a rule cannot be expired by a rule with a
                # lower priority" (ECR User Guide, "Lifecycle policies"): what carries an environment's moving
                # tag is out of the reach of the rules below, however many pushes to dev come after it.
                ecr.LifecycleRule(
                    description="Protects what the environments' moving tags name",
                    tag_pattern_list=[MOVING_TAGS],
                    max_image_count=MOVING_TAGS_KEPT,
                ),
                ecr.LifecycleRule(
                    description="Layers and parts of manifests that nothing names any more",
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=cdk.Duration.days(UNTAGGED_DAYS),
                ),
                # By number and not by age: an image must not expire because nobody pushes. Production runs an
                # older image than dev pushes, and a rollback wants one that is older still. Worked example: with
                # ten merges a day, 200 images are twenty working days; production has to be deployed at least
                # that often, or its image has to carry `production-latest`.
                ecr.LifecycleRule(
                    description="Releases, for deployments and rollbacks",
                    tag_pattern_list=["sha-*"],
                    max_image_count=self.settings.bootstrap.keep_images,
                ),
            ],
            # Images are the releases: no stack's end may take them along.
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )

    # Who may come from GitHub.

    def _provider_arn(self) -> str:
        if self.settings.bootstrap.creates_oidc_provider:
            # Without thumbprints: AWS trusts GitHub's certificates by their root (IAM User Guide, "Obtain the
            # thumbprint for an OpenID Connect identity provider").
            return iam.OidcProviderNative(
                self,
                "GitHub",
                url=f"https://{GITHUB}",
                client_ids=[AUDIENCE],
                # The roles of all environments in the account trust it.
                removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            ).oidc_provider_arn
        return self.format_arn(service="iam", region="", resource="oidc-provider", resource_name=GITHUB)

    def _workflow_role(
        self,
        id: str,
        name: str,
        provider: str,
        *,
        github_environment: str,
        session_hours: int,
        grants: list[Grant],
    ) -> None:
        """Create a role for the jobs of one GitHub environment, which can ask reviewers before a job gets it.

        The subject is compared as a whole. Repositories that GitHub created since July 2026 put ids into theirs
        ("Immutable subject claims"); then ``[github] repository`` is ``owner@<id>/name@<id>``.
        """
        subject = f"repo:{self.settings.github.repository}:environment:{github_environment}"
        created = role(
            self,
            f"{id}Role",
            grants,
            role_name=name,
            description=f"For jobs of the GitHub environment {github_environment}",
            assumed_by=iam.WebIdentityPrincipal(
                provider, {"StringEquals": {f"{GITHUB}:aud": AUDIENCE, f"{GITHUB}:sub": subject}}
            ),
            max_session_duration=cdk.Duration.hours(session_hours),
        )
        cdk.CfnOutput(
            self, f"{id}RoleArn", value=created.role_arn, description=f"role-to-assume of {github_environment}"
        )

    def _code_grants(self) -> list[Grant]:
        """Allow pushing an image and starting the machine; whatever a deployment does, the machine does."""
        machine = machine_name(self.settings.identity)
        colon = cdk.ArnFormat.COLON_RESOURCE_NAME
        machine_arn = self.format_arn(
            service="states", resource="stateMachine", resource_name=machine, arn_format=colon
        )
        executions = self.format_arn(
            service="states", resource="execution", resource_name=f"{machine}:*", arn_format=colon
        )
        # ECR User Guide, "IAM permissions for pushing an image".
        pushing = ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload")
        pulling = ("BatchGetImage", "GetDownloadUrlForLayer", "DescribeImages")
        return [
            Grant(("ecr:GetAuthorizationToken",), ("*",), wildcard_reason=NO_RESOURCE),
            Grant(tuple(f"ecr:{call}" for call in (*pushing, "PutImage", *pulling)), (self._repository_arn,)),
            Grant(("states:StartExecution", "states:ListExecutions"), (machine_arn,)),
            Grant(
                ("states:DescribeExecution", "states:GetExecutionHistory"),
                (executions,),
                wildcard_reason="Executions of this one state machine; each has a name of its own.",
            ),
        ]

    def _infra_grants(self) -> list[Grant]:
        """Allow ``stepship infra deploy``, and telling the parameters when it carried an image that somebody named.

        CloudFormation creates the resources, with its own role from ``cdk bootstrap``.
        """
        identity = self.settings.identity
        parameters = (identity.tag_parameter, *(f"{identity.images_path}{name}" for name in WORKLOADS))
        return [
            assume_cdk_roles(self, *BOOTSTRAP_ROLES),
            *hold_lock(self, self.settings),
            look_at_and_free_stacks(self, self.settings),
            *look_at_the_account(self),
            Grant(("ecr:DescribeImages",), (self._repository_arn,)),
            Grant(
                ("ssm:PutParameter",),
                tuple(
                    self.format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
                    for name in parameters
                ),
            ),
        ]

    @property
    def _repository_arn(self) -> str:
        return self.format_arn(service="ecr", resource="repository", resource_name=self.names.repository)
