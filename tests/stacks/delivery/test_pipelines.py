"""The pipelines deploy the stages in their order, ask before production, tell everything, and may do little."""

from __future__ import annotations

import dataclasses
import json
import re
from fnmatch import fnmatch
from typing import Any

import pytest

import config
from config import EnvironmentConfig
from config.rules import LONGEST_STEP, MAX_NAME_LENGTH
from lambdas.aws.releases_table import LOCK_KEY
from stacks.delivery.pipeline_plan import GUIDE, PIPELINES, PLACE, Failure, plan, table
from stacks.stages import batches, chosen
from statemachine.steps import machine_name
from tests.stacks.synthesis import (
    ROOT,
    Template,
    allowed_on,
    flat,
    of_kind,
    only,
    resources,
    statements,
    synthesise,
)

Json = dict[str, Any]

ENVIRONMENTS = config.environments()
PARTS = sorted(PIPELINES)
STATES = {
    "pipeline-execution": {"started", "succeeded", "failed", "canceled", "resumed", "superseded"},
    "stage-execution": {"started", "succeeded", "failed", "canceled", "resumed"},
    "action-execution": {"started", "succeeded", "failed", "canceled"},
    "manual-approval": {"needed", "succeeded", "failed"},
}
"""All that there are (Developer Tools Console User Guide, "Events for notification rules on pipelines")."""


def template_of(templates: dict[str, Template], environment: str, part: str = "cicd") -> Template:
    return templates[f"v3-backend-{environment}-{part}"]


def pipeline(template: Template) -> Json:
    return only(template, "AWS::CodePipeline::Pipeline")


def stages(template: Template) -> dict[str, Json]:
    return {stage["Name"]: stage for stage in pipeline(template)["Stages"]}


def groups(stage: Json) -> list[set[str]]:
    """Return the names of a stage's actions, those of one run order together."""
    orders = sorted({action["RunOrder"] for action in stage["Actions"]})
    return [{action["Name"] for action in stage["Actions"] if action["RunOrder"] == order} for order in orders]


def roles(template: Template) -> dict[str, Json]:
    return {name: each["Properties"] for name, each in of_kind(template, "AWS::IAM::Role").items()}


def role_named(template: Template, beginning: str) -> Json:
    (found,) = (each for name, each in roles(template).items() if name.startswith(f"Delivery{beginning}Role"))
    return found


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_is_of_type_v2_and_runs_wait_for_each_other(
    environment: str, part: str, app_templates: dict[str, Template]
) -> None:
    found = pipeline(template_of(app_templates, environment, part))
    assert (found["PipelineType"], found["ExecutionMode"]) == ("V2", "QUEUED")
    assert found["Name"] == f"v3-backend-{environment}-{part}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_deploy_stage_is_a_stage_and_its_stacks_deploy_side_by_side(
    environment: str, app_templates: dict[str, Template]
) -> None:
    found = stages(template_of(app_templates, environment))
    deployed = chosen(config.load(environment))
    asked = ["approve"] if environment == "production" else []
    assert list(found) == ["source", "scan", "synth", *asked, *(stage.name for stage in deployed), "code"]
    for stage in deployed:
        without_pipelines = [set(batch) - PIPELINES for batch in batches(stage)]
        assert groups(found[stage.name]) == [each for each in without_pipelines if each]
        for action in found[stage.name]["Actions"]:
            variables = {each["name"]: each["value"] for each in environment_of(action)}
            assert variables == {"PART": action["Name"], "RUN": "#{codepipeline.PipelineExecutionId}"}


def environment_of(action: Json) -> list[Json]:
    found: list[Json] = json.loads(action["Configuration"]["EnvironmentVariables"])
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_dependencies_code_infrastructure_and_secrets_are_scanned_at_once(
    environment: str, app_templates: dict[str, Template]
) -> None:
    found = stages(template_of(app_templates, environment))
    assert groups(found["scan"]) == [{"scan-dependencies", "scan-code", "scan-iac", "scan-secrets"}]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_templates_are_written_once_scanned_and_deployed(environment: str, app_templates: dict[str, Template]) -> None:
    found = stages(template_of(app_templates, environment))
    assert groups(found["synth"]) == [{"synth"}, {"scan-templates"}]
    actions = [(stage, action) for stage, each in found.items() for action in each["Actions"]]
    writers = [action["Name"] for _, action in actions if {"Name": "Assembly"} in action.get("OutputArtifacts", [])]
    assert writers == ["synth"]
    for stage, action in actions:
        if stage in {each.name for each in chosen(config.load(environment))} or action["Name"] == "scan-templates":
            assert {"Name": "Assembly"} in action["InputArtifacts"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_push_to_the_branch_starts_it_unless_it_changes_nothing_that_is_deployed(
    environment: str, app_templates: dict[str, Template]
) -> None:
    settings = config.load(environment).pipeline
    for part, key in (("cicd", "Excludes"), ("frontend-cicd", "Includes")):
        template = template_of(app_templates, environment, part)
        (trigger,) = pipeline(template)["Triggers"]
        git = trigger["GitConfiguration"]
        (push,) = git["Push"]
        assert git["SourceActionName"] == "source"
        assert "PullRequest" not in git  # a request is not merged: it would be deployed unread
        assert push["Branches"] == {"Includes": [settings.branch]}
        assert list(push["FilePaths"]) == [key]
        assert 1 <= len(push["FilePaths"][key]) <= 8
        assert all(any(ROOT.glob(pattern)) for pattern in push["FilePaths"][key])
        # The code at the edge is part of a stack.
        listed = any(fnmatch("stacks/frontend/frontend_edge.js", pattern) for pattern in push["FilePaths"][key])
        assert not listed
        (source,) = stages(template)["source"]["Actions"]
        assert source["Configuration"]["FullRepositoryId"] == settings.repository
        assert source["Configuration"]["DetectChanges"] == "false"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_person_is_asked_in_production_alone_and_before_anything_is_deployed(
    environment: str, part: str, app_templates: dict[str, Template]
) -> None:
    found = stages(template_of(app_templates, environment, part))
    approvals = [
        (name, action)
        for name, stage in found.items()
        for action in stage["Actions"]
        if action["ActionTypeId"]["Category"] == "Approval"
    ]
    if environment != "production":
        assert approvals == []
        return
    ((name, approval),) = approvals
    assert name == "approve"
    first = "bootstrap" if part == "cicd" else "deploy"
    assert list(found).index("approve") + 1 == list(found).index(first)
    assert approval["Configuration"]["NotificationArn"]
    assert approval["TimeoutInMinutes"] == config.load(environment).pipeline.approval_timeout_minutes


def test_who_is_asked_sees_first_what_would_change(app_templates: dict[str, Template]) -> None:
    assert groups(stages(template_of(app_templates, "production"))["approve"]) == [{"show-changes"}, {"approve"}]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_failed_stage_goes_back_or_is_tried_again(environment: str, app_templates: dict[str, Template]) -> None:
    template = template_of(app_templates, environment)
    answers = {name: stage.get("OnFailure") for name, stage in stages(template).items()}
    retry = {"Result": "RETRY", "RetryConfiguration": {"RetryMode": "FAILED_ACTIONS"}}
    rollback = {"Result": "ROLLBACK"}
    assert {name for name, each in answers.items() if each == rollback} == {"infrastructure", "application", "frontend"}
    assert {name for name, each in answers.items() if each == retry} == {"scan", "synth", "bootstrap", "data"}
    # The first stage cannot be rolled back, and a code deploy that failed has put itself back.
    assert {name for name, each in answers.items() if each is None} == set(answers) & {"source", "approve", "code"}
    page = stages(template_of(app_templates, environment, "frontend-cicd"))
    assert page["deploy"]["OnFailure"] == rollback


@pytest.mark.parametrize("part", PARTS)
def test_every_state_is_told(part: str, app_templates: dict[str, Template]) -> None:
    for environment in ENVIRONMENTS:
        template = template_of(app_templates, environment, part)
        rule = only(template, "AWS::CodeStarNotifications::NotificationRule")
        wanted = {f"codepipeline-pipeline-{kind}-{state}" for kind, each in STATES.items() for state in each}
        assert set(rule["EventTypeIds"]) == wanted
        assert len(rule["EventTypeIds"]) == len(wanted)
        (target,) = rule["Targets"]
        assert target["TargetType"] == "SNS"
        assert only(template, "AWS::SNS::Topic")["KmsMasterKeyId"]
        policy = only(template, "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
        senders = [each["Principal"] for each in policy if each["Effect"] == "Allow"]
        assert senders == [{"Service": "codestar-notifications.amazonaws.com"}]


def changed(settings: EnvironmentConfig, **keys: Any) -> EnvironmentConfig:
    return dataclasses.replace(settings, pipeline=dataclasses.replace(settings.pipeline, **keys))


def test_a_chat_is_told_where_there_is_one_and_commands_nothing(app_templates: dict[str, Template]) -> None:
    from stacks.delivery.cicd_stack import CicdStack

    kind = "AWS::Chatbot::SlackChannelConfiguration"
    assert not resources(template_of(app_templates, "dev"), kind)
    settings = changed(config.load("dev"), slack_workspace_id="T07EJQ8KJ", slack_channel_id="C07EZ1ABC")
    template = synthesise(CicdStack, settings)
    channel = only(template, kind)
    assert (channel["SlackWorkspaceId"], channel["SlackChannelId"]) == ("T07EJQ8KJ", "C07EZ1ABC")
    assert len(channel["SnsTopicArns"]) == 1
    assert [flat(each).rpartition("/")[2] for each in channel["GuardrailPolicies"]] == ["AWSDenyAll"]
    assert "Policies" not in role_named(template, "StoreChat")


def test_a_connection_is_made_unless_there_is_one(app_templates: dict[str, Template]) -> None:
    from stacks.delivery.cicd_stack import CicdStack

    kind = "AWS::CodeConnections::Connection"
    assert only(template_of(app_templates, "dev"), kind)["ProviderType"] == "GitHub"
    arn = "arn:aws:codeconnections:eu-central-1:111122223333:connection/aEXAMPLE-8aad-4d5d-8878-dfcab0bc441f".lower()
    template = synthesise(CicdStack, changed(config.load("dev"), connection_arn=arn))
    assert not resources(template, kind)
    assert allowed_on(role_named(template, "SourceAction"), "codeconnections:UseConnection") == {arn}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_code_is_deployed_by_the_machine_and_only_when_an_image_is_named(
    environment: str, app_templates: dict[str, Template]
) -> None:
    import fastjsonschema

    template = template_of(app_templates, environment)
    (variable,) = pipeline(template)["Variables"]
    stage = stages(template)["code"]
    ((condition),) = stage["BeforeEntry"]["Conditions"]
    (rule,) = condition["Rules"]
    assert condition["Result"] == "SKIP"
    assert rule["RuleTypeId"]["Provider"] == "VariableCheck"
    assert rule["Configuration"] == {
        "Variable": f"#{{variables.{variable['Name']}}}",
        "Operator": "NE",
        "Value": variable["DefaultValue"],
    }
    (action,) = stage["Actions"]
    assert action["ActionTypeId"]["Provider"] == "StepFunctions"
    machine = machine_name(config.load(environment).identity)
    assert flat(action["Configuration"]["StateMachineArn"]).endswith(f":stateMachine:{machine}")
    assert {
        arn.rpartition(":")[2] for arn in allowed_on(role_named(template, "CodeAction"), "states:StartExecution")
    } == {machine}
    text = action["Configuration"]["Input"].replace("#{variables.imageTag}", "sha-" + "0" * 40)
    fastjsonschema.compile(json.loads((ROOT / "statemachine" / "input.schema.json").read_text()))(json.loads(text))
    assert json.loads(text)["environment"] == environment


@pytest.mark.parametrize("part", PARTS)
def test_the_roles_of_its_actions_are_there_before_it(part: str, app_templates: dict[str, Template]) -> None:
    template = template_of(app_templates, "production", part)
    (created,) = of_kind(template, "AWS::CodePipeline::Pipeline").values()
    names = {each["RoleName"]: name for name, each in roles(template).items() if "RoleName" in each}
    used = {flat(action["RoleArn"]) for stage in stages(template).values() for action in stage["Actions"]}
    assert {names[arn.rpartition("/")[2]] for arn in used} <= set(created["DependsOn"])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_roles_name_what_they_may_touch(environment: str, part: str, app_templates: dict[str, Template]) -> None:
    template = template_of(app_templates, environment, part)
    assert not resources(template, "AWS::IAM::Policy")
    for name, each in roles(template).items():
        for actions, on in statements(each):
            assert not [action for action in actions if "*" in action], name
            assert "*" not in on, name
            # What is left: keys below a prefix, streams of a log group, executions of one machine.
            for arn in on:
                assert "*" not in arn or re.search(
                    r"(/[\w-]*\*|/cache/[\w-]+/\*|Arn\"?\]>:\*|>/\*|:v3-[\w-]+:\*)$", arn
                ), arn


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_the_build_that_deploys_may_deploy(environment: str, app_templates: dict[str, Template]) -> None:
    for part in PARTS:
        template = template_of(app_templates, environment, part)
        assumers = {
            name: allowed_on(each, "sts:AssumeRole") for name, each in roles(template).items() if "Policies" in each
        }
        deployers = [name for name, arns in assumers.items() if any("-deploy-role-" in arn for arn in arns)]
        readers = [name for name, arns in assumers.items() if any("-lookup-role-" in arn for arn in arns)]
        if part == "frontend-cicd":
            assert deployers == readers == []
            continue
        assert [name.startswith("DeliveryDeployStackRole") for name in deployers] == [True]
        assert len(readers) == (2 if environment == "production" else 1)
        lock = role_named(template, "DeployStack")
        (statement,) = (
            each
            for policy in lock["Policies"]
            for each in policy["PolicyDocument"]["Statement"]
            if "dynamodb:PutItem" in each["Action"]
        )
        assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [LOCK_KEY["pk"]["S"]]}}
        assert flat(statement["Resource"]).endswith(f":table/{config.load(environment).identity.table}")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_artifacts_are_encrypted_versioned_and_go_away(
    environment: str, part: str, app_templates: dict[str, Template]
) -> None:
    template = template_of(app_templates, environment, part)
    bucket = only(template, "AWS::S3::Bucket")
    rules = {each["Id"]: each for each in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["artifacts"]["ExpirationInDays"] == config.load(environment).pipeline.keep_artifacts_days
    assert rules["artifacts"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert rules["caches"]["Prefix"] == "cache/"
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert "aws:SecureTransport" in json.dumps(only(template, "AWS::S3::BucketPolicy"))
    assert only(template, "AWS::KMS::Key")["EnableKeyRotation"] is True


def test_the_longest_name_of_an_environment_leaves_room_for_the_roles(app_templates: dict[str, Template]) -> None:
    longest = MAX_NAME_LENGTH - len(LONGEST_STEP) - len("--") + len("-")  # app, environment, and what joins them
    for part in PARTS:
        for each in roles(template_of(app_templates, "production", part)).values():
            name = each.get("RoleName", "")
            assert longest + len(name) - len("v3-backend-production") <= 64, name


@pytest.mark.parametrize("part", PARTS)
def test_builds_run_on_arm_with_a_cache_of_their_own_and_a_log_that_ends(
    part: str, app_templates: dict[str, Template]
) -> None:
    settings = config.load("production")
    template = template_of(app_templates, "production", part)
    projects = resources(template, "AWS::CodeBuild::Project")
    assert len({json.dumps(each["Cache"]["Location"]) for each in projects}) == len(projects)
    for project in projects:
        assert project["Environment"]["Type"] == "ARM_CONTAINER"
        assert project["Environment"]["PrivilegedMode"] is False
        assert project["Cache"]["Type"] == "S3"
        assert project["TimeoutInMinutes"] <= 120
        assert project["EncryptionKey"]
    groups_of_logs = resources(template, "AWS::Logs::LogGroup")
    assert len(groups_of_logs) == len(projects)
    assert {each["RetentionInDays"] for each in groups_of_logs} == {settings.logs.retention_days}


def test_the_page_is_copied_then_forgotten_then_asked_for(app_templates: dict[str, Template]) -> None:
    for environment in ENVIRONMENTS:
        template = template_of(app_templates, environment, "frontend-cicd")
        found = stages(template)
        assert [name for name in found if name != "approve"] == ["source", "test", "scan", "deploy"]
        assert groups(found["test"]) == [{"site-test", "site-lint"}]
        assert groups(found["scan"]) == [{"site-scan"}]
        assert groups(found["deploy"]) == [{"site-deploy"}, {"site-invalidate"}, {"site-smoke-test"}]
        (distribution,) = allowed_on(role_named(template, "SiteInvalidate"), "cloudfront:CreateInvalidation")
        assert ":distribution/<SsmParameterValue" in distribution
        assert allowed_on(role_named(template, "SiteTest"), "s3:DeleteObject") == set()


def test_nothing_deploys_its_own_pipeline() -> None:
    for environment in ENVIRONMENTS:
        actions = {name for stage in plan(config.load(environment)) for group in stage.actions for name in group}
        assert not actions & PIPELINES


def test_a_stage_with_nothing_for_it_is_left_out() -> None:
    dev = config.load("dev")
    keys = ("frontend", "frontend_pipeline")
    off = {key: dataclasses.replace(getattr(dev, key), enabled=False) for key in keys}
    names = [stage.name for stage in plan(dataclasses.replace(dev, **off))]
    assert names[-2:] == ["application", "code"]
    assert {stage.failure for stage in plan(dev)} == set(Failure)


def test_the_guide_shows_the_stages() -> None:
    found = PLACE.search(GUIDE.read_text(encoding="utf-8"))
    assert found
    assert found[0] == table(config.load("production")), "python -m stacks.delivery.pipeline_plan writes it again"


def test_the_guide_names_every_scan_and_key_of_the_config() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for each in dataclasses.fields(config.load("dev").pipeline):
        assert f"`{each.name}`" in text, each.name
