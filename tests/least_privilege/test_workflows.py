"""What GitHub's jobs may: push images and start executions, or hold the lock and hand over to the CDK; nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import config
from lambdas.aws.gateway import client_of
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.calls import current_invocation
from stacks.account import ROLES
from stacks.constructs.carried_image import WORKLOADS
from stacks.stages import parts
from stepship.errors import IAM_PREFIXES
from tests.least_privilege.policies import REGION, Role, Template, arn
from tests.stepship.conftest import Refuse
from tests.workflows.runner import Runner
from tests.workflows.workflow import step

ROOT = Path(__file__).parents[2]
CLI = ROOT / "docs" / "reference" / "cli.md"
ENVIRONMENTS = config.environments()

PUSHING = {
    f"ecr:{action}"
    for action in (
        *("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage"),
        *("BatchGetImage", "GetDownloadUrlForLayer", "DescribeImages"),
    )
}
"""Amazon ECR User Guide, "IAM permissions for pushing an image"; and reading one, to give it another tag."""


FREEING = {
    f"cloudformation:{call}" for call in ("DeleteStack", "ContinueUpdateRollback", "UpdateTerminationProtection")
}
LOOKING = {f"cloudformation:{call}" for call in ("DescribeStacks", "DescribeStackEvents", "DescribeStackResources")}

OF_THE_ACCOUNT = (
    "servicequotas:GetServiceQuota",
    "ec2:DescribeAddresses",
    "ecr:GetRegistryScanningConfiguration",
)


def stacks_of(environment: str) -> set[str]:
    return {arn("cloudformation", f"stack/v3-backend-{environment}-{part}/*") for part in parts()}


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


STEPS = {
    "deploy": (step("deploy-code.yml", "deploy", "Start"), step("deploy-code.yml", "deploy", "Follow")),
    "rollback": (step("rollback-code.yml", "rollback", "Start"), step("rollback-code.yml", "rollback", "Follow")),
}


def values(execution: str = "") -> dict[str, str]:
    return {
        **dict.fromkeys(("needs.plan.outputs.environment", "inputs.environment"), "dev"),
        **dict.fromkeys(("needs.plan.outputs.tag", "inputs.reason", "github.event.head_commit.message"), "v2"),
        **dict.fromkeys(("needs.image.outputs.digest", "inputs.release"), ""),
        "vars.AWS_ACCOUNT_ID": "123456789012",
        "vars.AWS_REGION": "us-east-1",
        "env.APP": "v3-backend",
        "steps.start.outputs.execution": execution,
    }


@pytest.fixture
def called() -> Iterator[set[str]]:
    """What the command line calls, as IAM names it; not what the functions of the machine call."""
    found: set[str] = set()

    def note(model: Any, **_: object) -> None:
        if current_invocation.get() is None:
            found.add(
                f"{IAM_PREFIXES.get(model.service_model.service_name, model.service_model.service_name)}:{model.name}"
            )

    services = ("stepfunctions", "sts", "dynamodb")
    emitters = [client_of(service).meta.events for service in services]
    for emitter in emitters:
        emitter.register_first("before-parameter-build", note)
    yield found
    for emitter in emitters:
        emitter.unregister("before-parameter-build", note)


def test_the_role_for_code_may_do_what_the_workflows_call_and_nothing_else(
    runner: Runner,
    refuse: Refuse,
    simulated: SimulatedEnvironment,
    called: set[str],
    app_templates: dict[str, dict[str, Any]],
) -> None:
    template = Template(app_templates["v3-backend-dev-bootstrap"])
    role = next(role for name, role in template.roles().items() if template.arn_of(name).endswith("-github-code"))
    allowed = {action for action, _ in role.pairs() if action.startswith("states:")}
    for tag in ("v1", "v2"):
        simulated.push(tag)
        simulated.run({"imageTag": tag}, tag)
    refuse("dynamodb", "Query", "AccessDeniedException", "not authorized to perform: dynamodb:Query")
    runner.answer("stepship")
    for start, follow in STEPS.values():
        typed = runner.run(start, values()).typed_in(simulated)
        assert typed.code == 0, typed.log
        assert runner.run(follow, values(typed.outputs["execution"])).typed_in(simulated).code == 0
    # The first needs no permission, and without the second only a line is missing: how long it usually takes.
    assert called == allowed | {"sts:GetCallerIdentity", "dynamodb:Query"}
    (row,) = re.findall(r"\n\| `deploy`, `rollback`, `plan`, `watch` \|(.*)\|\n", CLI.read_text(encoding="utf-8"))
    assert {f"states:{name.removeprefix('states:')}" for name in re.findall(r"`([\w:]+)`", row)} == allowed


def test_the_role_for_infrastructure_holds_the_lock_frees_stacks_and_hands_over_to_the_cdk(
    environment: str, roles: dict[str, Role]
) -> None:
    role = roles[f"v3-backend-{environment}-github-infra"]
    table = arn("dynamodb", f"table/v3-backend-{environment}-releases")
    cdk_role = "arn:aws:iam::123456789012:role/cdk-hnb659fds-{}-role-123456789012-us-east-1"
    parameters = {
        f"/v3-backend/{environment}/compute/currentImageTag",
        *(f"/v3-backend/{environment}/images/{workload}" for workload in WORKLOADS),
    }
    assert role.pairs() == {
        *(("sts:AssumeRole", cdk_role.format(purpose)) for purpose in ("deploy", "file-publishing", "lookup")),
        *((f"dynamodb:{call}", table) for call in ("GetItem", "PutItem", "UpdateItem")),
        ("states:DescribeExecution", arn("states", f"execution:v3-backend-{environment}-deploy:*")),
        *((action, stack) for action in LOOKING | FREEING for stack in stacks_of(environment)),
        ("ecr:DescribeImages", arn("ecr", "repository/v3-backend")),
        *(("ssm:PutParameter", arn("ssm", f"parameter{name}")) for name in parameters),
        *(
            (f"iam:{call}", f"arn:aws:iam::123456789012:role/{each.path}")
            for call in ("GetRole", "CreateServiceLinkedRole")
            for each in ROLES
        ),
        *((action, "*") for action in OF_THE_ACCOUNT),
    }
    assert [statement.conditions for statement in role.statements if statement.conditions] == [
        (("ForAllValues:StringEquals", "dynamodb:LeadingKeys", ("lock",)),),
        (("StringEquals", "iam:AWSServiceName", tuple(each.service for each in ROLES)),),
    ]


def test_the_guide_says_what_the_role_for_infrastructure_may(environment: str, roles: dict[str, Role]) -> None:
    (row,) = re.findall(r"\n\| `infra deploy` \|(.*)\|\n", CLI.read_text(encoding="utf-8"))
    documented, service = set(), ""
    for name in re.findall(r"`((?:\w+:)?[A-Z]\w+)`", row):
        service = name.partition(":")[0] if ":" in name else service
        documented.add(f"{service}:{name.rpartition(':')[2]}")
    allowed = {action for action, _ in roles[f"v3-backend-{environment}-github-infra"].pairs()}
    assert documented == allowed - {"ecr:DescribeImages", "ssm:PutParameter"}


def test_the_policies_of_a_role_are_no_longer_than_iam_takes_them(
    environment: str, app_templates: dict[str, dict[str, Any]]
) -> None:
    """At most 10,240 characters without white space (IAM User Guide, "IAM and AWS STS quotas"), in any region."""
    found = Template(app_templates[f"v3-backend-{environment}-bootstrap"]).of_type("AWS::IAM::Role")
    for properties in found.values():
        documents = [each["PolicyDocument"] for each in properties.get("Policies", [])]
        text = "".join(json.dumps(each, separators=(",", ":")) for each in documents)
        assert len(text.replace(REGION, "ap-southeast-1")) <= 10_240


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
        *((action, "*") for action in OF_THE_ACCOUNT),
        # Every execution has a name of its own, and every function instance a log stream.
        ("states:DescribeExecution", executions),
        ("states:GetExecutionHistory", executions),
        # And every stack an id.
        *((action, stack) for action in LOOKING | FREEING for stack in stacks_of(environment)),
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
