from __future__ import annotations

from typing import Any

import pytest

import config
from tests.stacks.synthesis import (
    Template,
    allowed_on,
    by_environment,
    check_house_rules,
    flat,
    only,
    parameters_read,
    resources,
    statements,
)

ENVIRONMENTS = config.environments()
FIXED_NAMES = ("BucketName", "LogGroupName", "RoleName", "DeliveryStreamName", "TableName", "Name")


@pytest.fixture(scope="module")
def templates(app_templates: dict[str, Template]) -> dict[str, Template]:
    return by_environment(app_templates, "log-forwarder")


def destination(template: Template) -> dict[str, Any]:
    configuration: dict[str, Any] = only(template, "AWS::KinesisFirehose::DeliveryStream")[
        "ExtendedS3DestinationConfiguration"
    ]
    return configuration


def role_of(template: Template, service: str) -> dict[str, Any]:
    (found,) = (
        each
        for each in resources(template, "AWS::IAM::Role")
        if each["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": service}
    )
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_house_rules(environment: str, templates: dict[str, Template]) -> None:
    check_house_rules(templates[environment], config.load(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_event_of_every_workload_goes_to_the_archive(environment: str, templates: dict[str, Template]) -> None:
    filters = resources(templates[environment], "AWS::Logs::SubscriptionFilter")
    assert {each["LogGroupName"] for each in filters} == {
        f"/v3-backend/{environment}/{name}" for name in ("api", "worker", "scheduler", "migration")
    }
    assert {each["FilterPattern"] for each in filters} == {""}
    assert {flat(each["DestinationArn"]) for each in filters} == {'<["Stream", "Arn"]>'}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_reads_no_parameter_of_another_stack(environment: str, templates: dict[str, Template]) -> None:
    assert not parameters_read(templates[environment])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_can_go_and_come_back(environment: str, templates: dict[str, Template]) -> None:
    """What stays when the stack goes must not have a name that the next one wants."""
    kept = [
        each["Properties"]
        for each in templates[environment]["Resources"].values()
        if each.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
    ]
    assert kept, "the archive itself"
    assert not [each for each in kept if any(name in each for name in FIXED_NAMES)]


def test_an_object_is_packed_once_and_has_a_record_per_line(templates: dict[str, Template]) -> None:
    found = destination(templates["production"])
    assert found["CompressionFormat"] == "GZIP"
    processing = found["ProcessingConfiguration"]
    assert processing["Enabled"] is True
    assert [each["Type"] for each in processing["Processors"]] == ["Decompression", "AppendDelimiterToRecord"]


def test_logs_lie_by_day_and_what_failed_lies_apart(templates: dict[str, Template]) -> None:
    found = destination(templates["dev"])
    assert found["Prefix"] == "logs/!{timestamp:yyyy/MM/dd}/"
    assert found["ErrorOutputPrefix"].startswith("errors/!{firehose:error-output-type}/")
    assert found["CloudWatchLoggingOptions"]["Enabled"] is True


def test_records_are_encrypted_on_the_way(templates: dict[str, Template]) -> None:
    stream = only(templates["dev"], "AWS::KinesisFirehose::DeliveryStream")
    assert stream["DeliveryStreamEncryptionConfigurationInput"] == {"KeyType": "AWS_OWNED_CMK"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_cheaper_class_is_taken_where_it_pays(environment: str, templates: dict[str, Template]) -> None:
    """Glacier Instant Retrieval bills 90 days; what is deleted earlier costs more there than in Standard."""
    (rule,) = only(templates[environment], "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    transitions = rule.get("Transitions", [])
    assert bool(transitions) is (environment == "production")
    for transition in transitions:
        assert transition["StorageClass"] == "GLACIER_IR"
        assert rule["ExpirationInDays"] - transition["TransitionInDays"] >= 90


def test_firehose_may_write_to_its_bucket_and_say_why_it_could_not(templates: dict[str, Template]) -> None:
    role = role_of(templates["dev"], "firehose.amazonaws.com")
    (objects,) = allowed_on(role, "s3:PutObject")
    assert objects.endswith("/*")
    assert "Archive" in objects
    assert not allowed_on(role, "s3:DeleteObject")
    (errors,) = allowed_on(role, "logs:PutLogEvents")
    assert errors.endswith(":log-group:/aws/kinesisfirehose/v3-backend-dev-logs:log-stream:delivery")


def test_cloudwatch_may_feed_this_stream_for_this_account(templates: dict[str, Template]) -> None:
    role = role_of(templates["dev"], "logs.amazonaws.com")
    assert list(statements(role)) == [({"firehose:PutRecord", "firehose:PutRecordBatch"}, {'<["Stream", "Arn"]>'})]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    condition = trust["Condition"]["StringLike"]["aws:SourceArn"]
    assert flat(condition) == "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:*"
