"""Every name, description and tag of every template is one that its service takes.

What a service's own model says (pattern and length, botocore) is read from there. EC2's model says nothing, and so do
others: what is only documented is collected in ``DOCUMENTED``, each with its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
import pytest

from tests.stacks.synthesis import TAG_KEYS, Template

Place = tuple[str, str]
"""Type of a resource, and the path of a text in its properties; ``*`` is each entry of a list."""

TEXT = re.compile(r"(Name|Description|Comment|Identifier|Alias|Title)$")
"""How CloudFormation calls the properties that people fill with words."""


@dataclass(frozen=True)
class Rule:
    """What a text may be: a regular expression for the whole of it, and its length in characters."""

    pattern: str
    shortest: int
    longest: int
    source: str

    def objection(self, text: str) -> str | None:
        """Say what is wrong with a text; None when it may stand."""
        if not self.shortest <= len(text) <= self.longest:
            return f"has {len(text)} characters, not {self.shortest} to {self.longest}"
        if not re.fullmatch(self.pattern, text):
            return f"does not match {self.pattern}"
        return None


MODELLED: Mapping[Place, tuple[str, str, str]] = {
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "PolicyName"): (
        "application-autoscaling",
        "PutScalingPolicy",
        "PolicyName",
    ),
    ("AWS::CloudFront::Function", "Name"): ("cloudfront", "CreateFunction", "Name"),
    ("AWS::CloudWatch::Alarm", "AlarmName"): ("cloudwatch", "PutMetricAlarm", "AlarmName"),
    ("AWS::CloudWatch::Alarm", "AlarmDescription"): ("cloudwatch", "PutMetricAlarm", "AlarmDescription"),
    ("AWS::CodeBuild::Project", "Name"): ("codebuild", "CreateProject", "name"),
    ("AWS::CodeBuild::Project", "Description"): ("codebuild", "CreateProject", "description"),
    ("AWS::CodeConnections::Connection", "ConnectionName"): ("codeconnections", "CreateConnection", "ConnectionName"),
    ("AWS::CodePipeline::Pipeline", "Name"): ("codepipeline", "CreatePipeline", "pipeline.name"),
    ("AWS::CodePipeline::Pipeline", "Stages.*.Name"): ("codepipeline", "CreatePipeline", "pipeline.stages.*.name"),
    ("AWS::CodePipeline::Pipeline", "Stages.*.Actions.*.Name"): (
        "codepipeline",
        "CreatePipeline",
        "pipeline.stages.*.actions.*.name",
    ),
    ("AWS::CodePipeline::Pipeline", "Variables.*.Name"): (
        "codepipeline",
        "CreatePipeline",
        "pipeline.variables.*.name",
    ),
    ("AWS::CodePipeline::Pipeline", "Variables.*.Description"): (
        "codepipeline",
        "CreatePipeline",
        "pipeline.variables.*.description",
    ),
    ("AWS::CodeStarNotifications::NotificationRule", "Name"): (
        "codestar-notifications",
        "CreateNotificationRule",
        "Name",
    ),
    ("AWS::ECR::Repository", "RepositoryName"): ("ecr", "CreateRepository", "repositoryName"),
    ("AWS::Events::Rule", "Name"): ("events", "PutRule", "Name"),
    ("AWS::Events::Rule", "Description"): ("events", "PutRule", "Description"),
    ("AWS::IAM::Policy", "PolicyName"): ("iam", "PutRolePolicy", "PolicyName"),
    ("AWS::IAM::Role", "Description"): ("iam", "CreateRole", "Description"),
    ("AWS::IAM::Role", "Policies.*.PolicyName"): ("iam", "PutRolePolicy", "PolicyName"),
    ("AWS::IAM::Role", "RoleName"): ("iam", "CreateRole", "RoleName"),
    ("AWS::KMS::Key", "Description"): ("kms", "CreateKey", "Description"),
    ("AWS::KinesisFirehose::DeliveryStream", "DeliveryStreamName"): (
        "firehose",
        "CreateDeliveryStream",
        "DeliveryStreamName",
    ),
    ("AWS::Lambda::Function", "Description"): ("lambda", "CreateFunction", "Description"),
    ("AWS::Logs::LogGroup", "LogGroupName"): ("logs", "CreateLogGroup", "logGroupName"),
    ("AWS::Logs::LogStream", "LogStreamName"): ("logs", "CreateLogStream", "logStreamName"),
    ("AWS::Logs::SubscriptionFilter", "FilterName"): ("logs", "PutSubscriptionFilter", "filterName"),
    ("AWS::SSM::Parameter", "Description"): ("ssm", "PutParameter", "Description"),
    ("AWS::SecretsManager::Secret", "Description"): ("secretsmanager", "CreateSecret", "Description"),
    ("AWS::ServiceDiscovery::PrivateDnsNamespace", "Description"): (
        "servicediscovery",
        "CreatePrivateDnsNamespace",
        "Description",
    ),
    ("AWS::ServiceDiscovery::PrivateDnsNamespace", "Name"): (
        "servicediscovery",
        "CreatePrivateDnsNamespace",
        "Name",
    ),
    ("AWS::ServiceDiscovery::Service", "Name"): ("servicediscovery", "CreateService", "Name"),
}
"""Which member of which API call a text becomes: service, operation, path of the member."""

ECS_NAME = Rule(r"[A-Za-z0-9_-]+", 1, 255, "ECS API Reference, CreateService and RegisterTaskDefinition")
SECURITY_GROUP_TEXT = Rule(
    r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*", 0, 255, "EC2 API Reference, CreateSecurityGroup and IpRange"
)
RDS_NAME = Rule(r"[a-zA-Z](?:-?[a-zA-Z0-9])*", 1, 63, "RDS API Reference, CreateDBCluster and CreateDBInstance")
PRINTABLE = r"[\x20-\x7e]*"
DOCUMENTED: Mapping[Place, Rule] = {
    ("AWS::ApiGatewayV2::Api", "Description"): Rule(r".*", 0, 1024, "API Gateway V2 API Reference, Apis"),
    ("AWS::ApiGatewayV2::Api", "Name"): Rule(r".*", 1, 128, "API Gateway V2 API Reference, Apis"),
    ("AWS::ApiGatewayV2::Stage", "StageName"): Rule(
        r"\$default|[A-Za-z0-9_-]+", 1, 128, "API Gateway V2 API Reference, Stages"
    ),
    ("AWS::CloudFront::Distribution", "DistributionConfig.Comment"): Rule(
        PRINTABLE, 0, 128, "CloudFront API Reference, DistributionConfig"
    ),
    ("AWS::CloudFront::Function", "FunctionConfig.Comment"): Rule(
        PRINTABLE, 0, 128, "CloudFront API Reference, FunctionConfig"
    ),
    ("AWS::CloudFront::OriginAccessControl", "OriginAccessControlConfig.Name"): Rule(
        r"[A-Za-z0-9_.-]+", 1, 64, "CloudFront API Reference, OriginAccessControlConfig"
    ),
    ("AWS::CloudFront::ResponseHeadersPolicy", "ResponseHeadersPolicyConfig.Comment"): Rule(
        PRINTABLE, 0, 128, "CloudFront API Reference, ResponseHeadersPolicyConfig"
    ),
    ("AWS::CloudFront::ResponseHeadersPolicy", "ResponseHeadersPolicyConfig.Name"): Rule(
        r"[A-Za-z0-9_-]+", 1, 128, "CloudFront API Reference, ResponseHeadersPolicyConfig"
    ),
    ("AWS::CloudWatch::Dashboard", "DashboardName"): Rule(
        r"[A-Za-z0-9_-]+", 1, 255, "CloudWatch API Reference, PutDashboard"
    ),
    ("AWS::DynamoDB::Table", "TableName"): Rule(r"[a-zA-Z0-9_.-]+", 3, 255, "DynamoDB Developer Guide, naming rules"),
    ("AWS::EC2::SecurityGroup", "GroupDescription"): SECURITY_GROUP_TEXT,
    ("AWS::EC2::SecurityGroup", "SecurityGroupEgress.*.Description"): SECURITY_GROUP_TEXT,
    ("AWS::EC2::SecurityGroup", "SecurityGroupIngress.*.Description"): SECURITY_GROUP_TEXT,
    ("AWS::EC2::SecurityGroupEgress", "Description"): SECURITY_GROUP_TEXT,
    ("AWS::EC2::SecurityGroupIngress", "Description"): SECURITY_GROUP_TEXT,
    ("AWS::ECS::Cluster", "ClusterName"): ECS_NAME,
    ("AWS::ECS::Service", "ServiceName"): ECS_NAME,
    ("AWS::ECS::TaskDefinition", "ContainerDefinitions.*.Name"): ECS_NAME,
    ("AWS::ECS::TaskDefinition", "ContainerDefinitions.*.PortMappings.*.Name"): Rule(
        r"[a-z0-9_][a-z0-9_-]*", 1, 64, "ECS API Reference, PortMapping"
    ),
    ("AWS::ECS::TaskDefinition", "Volumes.*.Name"): ECS_NAME,
    ("AWS::Lambda::Function", "FunctionName"): Rule(
        r"[a-zA-Z0-9_-]+", 1, 64, "Lambda API Reference, CreateFunction: 64 for a name alone"
    ),
    ("AWS::RDS::DBCluster", "DBClusterIdentifier"): RDS_NAME,
    ("AWS::RDS::DBCluster", "DatabaseName"): Rule(
        r"[A-Za-z_][A-Za-z0-9_]*", 1, 63, "RDS API Reference, CreateDBCluster"
    ),
    ("AWS::RDS::DBClusterParameterGroup", "Description"): Rule(
        PRINTABLE, 1, 255, "RDS takes printable characters; unverified"
    ),
    ("AWS::RDS::DBInstance", "DBInstanceIdentifier"): RDS_NAME,
    ("AWS::RDS::DBSubnetGroup", "DBSubnetGroupDescription"): Rule(
        PRINTABLE, 1, 255, "RDS takes printable characters; unverified"
    ),
    ("AWS::SNS::Topic", "DisplayName"): Rule(PRINTABLE, 0, 100, "SNS API Reference, SetTopicAttributes"),
    ("AWS::SNS::Topic", "TopicName"): Rule(r"[A-Za-z0-9_-]+", 1, 256, "SNS API Reference, CreateTopic"),
    ("AWS::SQS::Queue", "QueueName"): Rule(r"[A-Za-z0-9_-]+", 1, 80, "SQS API Reference, CreateQueue"),
    ("AWS::SSM::Parameter", "Name"): Rule(
        r"(?!/?(?i:aws|ssm))[a-zA-Z0-9_./-]+", 1, 1011, "Systems Manager API Reference, PutParameter"
    ),
    ("AWS::SecretsManager::Secret", "Name"): Rule(
        r"(?!.*-[A-Za-z0-9]{6}$)[A-Za-z0-9/_+=.@-]+", 1, 512, "Secrets Manager API Reference, CreateSecret"
    ),
    ("AWS::StepFunctions::StateMachine", "StateMachineName"): Rule(
        r"[A-Za-z0-9_-]+", 1, 80, "Step Functions API Reference, CreateStateMachine"
    ),
}
TAG_KEY = Rule(r"(?!aws:)[\w \t_.:/=+@-]+", 1, 128, "Tagging AWS resources, User Guide")
TAG_VALUE = Rule(r"[\w \t_.:/=+@-]*", 0, 256, "Tagging AWS resources, User Guide")
STACK_DESCRIPTION_BYTES = 1024
"""CloudFormation User Guide, "Template description"."""

REFERENCES = re.compile(
    r"(MetricName|Dimensions\.\*\.Name|Configuration\.|Artifacts\.\*\.Name|Rules\.\*\.Name|SourceActionName"
    r"|LoadBalancers\.|Environment\.|EnvironmentVariables\.|Secrets\.|ClusterSettings|AttributeName|ParameterName"
    r"|LogStreamName$|SubscriptionFilter LogGroupName|Custom::)"
)
"""Names of something that stands elsewhere, or a word out of a list of the service's own."""


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def modelled(service: str, operation: str, path: str) -> Rule:
    shape = model(service).operation_model(operation).input_shape
    for part in path.split("."):
        shape = shape.member if part == "*" else shape.members[part]
    pattern = shape.metadata.get("pattern", ".*").replace(r"\p{Print}", r"\x20-\x7e").replace(r"\x20-\x7e+", "[ -~]+")
    return Rule(pattern, shape.metadata.get("min", 0), shape.metadata.get("max", 10_000), f"botocore, {operation}")


def texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield each literal text below a resource's properties with its path. Intrinsic functions are left out."""
    if isinstance(value, dict):
        if any(key.startswith("Fn::") or key == "Ref" for key in value):
            return
        for key, each in value.items():
            yield from texts(each, (*path, key))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, (*path, "*"))
    elif isinstance(value, str):
        yield ".".join(path), value


def rule_of(place: Place) -> Rule | None:
    return modelled(*MODELLED[place]) if place in MODELLED else DOCUMENTED.get(place)


def named_texts(template: Template) -> Iterator[tuple[Place, str]]:
    for resource in template["Resources"].values():
        kind = resource["Type"]
        for path, text in texts(resource.get("Properties", {})):
            if TEXT.search(path) and not REFERENCES.search(f"{kind} {path}"):
                yield (kind, path), text


def test_every_name_and_description_is_one_that_its_service_takes(app_templates: Mapping[str, Template]) -> None:
    wrong = set()
    for template in app_templates.values():
        for place, text in named_texts(template):
            rule = rule_of(place)
            assert rule is not None, f"{place}: collect the rule for it"
            objection = rule.objection(text)
            if objection:
                wrong.add(f"{place[0]} {place[1]}: {text!r} {objection} ({rule.source})")
    assert sorted(wrong) == []


def test_every_tag_is_one_that_aws_takes(app_templates: Mapping[str, Template]) -> None:
    wrong = set()
    for template in app_templates.values():
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            for tags in (properties[key] for key in TAG_KEYS if key in properties):
                pairs = tags.items() if isinstance(tags, dict) else ((tag["Key"], tag["Value"]) for tag in tags)
                for key, value in pairs:
                    for rule, text in ((TAG_KEY, key), (TAG_VALUE, value)):
                        objection = rule.objection(text) if isinstance(text, str) else None
                        if objection:
                            wrong.add(f"{resource['Type']}: {text!r} {objection}")
    assert sorted(wrong) == []


def test_every_stack_has_a_description_that_fits(app_templates: Mapping[str, Template]) -> None:
    sizes = {name: len(template.get("Description", "").encode()) for name, template in app_templates.items()}
    assert {name: size for name, size in sizes.items() if size > STACK_DESCRIPTION_BYTES} == {}


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (("AWS::EC2::SecurityGroup", "GroupDescription"), "Those that have the clients' group"),
        (("AWS::EC2::SecurityGroup", "SecurityGroupIngress.*.Description"), "a" * 256),
        (("AWS::IAM::Role", "Description"), "a dash \N{EM DASH} that IAM does not take"),
        (("AWS::Lambda::Function", "Description"), "a" * 257),
        (("AWS::SSM::Parameter", "Name"), "/aws/reserved"),
        (("AWS::SecretsManager::Secret", "Name"), "ends-like-an-arn-a1B2c3"),
    ],
)
def test_a_text_that_the_service_refuses_is_found(place: Place, text: str) -> None:
    rule = rule_of(place)
    assert rule is not None
    assert rule.objection(text)
