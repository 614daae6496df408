from __future__ import annotations

from typing import Any

import pytest

import config
from statemachine import triggers
from statemachine.steps import STEPS, Step
from tests.stacks.synthesis import SWITCHED


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type by logical id."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def the_one(template: dict[str, Any], kind: str) -> dict[str, Any]:
    (resource,) = of_type(template, kind).values()
    return resource


@pytest.fixture(scope="session")
def dev(templates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return templates["dev"]


@pytest.fixture(scope="session")
def production(templates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return templates["production"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.handler)
def test_each_step_is_a_function_of_its_name(step: Step, dev: dict[str, Any]) -> None:
    settings = config.load("dev")
    (function,) = (
        each["Properties"]
        for each in of_type(dev, "AWS::Lambda::Function").values()
        if each["Properties"]["FunctionName"] == step.function_name(settings.identity)
    )
    assert function["Handler"] == step.entry_point
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert function["Timeout"] == step.timeout_seconds
    assert function["MemorySize"] == 256
    assert function["Environment"]["Variables"] == step.environment(settings.identity, settings.policies)


def test_there_is_no_function_besides_the_steps(dev: dict[str, Any]) -> None:
    assert len(of_type(dev, "AWS::Lambda::Function")) == len(STEPS)


def test_all_functions_share_one_asset(dev: dict[str, Any]) -> None:
    assert len({str(each["Properties"]["Code"]) for each in of_type(dev, "AWS::Lambda::Function").values()}) == 1


def test_each_function_has_a_role_of_its_own(dev: dict[str, Any]) -> None:
    functions = of_type(dev, "AWS::Lambda::Function").values()
    assert len({each["Properties"]["Role"]["Fn::GetAtt"][0] for each in functions}) == len(STEPS)


def test_no_managed_policy_and_no_hidden_policy_is_used(dev: dict[str, Any]) -> None:
    assert not [role for role in of_type(dev, "AWS::IAM::Role").values() if "ManagedPolicyArns" in role["Properties"]]
    # Those beside the roles let EventBridge start the machine, and publish to the topic.
    policies = of_type(dev, "AWS::IAM::Policy").values()
    statements = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    assert sorted(each["Action"] for each in statements) == ["sns:Publish", "states:StartExecution"]


def test_no_call_of_a_function_is_repeated_behind_the_definitions_back(dev: dict[str, Any]) -> None:
    assert not of_type(dev, "AWS::Lambda::EventInvokeConfig")
    assert not of_type(dev, "AWS::Lambda::Permission"), "the state machine calls by its role, and nobody else does"


def test_the_machine_may_call_its_functions_and_nothing_else(dev: dict[str, Any]) -> None:
    machine = the_one(dev, "AWS::StepFunctions::StateMachine")["Properties"]
    (policy,) = dev["Resources"][machine["RoleArn"]["Fn::GetAtt"][0]]["Properties"]["Policies"]
    (invoke,) = (each for each in policy["PolicyDocument"]["Statement"] if "lambda:InvokeFunction" in each["Action"])
    called = {resource["Fn::GetAtt"][0] for resource in invoke["Resource"]}
    assert called == set(of_type(dev, "AWS::Lambda::Function"))


def test_the_machine_is_standard_and_logs_without_data(dev: dict[str, Any]) -> None:
    machine = the_one(dev, "AWS::StepFunctions::StateMachine")["Properties"]
    assert machine["StateMachineName"] == "v3-backend-dev-deploy"
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False


def test_the_table_is_encrypted_backed_up_and_on_demand(dev: dict[str, Any]) -> None:
    table = the_one(dev, "AWS::DynamoDB::Table")["Properties"]
    assert table["TableName"] == "v3-backend-dev-releases"
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}


def test_production_keeps_its_table_and_its_logs(dev: dict[str, Any], production: dict[str, Any]) -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::Logs::LogGroup"):
        assert {each["DeletionPolicy"] for each in of_type(production, kind).values()} == {"RetainExceptOnCreate"}
        assert {each["DeletionPolicy"] for each in of_type(dev, kind).values()} == {"Delete"}
    assert the_one(production, "AWS::DynamoDB::Table")["Properties"]["DeletionProtectionEnabled"] == SWITCHED


@pytest.mark.parametrize(("environment", "days"), [("dev", 14), ("staging", 30), ("production", 365)])
def test_every_log_group_is_named_and_kept_for_the_configured_days(
    environment: str, days: int, templates: dict[str, dict[str, Any]]
) -> None:
    groups = [each["Properties"] for each in of_type(templates[environment], "AWS::Logs::LogGroup").values()]
    assert {each["RetentionInDays"] for each in groups} == {days}
    prefix = f"v3-backend-{environment}"
    expected = {f"/aws/lambda/{prefix}-{step.slug}" for step in STEPS} | {f"/aws/vendedlogs/states/{prefix}-deploy"}
    assert {each["LogGroupName"] for each in groups} == expected


def rules(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rules by the name of their construct."""
    names = ("ExecutionStopped", "ImagePushed", "RollbackFailed")
    found = of_type(template, "AWS::Events::Rule")
    return {
        name: rule["Properties"]
        for name in names
        for key, rule in found.items()
        if key.startswith(f"CodeDeployment{name}")
    }


def test_a_stopped_execution_starts_the_way_back(dev: dict[str, Any]) -> None:
    (machine,) = of_type(dev, "AWS::StepFunctions::StateMachine")
    rule = rules(dev)["ExecutionStopped"]
    pattern = triggers.stopped_execution_pattern("")
    pattern["detail"]["stateMachineArn"] = [{"Ref": machine}]
    assert rule["EventPattern"] == pattern
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Ref": machine}
    assert target["InputTransformer"] == {
        "InputPathsMap": {"detail-executionArn": "$.detail.executionArn", "detail-status": "$.detail.status"},
        "InputTemplate": (
            '{"action":"rollback","takeover":<detail-executionArn>,"requestedBy":"eventbridge:stopped-execution",'
            '"reason":"the execution ended as <detail-status>"}'
        ),
    }


def test_a_pushed_image_starts_a_deployment_in_dev_alone(
    dev: dict[str, Any], templates: dict[str, dict[str, Any]]
) -> None:
    rule = rules(dev)["ImagePushed"]
    assert rule["EventPattern"] == triggers.pushed_image_pattern(["v3-backend"], ["sha-*"])
    (target,) = rule["Targets"]
    assert '"imageTag":<detail-image-tag>' in target["InputTransformer"]["InputTemplate"]
    assert "ImagePushed" not in rules(templates["staging"])
    assert "ImagePushed" not in rules(templates["production"])


def test_a_failed_rollback_pages_a_person_without_any_function(dev: dict[str, Any]) -> None:
    rule = rules(dev)["RollbackFailed"]
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED"]
    assert rule["EventPattern"]["detail"]["error"] == ["RollbackFailed"]
    (target,) = rule["Targets"]
    (topic,) = of_type(dev, "AWS::SNS::Topic")
    assert target["Arn"] == {"Ref": topic}
    assert dev["Resources"][topic]["Properties"]["TopicName"] == "v3-backend-dev-deploy-alerts"
    # Unquoted: EventBridge puts the cause in as a JSON text of its own, with its quotes escaped.
    assert '"cause":<detail-cause>' in target["InputTransformer"]["InputTemplate"]


@pytest.mark.parametrize(("name", "hours"), [("ExecutionStopped", 24), ("ImagePushed", 1), ("RollbackFailed", 24)])
def test_an_event_that_cannot_be_delivered_is_kept_and_told(name: str, hours: int, dev: dict[str, Any]) -> None:
    (queue,) = of_type(dev, "AWS::SQS::Queue")
    (target,) = rules(dev)[name]["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": hours * 3600, "MaximumRetryAttempts": 185}
    alarm = next(
        each["Properties"]
        for each in of_type(dev, "AWS::CloudWatch::Alarm").values()
        if each["Properties"]["AlarmName"].endswith("-undelivered-events")
    )
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]


@pytest.mark.parametrize("kind", ["AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"])
def test_queue_and_topic_refuse_plain_text_transport(kind: str, dev: dict[str, Any]) -> None:
    statements = the_one(dev, kind)["Properties"]["PolicyDocument"]["Statement"]
    denied = [each for each in statements if each["Effect"] == "Deny"]
    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_each_retention_of_the_config_is_the_cdk_s_value_of_as_many_days() -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_logs as logs
    from aws_cdk.assertions import Template

    from config.rules import RETENTION_DAYS
    from statemachine.deployment import RETENTION

    assert tuple(RETENTION) == RETENTION_DAYS
    stack = cdk.Stack()
    for days, retention in RETENTION.items():
        logs.LogGroup(stack, f"For{days}", retention=retention)
    groups = Template.from_stack(stack).find_resources("AWS::Logs::LogGroup")
    found = {name.removeprefix("For")[:-8]: group["Properties"]["RetentionInDays"] for name, group in groups.items()}
    assert found == {str(days): days for days in RETENTION_DAYS}
