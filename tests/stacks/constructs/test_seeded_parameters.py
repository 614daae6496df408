from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.stacks.synthesis import Template, allowed_on, only, resources, statements

HANDLER = Path(__file__).parents[3] / "lambdas" / "resources" / "seed_parameters.py"
TAG = "/v3-backend/dev/compute/currentImageTag"
API = "/v3-backend/dev/images/api"
PLACEHOLDER = "public.ecr.aws/docker/library/python:3.13-alpine"
PROPERTIES = {
    "Parameters": [{"Name": TAG, "Value": "none"}, {"Name": API, "Value": PLACEHOLDER}],
    "Tags": [{"Key": "app", "Value": "v3-backend"}, {"Key": "owner", "Value": "platform-team"}],
}

Answers = list[dict[str, Any]]
Send = Callable[..., dict[str, Any]]


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield boto3.client("ssm")


@pytest.fixture
def send(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> Send:
    """Call the handler as CloudFormation does, in the file that Lambda gets, and return the one answer."""
    answers: Answers = []
    module = ModuleType("cfnresponse")

    def answer(
        event: object, context: object, status: str, data: object, resource: str, *, reason: str | None = None
    ) -> None:
        answers.append({"status": status, "resource": resource, "reason": reason})

    module.__dict__.update(SUCCESS="SUCCESS", FAILED="FAILED", send=answer)
    monkeypatch.setitem(sys.modules, "cfnresponse", module)
    handler = runpy.run_path(str(HANDLER))["handler"]

    def call(request_type: str, properties: dict[str, Any] | None = None) -> dict[str, Any]:
        event = {
            "RequestType": request_type,
            "LogicalResourceId": "DeploymentParameters",
            "ResourceProperties": PROPERTIES if properties is None else properties,
        }
        if request_type != "Create":
            event["PhysicalResourceId"] = "DeploymentParameters"
        answers.clear()
        handler(event, SimpleNamespace(log_stream_name="stream"))
        (only_answer,) = answers
        return only_answer

    return call


def values(ssm: Any) -> dict[str, str]:
    found = ssm.get_parameters(Names=[TAG, API])["Parameters"]
    return {each["Name"]: each["Value"] for each in found}


def tags(ssm: Any, name: str) -> dict[str, str]:
    found = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
    return {each["Key"]: each["Value"] for each in found}


def test_what_is_missing_is_created_with_its_first_value_and_tags(ssm: Any, send: Send) -> None:
    assert send("Create")["status"] == "SUCCESS"
    assert values(ssm) == {TAG: "none", API: PLACEHOLDER}
    assert tags(ssm, API) == {"app": "v3-backend", "owner": "platform-team"}


@pytest.mark.parametrize("again", ["Create", "Update"])
def test_what_a_code_deploy_has_written_stays(again: str, ssm: Any, send: Send) -> None:
    send("Create")
    ssm.put_parameter(Name=API, Value="v3-backend@sha256:1", Overwrite=True)
    assert send(again)["status"] == "SUCCESS"
    assert values(ssm) == {TAG: "none", API: "v3-backend@sha256:1"}


def test_what_was_there_before_the_first_stack_stays(ssm: Any, send: Send) -> None:
    ssm.put_parameter(Name=API, Value="v3-backend@sha256:1", Type="String")
    assert send("Create")["status"] == "SUCCESS"
    assert values(ssm) == {TAG: "none", API: "v3-backend@sha256:1"}


def test_another_first_value_changes_nothing_that_is_there(ssm: Any, send: Send) -> None:
    send("Create")
    send("Update", {**PROPERTIES, "Parameters": [{"Name": API, "Value": "python:3.14"}]})
    assert values(ssm)[API] == PLACEHOLDER


def test_a_parameter_that_joins_later_is_created(ssm: Any, send: Send) -> None:
    send("Create", {**PROPERTIES, "Parameters": PROPERTIES["Parameters"][:1]})
    send("Update")
    assert values(ssm) == {TAG: "none", API: PLACEHOLDER}


def test_changed_tags_reach_the_parameter_and_leave_its_value(ssm: Any, send: Send) -> None:
    send("Create")
    ssm.put_parameter(Name=API, Value="v3-backend@sha256:1", Overwrite=True)
    send("Update", {**PROPERTIES, "Tags": [{"Key": "owner", "Value": "another-team"}]})
    assert tags(ssm, API) == {"app": "v3-backend", "owner": "another-team"}
    assert values(ssm)[API] == "v3-backend@sha256:1"


def test_the_end_of_the_stack_leaves_the_parameters_to_the_next_one(ssm: Any, send: Send) -> None:
    send("Create")
    ssm.put_parameter(Name=API, Value="v3-backend@sha256:1", Overwrite=True)
    assert send("Delete")["status"] == "SUCCESS"
    assert values(ssm)[API] == "v3-backend@sha256:1"
    send("Create")
    assert values(ssm)[API] == "v3-backend@sha256:1"


def test_an_error_of_aws_is_the_answer(send: Send) -> None:
    wrong = {**PROPERTIES, "Parameters": [{"Name": "/aws/reserved", "Value": "none"}]}
    answer = send("Create", wrong)
    assert answer["status"] == "FAILED"
    assert "PutParameter" in answer["reason"]


@pytest.mark.parametrize("broken", [{}, {"Parameters": None, "Tags": []}, {"Parameters": [{}], "Tags": []}])
def test_whatever_goes_wrong_cloudformation_gets_its_answer(broken: dict[str, Any], send: Send) -> None:
    answer = send("Update", broken)
    assert answer["status"] == "FAILED"
    assert answer["reason"]


def test_a_long_reason_is_cut(send: Send) -> None:
    # CloudFormation takes no answer of more than 4096 bytes.
    answer = send("Create", {**PROPERTIES, "Parameters": [{"Name": "/aws/" + "x" * 5000, "Value": "none"}]})
    assert answer["status"] == "FAILED"
    assert len(answer["reason"]) <= 1000


@pytest.mark.parametrize("request_type", ["Create", "Update", "Delete"])
def test_the_id_never_changes_or_cloudformation_would_delete_the_old_one(request_type: str, send: Send) -> None:
    assert send(request_type)["resource"] == "DeploymentParameters"


# The construct.


@pytest.fixture(scope="module")
def template(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-bootstrap"]


def test_the_function_is_the_tested_file_and_fits_into_a_template(template: Template) -> None:
    code = only(template, "AWS::Lambda::Function")["Code"]["ZipFile"]
    assert code == HANDLER.read_text()
    assert len(code) <= 4096


def test_lambda_recognises_that_the_code_wants_cfnresponse() -> None:
    # CloudFormation User Guide, "cfn-response module": "Use this exact import statement".
    assert re.search(r"^import cfnresponse$", HANDLER.read_text(), re.MULTILINE)


def test_the_function_may_write_these_parameters_alone(template: Template) -> None:
    (role,) = (each for each in resources(template, "AWS::IAM::Role") if "RoleName" not in each)
    names = {each["Name"] for each in only(template, "Custom::SeededParameters")["Parameters"]}
    arns = {f"arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter{name}" for name in names}
    assert allowed_on(role, "ssm:PutParameter") == arns
    assert {action for actions, _ in statements(role) for action in actions} == {
        "ssm:PutParameter",
        "ssm:AddTagsToResource",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_a_function_that_dies_does_not_hold_the_stack_for_an_hour(template: Template) -> None:
    timeout = int(only(template, "Custom::SeededParameters")["ServiceTimeout"])
    assert 3 * only(template, "AWS::Lambda::Function")["Timeout"] < timeout <= 300


def test_the_stack_can_be_created_again(template: Template) -> None:
    ours = {name: each for name, each in template["Resources"].items() if name.startswith("DeploymentParameters")}
    assert not [name for name, each in ours.items() if each.get("DeletionPolicy") == "RetainExceptOnCreate"]
