"""``stacks/constructs/carried_image.py``: every way in which infrastructure gets an image."""

from __future__ import annotations

import json
from typing import Any

import pytest

import config
from tests.stacks.synthesis import of_kind, only, resources

DIGEST = "sha256:" + "0123456789abcdef" * 4
PINNED = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/v3-backend/dev/images/api"}


def resolved(context: dict[str, Any] | None = None, workload: str = "api") -> tuple[Any, bool, dict[str, Any]]:
    """Return the URI as CloudFormation gets it, whether it is the pinned one, and the template's parameters."""
    import aws_cdk as cdk

    from stacks.application.scheduler_service_stack import SchedulerServiceStack
    from stacks.constructs.carried_image import resolve

    class Empty(SchedulerServiceStack):
        def __init__(self, app: cdk.App) -> None:
            super(SchedulerServiceStack, self).__init__(app, settings=config.load("dev"))

    app = cdk.App(context=context or {})
    stack = Empty(app)
    image = resolve(stack, workload)
    cdk.CfnOutput(stack, "Image", value=image.uri)
    template = app.synth().get_stack_by_name("v3-backend-dev-scheduler-service").template
    parameters = {name: each for name, each in template.get("Parameters", {}).items() if "images" in name}
    return template["Outputs"]["Image"]["Value"], image.is_pinned, parameters


@pytest.mark.parametrize("uri", [f"public.ecr.aws/a/b@{DIGEST}", "localhost:5000/a:v1", "a/b:sha-1"])
def test_an_image_uri_in_the_context_is_used_as_it_is(uri: str) -> None:
    assert resolved({"imageUri": uri}) == (uri, False, {})


def test_an_image_tag_in_the_context_is_a_tag_of_this_accounts_repository() -> None:
    uri, pinned, parameters = resolved({"imageTag": "sha-1"})
    assert uri == {
        "Fn::Join": [
            "",
            [
                {"Ref": "AWS::AccountId"},
                ".dkr.ecr.",
                {"Ref": "AWS::Region"},
                ".",
                {"Ref": "AWS::URLSuffix"},
                "/v3-backend:sha-1",
            ],
        ]
    }
    assert not pinned
    assert not parameters


def test_an_image_uri_goes_before_an_image_tag() -> None:
    assert resolved({"imageUri": "a/b:one", "imageTag": "two"})[0] == "a/b:one"


@pytest.mark.parametrize("workload", ["api", "worker", "scheduler", "migration"])
def test_without_context_each_workload_has_the_image_that_code_deploys_have_pinned(workload: str) -> None:
    uri, pinned, parameters = resolved(workload=workload)
    ((name, parameter),) = parameters.items()
    assert uri == {"Ref": name}
    assert pinned
    assert parameter == {**PINNED, "Default": f"/v3-backend/dev/images/{workload}"}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"imageUri": "v3-backend"}, 'context imageUri: "v3-backend" is no image; give -c imageUri='),
        ({"imageUri": "a/b@sha256:12"}, 'context imageUri: "a/b@sha256:12" is no image'),
        ({"imageUri": ""}, 'context imageUri: "" is no image'),
        ({"imageTag": "a/b:c"}, 'context imageTag: "a/b:c" is no image; give -c imageTag= one tag, such as'),
        ({"imageTag": "-latest"}, 'context imageTag: "-latest" is no image'),
        ({"imageTag": 7}, 'context imageTag: "7" is no image'),
    ],
)
def test_a_context_that_is_no_image_is_refused_with_its_key_and_the_fix(context: Any, expected: str) -> None:
    from stacks.constructs.carried_image import ImageError

    with pytest.raises(ImageError) as refused:
        resolved(context)
    assert str(refused.value).startswith(expected)


@pytest.mark.parametrize("environment", config.environments())
@pytest.mark.parametrize("service", ["api", "worker", "scheduler"])
def test_a_service_runs_the_placeholder_only_while_nothing_was_ever_deployed(
    environment: str, service: str, app_templates: dict[str, dict[str, Any]]
) -> None:
    from stacks.constructs.carried_image import PLACEHOLDER_IMAGE

    template = app_templates[f"v3-backend-{environment}-{service}-service"]
    (pinned,) = (
        name
        for name, each in template["Parameters"].items()
        if each["Default"] == f"/v3-backend/{environment}/images/{service}"
    )
    assert template["Conditions"] == {"NeverDeployed": {"Fn::Equals": [{"Ref": pinned}, PLACEHOLDER_IMAGE]}}
    definitions = {
        each["Properties"]["Family"]: (name, each)
        for name, each in of_kind(template, "AWS::ECS::TaskDefinition").items()
    }
    family = f"v3-backend-{environment}-{service}"
    assert sorted(definitions) == [family, f"{family}-placeholder"]
    placeholder, standing_in = definitions[f"{family}-placeholder"]
    application, real = definitions[family]
    assert standing_in["Condition"] == "NeverDeployed"
    assert "Condition" not in real
    assert only(template, "AWS::ECS::Service")["TaskDefinition"] == {
        "Fn::If": ["NeverDeployed", {"Ref": placeholder}, {"Ref": application}]
    }
    assert real["Properties"]["ContainerDefinitions"][0]["Image"] == {"Ref": pinned}
    assert standing_in["Properties"]["ContainerDefinitions"][0]["Image"] == PLACEHOLDER_IMAGE


@pytest.mark.parametrize("service", ["api", "worker", "scheduler"])
def test_with_an_image_in_the_context_there_is_no_placeholder(service: str) -> None:
    import cdk_app
    from tests.conftest import ROOT

    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    context = {**flags, "aws:cdk:bundling-stacks": [], "environment": "dev", "imageTag": "sha-1"}
    template = cdk_app.build(context).synth().get_stack_by_name(f"v3-backend-dev-{service}-service").template
    families = [each["Family"] for each in resources(template, "AWS::ECS::TaskDefinition")]
    assert families == [f"v3-backend-dev-{service}"]
    assert "Conditions" not in template
