"""Every call of every step is allowed by the template, resource and conditions included, and nothing else is.

The calls of all scenarios are compared too, where the scenarios run: ``tests/simulator/scenario/test_scenarios.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from simulator.engine.local_lambda import Function, Handler
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine.steps import STEPS
from tests.least_privilege.drive import drive_every_road
from tests.least_privilege.policies import Role, Statement, Template, arn
from tests.least_privilege.witness import Witness
from tests.simulator.quick import few_looks


@pytest.fixture(scope="module")
def roles(templates: dict[str, dict[str, Any]]) -> dict[str, Role]:
    return Template(templates["dev"]).roles_of_functions()


def test_a_step_may_do_what_it_does_and_nothing_that_no_road_needs(roles: dict[str, Role]) -> None:
    seen = drive_every_road()

    assert set(roles) == set(seen.requests)
    assert seen.refusals(roles) == []
    assert seen.unused(roles) == []
    assert seen.not_missed(roles) == []


@pytest.mark.parametrize("environment", ["dev", "staging", "production", "own"])
def test_every_step_has_a_role_of_its_own_that_lambda_alone_takes(
    environment: str, templates: dict[str, dict[str, Any]]
) -> None:
    template = Template(templates[environment])
    roles = template.roles_of_functions()
    assert len(roles) == len(STEPS)
    assert len({each["Role"] for each in template.of_type("AWS::Lambda::Function").values()}) == len(STEPS)
    assert {role.trusted for role in roles.values()} == {("lambda.amazonaws.com",)}


def test_what_no_road_needs_is_found(roles: dict[str, Role]) -> None:
    """Plants: a permission too many, a resource too many, a wide resource beside the narrow one that is used."""
    role = roles["v3-backend-dev-deploy-wave"]
    planted = (
        Statement(("ecs:DeleteService",), (arn("ecs", "service/v3-backend-dev/*"),)),
        Statement(("ecs:UpdateService",), (arn("ecs", "service/*"),)),
    )
    seen = Witness()
    with SimulatedEnvironment(migration=False, settings=few_looks()) as simulated:
        simulated.push("v1")
        simulated.run({"imageTag": "v1"}, "first")
        seen.note(simulated)

    roles = {role.name: replace(role, statements=(*role.statements, *planted))}

    assert "v3-backend-dev-deploy-wave does not need ecs:DeleteService" in seen.not_missed(roles)
    # One road alone does not need all that the step may do.
    without = seen.unused({role.name: role})
    assert [each for each in seen.unused(roles) if each not in without] == [
        f"v3-backend-dev-deploy-wave never used ecs:DeleteService on {arn('ecs', 'service/v3-backend-dev/*')}",
        f"v3-backend-dev-deploy-wave never used ecs:UpdateService on {arn('ecs', 'service/*')}",
    ]


def _client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")


ROLE = "arn:aws:iam::123456789012:role"
OTHER = arn("ecs", "service/v3-backend-production")
OTHER_CLUSTER = f"ecs:cluster = {arn('ecs', 'cluster/v3-backend-production')}"
IN_TRANSACTION = "dynamodb:EnclosingOperation = TransactWriteItems"
PLANTS: dict[str, tuple[str, Callable[[], object], str]] = {
    "a service of another environment": (
        "deploy-wave",
        lambda: _client("ecs").describe_services(cluster="v3-backend-production", services=["v3-backend-dev-api"]),
        f"ecs:DescribeServices on {OTHER}/v3-backend-dev-api with {OTHER_CLUSTER}",
    ),
    "tasks of another cluster": (
        "check-rollout",
        lambda: _client("ecs").list_tasks(cluster="v3-backend-production"),
        f"ecs:ListTasks on * with {OTHER_CLUSTER}",
    ),
    "a role of somebody else": (
        "register-task-definitions",
        lambda: _client("ecs").register_task_definition(
            family="f", containerDefinitions=[{"name": "c", "image": "i"}], taskRoleArn=f"{ROLE}/admin"
        ),
        f"iam:PassRole on {ROLE}/admin with iam:PassedToService = ecs-tasks.amazonaws.com",
    ),
    "a parameter of another environment": (
        "update-image-tag",
        lambda: _client("ssm").get_parameters(
            Names=["/v3-backend/dev/images/api", "/v3-backend/production/images/api"]
        ),
        f"ssm:GetParameters on {arn('ssm', 'parameter/v3-backend/production/images/api')}",
    ),
    "an event of somebody else": (
        "complete",
        lambda: _client("events").put_events(Entries=[{"Source": "billing", "DetailType": "d", "Detail": "{}"}]),
        f"events:PutEvents on {arn('events', 'event-bus/default')} with events:source = billing",
    ),
    "a part of a transaction on another table": (
        "complete",
        lambda: _client("dynamodb").transact_write_items(
            TransactItems=[{"Put": {"TableName": "other", "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}}}}]
        ),
        f"dynamodb:PutItem on {arn('dynamodb', 'table/other')} with {IN_TRANSACTION}",
    ),
    "logs that are not ours": (
        "check-health",
        lambda: _client("logs").get_log_events(logGroupName="/aws/lambda/other", logStreamName="s"),
        f"logs:GetLogEvents on {arn('logs', 'log-group:/aws/lambda/other:log-stream:s')}",
    ),
}


@pytest.fixture(scope="module")
def found(roles: dict[str, Role]) -> list[str]:
    """What a deployment is told whose steps all do what they may not."""
    seen = Witness()
    with SimulatedEnvironment(migration=False, settings=few_looks()) as simulated:
        for step, call, _ in PLANTS.values():
            function = f"v3-backend-dev-{step}"
            planted = simulated.aws.functions[function]
            assert isinstance(planted, Function)
            simulated.aws.functions[function] = replace(planted, handler=_with(call, planted.handler))
        simulated.push("v1")
        simulated.run({"imageTag": "v1"}, "first")
        seen.note(simulated)
    return seen.refusals(roles)


def _with(call: Callable[[], object], handler: Handler) -> Handler:
    def planted(event: dict[str, Any], context: Any) -> object:
        # Whether it works does not matter: it was asked for.
        with suppress(ClientError):
            call()
        return handler(event, context)

    return planted


@pytest.mark.parametrize("plant", PLANTS)
def test_a_call_that_is_not_allowed_is_found(plant: str, found: list[str]) -> None:
    step, _, sentence = PLANTS[plant]
    assert f"v3-backend-dev-{step} may not do {sentence}" in found


def test_nothing_else_is_found(found: list[str]) -> None:
    assert len(found) == len(PLANTS)
