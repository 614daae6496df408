"""A new account: what the chosen stacks need of it is looked at before the first one, and created where it may be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest

import config
from lambdas.aws.gateway import client_of
from lambdas.release.errors import AccessDenied
from simulator.environment.simulated_environment import SimulatedEnvironment
from stacks.account import ELASTIC_IPS, FARGATE, FARGATE_SPOT, ROLES, Quota, quotas_of, roles_of
from stacks.stages import chosen, parts
from stepship.account.check import GUIDE, Account, Mark, enough, scanned
from stepship.account.settings import Addresses, Quotas, Registry, Scanning, ServiceRoles
from stepship.commands.infra import plan
from stepship.commands.infra_deploy import InfraRequest, deploy
from stepship.errors import CommandError
from stepship.infra.tools import AppOptions, Tools
from tests.stacks.synthesis import Template, by_environment
from tests.stepship.conftest import Refuse
from tests.stepship.infra_environment import ROOT, FakeCdk, session_in, statuses

NEEDS: dict[str, str] = {
    "AWS::ECS::Cluster": "ecs.amazonaws.com",
    "AWS::ECS::Service": "ecs.amazonaws.com",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "elasticloadbalancing.amazonaws.com",
    "AWS::ApplicationAutoScaling::ScalableTarget": "ecs.application-autoscaling.amazonaws.com",
    "AWS::RDS::DBCluster": "rds.amazonaws.com",
    "AWS::CodeStarNotifications::NotificationRule": "codestar-notifications.amazonaws.com",
    "AWS::EFS::FileSystem": "elasticfilesystem.amazonaws.com",
}
"""Types of resources, and the service whose role their creation needs."""


@pytest.mark.parametrize("part", parts())
def test_a_part_asks_for_the_roles_of_what_is_in_its_template(app_templates: dict[str, Template], part: str) -> None:
    kinds = {
        resource["Type"]
        for template in by_environment(app_templates, part).values()
        for resource in template["Resources"].values()
    }
    assert {role.service for role in roles_of([part])} == {NEEDS[kind] for kind in kinds if kind in NEEDS}


def test_every_role_is_asked_for_by_a_part_that_there_is() -> None:
    assert {part for role in ROLES for part in role.parts} <= set(parts())


@dataclass
class SomeQuotas(Quotas):
    """Quotas of the test's own: moto has none of these services."""

    values: dict[str, float] = field(default_factory=dict)

    def applied(self, service: str, code: str) -> float:
        if code not in self.values:
            raise AccessDenied(f"service-quotas:get_service_quota: AccessDenied for {service} {code}")
        return self.values[code]


@dataclass
class SomeRoles(ServiceRoles):
    """Roles of the test's own: moto gives them other names than AWS does."""

    there: set[str] = field(default_factory=set)

    def exists(self, name: str) -> bool:
        return name in self.there

    def create(self, service: str) -> bool:
        (name,) = (role.name for role in ROLES if role.service == service)
        self.there.add(name)
        return True


ENOUGH = {FARGATE: 4000.0, FARGATE_SPOT: 4000.0, ELASTIC_IPS: 5.0}


def tools_in(cdk: FakeCdk, values: dict[str, float]) -> Tools:
    return Tools(lambda _assembly: cdk, account=Account(SomeRoles(), SomeQuotas(values)))


def found(text: str) -> dict[str, str]:
    return {each["what"]: each["result"] for each in json.loads(text)["account"]}


def test_a_deploy_creates_the_roles_before_the_first_stack(
    simulated: SimulatedEnvironment, cdk: FakeCdk, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[set[str]] = []
    roles = SomeRoles()
    cdk.on_deploy = lambda _stack: seen.append(set(roles.there))
    tools = Tools(lambda _assembly: cdk, account=Account(roles, SomeQuotas(ENOUGH)))
    assert deploy(session_in(simulated, as_json=True), InfraRequest("bootstrap"), tools) == 0
    assert "AWSServiceRoleForECS" not in seen[0]  # of a later stage
    assert found(capsys.readouterr().out)["service-linked role AWSServiceRoleForCodeStarNotifications"] == "created"
    del seen[:]
    assert deploy(session_in(simulated, as_json=True), InfraRequest(), tools) == 0
    assert "AWSServiceRoleForECS" in seen[0]
    told = found(capsys.readouterr().out)
    assert told["service-linked role AWSServiceRoleForECS"] == "created"
    assert {told[each] for each in told if each.startswith("quota")} == {"ok"}


def test_a_deploy_of_what_stands_asks_the_account_nothing(
    simulated: SimulatedEnvironment, cdk: FakeCdk, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = tools_in(cdk, ENOUGH)
    deploy(session_in(simulated), InfraRequest(), tools)
    capsys.readouterr()
    assert deploy(session_in(simulated, as_json=True), InfraRequest(), replace(tools, account=Account(Unasked()))) == 0
    assert found(capsys.readouterr().out) == {}


class Unasked(ServiceRoles):
    """Roles that nobody may ask for."""

    def exists(self, name: str) -> bool:
        raise AssertionError(name)


def test_a_plan_says_what_would_be_created_and_creates_nothing(
    simulated: SimulatedEnvironment, cdk: FakeCdk, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = SomeRoles()
    tools = Tools(lambda _assembly: cdk, account=Account(roles, SomeQuotas(ENOUGH)))
    assert plan(session_in(simulated, as_json=True), None, AppOptions(), tools) == 0
    assert found(capsys.readouterr().out)["service-linked role AWSServiceRoleForRDS"] == "missing"
    assert roles.there == set()


@pytest.mark.parametrize(
    ("code", "message", "mark"),
    [
        # Somebody else has created it between the look and the call.
        ("InvalidInput", "Service role name X has been taken in this account, please try a different suffix.", Mark.OK),
        ("InvalidInput", "Service aurora.amazonaws.com does not support this.", Mark.SKIP),
        ("AccessDenied", "not authorized to perform: iam:CreateServiceLinkedRole", Mark.SKIP),
        ("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", Mark.SKIP),
    ],
)
def test_a_role_that_cannot_be_created_stops_nothing(
    simulated: SimulatedEnvironment, refuse: Refuse, code: str, message: str, mark: Mark
) -> None:
    refuse("iam", "CreateServiceLinkedRole", code, message)
    account = Account(quotas=SomeQuotas(ENOUGH))
    first, *_ = account.check(config.load("dev"), ["aurora"], create=True)
    assert (first.mark, message in first.reason) == (mark, mark == Mark.SKIP)


def test_a_role_is_looked_for_and_created_by_its_service(simulated: SimulatedEnvironment) -> None:
    roles = ServiceRoles()
    assert not roles.exists("AWSServiceRoleForecs")  # as moto calls it
    assert roles.create("ecs.amazonaws.com")
    assert roles.exists("AWSServiceRoleForecs")


def test_what_may_not_be_looked_at_is_skipped_with_the_reason(
    simulated: SimulatedEnvironment, cdk: FakeCdk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(session_in(simulated), InfraRequest(), tools_in(cdk, {})) == 0
    assert f"SKIP    quota EC2-VPC Elastic IPs ({ELASTIC_IPS}): service-quotas" in capsys.readouterr().out


def test_a_quota_that_is_too_low_stops_the_deploy_before_the_first_stack(
    simulated: SimulatedEnvironment, cdk: FakeCdk
) -> None:
    tools = tools_in(cdk, {**ENOUGH, FARGATE: 0.25, FARGATE_SPOT: 0.25})
    with pytest.raises(CommandError, match=r"vCPU.*it is 0\.25, and the stacks need .*Service Quotas") as refused:
        deploy(session_in(simulated), InfraRequest(), tools)
    assert GUIDE in str(refused.value)
    assert cdk.asked == []
    assert (ROOT / GUIDE).exists()


def test_addresses_that_others_use_are_counted(simulated: SimulatedEnvironment, cdk: FakeCdk) -> None:
    for _ in range(5):
        client_of("ec2").allocate_address(Domain="vpc")
    with pytest.raises(CommandError, match=r"Elastic IPs.*it is 5, of which 5 are in use, and the stacks need 1"):
        deploy(session_in(simulated), InfraRequest(), tools_in(cdk, ENOUGH))
    assert statuses() == {}


VCPU = Quota("fargate", FARGATE, "Fargate On-Demand vCPU resource count", 4.25, 7.25)


@pytest.mark.parametrize(
    ("value", "used", "mark"),
    [(4.0, 0, Mark.SHORT), (4.25, 0, Mark.LOW), (7.25, 0, Mark.OK), (8, 1, Mark.LOW), (5, 1, Mark.SHORT)],
)
def test_a_quota_is_enough_for_the_stacks_and_for_a_code_deploy(value: float, used: float, mark: Mark) -> None:
    assert enough(VCPU, value, used)[0] == mark


def test_production_wants_its_tasks_and_the_largest_wave_again() -> None:
    settings = config.load("production")
    there = parts(chosen(settings))
    vcpu, addresses = quotas_of(settings, there)
    at_rest = 3 * 1.0 + 2 * 0.5 + 0.25 + 1.0
    assert (vcpu.code, vcpu.least, vcpu.wanted) == (FARGATE, at_rest, at_rest + 3.0)
    assert (addresses.code, addresses.least) == (ELASTIC_IPS, 3)
    assert quotas_of(settings, ["deployment-coordinator"]) == ()
    on_spot = replace(settings, compute=replace(settings.compute, spot=True))
    assert quotas_of(on_spot, there)[0].code == FARGATE_SPOT


@pytest.mark.parametrize(
    ("scanning", "words"),
    [
        (Scanning("BASIC"), ""),
        (Scanning("ENHANCED", ("*",)), ""),
        (Scanning("ENHANCED", ("v3",)), ""),
        (Scanning("ENHANCED", ("v3-backend",)), ""),
        (Scanning("ENHANCED", ("shop-*", "backend*")), "v3-backend"),
        (Scanning("ENHANCED"), "[image] scan_required"),
    ],
)
def test_enhanced_scanning_has_to_take_the_repository(scanning: Scanning, words: str) -> None:
    mark, reason = scanned(config.load("production"), scanning)
    assert (mark == Mark.OK) == (not words)
    assert words in reason


def test_scanning_is_read_from_the_registry(simulated: SimulatedEnvironment) -> None:
    registry = Registry()
    assert registry.scanning() == Scanning("BASIC")
    rules = [
        {"scanFrequency": "MANUAL", "repositoryFilters": [{"filter": "no", "filterType": "WILDCARD"}]},
        {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "v3*", "filterType": "WILDCARD"}]},
    ]
    client_of("ecr").put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    assert registry.scanning() == Scanning("ENHANCED", ("v3*",))
    assert Addresses().count() == 0


ROADS = (
    "how-to/platform.md",
    "how-to/adopt.md",
    "how-to/pipelines.md",
    "how-to/infrastructure.md",
    "tutorial/in-an-account.md",
)


@pytest.mark.parametrize("road", ROADS)
def test_every_road_into_an_account_links_to_the_page(road: str) -> None:
    text = (ROOT / "docs" / road).read_text(encoding="utf-8")
    assert "new-account.md" in text
    assert "create-service-linked-role" not in text


def test_the_page_names_every_role_and_quota() -> None:
    page = (ROOT / GUIDE).read_text(encoding="utf-8")
    assert [role.name for role in ROLES if role.service not in page] == []
    assert [code for code in (FARGATE, FARGATE_SPOT, ELASTIC_IPS) if code not in page] == []
