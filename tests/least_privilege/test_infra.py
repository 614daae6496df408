"""The role of GitHub's job for infrastructure: what ``stepship infra deploy`` calls it may, and nothing else.

The command runs as it is, from a waiting code deployment to stacks that are stuck in every way. What it asks of AWS
with the job's credentials is noted at botocore; the CDK has roles of its own. moto knows neither ContinueUpdateRollback
nor UpdateTerminationProtection: both are answered here, after they were noted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel

from lambdas.aws.gateway import client_of
from lambdas.aws.releases_table import LOCK_KEY
from lambdas.release.errors import AwsError
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.calls import current_invocation
from stacks.account import ROLES
from stepship.account.check import Account
from stepship.account.settings import Quotas
from stepship.commands.infra_deploy import InfraRequest, deploy
from stepship.host import Host
from stepship.infra.cdk import Say
from stepship.infra.layout import read_layout
from stepship.infra.lock import BEAT_SECONDS
from stepship.infra.tools import Tools
from stepship.session import Session
from stepship.target import choose_target
from tests.least_privilege.policies import ACCOUNT, Role, Template, arn
from tests.least_privilege.requests import IamRequest, requests_of
from tests.least_privilege.witness import SimulatedAccount
from tests.simulator.quick import few_looks
from tests.stepship.infra_environment import TEMPLATE, folder_of_a_team, moto_stack, set_status

SERVICES = ("cloudformation", "dynamodb", "stepfunctions", "iam", "service-quotas", "ec2", "ecr")
OF_OTHER_STEPS = {"sts:AssumeRole", "ecr:DescribeImages", "ssm:PutParameter"}
"""By the CDK, and by the steps *Find the image* and *Keep the image*: test_workflows.py has their resources."""

OF_THE_ACCOUNT = {
    "GetServiceQuota": "servicequotas:GetServiceQuota",
    "DescribeAddresses": "ec2:DescribeAddresses",
    "GetRegistryScanningConfiguration": "ecr:GetRegistryScanningConfiguration",
}
"""Calls for which IAM knows no resource (Service Authorization Reference), and their actions."""

STACK_ID = "6c0f4b1e-0000-11f1-8d9e-0a1b2c3d4e5f"
"""What CloudFormation makes up; in a question about a stack that there is none of, IAM is asked for a ``*``."""


def asked(service: str, operation: str, params: Mapping[str, Any], account: SimulatedAccount) -> list[IamRequest]:
    """Return what IAM is asked for a call."""
    if service == "cloudformation":
        stack = arn(service, f"stack/{params['StackName']}/{STACK_ID}")
        return [IamRequest(f"{service}:{operation}", stack)]
    if service == "iam":
        (role,) = (each for each in ROLES if {each.name, each.service}.intersection(params.values()))
        keys = (("iam:AWSServiceName", role.service),) if operation == "CreateServiceLinkedRole" else ()
        return [IamRequest(f"iam:{operation}", f"arn:aws:iam::{ACCOUNT}:role/{role.path}", keys)]
    if operation in OF_THE_ACCOUNT:
        return [IamRequest(OF_THE_ACCOUNT[operation], "*")]
    found = requests_of(service, operation, params, account)
    if service == "dynamodb":
        key = (params.get("Key") or params["Item"])["pk"]["S"]
        return [replace(each, keys=(("dynamodb:LeadingKeys", key),)) for each in found]
    return found


class EnoughQuotas(Quotas):
    """Quotas that are high enough, after AWS was asked: moto knows none of them."""

    def applied(self, service: str, code: str) -> float:
        with suppress(AwsError):
            super().applied(service, code)
        return 5000.0


@dataclass
class Job:
    """The step of GitHub's job, and its CDK.

    Attributes
    ----------
    ahead
        Seconds by which its clock has gone on while the CDK deployed.
    fails
        Stacks that the CDK cannot deploy when it is asked for the first time.
    stuck
        Stacks whose rollback fails when it is continued for the first time.
    """

    simulated: SimulatedEnvironment
    requests: set[IamRequest] = field(default_factory=set)
    ahead: float = 0.0
    fails: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        clock = self.simulated.aws.clock
        github = {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octocat"}
        self._host = Host(lambda: clock.now() + self.ahead, clock.sleep, github, folder_of_a_team())
        self._account = SimulatedAccount(self.simulated)

    def run(self) -> int:
        """Run ``stepship infra deploy --env dev``; returns its exit code."""
        session = Session(self._host, choose_target(None, "dev", folder_of_a_team()), as_json=False)
        with self._watched():
            return deploy(
                session, InfraRequest(), Tools(lambda _assembly: self, account=Account(quotas=EnoughQuotas()))
            )

    @property
    def stacks(self) -> list[str]:
        session = Session(self._host, choose_target(None, "dev", folder_of_a_team()), as_json=False)
        return [step.stack for step in read_layout(session, {}).steps]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        answers = {
            "provide-client-params": self._note,
            "before-call.cloudformation.ContinueUpdateRollback": self._continue_rollback,
            "before-call.cloudformation.UpdateTerminationProtection": self._unprotect,
        }
        with ExitStack() as stack:
            for service in SERVICES:
                events = client_of(service).meta.events
                for name, answer in answers.items():
                    events.register(name, answer)
                    stack.callback(events.unregister, name, answer)
            yield

    def _note(self, params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        if current_invocation.get() is None:
            self.requests.update(asked(model.service_model.service_name, model.name, params, self._account))

    def _continue_rollback(self, params: Mapping[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        stack = params["body"]["StackName"]
        if stack not in self.stuck:
            set_status(stack, "UPDATE_ROLLBACK_COMPLETE")
        self.stuck.discard(stack)
        return done()

    def _unprotect(self, params: Mapping[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        moto_stack(params["body"]["StackName"]).enable_termination_protection = False
        return done()

    # Its CDK: the driver's client is not the job's.

    def synthesise(self, context: Mapping[str, str]) -> None:
        assert context == {"environment": "dev"}

    def diff(self, stacks: object) -> str:
        raise NotImplementedError

    def protects(self, stack: str) -> bool:
        return stack.endswith("-dynamodb")

    def deploy(self, stack: str, say: Say, *, protection: bool | None = None) -> bool:
        assert (protection is None) == (not self.protects(stack))
        self.ahead += BEAT_SECONDS + 1
        if stack in self.fails:
            self.fails.remove(stack)
            say(f"{stack}: failed")
            return False
        cloudformation = self.simulated.aws.client("cloudformation")
        if stack not in {each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]}:
            cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(TEMPLATE))
        return True

    def destroy(self, stack: str, say: Say) -> bool:
        raise NotImplementedError

    def abandon(self) -> None:
        raise NotImplementedError


def done() -> tuple[AWSResponse, dict[str, Any]]:
    return AWSResponse("https://cloudformation.us-east-1.amazonaws.com", 200, {}, None), {}


@pytest.fixture(scope="module")
def requests() -> set[IamRequest]:
    with SimulatedEnvironment(migration=False, settings=few_looks()) as simulated:
        job = Job(simulated)
        wait_for_code_and_make_all_stacks(job)
        take_away_empty_shells(job)
        free_rollbacks_that_failed(job)
        return job.requests


def wait_for_code_and_make_all_stacks(job: Job) -> None:
    job.simulated.push("v1")
    job.simulated.start({"imageTag": "v1"}, "code")
    job.simulated.aws.clock.sleep(20)
    assert job.run() == 0
    assert job.simulated.aws.runs[0].status == "SUCCEEDED"


def take_away_empty_shells(job: Job) -> None:
    for stack in job.stacks:
        set_status(stack, "REVIEW_IN_PROGRESS")
        moto_stack(stack).enable_termination_protection = True
    assert job.run() == 0


def free_rollbacks_that_failed(job: Job) -> None:
    """Let the rollback of every stack fail once more, and its update then: the command is run again after each."""
    for stack in job.stacks:
        set_status(stack, "UPDATE_ROLLBACK_FAILED")
    job.stuck, job.fails = set(job.stacks), set(job.stacks)
    runs = [job.run()]
    while runs[-1] and len(runs) <= 2 * len(job.stacks):
        runs.append(job.run())
    assert runs[-1] == 0
    assert (job.stuck, job.fails) == (set(), set())


@pytest.fixture
def role(app_templates: dict[str, dict[str, Any]]) -> Role:
    template = Template(app_templates["v3-backend-dev-bootstrap"])
    (found,) = (
        role
        for name, role in template.roles().items()
        if template.arn_of(name).endswith("/v3-backend-dev-github-infra")
    )
    return found


def refused(role: Role, requests: set[IamRequest]) -> list[str]:
    return sorted(str(each) for each in requests if not role.allows(each))


def test_the_job_may_do_all_that_the_command_calls(role: Role, requests: set[IamRequest]) -> None:
    assert refused(role, requests) == []


def test_the_job_may_do_nothing_that_the_command_does_not_call(role: Role, requests: set[IamRequest]) -> None:
    used = {pair for each in requests for pair in role.used(each)}
    assert {(action, on) for action, on in role.pairs() - used if action not in OF_OTHER_STEPS} == set()


def test_every_permission_of_the_command_would_be_missed(role: Role, requests: set[IamRequest]) -> None:
    needed = [each for each in role.statements if not OF_OTHER_STEPS.intersection(each.actions)]
    missed = [refused(role.without(each), requests) for each in needed]
    assert len(missed) == 6
    assert all(missed)


def test_the_lock_is_all_of_the_table_that_the_job_may_touch(role: Role, requests: set[IamRequest]) -> None:
    touched = {each for each in requests if each.action.startswith("dynamodb:")}
    assert {each.keys for each in touched} == {(("dynamodb:LeadingKeys", LOCK_KEY["pk"]["S"]),)}
    for each in touched:
        assert not role.allows(replace(each, keys=(("dynamodb:LeadingKeys", "history"),)))
        assert not role.allows(replace(each, resource=each.resource.replace("-dev-", "-production-")))


def test_stacks_of_another_environment_are_not_the_jobs(role: Role, requests: set[IamRequest]) -> None:
    stacks = {each for each in requests if each.action.startswith("cloudformation:")}
    assert stacks
    for each in stacks:
        assert not role.allows(replace(each, resource=each.resource.replace("-dev-", "-production-")))


def test_a_role_is_created_for_its_own_service_alone(role: Role, requests: set[IamRequest]) -> None:
    created = {each for each in requests if each.action == "iam:CreateServiceLinkedRole"}
    assert {dict(each.keys)["iam:AWSServiceName"] for each in created} == {each.service for each in ROLES}
    for each in created:
        assert not role.allows(replace(each, keys=(("iam:AWSServiceName", "spot.amazonaws.com"),)))
        assert not role.allows(
            replace(each, resource=f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/spot.amazonaws.com/X")
        )
