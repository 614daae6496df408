"""Who may do what, read from a synthesised template; only as much of IAM's language as our templates use.

moto and the emulator have evaluators of their own: moto's knows no conditions, and the emulator lives in another
environment. Whatever is not understood here is an error, never a yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tests.least_privilege.requests import IamRequest

Json = dict[str, Any]

REGION, ACCOUNT = "us-east-1", "123456789012"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
}

# CloudFormation's type to the property with the name, and to what the name stands in the ARN.
_ARNS = {
    "AWS::Lambda::Function": ("FunctionName", "lambda", "function:{}"),
    # "Returns the Arn … with :* at the end" (CloudFormation, AWS::Logs::LogGroup).
    "AWS::Logs::LogGroup": ("LogGroupName", "logs", "log-group:{}:*"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "states", "stateMachine:{}"),
    "AWS::SNS::Topic": ("TopicName", "sns", "{}"),
    "AWS::SQS::Queue": ("QueueName", "sqs", "{}"),
    "AWS::DynamoDB::Table": ("TableName", "dynamodb", "table/{}"),
    "AWS::Events::Rule": ("Name", "events", "rule/{}"),
    "AWS::CloudWatch::Alarm": ("AlarmName", "cloudwatch", "alarm:{}"),
    "AWS::ECR::Repository": ("RepositoryName", "ecr", "repository/{}"),
}
_REF_IS_ARN = ("AWS::StepFunctions::StateMachine", "AWS::SNS::Topic")


class NotUnderstoodError(Exception):
    """A template says something about permissions that is not read here."""


def arn(service: str, resource: str) -> str:
    """Return an ARN in the simulated account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


@dataclass(frozen=True)
class Statement:
    """One statement of a role's policy that allows something.

    Attributes
    ----------
    actions, resources
        As in the policy; resources with ``*`` and ``?``.
    conditions
        (operator, key, values); all of them must hold.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @classmethod
    def read(cls, statement: Json) -> Statement:
        """Read a statement whose CloudFormation expressions are resolved.

        Raises
        ------
        NotUnderstoodError
            It has an element, an operator or a variable that is not read here.
        """
        unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
        if unknown or statement["Effect"] != "Allow":
            raise NotUnderstoodError(f"{sorted(unknown) or statement['Effect']} in {statement}")
        conditions = tuple(
            (operator, key, tuple(_listed(values)))
            for operator, asked in statement.get("Condition", {}).items()
            for key, values in asked.items()
        )
        for operator, _, _ in conditions:
            if operator not in _OPERATORS:
                raise NotUnderstoodError(f"the operator {operator} in {statement}")
        if "${" in str(statement):
            raise NotUnderstoodError(f"a policy variable in {statement}")
        return cls(tuple(_listed(statement["Action"])), tuple(_listed(statement["Resource"])), conditions)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each action with each resource that it is allowed on."""
        for action in self.actions:
            for resource in self.resources:
                yield action, resource

    def matching(self, request: IamRequest) -> list[tuple[str, str]]:
        """Return the pairs of action and resource that allow the request; none when the conditions do not hold."""
        keys = {key.lower(): value for key, value in request.keys}
        for operator, key, wanted in self.conditions:
            actual = keys.get(key.lower())
            if actual is None or not any(_OPERATORS[operator](actual, each) for each in wanted):
                return []
        return [
            (action, resource)
            for action, resource in self.pairs()
            if _like(request.action.lower(), action.lower()) and _like(request.resource, resource)
        ]


@dataclass(frozen=True)
class Role:
    """A role: who takes it, and what it may do.

    Attributes
    ----------
    name
        The function that has it, or its logical id in the template.
    trusted
        Services that take it.
    statements
        All inline policies together.
    """

    name: str
    trusted: tuple[str, ...]
    statements: tuple[Statement, ...]

    def allows(self, request: IamRequest) -> bool:
        """Whether any statement allows the request."""
        return any(statement.matching(request) for statement in self.statements)

    def without(self, statement: Statement) -> Role:
        """Return the role with one statement taken away."""
        return replace(self, statements=tuple(each for each in self.statements if each is not statement))

    def pairs(self) -> set[tuple[str, str]]:
        """Return each action with each resource that it is allowed on."""
        return {pair for statement in self.statements for pair in statement.pairs()}

    def used(self, request: IamRequest) -> set[tuple[str, str]]:
        """Return the pair that the request stands on: of several that allow it, the narrowest.

        A wide pattern is thereby not used by what a narrower one beside it is meant for.
        """
        matching = [pair for statement in self.statements for pair in statement.matching(request)]
        return {max(matching, key=lambda pair: len(pair[1].rstrip("*")))} if matching else set()


class Template:
    """The roles of a stack's template, with every name and ARN as it is in the simulated account.

    Parameters
    ----------
    template
        As the CDK synthesises it.
    """

    def __init__(self, template: Json) -> None:
        self._resources: Json = template["Resources"]

    def of_type(self, kind: str) -> dict[str, Json]:
        """Return the resolved properties of all resources of a type, by logical id."""
        return {
            name: self.resolve(each.get("Properties", {}))
            for name, each in self._resources.items()
            if each["Type"] == kind
        }

    def roles(self) -> dict[str, Role]:
        """Return all roles by logical id.

        Raises
        ------
        NotUnderstoodError
            A role has a managed policy or a boundary, or a policy belongs to something that is no role.
        """
        documents: dict[str, list[Json]] = {}
        trust: dict[str, Json] = {}
        for name, properties in self.of_type("AWS::IAM::Role").items():
            if {"ManagedPolicyArns", "PermissionsBoundary"} & set(properties):
                raise NotUnderstoodError(f"{name} has policies that are not in the template")
            documents[name] = [each["PolicyDocument"] for each in properties.get("Policies", [])]
            trust[name] = properties["AssumeRolePolicyDocument"]
        for name, properties in self.of_type("AWS::IAM::Policy").items():
            if {"Users", "Groups"} & set(properties):
                raise NotUnderstoodError(f"{name} belongs to more than roles")
            for role in properties["Roles"]:
                documents[role].append(properties["PolicyDocument"])
        return {
            name: Role(
                name,
                tuple(_trusted(trust[name])),
                tuple(Statement.read(each) for document in found for each in document["Statement"]),
            )
            for name, found in documents.items()
        }

    def roles_of_functions(self) -> dict[str, Role]:
        """Return the role of every function, by the function's name and called by it."""
        return {
            each["FunctionName"]: replace(self.role_by_arn(each["Role"]), name=each["FunctionName"])
            for each in self.of_type("AWS::Lambda::Function").values()
        }

    def role_by_arn(self, role: str) -> Role:
        """Return the role that a property refers to."""
        (found,) = (each for name, each in self.roles().items() if self.arn_of(name) == role)
        return found

    def resolve(self, value: Any) -> Any:
        """Replace CloudFormation's expressions by what they stand for.

        Raises
        ------
        NotUnderstoodError
            An expression that is not read here.
        """
        match value:
            case {"Ref": str(name)} if len(value) == 1:
                return PSEUDO[name] if name in PSEUDO else self._ref(name)
            case {"Fn::GetAtt": [str(name), "Arn"]} if len(value) == 1:
                return self.arn_of(name)
            case {"Fn::Join": [str(separator), list(parts)]} if len(value) == 1:
                return separator.join(str(self.resolve(part)) for part in parts)
            case dict():
                return {key: each if key.startswith("Fn::") else self.resolve(each) for key, each in value.items()}
            case list():
                return [self.resolve(each) for each in value]
            case _:
                return value

    def _ref(self, name: str) -> str:
        if name in self._resources and self._resources[name]["Type"] in _REF_IS_ARN:
            return self.arn_of(name)
        return name

    def arn_of(self, name: str) -> str:
        """Return the ARN of a resource by its logical id."""
        resource = self._resources[name]
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role{properties.get('Path', '/')}{properties.get('RoleName', name)}"
        if resource["Type"] not in _ARNS:
            return f"<{name}.Arn>"
        key, service, pattern = _ARNS[resource["Type"]]
        return arn(service, pattern.format(self.resolve(properties.get(key, name))))


def _trusted(trust: Mapping[str, Any]) -> Iterator[str]:
    for statement in trust["Statement"]:
        for services in statement["Principal"].values():
            yield from _listed(services)


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in text), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _equals(actual: str, wanted: str) -> bool:
    return actual == wanted


_OPERATORS = {"StringEquals": _equals, "ForAllValues:StringEquals": _equals, "ArnEquals": _like}
"""IAM User Guide, "IAM JSON policy elements: Condition operators": ArnEquals knows wildcards, StringEquals does not.

A request has one value of each key here; without the key ForAllValues would hold on AWS, and does not here.
"""
