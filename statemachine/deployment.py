"""The construct ``CodeDeployment``: functions, state machine, table, rules, and the topic for on-call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from config import EnvironmentConfig
from statemachine import packaging, triggers
from statemachine.definition import deployment_flow
from statemachine.iam import NO_RESOURCE, Grant, acknowledge, role
from statemachine.permissions import PERMISSIONS, Resources
from statemachine.protection import protect
from statemachine.steps import STEPS, Step, machine_name
from statemachine.undelivered import UndeliveredEvents
from statemachine.unrecovered import UnrecoveredExecutions

MEMORY_MB = 256
"""Half the default of the tools and twice Lambda's minimum: the CPU comes with the memory, and at 128 MB a
cold start, which is all import time, takes twice as long for the same price."""

DELIVERY_ATTEMPTS = 185
LONGEST_DELIVERY = cdk.Duration.hours(24)
"""EventBridge's own limits (User Guide, "Retry policy"): a rollback that comes late is better than none."""
PUSH_DELIVERY = cdk.Duration.hours(1)
"""An image that was pushed longer ago may be older than what runs by now: a person decides."""

RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    2192: logs.RetentionDays.SIX_YEARS,
    2557: logs.RetentionDays.SEVEN_YEARS,
    2922: logs.RetentionDays.EIGHT_YEARS,
    3288: logs.RetentionDays.NINE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
"""The CDK's name of each value that `machine.log_retention_days` may have (config/rules.py); a test reads them back."""

PLACEHOLDER = re.compile(r"<(\w+)>")


class CodeDeployment(Construct):
    """Everything that one environment needs to deploy code.

    Parameters
    ----------
    scope, id
        Where the construct stands.
    settings
        The environment.

    Attributes
    ----------
    machine
        The state machine ``<app>-<environment>-deploy``.
    functions
        The function of every step.
    table
        The lock and the releases.
    alerts
        The topic to which whoever is on call subscribes.
    approvals
        The topic to which those subscribe who approve deployments, where an approval is required.
    """

    def __init__(self, scope: Construct, id: str, *, settings: EnvironmentConfig) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._identity = settings.identity
        self._world = Resources(self, settings)
        self.table = self._table()
        self._code = packaging.code()
        self.functions: Mapping[Step, lambda_.Function] = {step: self._function(step) for step in STEPS}
        self.machine = self._machine()
        self.alerts = self._alerts()
        prefix = f"{self._identity.app}-{self._identity.environment}"
        undelivered = UndeliveredEvents(self, "Events", name=f"{prefix}-undelivered-events")
        unrecovered = UnrecoveredExecutions(
            self, "Unrecovered", name=f"{prefix}-unrecovered-executions", machine=self.machine, settings=settings
        )
        for each in (undelivered, unrecovered):
            self._let_it_tell(each.alarm)
        self._undelivered = undelivered.queue
        self._start_when_an_execution_stopped()
        self._start_when_a_stack_was_taken_back()
        if settings.ecr_push.enabled:
            self._start_when_an_image_was_pushed()
        self._page_when_a_rollback_failed()
        if settings.approval.required:
            self.approvals = self._ask_for_approvals()

    # What the steps stand on.

    def _table(self) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            "Releases",
            table_name=self._identity.table,
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expiresAt",
            deletion_protection=self._settings.is_production,
            removal_policy=self._removal_policy,
        )
        if self._settings.is_production:
            protect(table, "DeletionProtectionEnabled")
        return table

    def _function(self, step: Step) -> lambda_.Function:
        """Create one step: its log group, its role, its function.

        The state machine calls it synchronously and repeats it by rules that stand in the definition;
        Lambda's own, hidden retries are for asynchronous calls, of which there are none.
        """
        name = step.function_name(self._identity)
        part = Construct(self, step.handler.title().replace("_", ""))
        log_group = self._log_group(part, f"/aws/lambda/{name}")
        write_logs = Grant(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (log_group.log_group_arn,),
            wildcard_reason="The log streams of the function's own log group.",
        )
        step_role = role(
            part,
            "Role",
            [*PERMISSIONS[step](self._world), write_logs],
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What the step {step.state!r} of {machine_name(self._identity)} may do",
        )
        function = lambda_.Function(
            part,
            "Function",
            function_name=name,
            description=f"{step.state}: step of {machine_name(self._identity)}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=self._code,
            handler=step.entry_point,
            timeout=cdk.Duration.seconds(step.timeout_seconds),
            memory_size=MEMORY_MB,
            environment=step.environment(self._identity, self._settings.policies),
            role=step_role,
            log_group=log_group,
        )
        acknowledge(
            function, "AwsSolutions-L1", "The wheels are pinned and tested for Python 3.13, which AWS supports."
        )
        return function

    def _machine(self) -> sfn.StateMachine:
        name = machine_name(self._identity)
        # Step Functions forgets an execution after 90 days, so every event is kept here. Without the data:
        # anybody may start the machine with any input, and logs are read by more people than executions.
        log_group = self._log_group(self, f"/aws/vendedlogs/states/{name}", "MachineLogs")
        grants = [
            Grant(("lambda:InvokeFunction",), tuple(each.function_arn for each in self.functions.values())),
            # Step Functions Developer Guide, "IAM policies for logging to CloudWatch Logs".
            Grant(
                (
                    "logs:CreateLogDelivery",
                    "logs:GetLogDelivery",
                    "logs:UpdateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:DescribeResourcePolicies",
                    "logs:DescribeLogGroups",
                ),
                ("*",),
                wildcard_reason=NO_RESOURCE,
            ),
        ]
        machine_role = role(
            Construct(self, "MachineAccess"),
            "Role",
            grants,
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description=f"Lets {name} call its own functions and write its log",
        )
        machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_chainable(
                deployment_flow(
                    Construct(self, "Flow"),
                    self.functions,
                    scan_wait_seconds=self._settings.image.scan_wait_seconds,
                )
            ),
            timeout=cdk.Duration.seconds(self._settings.machine.timeout_seconds),
            # The CDK would add `function:*`, all versions of each function, which is more than is called.
            role=machine_role.without_policy_updates(),
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False),
        )
        machine.node.add_dependency(machine_role)
        acknowledge(
            machine,
            "AwsSolutions-SF2",
            "X-Ray off: durations per step are in every deployment's record and in its metrics, "
            "and the tracer would bring botocore, 20 MB, into the asset.",
        )
        return machine

    # Who starts it, and who is told.

    def _start_when_an_execution_stopped(self) -> None:
        self._start_by_rule(
            "ExecutionStopped",
            "An execution that was stopped or timed out is rolled back",
            triggers.stopped_execution_pattern(self.machine.state_machine_arn),
            triggers.STOPPED_EXECUTION_PATHS,
            triggers.STOPPED_EXECUTION_INPUT,
            LONGEST_DELIVERY,
        )

    def _start_when_a_stack_was_taken_back(self) -> None:
        """Repair what a failed infrastructure deploy takes along: it must not move code either."""
        stack = cdk.Stack.of(self)
        prefix = stack.format_arn(
            service="cloudformation",
            resource="stack",
            resource_name=f"{self._identity.app}-{self._identity.environment}-",
        )
        self._start_by_rule(
            "StackTakenBack",
            "Services that a failed infrastructure deploy took back return to the live release",
            triggers.reverted_stack_pattern(prefix),
            triggers.REVERTED_STACK_PATHS,
            triggers.REVERTED_STACK_INPUT,
            LONGEST_DELIVERY,
        )

    def _start_when_an_image_was_pushed(self) -> None:
        self._start_by_rule(
            "ImagePushed",
            "A pushed image is deployed",
            triggers.pushed_image_pattern(
                list(self._settings.image.repositories), list(self._settings.ecr_push.tag_patterns)
            ),
            triggers.PUSHED_IMAGE_PATHS,
            triggers.PUSHED_IMAGE_INPUT,
            PUSH_DELIVERY,
        )

    def _start_by_rule(
        self,
        id: str,
        description: str,
        pattern: dict[str, Any],
        paths: dict[str, str],
        values: dict[str, str],
        max_age: cdk.Duration,
    ) -> None:
        """Start the machine with values whose ``<word>`` is replaced by what the event has at the word's path."""

        def from_event(value: str) -> str:
            return PLACEHOLDER.sub(lambda word: events.EventField.from_path(paths[word[1]]), value)

        self._rule(id, description, pattern).add_target(
            targets.SfnStateMachine(
                self.machine,
                input=events.RuleTargetInput.from_object({key: from_event(value) for key, value in values.items()}),
                dead_letter_queue=self._undelivered,
                retry_attempts=DELIVERY_ATTEMPTS,
                max_event_age=max_age,
            )
        )

    def _page_when_a_rollback_failed(self) -> None:
        """Page by the end of the execution itself: that works where the last function could not run."""
        self._rule(
            "RollbackFailed",
            "Action needed: neither the new nor the old release is whole",
            triggers.rollback_failed_pattern(self.machine.state_machine_arn),
        ).add_target(
            targets.SnsTopic(
                self.alerts,
                # An object, because EventBridge does not escape the quotes of the cause inside a text.
                message=events.RuleTargetInput.from_object(
                    {
                        "alert": f"{machine_name(self._identity)}: rollback failed, action needed",
                        "execution": events.EventField.from_path("$.detail.executionArn"),
                        "cause": events.EventField.from_path("$.detail.cause"),
                    }
                ),
                dead_letter_queue=self._undelivered,
                retry_attempts=DELIVERY_ATTEMPTS,
                max_event_age=LONGEST_DELIVERY,
                # The topic's own policy would let rules of any account publish.
                authorize_using_role=True,
            )
        )

    def _ask_for_approvals(self) -> sns.Topic:
        """Notify a topic of its own: who approves is seldom on call, and they may be many."""
        topic = self._topic("Approvals", "deploy-approvals", "Approvals")
        self._rule(
            "ApprovalRequested",
            "A person is asked whether a deployment may begin",
            triggers.approval_requested_pattern(self._identity.app, self._identity.environment),
        ).add_target(
            targets.SnsTopic(
                topic,
                message=events.RuleTargetInput.from_object(
                    {
                        "question": f"May this release go to {self._identity.environment}?",
                        **{
                            key: events.EventField.from_path(f"$.detail.{key}")
                            for key in ("release", "imageTag", "requestedBy", "reason", "execution")
                        },
                        "approve": f"stepship approve --env {self._identity.environment}",
                        "reject": f"stepship reject --env {self._identity.environment} --reason ...",
                    }
                ),
                dead_letter_queue=self._undelivered,
                retry_attempts=DELIVERY_ATTEMPTS,
                # Nobody's answer is a no by then.
                max_event_age=cdk.Duration.seconds(
                    max(60, min(self._settings.approval.timeout_seconds, LONGEST_DELIVERY.to_seconds()))
                ),
                authorize_using_role=True,
            )
        )
        return topic

    def _rule(self, id: str, description: str, pattern: dict[str, Any]) -> events.Rule:
        return events.Rule(
            self,
            id,
            description=description,
            event_pattern=events.EventPattern(
                source=pattern["source"], detail_type=pattern["detail-type"], detail=pattern["detail"]
            ),
        )

    def _let_it_tell(self, alarm: cloudwatch.Alarm) -> None:
        """Let an alarm tell whoever is on call."""
        alarm.add_alarm_action(cloudwatch_actions.SnsAction(self.alerts))
        self.alerts.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                resources=[self.alerts.topic_arn],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                conditions={"ArnEquals": {"aws:SourceArn": alarm.alarm_arn}},
            )
        )

    def _alerts(self) -> sns.Topic:
        return self._topic("Alerts", "deploy-alerts", "Deployments")

    def _topic(self, id: str, name: str, what: str) -> sns.Topic:
        return sns.Topic(
            self,
            id,
            topic_name=f"{self._identity.app}-{self._identity.environment}-{name}",
            display_name=f"{what} of {self._identity.app} to {self._identity.environment}",
            enforce_ssl=True,
        )

    def _log_group(self, scope: Construct, name: str, id: str = "Logs") -> logs.LogGroup:
        return logs.LogGroup(
            scope,
            id,
            log_group_name=name,
            retention=RETENTION[self._settings.machine.log_retention_days],
            removal_policy=self._removal_policy,
        )

    @property
    def _removal_policy(self) -> cdk.RemovalPolicy:
        # Not what a failed first deploy has made: its name would be in the second one's way.
        kept = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        return kept if self._settings.is_production else cdk.RemovalPolicy.DESTROY
