from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml

import config
from lambdas.aws.releases_table import LOCK_KEY
from stacks.stages import parts
from tests.stacks.synthesis import (
    ROOT,
    Template,
    allowed_on,
    by_environment,
    check_house_rules,
    flat,
    only,
    resources,
)

ENVIRONMENTS = config.environments()
GITHUB = "token.actions.githubusercontent.com"
SHA = "sha-6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"


@pytest.fixture(scope="module")
def templates(app_templates: dict[str, Template]) -> dict[str, Template]:
    return by_environment(app_templates, "bootstrap")


def role(template: Template, name: str) -> dict[str, Any]:
    (found,) = (each for each in resources(template, "AWS::IAM::Role") if each.get("RoleName") == name)
    return found


def lifecycle(template: Template) -> list[dict[str, Any]]:
    rules = json.loads(only(template, "AWS::ECR::Repository")["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    return sorted(rules, key=lambda rule: rule["rulePriority"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_house_rules(environment: str, templates: dict[str, Template]) -> None:
    check_house_rules(templates[environment], config.load(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_an_account_has_once_is_created_where_the_config_says(
    environment: str, templates: dict[str, Template]
) -> None:
    bootstrap = config.load(environment).bootstrap
    assert len(resources(templates[environment], "AWS::ECR::Repository")) == bootstrap.creates_repository
    assert len(resources(templates[environment], "AWS::IAM::OIDCProvider")) == bootstrap.creates_oidc_provider


def test_what_all_environments_share_outlives_the_stack(templates: dict[str, Template]) -> None:
    shared = ("AWS::ECR::Repository", "AWS::IAM::OIDCProvider")
    found = [each for each in templates["dev"]["Resources"].values() if each["Type"] in shared]
    assert [each["DeletionPolicy"] for each in found] == ["RetainExceptOnCreate", "RetainExceptOnCreate"]


def test_images_are_scanned_when_they_are_pushed(templates: dict[str, Template]) -> None:
    assert only(templates["dev"], "AWS::ECR::Repository")["ImageScanningConfiguration"] == {"ScanOnPush": True}


@pytest.mark.parametrize(
    ("tag", "moves"), [(SHA, False), ("v1.2.3", False), *((f"{name}-latest", True) for name in ENVIRONMENTS)]
)
def test_only_the_tags_of_environments_can_be_moved(tag: str, moves: bool, templates: dict[str, Template]) -> None:
    repository = only(templates["dev"], "AWS::ECR::Repository")
    filters = [
        each["ImageTagMutabilityExclusionFilterValue"] for each in repository["ImageTagMutabilityExclusionFilters"]
    ]
    assert repository["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert any(fnmatchcase(tag, pattern) for pattern in filters) is moves


def test_as_many_releases_are_kept_as_the_config_says(templates: dict[str, Template]) -> None:
    (rule,) = (rule for rule in lifecycle(templates["dev"]) if rule["selection"].get("tagPatternList") == ["sha-*"])
    assert rule["selection"]["countType"] == "imageCountMoreThan"
    assert rule["selection"]["countNumber"] == config.load("dev").bootstrap.keep_images


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pushes_do_not_expire_what_an_environment_names(environment: str, templates: dict[str, Template]) -> None:
    """ECR lets the first rule that matches one of an image's tags decide about it, and no later one."""
    matching = [
        rule
        for rule in lifecycle(templates["dev"])
        for pattern in rule["selection"].get("tagPatternList", [])
        if any(fnmatchcase(tag, pattern) for tag in (SHA, f"{environment}-latest"))
    ]
    deciding = matching[0]["selection"]
    assert deciding["countType"] == "imageCountMoreThan"
    assert deciding["countNumber"] > len(ENVIRONMENTS)
    assert not fnmatchcase(SHA, deciding["tagPatternList"][0])


def test_what_has_no_tag_goes_after_a_week(templates: dict[str, Template]) -> None:
    (rule,) = (rule for rule in lifecycle(templates["dev"]) if rule["selection"]["tagStatus"] == "untagged")
    assert (rule["selection"]["countNumber"], rule["selection"]["countUnit"]) == (7, "days")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize(("part", "github_environment"), [("code", "{}"), ("infra", "{}-infra")])
def test_a_role_trusts_the_jobs_of_one_github_environment(
    part: str, github_environment: str, environment: str, templates: dict[str, Template]
) -> None:
    template = templates[environment]
    (trust,) = role(template, f"v3-backend-{environment}-github-{part}")["AssumeRolePolicyDocument"]["Statement"]
    providers = [name for name, each in template["Resources"].items() if each["Type"] == "AWS::IAM::OIDCProvider"]
    elsewhere = f"arn:<AWS::Partition>:iam::<AWS::AccountId>:oidc-provider/{GITHUB}"
    assert flat(trust["Principal"]["Federated"]) == (f"<{providers[0]}>" if providers else elsewhere)
    assert {key: value for key, value in trust.items() if key != "Principal"} == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                f"{GITHUB}:aud": "sts.amazonaws.com",
                f"{GITHUB}:sub": f"repo:example-org/v3-backend:environment:{github_environment.format(environment)}",
            }
        },
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_session_for_code_lasts_an_hour_and_one_for_infrastructure_as_long_as_its_job(
    environment: str, templates: dict[str, Template]
) -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy-infra.yml").read_text())["jobs"]["deploy"]
    (asked,) = (each["with"] for each in job["steps"] if "role-to-assume" in each.get("with", {}))
    seconds = {
        part: role(templates[environment], f"v3-backend-{environment}-github-{part}")["MaxSessionDuration"]
        for part in ("code", "infra")
    }
    assert seconds == {"code": 3600, "infra": job["timeout-minutes"] * 60}
    assert asked["role-duration-seconds"] == seconds["infra"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_deploys_infrastructure_holds_the_lock_and_touches_no_record(
    environment: str, templates: dict[str, Template]
) -> None:
    infra = role(templates[environment], f"v3-backend-{environment}-github-infra")
    (policy,) = infra["Policies"]
    (lock,) = (each for each in policy["PolicyDocument"]["Statement"] if "dynamodb:PutItem" in each["Action"])
    assert lock["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [LOCK_KEY["pk"]["S"]]}}
    assert flat(lock["Resource"]).endswith(f":table/{config.load(environment).identity.table}")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_deploys_infrastructure_may_free_each_stack_that_there_can_be_and_no_other(
    environment: str, templates: dict[str, Template]
) -> None:
    infra = role(templates[environment], f"v3-backend-{environment}-github-infra")
    prefix = f"arn:<AWS::Partition>:cloudformation:<AWS::Region>:<AWS::AccountId>:stack/v3-backend-{environment}"
    assert allowed_on(infra, "cloudformation:DeleteStack") == {f"{prefix}-{part}/*" for part in parts()}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_deploys_infrastructure_can_hand_over_to_the_cdk_and_tell_the_parameters(
    environment: str, templates: dict[str, Template]
) -> None:
    infra = role(templates[environment], f"v3-backend-{environment}-github-infra")
    assert allowed_on(infra, "sts:AssumeRole") == {
        f"arn:<AWS::Partition>:iam::<AWS::AccountId>:role/cdk-hnb659fds-{each}-role-<AWS::AccountId>-<AWS::Region>"
        for each in ("deploy", "file-publishing", "lookup")
    }
    prefix = f"arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter/v3-backend/{environment}"
    assert allowed_on(infra, "ssm:PutParameter") == {
        f"{prefix}/compute/currentImageTag",
        *(f"{prefix}/images/{each}" for each in ("api", "worker", "scheduler", "migration")),
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_all_deployment_parameters_are_seeded_and_none_is_owned(
    environment: str, templates: dict[str, Template]
) -> None:
    seeded = only(templates[environment], "Custom::SeededParameters")
    placeholder = "public.ecr.aws/docker/library/python:3.13-alpine"
    assert {each["Name"]: each["Value"] for each in seeded["Parameters"]} == {
        f"/v3-backend/{environment}/compute/currentImageTag": "none",
        **{
            f"/v3-backend/{environment}/images/{each}": placeholder
            for each in ("api", "worker", "scheduler", "migration")
        },
    }
    assert not resources(templates[environment], "AWS::SSM::Parameter")


def test_nobody_is_trusted_until_a_repository_is_named() -> None:
    import aws_cdk as cdk

    import config
    from stacks.bootstrap.bootstrap_stack import BootstrapStack

    app = cdk.App()
    BootstrapStack(app, settings=config.load("dev"))
    template = app.synth().get_stack_by_name("v3-backend-dev-bootstrap").template
    kinds = [each["Type"] for each in template["Resources"].values()]
    assert "AWS::IAM::OIDCProvider" not in kinds
    assert "sts:AssumeRoleWithWebIdentity" not in str(template)
