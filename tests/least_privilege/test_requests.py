"""The mapping from a call to what IAM is asked: by hand for each call, and against AWS's own reference."""

from __future__ import annotations

import json
import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from tests.least_privilege import requests
from tests.least_privilege.policies import NotUnderstoodError, Statement, arn
from tests.least_privilege.requests import IamRequest, UnmappedCallError, requests_of

# Found without importing cfn-lint, which takes seconds.
POLICIES = Path(str(distribution("cfn-lint").locate_file("cfnlint/data/AdditionalSpecs/Policies.json")))
REFERENCE = json.loads(POLICIES.read_text(encoding="utf-8"))
"""The Service Authorization Reference, as cfn-lint ships it."""

WITHOUT_THEIR_RESOURCE = {"ecs:ListTasks", "cloudwatch:DescribeAlarms"}
"""AWS has a resource for them, and we may not name it: ``statemachine/permissions.py`` says why."""

ROLE = "arn:aws:iam::123456789012:role/v3-backend/dev"
CLUSTER = ("ecs:cluster", arn("ecs", "cluster/c"))


class FakeAccount:
    """An account in which everything exists once."""

    def arn(self, service: str, resource: str) -> str:
        return arn(service, resource)

    def role(self, name: str) -> str:
        return f"{ROLE}/{name}"

    def secret(self, name: str) -> str:
        return arn("secretsmanager", f"secret:{name}-a1b2c3")

    def task_definition(self, name: str) -> tuple[str, tuple[str, ...]]:
        return arn("ecs", f"task-definition/{name}:7"), (f"{ROLE}/task", f"{ROLE}/execution")


TABLE = arn("dynamodb", "table/t")
PASSED = (("iam:PassedToService", "ecs-tasks.amazonaws.com"),)
IN_TRANSACTION = (("dynamodb:EnclosingOperation", "TransactWriteItems"),)
REPOSITORY = arn("ecr", "repository/r")
EXECUTION = arn("states", "execution:m:e")

CASES: dict[str, tuple[dict[str, Any], list[IamRequest]]] = {
    "dynamodb.GetItem": ({"TableName": "t"}, [IamRequest("dynamodb:GetItem", TABLE)]),
    "dynamodb.PutItem": ({"TableName": "t"}, [IamRequest("dynamodb:PutItem", TABLE)]),
    "dynamodb.UpdateItem": ({"TableName": "t"}, [IamRequest("dynamodb:UpdateItem", TABLE)]),
    "dynamodb.Query": ({"TableName": "t"}, [IamRequest("dynamodb:Query", TABLE)]),
    "dynamodb.TransactWriteItems": (
        {"TransactItems": [{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "u"}}]},
        [
            IamRequest("dynamodb:PutItem", TABLE, IN_TRANSACTION),
            IamRequest("dynamodb:ConditionCheckItem", arn("dynamodb", "table/u"), IN_TRANSACTION),
        ],
    ),
    "ssm.GetParametersByPath": (
        {"Path": "/a/b"},
        [IamRequest("ssm:GetParametersByPath", arn("ssm", "parameter/a/b"))],
    ),
    "ssm.GetParameters": (
        {"Names": ["/a/b", "c"]},
        [
            IamRequest("ssm:GetParameters", arn("ssm", "parameter/a/b")),
            IamRequest("ssm:GetParameters", arn("ssm", "parameter/c")),
        ],
    ),
    "ssm.PutParameter": ({"Name": "/a"}, [IamRequest("ssm:PutParameter", arn("ssm", "parameter/a"))]),
    "ssm.DeleteParameter": ({"Name": "/a"}, [IamRequest("ssm:DeleteParameter", arn("ssm", "parameter/a"))]),
    "ecr.DescribeRepositories": ({"repositoryNames": ["r"]}, [IamRequest("ecr:DescribeRepositories", REPOSITORY)]),
    "ecr.DescribeImages": ({"repositoryName": "r"}, [IamRequest("ecr:DescribeImages", REPOSITORY)]),
    "ecr.DescribeImageScanFindings": (
        {"repositoryName": "r", "imageId": {"imageTag": "v1"}},
        [
            IamRequest("ecr:DescribeImageScanFindings", REPOSITORY),
            IamRequest("inspector2:ListCoverage"),
            IamRequest("inspector2:ListFindings"),
        ],
    ),
    "ecr.BatchGetImage": ({"repositoryName": "r"}, [IamRequest("ecr:BatchGetImage", REPOSITORY)]),
    "ecs.DescribeTaskDefinition": ({"taskDefinition": "f:1"}, [IamRequest("ecs:DescribeTaskDefinition")]),
    "ecs.DescribeServices": (
        {"cluster": "c", "services": ["s", arn("ecs", "service/c/u")]},
        [
            IamRequest("ecs:DescribeServices", arn("ecs", "service/c/s"), (CLUSTER,)),
            IamRequest("ecs:DescribeServices", arn("ecs", "service/c/u"), (CLUSTER,)),
        ],
    ),
    "ecs.ListServiceDeployments": (
        {"cluster": "c", "service": "s"},
        [IamRequest("ecs:ListServiceDeployments", arn("ecs", "service/c/s"), (CLUSTER,))],
    ),
    "ecs.DescribeServiceDeployments": (
        {"serviceDeploymentArns": [arn("ecs", "service-deployment/c/s/1")]},
        [
            IamRequest("ecs:DescribeServiceDeployments", arn("ecs", "service-deployment/c/s/1")),
            IamRequest("ecs:DescribeServiceDeployments", arn("ecs", "service/c/s")),
        ],
    ),
    "ecs.UpdateService": (
        {"cluster": "c", "service": "s"},
        [IamRequest("ecs:UpdateService", arn("ecs", "service/c/s"), (CLUSTER,))],
    ),
    "ecs.DescribeTasks": (
        {"cluster": CLUSTER[1], "tasks": ["1", "2"]},
        [IamRequest("ecs:DescribeTasks", arn("ecs", f"task/c/{each}"), (CLUSTER,)) for each in "12"],
    ),
    "ecs.StopTask": (
        {"cluster": "c", "task": arn("ecs", "task/c/1")},
        [IamRequest("ecs:StopTask", arn("ecs", "task/c/1"), (CLUSTER,))],
    ),
    "ecs.ListTasks": ({"cluster": "c"}, [IamRequest("ecs:ListTasks", "*", (CLUSTER,))]),
    "ecs.RegisterTaskDefinition": (
        {"family": "f", "tags": [{"key": "k", "value": "v"}], "executionRoleArn": f"{ROLE}/execution"},
        [
            IamRequest("ecs:RegisterTaskDefinition", arn("ecs", "task-definition/f:*")),
            IamRequest(
                "ecs:TagResource",
                arn("ecs", "task-definition/f:*"),
                (("ecs:CreateAction", "RegisterTaskDefinition"),),
            ),
            IamRequest("iam:PassRole", f"{ROLE}/execution", PASSED),
        ],
    ),
    "ecs.RunTask": (
        {
            "cluster": "c",
            "taskDefinition": "f",
            "propagateTags": "TASK_DEFINITION",
            "overrides": {"taskRoleArn": f"{ROLE}/other"},
        },
        [
            IamRequest("ecs:RunTask", arn("ecs", "task-definition/f:7"), (CLUSTER,)),
            IamRequest("ecs:TagResource", arn("ecs", "task/c/*"), (("ecs:CreateAction", "RunTask"),)),
            *(IamRequest("iam:PassRole", f"{ROLE}/{each}", PASSED) for each in ("task", "execution", "other")),
        ],
    ),
    "iam.GetRole": ({"RoleName": "task"}, [IamRequest("iam:GetRole", f"{ROLE}/task")]),
    "secretsmanager.DescribeSecret": (
        {"SecretId": "s"},
        [IamRequest("secretsmanager:DescribeSecret", arn("secretsmanager", "secret:s-a1b2c3"))],
    ),
    "logs.DescribeLogGroups": ({"logGroupNamePrefix": "/g"}, [IamRequest("logs:DescribeLogGroups")]),
    "logs.GetLogEvents": (
        {"logGroupName": "/g", "logStreamName": "a/b"},
        [IamRequest("logs:GetLogEvents", arn("logs", "log-group:/g:log-stream:a/b"))],
    ),
    "cloudwatch.DescribeAlarms": ({"AlarmNames": ["a"]}, [IamRequest("cloudwatch:DescribeAlarms")]),
    "events.PutEvents": (
        {"Entries": [{"Source": "stepship"}, {"Source": "other", "EventBusName": "b"}]},
        [
            IamRequest("events:PutEvents", arn("events", "event-bus/default"), (("events:source", "stepship"),)),
            IamRequest("events:PutEvents", arn("events", "event-bus/b"), (("events:source", "other"),)),
        ],
    ),
    "stepfunctions.DescribeExecution": (
        {"executionArn": EXECUTION},
        [IamRequest("states:DescribeExecution", EXECUTION)],
    ),
    "stepfunctions.StartExecution": (
        {"stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:m", "name": "n", "input": "{}"},
        [IamRequest("states:StartExecution", "arn:aws:states:us-east-1:123456789012:stateMachine:m")],
    ),
    "stepfunctions.SendTaskFailure": ({"taskToken": "t"}, [IamRequest("states:SendTaskFailure")]),
}


def test_every_call_has_a_case() -> None:
    assert set(CASES) == set(requests._CALLS)


@pytest.mark.parametrize("call", CASES)
def test_a_call_asks_for(call: str) -> None:
    params, expected = CASES[call]
    service, operation = call.split(".")
    assert requests_of(service, operation, params, FakeAccount()) == expected


@pytest.mark.parametrize("call", CASES)
def test_what_is_asked_is_as_aws_has_it(call: str) -> None:
    for request in CASES[call][1]:
        service, name = request.action.split(":")
        known = {key.lower(): value for key, value in REFERENCE[service]["Actions"].items()}
        kinds = known[name.lower()].get("Resources", [])
        if request.resource == "*":
            assert not kinds or request.action in WITHOUT_THEIR_RESOURCE
            continue
        # The reference writes `Secret` here and `secret` there.
        arns = {kind.lower(): each["ARNFormats"] for kind, each in REFERENCE[service]["Resources"].items()}
        formats = [one for kind in kinds for one in arns[kind.lower()]]
        written = [re.sub(r"\$\{\w+\}", "[^:]*", one) for one in formats]
        assert any(re.fullmatch(one, request.resource) for one in written), f"{request} is none of {formats}"


def test_a_call_that_nobody_has_mapped_is_an_error() -> None:
    with pytest.raises(UnmappedCallError, match=r"ecs\.DeleteService"):
        requests_of("ecs", "DeleteService", {"cluster": "c", "service": "s"}, FakeAccount())


RESOURCE = arn("ecs", "task-definition/f:*")
STATEMENT = {
    "Effect": "Allow",
    "Action": ["ecs:TagResource", "ecs:RunTask"],
    "Resource": arn("ecs", "task-definition/*"),
    "Condition": {
        "StringEquals": {"ecs:CreateAction": "RegisterTaskDefinition"},
        "ArnEquals": {"ecs:cluster": [arn("ecs", "cluster/a*"), arn("ecs", "cluster/b")]},
    },
}
KEYS = (("ecs:CreateAction", "RegisterTaskDefinition"), ("ecs:cluster", arn("ecs", "cluster/abc")))


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        (IamRequest("ecs:TagResource", RESOURCE, KEYS), True),
        (IamRequest("ECS:tagresource", RESOURCE, KEYS), True),
        (IamRequest("ecs:RunTask", RESOURCE, (KEYS[0], ("ECS:Cluster", arn("ecs", "cluster/b")))), True),
        (IamRequest("ecs:UntagResource", RESOURCE, KEYS), False),
        (IamRequest("ecs:TagResource", arn("ecs", "service/f"), KEYS), False),
        (IamRequest("ecs:TagResource", RESOURCE.upper(), KEYS), False),
        (IamRequest("ecs:TagResource", RESOURCE, KEYS[:1]), False),
        (IamRequest("ecs:TagResource", RESOURCE, KEYS[1:]), False),
        (IamRequest("ecs:TagResource", RESOURCE, (KEYS[0], ("ecs:cluster", arn("ecs", "cluster/c")))), False),
        (IamRequest("ecs:TagResource", RESOURCE, (("ecs:CreateAction", "Register*"), KEYS[1])), False),
    ],
)
def test_a_statement_allows(request_: IamRequest, *, allowed: bool) -> None:
    assert bool(Statement.read(STATEMENT).matching(request_)) == allowed


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "Deny"},
        {"NotAction": "ecs:*"},
        {"Condition": {"StringLike": {"ecs:cluster": "a*"}}},
        {"Resource": "arn:aws:s3:::bucket/${aws:username}"},
    ],
)
def test_what_is_not_understood_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstoodError):
        Statement.read({**STATEMENT, **change})
