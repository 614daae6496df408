from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import config
from tests.stacks.synthesis import ROOT, Template, published


def parameters(template: Template) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in published(template).items()}


def test_own_services_are_registered_by_this_one_stack(templates: dict[str, dict[str, Any]]) -> None:
    assert parameters(templates["own"]) == {
        "/v3-backend/own/services/api": {
            "cluster": "v3-backend-dev",
            "service": "v3-backend-dev-api",
            "family": "v3-backend-dev-api",
            "container": "v3-backend-api",
            "repository": "v3-backend",
            "wave": 1,
        },
        "/v3-backend/own/services/migration": {
            "kind": "migration",
            "cluster": "v3-backend-dev",
            "family": "v3-backend-dev-migration",
            "container": "v3-backend-migration",
            "repository": "v3-backend",
            "subnets": ["subnet-0123456789abcdef0"],
            "securityGroups": ["sg-0123456789abcdef0"],
        },
    }


@pytest.mark.parametrize("environment", config.environments())
def test_what_code_deploys_write_is_not_in_the_template(environment: str, templates: dict[str, dict[str, Any]]) -> None:
    names = parameters(templates[environment])
    assert not [name for name in names if "/compute/" in name or "/images/" in name]


def test_the_template_fits_any_account_and_needs_nothing_from_other_stacks(
    templates: dict[str, dict[str, Any]],
) -> None:
    text = json.dumps(templates["dev"])
    assert "Fn::ImportValue" not in text
    assert "123456789012" not in text


def test_cfn_lint_finds_nothing(templates: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    files = []
    for environment, template in templates.items():
        file = tmp_path / f"{environment}.template.json"
        file.write_text(json.dumps(template))
        files.append(str(file))
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([str(lint), *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_cdk_nag_stops_a_wildcard_that_nobody_gave_a_reason_for() -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_iam as iam

    import cdk_app

    app = cdk_app.build({"environment": "dev", "aws:cdk:bundling-stacks": []})
    stack = next(child for child in app.node.children if isinstance(child, cdk.Stack))
    role = iam.Role(stack, "Careless", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"]))
    with pytest.raises(RuntimeError, match=r"AwsSolutions-IAM5\[Resource::\*\]"):
        app.synth()


def test_one_environment_is_chosen_by_context() -> None:
    import aws_cdk as cdk

    import cdk_app

    app = cdk_app.build({"environment": "staging", "aws:cdk:bundling-stacks": []})
    stacks = [child.stack_name for child in app.node.children if isinstance(child, cdk.Stack)]
    assert "v3-backend-staging-deployment-coordinator" in stacks
    assert all(name.startswith("v3-backend-staging-") for name in stacks)


def test_an_environment_that_does_not_exist_is_one_clear_error() -> None:
    import cdk_app

    with pytest.raises(config.ConfigError, match="the environments are: dev, production, staging"):
        cdk_app.build({"environment": "prod"})
