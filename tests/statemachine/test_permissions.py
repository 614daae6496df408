from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from statemachine.steps import STEPS, Step

# cfn-lint ships the Service Authorization Reference: which action supports which resource.
# Found without importing cfn-lint, which takes seconds.
POLICIES = Path(str(distribution("cfn-lint").locate_file("cfnlint/data/AdditionalSpecs/Policies.json")))
REFERENCE = json.loads(POLICIES.read_text(encoding="utf-8"))
# A resource exists in the reference, and the wildcard is right all the same; the grant says why.
KNOWN_WILDCARDS = {"ecs:ListTasks", "cloudwatch:DescribeAlarms"}
WRITES_TO_ECS = {"ecs:UpdateService", "ecs:RunTask", "ecs:RegisterTaskDefinition"}


def reference(action: str) -> Mapping[str, Any]:
    service, _, name = action.partition(":")
    actions = {key.lower(): value for key, value in REFERENCE[service]["Actions"].items()}
    assert name.lower() in actions, f"{action} is no action of IAM"
    found: Mapping[str, Any] = actions[name.lower()]
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="session")
def statements(templates: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The statements of each step's role, by handler, with the ARNs written out."""
    from statemachine.render import written_out

    found = templates["dev"]["Resources"]
    arns = {name: f"<{name}>" for name in found}
    result = {}
    for step in STEPS:
        (function,) = (
            each["Properties"]
            for each in found.values()
            if each["Type"] == "AWS::Lambda::Function" and each["Properties"]["Handler"] == step.entry_point
        )
        (policy,) = found[function["Role"]["Fn::GetAtt"][0]]["Properties"]["Policies"]
        result[step.handler] = written_out(policy["PolicyDocument"]["Statement"], arns)
    return result


def actions_of(statements: list[dict[str, Any]]) -> set[str]:
    return {action for statement in statements for action in as_list(statement["Action"])}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.handler)
def test_a_role_has_no_wildcard_that_iam_could_do_without(
    step: Step, statements: dict[str, list[dict[str, Any]]]
) -> None:
    for statement in statements[step.handler]:
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            assert "*" not in action
            supported = reference(action).get("Resources")
            if "*" in as_list(statement["Resource"]):
                assert not supported or action in KNOWN_WILDCARDS, action
            else:
                assert supported, f"{action} supports no resource: the statement would allow nothing"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.handler)
def test_a_role_writes_to_the_log_group_of_its_own_function_alone(
    step: Step, statements: dict[str, list[dict[str, Any]]]
) -> None:
    (writing,) = (each for each in statements[step.handler] if "logs:PutLogEvents" in as_list(each["Action"]))
    (log_group,) = as_list(writing["Resource"])
    assert step.handler.replace("_", "") in log_group.lower()


@pytest.mark.parametrize(
    ("action", "handlers"),
    [
        ("ecs:UpdateService", {"deploy_wave", "roll_back"}),
        ("ecs:RunTask", {"run_migration"}),
        ("ecs:RegisterTaskDefinition", {"register_task_definitions", "deploy_wave", "roll_back"}),
        ("iam:PassRole", {"register_task_definitions", "deploy_wave", "roll_back", "run_migration"}),
        ("ssm:PutParameter", {"update_image_tag", "roll_back", "complete"}),
        ("ssm:DeleteParameter", {"update_image_tag", "roll_back"}),
        ("ecr:BatchGetImage", {"verify_image"}),
        ("events:PutEvents", {"request_approval", "complete", "record_failure", "record_outcome"}),
        ("states:DescribeExecution", {"acquire_lock", "complete", "record_failure", "record_outcome"}),
        ("secretsmanager:DescribeSecret", {"plan"}),
        ("secretsmanager:GetSecretValue", set()),
        ("ecs:DeleteService", set()),
    ],
)
def test_who_may_do_what(action: str, handlers: set[str], statements: dict[str, list[dict[str, Any]]]) -> None:
    assert {handler for handler, found in statements.items() if action in actions_of(found)} == handlers


def test_steps_that_only_look_write_nothing(statements: dict[str, list[dict[str, Any]]]) -> None:
    reads = ("Get", "Describe", "List", "BatchGet", "Query")
    for handler in ("verify_image", "plan", "check_rollout", "check_health", "check_rollback"):
        writes = {each for each in actions_of(statements[handler]) if not each.split(":")[1].startswith(reads)}
        assert writes == {"logs:CreateLogStream", "logs:PutLogEvents"}, handler


def test_who_writes_to_the_world_can_renew_the_lease(statements: dict[str, list[dict[str, Any]]]) -> None:
    for handler, found in statements.items():
        actions = actions_of(found)
        if actions & {*WRITES_TO_ECS, "ssm:PutParameter"}:
            assert "dynamodb:UpdateItem" in actions, handler


def test_dev_reaches_no_service_of_another_environment(statements: dict[str, list[dict[str, Any]]]) -> None:
    for found in statements.values():
        for statement in found:
            if {"ecs:UpdateService", "ecs:DescribeServices", "ecs:DescribeTasks"} & set(as_list(statement["Action"])):
                for resource in as_list(statement["Resource"]):
                    assert resource.split(":")[5].split("/")[1] == "v3-backend-dev"


def test_the_registry_is_read_by_its_path_and_by_no_parameter_below_it(
    statements: dict[str, list[dict[str, Any]]],
) -> None:
    for handler in ("verify_image", "plan"):
        (reading,) = (each for each in statements[handler] if each["Action"] == "ssm:GetParametersByPath")
        assert reading["Resource"] == "arn:aws:ssm:us-east-1:123456789012:parameter/v3-backend/dev/services"


def test_roles_are_passed_to_ecs_tasks_alone_and_from_one_path(statements: dict[str, list[dict[str, Any]]]) -> None:
    for handler in ("register_task_definitions", "deploy_wave", "roll_back", "run_migration"):
        (passing,) = (each for each in statements[handler] if each["Action"] == "iam:PassRole")
        assert passing["Resource"] == "arn:aws:iam::123456789012:role/v3-backend/dev/*"
        assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def test_events_carry_our_own_source_alone(statements: dict[str, list[dict[str, Any]]]) -> None:
    (putting,) = (each for each in statements["complete"] if each["Action"] == "events:PutEvents")
    assert putting["Condition"] == {"StringEquals": {"events:source": "stepship"}}


def test_a_role_fits_the_limit_of_iam(statements: dict[str, list[dict[str, Any]]]) -> None:
    # IAM quotas: all inline policies of a role together, without white space.
    for found in statements.values():
        assert len(json.dumps(found, separators=(",", ":"))) < 10_240
