"""Every name that an environment has in AWS: read from the templates that the CDK writes.

``Names`` and ``Identity`` say what a name is for. A name that they do not know is described by its resource.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import config
from lambdas.release.policies import Identity
from stacks.names import Names
from stacks.stages import parts
from tools.documentation.places import DOCS, filled, table

PAGE = DOCS / "reference" / "names.md"
ROOT = DOCS.parent
ENVIRONMENTS = ("dev", "production")
"""Dev has what is once in an account, production has what only production has: approvals."""

KINDS = {
    "AWS::StepFunctions::StateMachine": ("State machine", "StateMachineName"),
    "AWS::DynamoDB::Table": ("DynamoDB table", "TableName"),
    "AWS::ECR::Repository": ("ECR repository", "RepositoryName"),
    "AWS::ECS::Cluster": ("ECS cluster", "ClusterName"),
    "AWS::ECS::Service": ("ECS service", "ServiceName"),
    "AWS::ECS::TaskDefinition": ("Task definition family", "Family"),
    "AWS::Lambda::Function": ("Lambda function", "FunctionName"),
    "AWS::SSM::Parameter": ("SSM parameter", "Name"),
    "AWS::SecretsManager::Secret": ("Secret", "Name"),
    "AWS::SNS::Topic": ("SNS topic", "TopicName"),
    "AWS::SQS::Queue": ("SQS queue", "QueueName"),
    "AWS::RDS::DBCluster": ("Aurora cluster", "DBClusterIdentifier"),
    "AWS::IAM::Role": ("IAM role", "RoleName"),
    "AWS::CodePipeline::Pipeline": ("Pipeline", "Name"),
    "AWS::CloudWatch::Alarm": ("Alarm", "AlarmName"),
    "AWS::CloudWatch::Dashboard": ("Dashboard", "DashboardName"),
    "AWS::Logs::LogGroup": ("Log group", "LogGroupName"),
    "AWS::ServiceDiscovery::PrivateDnsNamespace": ("Cloud Map namespace", "Name"),
}
"""Type of a resource to what people call it, and to the property with its name."""

DESCRIBED = ("DynamoDB table", "ECR repository", "ECS cluster", "SSM parameter", "Secret", "SNS topic", "SQS queue")
"""What ``Names`` describes; of the other kinds some have the same name by chance."""

Templates = Mapping[str, Mapping[str, Any]]


def names(templates: Templates) -> str:
    """Return one table for each kind of resource.

    Parameters
    ----------
    templates
        Name of a stack to its template; those of other environments are left out.
    """
    found: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for environment in ENVIRONMENTS:
        settings = config.load(environment)
        purposes = _purposes(settings)
        for part in parts():
            for kind, name in _named(templates.get(f"{settings.app}-{environment}-{part}", {})):
                said = next((purposes[each] for each in (name, f"{name.rpartition('/')[0]}/") if each in purposes), "")
                purpose = said if kind in DESCRIBED else ""
                found[kind].setdefault(_pattern(name, settings.identity), (part, purpose))
    texts = []
    for kind, _ in KINDS.values():
        rows = [(f"`{name}`", f"`{part}`", purpose) for name, (part, purpose) in sorted(found[kind].items())]
        if any(purpose for _, _, purpose in rows):
            texts.append(f"### {kind}\n\n{table(('name', 'stack', 'what it is for'), rows)}")
        elif rows:
            texts.append(f"### {kind}\n\n{table(('name', 'stack'), [row[:2] for row in rows])}")
    return "\n\n".join(texts)


def _named(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for resource in template.get("Resources", {}).values():
        if resource["Type"] == "Custom::SeededParameters":
            yield from (("SSM parameter", each["Name"]) for each in resource["Properties"]["Parameters"])
        kind, property_name = KINDS.get(resource["Type"], ("", ""))
        name = resource.get("Properties", {}).get(property_name)
        if kind and isinstance(name, str):
            yield kind, name


def _purposes(settings: config.EnvironmentConfig) -> dict[str, str]:
    """Return what ``Names`` and ``Identity`` say of each of their names, by the name."""
    found = {}
    for holder in (Names(settings), settings.identity):
        for attribute, member in vars(type(holder)).items():
            if isinstance(member, property):
                name = str(getattr(holder, attribute))
                text = " ".join((member.__doc__ or "").split("\n\n")[0].split())
                text = re.sub(rf"[:,]? ``{re.escape(name)}``", "", text)
                found[name] = re.sub(r"``([^`]+)``", r"`\1`", text)
    found[settings.identity.table] = "The lock, the history of deployments, the releases, open approvals."
    return found


def _pattern(name: str, identity: Identity) -> str:
    """Return the name with its two variable parts written as such."""
    name = re.sub(rf"\b{identity.app}(?![a-z])", "<app>", name)
    environment = identity.environment
    return re.sub(rf"(?<=[-/]){environment}(?![a-z])|^{environment}(?=\.)", "<environment>", name)


def page(text: str, templates: Templates) -> str:
    """Return the page with its names."""
    return filled(text, "names", names(templates))


def synthesised() -> Templates:
    """Return the templates of the whole app, by the name of the stack; it takes some ten seconds."""
    from statemachine.node import use_packaged_node  # noqa: PLC0415 (before the CDK is imported)

    use_packaged_node()
    import cdk_app  # noqa: PLC0415 (starts Node)

    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk_app.build({**flags, "aws:cdk:bundling-stacks": []}, folder=_with_github())
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


def _with_github() -> Path:
    """Return a folder with the config files and a GitHub repository in them: the roles of its workflows have names."""
    import tempfile  # noqa: PLC0415 (for this alone)

    folder = Path(tempfile.mkdtemp())
    for file in Path(config.__file__).parent.glob("*.toml"):
        text = file.read_text(encoding="utf-8").replace('repository = ""', 'repository = "example-org/v3-backend"')
        (folder / file.name).write_text(text, encoding="utf-8")
    return folder
