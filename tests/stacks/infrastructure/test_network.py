from __future__ import annotations

import ipaddress
import json
from dataclasses import replace

import pytest

import config
from config import EnvironmentConfig
from tests.stacks.synthesis import (
    Template,
    allowed_on,
    by_environment,
    check_house_rules,
    flat,
    of_kind,
    only,
    published,
    resources,
    security_group_rules,
    statements,
    synthesise,
)

ENVIRONMENTS = config.environments()
WITHOUT_NAT = replace(config.load("dev"), network=replace(config.load("dev").network, nat_gateways=0))


@pytest.fixture(scope="module")
def templates(app_templates: dict[str, Template]) -> dict[str, Template]:
    return by_environment(app_templates, "network")


@pytest.fixture(scope="module")
def without_nat() -> Template:
    from stacks.infrastructure.network_stack import NetworkStack

    return synthesise(NetworkStack, WITHOUT_NAT)


def subnets(template: Template, kind: str) -> dict[str, str]:
    """Return the ranges of the public or private subnets by logical id."""
    return {
        name: each["Properties"]["CidrBlock"]
        for name, each in of_kind(template, "AWS::EC2::Subnet").items()
        if f"Vpc{kind}" in name
    }


def settings(environment: str) -> EnvironmentConfig:
    return config.load(environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_house_rules(environment: str, templates: dict[str, Template]) -> None:
    check_house_rules(templates[environment], settings(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_zone_has_a_public_and_a_private_subnet_in_the_range_of_the_config(
    environment: str, templates: dict[str, Template]
) -> None:
    network = settings(environment).network
    whole = ipaddress.IPv4Network(network.cidr)
    assert only(templates[environment], "AWS::EC2::VPC")["CidrBlock"] == network.cidr
    for kind in ("public", "private"):
        ranges = [ipaddress.IPv4Network(each) for each in subnets(templates[environment], kind).values()]
        assert len(ranges) == network.availability_zones
        assert all(each.subnet_of(whole) for each in ranges)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_zones_are_those_of_whatever_region_it_is_deployed_to(environment: str, templates: dict[str, Template]) -> None:
    zones = {json.dumps(each["AvailabilityZone"]) for each in resources(templates[environment], "AWS::EC2::Subnet")}
    count = settings(environment).network.availability_zones
    assert zones == {json.dumps({"Fn::Select": [zone, {"Fn::GetAZs": ""}]}) for zone in range(count)}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_there_are_as_many_ways_out_as_the_config_pays_for(environment: str, templates: dict[str, Template]) -> None:
    assert len(resources(templates[environment], "AWS::EC2::NatGateway")) == settings(environment).network.nat_gateways


def test_no_machine_gets_a_public_address_by_itself(templates: dict[str, Template]) -> None:
    for subnet in resources(templates["production"], "AWS::EC2::Subnet"):
        assert subnet["MapPublicIpOnLaunch"] is False


def test_without_nat_gateways_private_subnets_have_no_way_out(without_nat: Template) -> None:
    assert not resources(without_nat, "AWS::EC2::NatGateway")
    to_anywhere = [
        each for each in resources(without_nat, "AWS::EC2::Route") if each.get("DestinationCidrBlock") == "0.0.0.0/0"
    ]
    assert {flat(each["RouteTableId"]) for each in to_anywhere} == {
        "<VpcpublicSubnet1RouteTable15C15F8E>",
        "<VpcpublicSubnet2RouteTableC5A6DF77>",
    }
    assert len(flat(published(without_nat)["/v3-backend/dev/network/privateSubnetIds"]).split(",")) == 2


def test_one_more_zone_leaves_the_other_subnets_where_they_are(templates: dict[str, Template]) -> None:
    from stacks.infrastructure.network_stack import NetworkStack

    dev = settings("dev")
    grown = synthesise(NetworkStack, replace(dev, network=replace(dev.network, availability_zones=3)))
    for kind in ("public", "private"):
        before, after = subnets(templates["dev"], kind), subnets(grown, kind)
        assert before.items() < after.items()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_s3_and_dynamodb_are_reached_inside_and_the_rest_as_the_config_says(
    environment: str, templates: dict[str, Template]
) -> None:
    endpoints = resources(templates[environment], "AWS::EC2::VPCEndpoint")
    services = {
        kind: {flat(each["ServiceName"]) for each in endpoints if each["VpcEndpointType"] == kind}
        for kind in ("Gateway", "Interface")
    }
    begin = "com.amazonaws.<AWS::Region>."
    assert services["Gateway"] == {f"{begin}s3", f"{begin}dynamodb"}
    assert services["Interface"] == {f"{begin}{each}" for each in settings(environment).network.interface_endpoints}


def test_endpoints_let_the_vpc_in_by_https_and_nobody_else(templates: dict[str, Template]) -> None:
    group = only(templates["production"], "AWS::EC2::SecurityGroup")
    (rule,) = group["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("10.22.0.0/16", "tcp", 443, 443)
    (outwards,) = group["SecurityGroupEgress"]
    assert outwards["Description"] == "Disallow all traffic"
    assert len(list(security_group_rules(templates["production"]))) == 2
    for endpoint in resources(templates["production"], "AWS::EC2::VPCEndpoint"):
        if endpoint["VpcEndpointType"] == "Interface":
            assert len(endpoint["SecurityGroupIds"]) == 1
            assert endpoint["PrivateDnsEnabled"] is True


def test_all_traffic_is_on_record_by_a_role_that_can_write_nothing_else(templates: dict[str, Template]) -> None:
    template = templates["production"]
    assert only(template, "AWS::EC2::FlowLog")["TrafficType"] == "ALL"
    role = only(template, "AWS::IAM::Role")
    assert {action.split(":")[0] for actions, _ in statements(role) for action in actions} == {"logs"}
    (log_group,) = allowed_on(role, "logs:PutLogEvents")
    assert "FlowLogGroup" in log_group


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_other_stacks_learn_the_vpc_and_one_subnet_of_each_kind_per_zone(
    environment: str, templates: dict[str, Template]
) -> None:
    found = published(templates[environment])
    prefix = f"/v3-backend/{environment}/network"
    assert set(found) == {f"{prefix}/vpcId", f"{prefix}/publicSubnetIds", f"{prefix}/privateSubnetIds"}
    zones = settings(environment).network.availability_zones
    for kind in ("public", "private"):
        ids = flat(found[f"{prefix}/{kind}SubnetIds"]).split(",")
        assert ids == [f"<{name}>" for name in subnets(templates[environment], kind)]
        assert len(ids) == zones


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_code_runs_to_make_a_network(environment: str, templates: dict[str, Template]) -> None:
    kinds = {each["Type"] for each in templates[environment]["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith(("Custom::", "AWS::Lambda::", "AWS::CloudFormation::"))]
