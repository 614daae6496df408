"""What both pipelines consist of: builds, actions, a role for each, and notifications."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_codestarnotifications as notifications
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.delivery.pipeline_plan import Failure
from stacks.delivery.pipeline_store import PipelineStore
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant, role

Stage = codepipeline.CfnPipeline.StageDeclarationProperty
Action = codepipeline.CfnPipeline.ActionDeclarationProperty
ActionType = codepipeline.CfnPipeline.ActionTypeIdProperty
Input = codepipeline.CfnPipeline.InputArtifactProperty
Output = codepipeline.CfnPipeline.OutputArtifactProperty
FilePaths = codepipeline.CfnPipeline.GitFilePathFilterCriteriaProperty
Variable = codepipeline.CfnPipeline.VariableDeclarationProperty

NO_RESOURCE_NAME = cdk.ArnFormat.NO_RESOURCE_NAME

SOURCE = "Source"
"""The artifact with the repository."""

EVENTS = (
    *(f"pipeline-execution-{state}" for state in ("started", "succeeded", "failed", "canceled", "resumed")),
    "pipeline-execution-superseded",
    *(f"stage-execution-{state}" for state in ("started", "succeeded", "failed", "canceled", "resumed")),
    *(f"action-execution-{state}" for state in ("started", "succeeded", "failed", "canceled")),
    *(f"manual-approval-{state}" for state in ("needed", "succeeded", "failed")),
)
"""Every state (Developer Tools Console User Guide, "Events for notification rules on pipelines")."""


@dataclass(frozen=True)
class Build:
    """A CodeBuild project.

    Attributes
    ----------
    name
        Of the project, after the environment's prefix, and of its file: ``pipelines/<name>.yml``.
    minutes
        After which it is ended.
    grants
        What its role may do besides reading the source and writing its log.
    environment
        Variables.
    writes
        Whether it has an artifact.
    """

    name: str
    minutes: int
    grants: tuple[Grant, ...] = ()
    environment: Mapping[str, str] | None = None
    writes: bool = False


class DeliveryPipeline(Construct):
    """A pipeline of type V2 whose executions wait for each other; each kind of action has a role of its own.

    Parameters
    ----------
    stack
        Where it stands; the pipeline has the stack's name.
    connection_arn
        The connection to the repository.
    builds
        Its projects.
    actions
        What further kinds of actions may do, by kind: each has a role.
    asks
        Whether a person is asked.
    """

    def __init__(
        self,
        stack: EnvironmentStack,
        *,
        connection_arn: str,
        builds: Sequence[Build],
        actions: Mapping[str, Sequence[Grant]] | None = None,
        asks: bool = False,
    ) -> None:
        super().__init__(stack, "Delivery")
        self._stack, self._settings, self._connection_arn = stack, stack.settings.pipeline, connection_arn
        self.name = stack.names.stack(stack.PART)
        self._store = PipelineStore(self, stack, self.name)
        names = [self._build(each) for each in builds]
        # The prefix was renamed; a connection of either name is used with its own.
        use = ("codeconnections:UseConnection", "codestar-connections:UseConnection")
        roles: dict[str, Sequence[Grant]] = {
            "source": [Grant(use, (connection_arn,)), *self._store.artifacts(write=True)],
            "build": [
                Grant(
                    ("codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"),
                    tuple(
                        stack.format_arn(service="codebuild", resource="project", resource_name=each) for each in names
                    ),
                )
            ],
            **(actions or {}),
        }
        if asks:
            roles["approve"] = self._store.telling()
        self._role = role(
            self,
            "Role",
            [
                *self._store.artifacts(write=True),
                Grant(("sts:AssumeRole",), tuple(self._action_role(kind) for kind in roles)),
            ],
            role_name=f"{self.name}-pipeline",
            assumed_by=iam.ServicePrincipal("codepipeline.amazonaws.com"),
        )
        # The pipeline's own role does nothing but assume these.
        self._action_roles = [
            role(
                self,
                f"{kind.title()}ActionRole",
                grants,
                role_name=self._action_role(kind).rpartition("/")[2],
                assumed_by=iam.ArnPrincipal(self._role.role_arn),
            )
            for kind, grants in roles.items()
        ]

    # Builds.

    def _build(self, build: Build) -> str:
        name = f"{self.name}-{build.name}"
        id = build.name.title().replace("-", "")
        group = self._stack.log_group(f"{id}Log", f"/aws/codebuild/{name}", scope=self)
        cache = f"cache/{build.name}"
        grants = [
            Grant(
                ("logs:CreateLogStream", "logs:PutLogEvents"),
                (f"{group.log_group_arn}:*",),
                wildcard_reason="Streams of this one group; each build has its own.",
            ),
            *self._store.artifacts(write=build.writes),
            Grant(
                ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"),
                (f"{self._store.bucket.bucket_arn}/{cache}/*",),
                wildcard_reason="Its own cache, which no other build reads.",
            ),
            *build.grants,
        ]
        variables = {"APP": self._stack.settings.app, "ENVIRONMENT": self._stack.settings.environment}
        project = codebuild.PipelineProject(
            self,
            id,
            project_name=name,
            build_spec=codebuild.BuildSpec.from_source_filename(f"pipelines/{build.name}.yml"),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
                compute_type=codebuild.ComputeType.SMALL,
                environment_variables={
                    key: codebuild.BuildEnvironmentVariable(value=value)
                    for key, value in {**variables, **(build.environment or {})}.items()
                },
            ),
            cache=codebuild.Cache.bucket(self._store.bucket, prefix=cache),
            encryption_key=self._store.key,
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=group)),
            timeout=cdk.Duration.minutes(build.minutes),
            # What it may do is in the grants; the CDK would add more.
            role=role(
                self, f"{id}Role", grants, assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com")
            ).without_policy_updates(),
        )
        return project.project_name

    # The pipeline.

    def _action_role(self, kind: str) -> str:
        return self._stack.format_arn(service="iam", region="", resource="role", resource_name=f"{self.name}-{kind}")

    def source(self) -> Stage:
        """Return the stage that fetches the repository; the trigger of ``deliver`` says when."""
        return Stage(
            name="source",
            actions=[
                self.action(
                    "source",
                    "source",
                    ActionType(category="Source", owner="AWS", provider="CodeStarSourceConnection", version="1"),
                    {
                        "ConnectionArn": self._connection_arn,
                        "FullRepositoryId": self._settings.repository,
                        "BranchName": self._settings.branch,
                        "OutputArtifactFormat": "CODE_ZIP",
                        "DetectChanges": "false",
                    },
                    outputs=(SOURCE,),
                )
            ],
        )

    def build_action(
        self,
        name: str,
        *,
        project: str | None = None,
        order: int = 1,
        inputs: Sequence[str] = (SOURCE,),
        outputs: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Action:
        """Return an action that runs a build.

        Parameters
        ----------
        name
            Of the action.
        project
            As ``Build.name``; the action's own name when left out.
        order
            Actions of a stage with the same order run at once.
        inputs, outputs
            Names of artifacts; the first input is where the build begins.
        variables
            For this action alone.
        """
        settings = {"ProjectName": f"{self.name}-{project or name}"}
        if len(inputs) > 1:
            settings["PrimarySource"] = inputs[0]
        if variables:
            given = [{"name": key, "value": value, "type": "PLAINTEXT"} for key, value in variables.items()]
            settings["EnvironmentVariables"] = json.dumps(given)
        kind = ActionType(category="Build", owner="AWS", provider="CodeBuild", version="1")
        return self.action(name, "build", kind, settings, order=order, inputs=inputs, outputs=outputs)

    def ask(self, name: str, question: str, order: int) -> Action:
        """Return an action that waits for a person's yes."""
        kind = ActionType(category="Approval", owner="AWS", provider="Manual", version="1")
        settings = {"NotificationArn": self._store.topic.topic_arn, "CustomData": question}
        minutes = self._settings.approval_timeout_minutes
        return self.action(name, "approve", kind, settings, order=order, timeout_in_minutes=minutes)

    def action(
        self,
        name: str,
        role_kind: str,
        kind: ActionType,
        configuration: Mapping[str, str],
        *,
        order: int = 1,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        timeout_in_minutes: int | None = None,
    ) -> Action:
        """Return an action that runs with the role of its kind."""
        return Action(
            name=name,
            action_type_id=kind,
            configuration=dict(configuration),
            input_artifacts=[Input(name=each) for each in inputs] or None,
            output_artifacts=[Output(name=each) for each in outputs] or None,
            run_order=order,
            role_arn=self._action_role(role_kind),
            timeout_in_minutes=timeout_in_minutes,
        )

    def deliver(
        self, stages: Sequence[Stage], paths: FilePaths, variables: Sequence[Variable] = ()
    ) -> codepipeline.CfnPipeline:
        """Create the pipeline, and tell the topic of its every state.

        Parameters
        ----------
        stages
            The first is that of ``source``.
        paths
            Which changed files start it, on the branch.
        variables
            What whoever starts it may say.
        """
        branches = codepipeline.CfnPipeline.GitBranchFilterCriteriaProperty(includes=[self._settings.branch])
        push = codepipeline.CfnPipeline.GitPushFilterProperty(branches=branches, file_paths=paths)
        pipeline = codepipeline.CfnPipeline(
            self,
            "Pipeline",
            name=self.name,
            pipeline_type="V2",
            # One after the other: a run that a newer one overtakes would leave a stage half as new as the rest.
            execution_mode="QUEUED",
            role_arn=self._role.role_arn,
            artifact_store=codepipeline.CfnPipeline.ArtifactStoreProperty(
                type="S3",
                location=self._store.bucket.bucket_name,
                encryption_key=codepipeline.CfnPipeline.EncryptionKeyProperty(type="KMS", id=self._store.key.key_arn),
            ),
            stages=list(stages),
            triggers=[
                codepipeline.CfnPipeline.PipelineTriggerDeclarationProperty(
                    provider_type="CodeStarSourceConnection",
                    git_configuration=codepipeline.CfnPipeline.GitConfigurationProperty(
                        source_action_name="source", push=[push]
                    ),
                )
            ],
            variables=list(variables) or None,
        )
        # Actions know their roles by name alone, and CodePipeline refuses a definition with roles that are not there.
        pipeline.node.add_dependency(*self._action_roles)
        notifications.CfnNotificationRule(
            self,
            "Rule",
            name=self.name,
            detail_type="FULL",
            resource=self._stack.format_arn(service="codepipeline", resource=pipeline.ref, arn_format=NO_RESOURCE_NAME),
            event_type_ids=[f"codepipeline-pipeline-{each}" for each in EVENTS],
            targets=[
                notifications.CfnNotificationRule.TargetProperty(
                    target_type="SNS", target_address=self._store.topic.topic_arn
                )
            ],
        )
        return pipeline


def failure(answer: Failure) -> codepipeline.CfnPipeline.FailureConditionsProperty | None:
    """Return what a stage does when one of its actions has failed."""
    if answer == Failure.NONE:
        return None
    again = codepipeline.CfnPipeline.RetryConfigurationProperty(retry_mode="FAILED_ACTIONS")
    return codepipeline.CfnPipeline.FailureConditionsProperty(
        result=answer.value, retry_configuration=again if answer == Failure.RETRY else None
    )
