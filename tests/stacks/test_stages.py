"""No stack holds another one fast: the graph of what they hand over to each other."""

from __future__ import annotations

import json
from graphlib import TopologicalSorter
from typing import Any

import pytest

import config

Json = dict[str, Any]
UNTAGGABLE = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::IAM::Policy",
    "AWS::Logs::LogStream",
    "AWS::Logs::SubscriptionFilter",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "Custom::SeededParameters",
}
"""Types whose CloudFormation schema has no tags, or whose tags the CDK does not set (a listener, its rules)."""


def of(environment: str, templates: dict[str, Json]) -> dict[str, Json]:
    """Return the templates of one environment by part."""
    prefix = f"v3-backend-{environment}-"
    return {name.removeprefix(prefix): each for name, each in templates.items() if name.startswith(prefix)}


def written(template: Json) -> set[str]:
    """Return the names of the parameters that a stack creates."""
    names = set()
    for each in template["Resources"].values():
        if each["Type"] == "AWS::SSM::Parameter":
            names.add(each["Properties"]["Name"])
        if each["Type"] == "Custom::SeededParameters":
            names |= {parameter["Name"] for parameter in each["Properties"]["Parameters"]}
    return names


def read(template: Json) -> set[str]:
    """Return the names of the parameters that a stack reads when it is deployed."""
    return {
        each["Default"]
        for each in template.get("Parameters", {}).values()
        if each["Type"].startswith("AWS::SSM::Parameter::Value<") and not each["Default"].startswith("/cdk-bootstrap/")
    }


@pytest.mark.parametrize("environment", config.environments())
def test_what_a_stack_reads_is_written_by_exactly_one_stack_that_is_deployed_before_it(
    environment: str, app_templates: dict[str, Json]
) -> None:
    from stacks.stages import NEEDS

    stacks = of(environment, app_templates)
    needs = {kind.PART: {each.PART for each in needed} for kind, needed in NEEDS.items()}
    order = list(TopologicalSorter(needs).static_order())  # raises CycleError
    assert set(order) == set(stacks)
    for part, template in stacks.items():
        for name in read(template):
            writers = [other for other, each in stacks.items() if name in written(each)]
            assert len(writers) == 1, f"{part} reads {name}, which {writers or 'nobody'} writes"
            assert order.index(writers[0]) < order.index(part)
            assert writers[0] in before(part, needs)


def before(part: str, needs: dict[str, set[str]]) -> set[str]:
    """Return everything that is deployed before a stack, near and far."""
    found = set(needs[part])
    for each in needs[part]:
        found |= before(each, needs)
    return found


def test_the_coordinator_can_be_deployed_alone(app_templates: dict[str, Json]) -> None:
    from stacks.stages import NEEDS

    (coordinator,) = (kind for kind in NEEDS if kind.PART == "deployment-coordinator")
    assert NEEDS[coordinator] == ()
    assert read(app_templates["v3-backend-dev-deployment-coordinator"]) == set()


def test_no_stack_exports_or_imports_anything(app_templates: dict[str, Json]) -> None:
    for name, template in app_templates.items():
        assert "Fn::ImportValue" not in json.dumps(template), name
        assert not [each for each in template.get("Outputs", {}).values() if "Export" in each], name


def test_no_two_stacks_write_the_same_parameter(app_templates: dict[str, Json]) -> None:
    # The dev config of the tests has services of its own: a team with its own cluster, which has no service stacks.
    for environment in ("staging", "production"):
        names = [name for template in of(environment, app_templates).values() for name in written(template)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("environment", config.environments())
def test_every_resource_that_can_be_tagged_says_whose_it_is(environment: str, app_templates: dict[str, Json]) -> None:
    expected = {"app": "v3-backend", "environment": environment, "owner": "platform-team", "cost-center": "v3-backend"}
    for part, template in of(environment, app_templates).items():
        for name, resource in template["Resources"].items():
            if resource["Type"] in UNTAGGABLE:
                continue
            tags = resource["Properties"].get("Tags", resource["Properties"].get("HostedZoneTags"))
            assert tags, f"{part}: {name} ({resource['Type']}) has no tags"
            found = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            assert expected.items() <= found.items(), f"{part}: {name}"


@pytest.mark.parametrize("environment", config.environments())
def test_nothing_is_kept_for_ever(environment: str, app_templates: dict[str, Json]) -> None:
    for part, template in of(environment, app_templates).items():
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            needed = {
                "AWS::Logs::LogGroup": "RetentionInDays",
                "AWS::S3::Bucket": "LifecycleConfiguration",
                "AWS::ECR::Repository": "LifecyclePolicy",
            }.get(resource["Type"])
            assert needed is None or properties.get(needed), f"{part}: {name} has no {needed}"


def test_stacks_are_the_same_for_any_account(app_templates: dict[str, Json]) -> None:
    for template in app_templates.values():
        assert "123456789012" not in json.dumps(template)


@pytest.mark.parametrize("environment", config.environments())
def test_only_production_is_protected_from_being_taken_down(environment: str) -> None:
    import aws_cdk as cdk

    from stacks.stages import add_stacks

    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    for stack in add_stacks(app, config.load(environment)):
        assert bool(stack.termination_protection) is (environment == "production")
