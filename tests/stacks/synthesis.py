"""Reading templates in tests, and what has to hold for each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import config
from config import EnvironmentConfig

ROOT = Path(__file__).parents[2]

Template = dict[str, Any]

UNTAGGABLE = {
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudFront::ResponseHeadersPolicy",
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EFS::MountTarget",
    "AWS::IAM::Policy",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogStream",
    "AWS::Logs::SubscriptionFilter",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
}
"""Types whose CloudFormation schema has no tags."""
TAG_KEYS = ("Tags", "HostedZoneTags", "FileSystemTags", "AccessPointTags")
"""What CloudFormation calls the tags; EFS has names of its own."""


SWITCHED = {"Ref": "DeletionProtection"}
"""The protection of a resource that is on, but for the moment in which its stack is created."""

FIXED_NAMES = (
    *("BucketName", "LogGroupName", "RoleName", "DeliveryStreamName", "TableName", "Name"),
    *("DBClusterIdentifier", "DBInstanceIdentifier", "FunctionName", "QueueName", "RepositoryName"),
)
"""What CloudFormation calls the names that are the same in every creation."""


def by_environment(app_templates: Mapping[str, Template], part: str) -> dict[str, Template]:
    """Pick one stack's templates out of those of the whole app."""
    return {each: app_templates[f"v3-backend-{each}-{part}"] for each in config.environments()}


def synthesise(kind: type[Any], settings: EnvironmentConfig) -> Template:
    """Return the template of a stack with settings of a test's own; cdk-nag has passed, or this fails."""
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks

    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    kind(app, settings=settings)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    (stack,) = app.synth().stacks
    template: Template = stack.template
    return template


def of_kind(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return all resources of a type by logical id, whole: with policies and dependencies."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def resources(template: Template, kind: str) -> list[dict[str, Any]]:
    """Return the properties of all resources of a type."""
    return [each.get("Properties", {}) for each in of_kind(template, kind).values()]


def only(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of the one resource of a type."""
    (resource,) = resources(template, kind)
    return resource


def published(template: Template) -> dict[str, Any]:
    """Return the parameters that the stack owns, name to value."""
    return {each["Name"]: each["Value"] for each in resources(template, "AWS::SSM::Parameter")}


def parameters_read(template: Template) -> set[str]:
    """Return the names of the parameters that CloudFormation resolves for the stack."""
    return {
        each["Default"]
        for name, each in template.get("Parameters", {}).items()
        if each["Type"].startswith("AWS::SSM::Parameter::Value") and name != "BootstrapVersion"
    }


def parameter_of(template: Template, expression: Any) -> str:
    """Return the name of the SSM parameter that an expression is resolved from."""
    return str(template["Parameters"][expression["Ref"]]["Default"])


def known_text(value: Any) -> str:
    """Return the text of a joined value, with X for what only CloudFormation knows."""
    if isinstance(value, str):
        return value
    return "".join(each if isinstance(each, str) else "X" for each in value["Fn::Join"][1])


def flat(value: Any) -> str:
    """Write a CloudFormation expression as text: ``arn:<AWS::Partition>:…``."""
    if isinstance(value, dict):
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return str(argument[0]).join(map(flat, argument[1]))
        return f"<{argument if function == 'Ref' else json.dumps(argument)}>"
    return str(value)


def statements(role: dict[str, Any]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the actions and the resources of each statement of a role, which must have no other policies."""
    assert "ManagedPolicyArns" not in role
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement
            assert "NotResource" not in statement
            actions, on = statement["Action"], statement["Resource"]
            yield (
                set(actions if isinstance(actions, list) else [actions]),
                set(map(flat, on if isinstance(on, list) else [on])),
            )


def allowed_on(role: dict[str, Any], action: str) -> set[str]:
    """Return all resources on which a role may call an action; none if it may not."""
    return {
        each
        for actions, on in statements(role)
        for each in on
        if any(fnmatchcase(action.lower(), pattern.lower()) for pattern in actions)
    }


def check_tags(template: Template, settings: EnvironmentConfig) -> None:
    """Check that every resource that can be tagged says whose it is."""
    expected = {
        "app": settings.app,
        "environment": settings.environment,
        "owner": settings.owner,
        "cost-center": settings.cost_center,
    }
    for name, resource in template["Resources"].items():
        if resource["Type"] in UNTAGGABLE:
            continue
        tags = next((resource["Properties"][key] for key in TAG_KEYS if key in resource["Properties"]), None)
        assert tags, f"{template['Description']}: {name} ({resource['Type']}) has no tags"
        found = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
        assert expected.items() <= found.items(), f"{template['Description']}: {name}"


def check_house_rules(template: Template, settings: EnvironmentConfig) -> None:
    """Check what every stack keeps: no exports, tags on all, and an end to everything that piles up."""
    text = json.dumps(template)
    assert "Fn::ImportValue" not in text
    assert not [name for name, output in template.get("Outputs", {}).items() if "Export" in output]
    check_tags(template, settings)
    for name, resource in template["Resources"].items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind == "AWS::Logs::LogGroup":
            assert properties["RetentionInDays"] in {
                settings.logs.retention_days,
                settings.machine.log_retention_days,
            }, name
        if kind == "AWS::S3::Bucket":
            (rule,) = properties["LifecycleConfiguration"]["Rules"]
            assert rule["ExpirationInDays"] == settings.logs.archive_days, name
            assert all(properties["PublicAccessBlockConfiguration"].values()), name
            assert properties["BucketEncryption"], name
        if kind == "AWS::ECR::Repository":
            assert properties["LifecyclePolicy"], name


def security_group_rules(template: Template) -> Iterator[dict[str, Any]]:
    """Yield all rules of all groups, which must stand in their groups."""
    for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        assert not resources(template, kind)
    for group in resources(template, "AWS::EC2::SecurityGroup"):
        yield from (*group.get("SecurityGroupIngress", []), *group.get("SecurityGroupEgress", []))
