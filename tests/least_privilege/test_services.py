"""What AWS does with roles of ours: Step Functions with the machine's, EventBridge with those of the rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from statemachine.render import DEFINITION_FILE
from tests.least_privilege.policies import Role, Template
from tests.least_privilege.requests import IamRequest

ENVIRONMENTS = ("dev", "staging", "production", "own")

LOGGING = {
    f"logs:{action}"
    for action in (
        *("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries"),
        *("PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups"),
    )
}
"""Step Functions Developer Guide, "Using CloudWatch Logs to log execution history": all of them, on ``*``."""

TARGET_ACTIONS = {"states": "states:StartExecution", "sns": "sns:Publish"}
"""EventBridge User Guide, "Amazon EventBridge targets": what a rule's role needs, by the target's service."""


@pytest.fixture(params=ENVIRONMENTS)
def template(request: pytest.FixtureRequest, templates: dict[str, dict[str, Any]]) -> Template:
    return Template(templates[request.param])


def machine_role(template: Template) -> tuple[dict[str, Any], Role]:
    (machine,) = template.of_type("AWS::StepFunctions::StateMachine").values()
    return machine, template.role_by_arn(machine["RoleArn"])


def called_functions() -> set[str]:
    """Return the names of the functions that the definition calls, as far as the environment does not matter."""
    text = json.dumps(json.loads(DEFINITION_FILE.read_text(encoding="utf-8")))
    return {part.split('"')[0] for part in text.split(":function:v3-backend-dev-")[1:]}


def test_the_machine_calls_the_functions_of_its_definition_and_writes_its_log(template: Template) -> None:
    machine, role = machine_role(template)
    functions = {
        each["FunctionName"]: template.arn_of(name) for name, each in template.of_type("AWS::Lambda::Function").items()
    }
    called = {arn for name, arn in functions.items() if any(name.endswith(f"-{each}") for each in called_functions())}

    assert called == set(functions.values())
    assert role.trusted == ("states.amazonaws.com",)
    assert role.pairs() == {("lambda:InvokeFunction", arn) for arn in called} | {(each, "*") for each in LOGGING}
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    # With tracing it would need X-Ray.
    assert not machine.get("TracingConfiguration", {}).get("Enabled")


def test_the_machine_may_call_no_other_version_and_no_other_function(template: Template) -> None:
    _, role = machine_role(template)
    (arn, *_) = sorted(resource for action, resource in role.pairs() if action == "lambda:InvokeFunction")
    assert role.allows(IamRequest("lambda:InvokeFunction", arn))
    assert not role.allows(IamRequest("lambda:InvokeFunction", f"{arn}:1"))
    assert not role.allows(IamRequest("lambda:InvokeFunction", arn.rpartition(":")[0] + ":other"))


def test_a_rule_may_reach_its_targets_and_nothing_else(template: Template) -> None:
    targets: dict[str, set[tuple[str, str]]] = {}
    for rule in template.of_type("AWS::Events::Rule").values():
        for target in rule["Targets"]:
            pair = (TARGET_ACTIONS[target["Arn"].split(":")[2]], target["Arn"])
            targets.setdefault(target["RoleArn"], set()).add(pair)
    assert targets
    for arn, pairs in targets.items():
        role = template.role_by_arn(arn)
        assert role.pairs() == pairs
        assert role.trusted == ("events.amazonaws.com",)


def test_there_is_no_role_that_nobody_has_looked_at(template: Template) -> None:
    machine, _ = machine_role(template)
    used = {
        machine["RoleArn"],
        *(each["Role"] for each in template.of_type("AWS::Lambda::Function").values()),
        *(target["RoleArn"] for rule in template.of_type("AWS::Events::Rule").values() for target in rule["Targets"]),
    }
    assert {template.arn_of(name) for name in template.roles()} == used
