"""What IAM is asked when an API call is made: actions, the ARN of each resource, and condition keys.

Written from the Service Authorization Reference and the services' own pages. Read on two sides: the tests ask the
policies of the template whether they allow what the simulator has recorded, and the emulator's launcher authorises
by it what the emulator itself maps to another resource or to none. For that it needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Params = Mapping[str, Any]

TASKS = "ecs-tasks.amazonaws.com"
"""The service that a task definition's roles are passed to."""


@dataclass(frozen=True)
class IamRequest:
    """One question to IAM.

    Attributes
    ----------
    action
        Such as ``ecs:RunTask``.
    resource
        An ARN; ``*`` for an action that has no resource.
    keys
        Condition keys of the service, and their values. Not the global ones, ``aws:…``.
    """

    action: str
    resource: str = "*"
    keys: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Say it as an error message of AWS does."""
        given = ", ".join(f"{key} = {value}" for key, value in self.keys)
        return f"{self.action} on {self.resource}" + (f" with {given}" if given else "")


class UnmappedCallError(Exception):
    """Nobody has written down what IAM is asked for this call."""


class Account(Protocol):
    """What has to be looked up to know a resource's ARN."""

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the account and its region."""

    def role(self, name: str) -> str:
        """Return the ARN of a role, with its path; without one when there is no such role."""

    def secret(self, name: str) -> str:
        """Return the ARN of a secret by its name or ARN."""

    def task_definition(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return the ARN of a revision, by ARN, ``family:revision`` or family, and the roles that it carries."""


def requests_of(service: str, operation: str, params: Params, account: Account) -> list[IamRequest]:
    """Return all that IAM is asked for one call; the call is allowed when every one of it is.

    Parameters
    ----------
    service, operation
        As boto3 and the API name them: ``stepfunctions``, ``DescribeExecution``.
    params
        The request's parameters.
    account
        Where the call is made.

    Raises
    ------
    UnmappedCallError
        The call is not in the table below.
    """
    known = _CALLS.get(f"{service}.{operation}")
    if known is None:
        raise UnmappedCallError(f"{service}.{operation}: say in {__name__} what IAM is asked for it")
    return [IamRequest(*each) for each in known(params, account)]


def requests_of_runtime(log_group: str, account: Account) -> list[IamRequest]:
    """Return what IAM is asked for a function's own log, which Lambda writes with the function's role.

    Source: Lambda Developer Guide, "Sending Lambda function logs to CloudWatch Logs".
    """
    stream = account.arn("logs", f"log-group:{log_group}:log-stream:2026/01/01/[$LATEST]0")
    return [IamRequest("logs:CreateLogStream", stream), IamRequest("logs:PutLogEvents", stream)]


Found = Iterable[tuple[Any, ...]]


def _table(action: str) -> Callable[[Params, Account], Found]:
    def found(params: Params, account: Account) -> Found:
        yield f"dynamodb:{action}", account.arn("dynamodb", f"table/{params['TableName']}")

    return found


_PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def _transaction(params: Params, account: Account) -> Found:
    """DynamoDB Developer Guide, "IAM and transactions": the parts are authorised, not the transaction."""
    for item in params["TransactItems"]:
        for part, asked in item.items():
            table = account.arn("dynamodb", f"table/{asked['TableName']}")
            yield f"dynamodb:{_PARTS[part]}", table, (("dynamodb:EnclosingOperation", "TransactWriteItems"),)


def _parameters(action: str) -> Callable[[Params, Account], Found]:
    """Systems Manager: each parameter that is named; of a path, the path itself and not what is below it."""

    def found(params: Params, account: Account) -> Found:
        for name in params.get("Names") or [params.get("Path") or params["Name"]]:
            yield f"ssm:{action}", account.arn("ssm", f"parameter/{name.removeprefix('/')}")

    return found


def _repositories(action: str) -> Callable[[Params, Account], Found]:
    def found(params: Params, account: Account) -> Found:
        for name in params.get("repositoryNames") or [params["repositoryName"]]:
            yield f"ecr:{action}", account.arn("ecr", f"repository/{name}")

    return found


def _without_resource(action: str) -> Callable[[Params, Account], Found]:
    return lambda _params, _account: [(action,)]


def _cluster(params: Params, account: Account) -> tuple[tuple[str, str], ...]:
    name = params["cluster"]
    return (("ecs:cluster", name if name.startswith("arn:") else account.arn("ecs", f"cluster/{name}")),)


def _in_cluster(action: str, kind: str, *keys: str) -> Callable[[Params, Account], Found]:
    """Services and tasks have their cluster in the ARN (ECS Developer Guide, "Amazon Resource Names")."""

    def found(params: Params, account: Account) -> Found:
        cluster = _cluster(params, account)
        name = cluster[0][1].rpartition("/")[2]
        for key in keys:
            given = params.get(key) or []
            for each in [given] if isinstance(given, str) else given:
                resource = each if each.startswith("arn:") else account.arn("ecs", f"{kind}/{name}/{each}")
                yield f"ecs:{action}", resource, cluster

    return found


def _pass_roles(roles: Iterable[str | None]) -> Found:
    """ECS Developer Guide, "Task IAM role": whoever gives ECS a role has to be allowed to pass it."""
    for role in roles:
        if role:
            yield "iam:PassRole", role, (("iam:PassedToService", TASKS),)


def _register(params: Params, account: Account) -> Found:
    """Tags are asked for too (ECS Developer Guide, "Grant permission to tag resources on creation")."""
    revision = account.arn("ecs", f"task-definition/{params['family']}:*")
    yield "ecs:RegisterTaskDefinition", revision
    if params.get("tags"):
        yield "ecs:TagResource", revision, (("ecs:CreateAction", "RegisterTaskDefinition"),)
    yield from _pass_roles((params.get("taskRoleArn"), params.get("executionRoleArn")))


def _service_deployments(params: Params, _account: Account) -> Found:
    """Its resources are the service deployment and the service that it is of; nobody says which of them is required."""
    for arn in params["serviceDeploymentArns"]:
        service = arn.replace(":service-deployment/", ":service/").rpartition("/")[0]
        yield "ecs:DescribeServiceDeployments", arn
        yield "ecs:DescribeServiceDeployments", service


def _run_task(params: Params, account: Account) -> Found:
    revision, roles = account.task_definition(params["taskDefinition"])
    yield "ecs:RunTask", revision, _cluster(params, account)
    if params.get("tags") or params.get("propagateTags"):
        tagged = account.arn("ecs", f"task/{_cluster(params, account)[0][1].rpartition('/')[2]}/*")
        yield "ecs:TagResource", tagged, (("ecs:CreateAction", "RunTask"),)
    overrides = params.get("overrides") or {}
    yield from _pass_roles((*roles, overrides.get("taskRoleArn"), overrides.get("executionRoleArn")))


def _log_events(params: Params, account: Account) -> Found:
    stream = f"log-group:{params['logGroupName']}:log-stream:{params['logStreamName']}"
    yield "logs:GetLogEvents", account.arn("logs", stream)


def _put_events(params: Params, account: Account) -> Found:
    """EventBridge asks for each entry (EventBridge User Guide, "Using IAM policy conditions")."""
    for entry in params["Entries"]:
        bus = entry.get("EventBusName") or "default"
        resource = bus if bus.startswith("arn:") else account.arn("events", f"event-bus/{bus}")
        yield "events:PutEvents", resource, (("events:source", entry["Source"]),)


def _scan(params: Params, account: Account) -> Found:
    """ECR asks Amazon Inspector as the caller (ECR User Guide, "Retrieving the findings for enhanced scans")."""
    yield from _repositories("DescribeImageScanFindings")(params, account)
    yield "inspector2:ListCoverage", "*"
    yield "inspector2:ListFindings", "*"


_CALLS: dict[str, Callable[[Params, Account], Found]] = {
    "dynamodb.GetItem": _table("GetItem"),
    "dynamodb.PutItem": _table("PutItem"),
    "dynamodb.UpdateItem": _table("UpdateItem"),
    "dynamodb.Query": _table("Query"),
    "dynamodb.TransactWriteItems": _transaction,
    "ssm.GetParametersByPath": _parameters("GetParametersByPath"),
    "ssm.GetParameters": _parameters("GetParameters"),
    "ssm.PutParameter": _parameters("PutParameter"),
    "ssm.DeleteParameter": _parameters("DeleteParameter"),
    "ecr.DescribeRepositories": _repositories("DescribeRepositories"),
    "ecr.DescribeImages": _repositories("DescribeImages"),
    "ecr.DescribeImageScanFindings": _scan,
    "ecr.BatchGetImage": _repositories("BatchGetImage"),
    "ecs.DescribeTaskDefinition": _without_resource("ecs:DescribeTaskDefinition"),
    "ecs.DescribeServices": _in_cluster("DescribeServices", "service", "services"),
    "ecs.ListServiceDeployments": _in_cluster("ListServiceDeployments", "service", "service"),
    "ecs.DescribeServiceDeployments": _service_deployments,
    "ecs.UpdateService": _in_cluster("UpdateService", "service", "service"),
    "ecs.DescribeTasks": _in_cluster("DescribeTasks", "task", "tasks"),
    "ecs.StopTask": _in_cluster("StopTask", "task", "task"),
    # Its resource is a container instance, which Fargate has none of; the cluster is a condition key.
    "ecs.ListTasks": lambda params, account: [("ecs:ListTasks", "*", _cluster(params, account))],
    "ecs.RegisterTaskDefinition": _register,
    "ecs.RunTask": _run_task,
    "iam.GetRole": lambda params, account: [("iam:GetRole", account.role(params["RoleName"]))],
    "secretsmanager.DescribeSecret": lambda params, account: [
        ("secretsmanager:DescribeSecret", account.secret(params["SecretId"]))
    ],
    "logs.DescribeLogGroups": _without_resource("logs:DescribeLogGroups"),
    "logs.GetLogEvents": _log_events,
    # CloudWatch API Reference, DescribeAlarms: a narrower resource leaves composite alarms out.
    "cloudwatch.DescribeAlarms": _without_resource("cloudwatch:DescribeAlarms"),
    "events.PutEvents": _put_events,
    "stepfunctions.DescribeExecution": lambda params, _: [("states:DescribeExecution", params["executionArn"])],
    "stepfunctions.StartExecution": lambda params, _: [("states:StartExecution", params["stateMachineArn"])],
    "stepfunctions.SendTaskFailure": _without_resource("states:SendTaskFailure"),
}
"""Every call that a handler makes, by boto3's service and the API's operation, to what IAM is asked."""
