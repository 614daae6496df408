"""The pipeline that brings the infrastructure of an environment from its repository, and code when it is told to."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_codeconnections as codeconnections
from aws_cdk import aws_codepipeline as codepipeline
from constructs import Construct

from config import EnvironmentConfig
from stacks.delivery.pipeline import (
    SOURCE,
    Action,
    ActionType,
    Build,
    DeliveryPipeline,
    FilePaths,
    Stage,
    Variable,
    failure,
)
from stacks.delivery.pipeline_plan import SCANS, PipelineStage, plan
from stacks.deployer_grants import BOOTSTRAP_ROLES, assume_cdk_roles, hold_lock
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant
from statemachine.permissions import Resources
from statemachine.steps import machine_name

ASSEMBLY = "Assembly"
"""The artifact with the templates and assets: synthesised once, deployed by every stage."""

NO_CODE = "none"
"""What the variable ``imageTag`` says when no code is to be deployed; a variable must say something."""

NOT_INFRASTRUCTURE = ("docs/**", "**/*.md", "tests/**", "workload/frontend/site/**")
"""What changes nothing that this pipeline deploys (a filter has at most eight patterns, CodePipeline User Guide)."""

CONNECTION_NAME_LENGTH = 32
"""CodeConnections API reference, ``CreateConnection``."""

QUESTION = "The action before this one shows what would change. Approve it, and all stages are deployed."


class CicdStack(EnvironmentStack):
    """A CodePipeline of type V2, its projects and roles, and the connection to the repository.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "cicd"
    PURPOSE = "The pipeline of the infrastructure"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        connection = self._connection()
        self.publish(self.names.connection_arn, connection, "The connection to the repository")
        stages = plan(settings)
        self._delivery = DeliveryPipeline(
            self,
            connection_arn=connection,
            builds=self._builds(),
            actions={"code": self._code_grants()},
            asks=settings.is_production,
        )
        self._delivery.deliver(
            [self._delivery.source(), *(self._stage(each) for each in stages if each.name != "source")],
            FilePaths(excludes=list(NOT_INFRASTRUCTURE)),
            [
                Variable(
                    name="imageTag",
                    default_value=NO_CODE,
                    description="A tag in ECR that is deployed after the infrastructure; none for no code",
                )
            ],
        )

    def _connection(self) -> str:
        """Return the connection's ARN; a new one is pending until a person has completed it in the console."""
        if self.settings.pipeline.connection_arn:
            return self.settings.pipeline.connection_arn
        made = codeconnections.CfnConnection(
            self,
            "Connection",
            connection_name=self.names.prefix[:CONNECTION_NAME_LENGTH],
            provider_type="GitHub",
        )
        return made.attr_connection_arn

    # What it may do.

    def _builds(self) -> list[Build]:
        show = [Build("show-changes", 15, (assume_cdk_roles(self, "lookup"),))] if self.settings.is_production else []
        return [
            *(Build(scan, 15) for scan in SCANS),
            Build("synth", 15, writes=True),
            Build("scan-templates", 15),
            *show,
            # CloudFormation gives up on its own long before: an Aurora cluster takes some fifteen minutes.
            Build("deploy-stack", 120, (assume_cdk_roles(self, *BOOTSTRAP_ROLES), *hold_lock(self, self.settings))),
        ]

    @property
    def _machine_arn(self) -> str:
        return self.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=machine_name(self.settings.identity),
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _code_grants(self) -> list[Grant]:
        return [
            Grant(("states:StartExecution", "states:DescribeStateMachine"), (self._machine_arn,)),
            Resources(self, self.settings).read_executions(),
        ]

    # Stages.

    def _stage(self, stage: PipelineStage) -> Stage:
        actions = [self._action(stage, name, order) for order, group in enumerate(stage.actions, 1) for name in group]
        before = _only_with_an_image() if stage.name == "code" else None
        return Stage(name=stage.name, actions=actions, on_failure=failure(stage.failure), before_entry=before)

    def _action(self, stage: PipelineStage, name: str, order: int) -> Action:
        if stage.deploys:
            return self._delivery.build_action(
                name,
                project="deploy-stack",
                order=order,
                inputs=(SOURCE, ASSEMBLY),
                variables={"PART": name, "RUN": "#{codepipeline.PipelineExecutionId}"},
            )
        if name == "approve":
            return self._delivery.ask(name, QUESTION, order)
        if name == "deploy-code":
            return self._deploy_code(name)
        inputs = (SOURCE, ASSEMBLY) if name in ("scan-templates", "show-changes") else (SOURCE,)
        return self._delivery.build_action(
            name, order=order, inputs=inputs, outputs=(ASSEMBLY,) if name == "synth" else ()
        )

    def _deploy_code(self, name: str) -> Action:
        """Start the coordinator's machine, and wait for it: a deployment that was rolled back fails the action."""
        wish = {
            "action": "deploy",
            "imageTag": "#{variables.imageTag}",
            "environment": self.settings.environment,
            "requestedBy": "pipeline:#{codepipeline.PipelineExecutionId}",
            "reason": "the pipeline was started with this tag",
        }
        return self._delivery.action(
            name,
            "code",
            ActionType(category="Invoke", owner="AWS", provider="StepFunctions", version="1"),
            {"StateMachineArn": self._machine_arn, "InputType": "Literal", "Input": json.dumps(wish)},
        )


def _only_with_an_image() -> codepipeline.CfnPipeline.BeforeEntryConditionsProperty:
    """Skip the stage unless whoever started the pipeline has named an image."""
    pipeline = codepipeline.CfnPipeline
    rule = pipeline.RuleDeclarationProperty(
        name="an-image-was-named",
        rule_type_id=pipeline.RuleTypeIdProperty(category="Rule", owner="AWS", provider="VariableCheck", version="1"),
        configuration={"Variable": "#{variables.imageTag}", "Operator": "NE", "Value": NO_CODE},
    )
    return pipeline.BeforeEntryConditionsProperty(conditions=[pipeline.ConditionProperty(result="SKIP", rules=[rule])])
