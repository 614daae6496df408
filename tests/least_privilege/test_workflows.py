"""What GitHub's jobs may do: push to one repository, start executions of one machine, read them, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import config
from tests.least_privilege.policies import Role, Template, arn

ROOT = Path(__file__).parents[2]
CLI = ROOT / "docs" / "cli.md"
ENVIRONMENTS = config.environments()

PUSHING = {
    f"ecr:{action}"
    for action in (
        *("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage"),
        *("BatchGetImage", "GetDownloadUrlForLayer", "DescribeImages"),
    )
}
"""Amazon ECR User Guide, "IAM permissions for pushing an image"; and reading one, to give it another tag."""


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def roles(environment: str, app_templates: dict[str, dict[str, Any]]) -> dict[str, Role]:
    """All roles of the bootstrap stack by name."""
    template = Template(app_templates[f"v3-backend-{environment}-bootstrap"])
    return {template.arn_of(name).rpartition("/")[2]: role for name, role in template.roles().items()}


def test_the_role_for_code_pushes_images_starts_executions_and_reads_them(
    environment: str, roles: dict[str, Role]
) -> None:
    machine = arn("states", f"stateMachine:v3-backend-{environment}-deploy")
    executions = arn("states", f"execution:v3-backend-{environment}-deploy:*")
    role = roles[f"v3-backend-{environment}-github-code"]
    assert role.pairs() == {
        ("ecr:GetAuthorizationToken", "*"),
        *((action, arn("ecr", "repository/v3-backend")) for action in PUSHING),
        ("states:StartExecution", machine),
        ("states:ListExecutions", machine),
        ("states:DescribeExecution", executions),
        ("states:GetExecutionHistory", executions),
    }
    assert not [statement for statement in role.statements if statement.conditions]


def test_the_role_for_code_may_do_what_the_scripts_and_the_command_line_call_and_nothing_else(
    environment: str, roles: dict[str, Role]
) -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "scripts").glob("*.py"))
    called = {
        "states:" + "".join(part.title() for part in command.split("-"))
        for command in re.findall(r'"stepfunctions", "([a-z-]+)"', scripts)
    }
    (row,) = re.findall(r"\n\| `deploy`, `rollback`, `plan`, `watch` \|(.*)\|\n", CLI.read_text(encoding="utf-8"))
    documented = {f"states:{name.removeprefix('states:')}" for name in re.findall(r"`([\w:]+)`", row)}
    allowed = {action for action, _ in roles[f"v3-backend-{environment}-github-code"].pairs()}
    assert called
    assert {action for action in allowed if action.startswith("states:")} == called | documented


def test_no_role_of_the_stack_has_a_wildcard_but_where_aws_names_the_rest(
    environment: str, roles: dict[str, Role]
) -> None:
    assert len(roles) == 3
    wide = {
        (action, resource) for role in roles.values() for action, resource in role.pairs() if "*" in action + resource
    }
    executions = arn("states", f"execution:v3-backend-{environment}-deploy:*")
    own_log = arn("logs", f"log-group:/aws/lambda/v3-backend-{environment}-seed-parameters:*")
    assert wide == {
        # IAM has no resource for it.
        ("ecr:GetAuthorizationToken", "*"),
        # Every execution has a name of its own, and every function instance a log stream.
        ("states:DescribeExecution", executions),
        ("states:GetExecutionHistory", executions),
        ("logs:CreateLogStream", own_log),
        ("logs:PutLogEvents", own_log),
    }


def test_a_function_of_the_stack_touches_the_parameters_that_it_seeds_and_no_other(
    environment: str, roles: dict[str, Role], app_templates: dict[str, dict[str, Any]]
) -> None:
    template = Template(app_templates[f"v3-backend-{environment}-bootstrap"])
    (seeded,) = template.of_type("Custom::SeededParameters").values()
    parameters = {arn("ssm", f"parameter{each['Name']}") for each in seeded["Parameters"]}
    (role,) = (role for role in roles.values() if role.trusted == ("lambda.amazonaws.com",))
    seeding = {(action, resource) for action, resource in role.pairs() if action.startswith("ssm:")}
    assert seeding == {
        (action, each) for action in ("ssm:PutParameter", "ssm:AddTagsToResource") for each in parameters
    }
