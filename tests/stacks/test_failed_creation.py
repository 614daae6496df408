"""A first creation that fails leaves nothing that stops the second, in production either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from statemachine.protection import PARAMETER
from stepship.infra import cdk
from tests.stacks.synthesis import FIXED_NAMES, SWITCHED, Template


def resources(app_templates: dict[str, Template]) -> Iterator[tuple[str, Template, dict[str, Any]]]:
    for name, template in app_templates.items():
        for each in template["Resources"].values():
            yield name, template, each


def protections(properties: dict[str, Any]) -> list[Any]:
    attributes = properties.get("LoadBalancerAttributes", [])
    return [
        *(value for key, value in properties.items() if key.startswith("DeletionProtection")),
        *(each["Value"] for each in attributes if each["Key"] == "deletion_protection.enabled"),
    ]


def test_what_is_protected_can_be_created_without_its_protection(app_templates: dict[str, Template]) -> None:
    """A protected resource cannot be deleted by the rollback of its own creation: that ends as ROLLBACK_FAILED."""
    switched = set()
    for name, template, each in resources(app_templates):
        for value in protections(each.get("Properties", {})):
            assert value in (SWITCHED, False, "false"), f"{name}: {each['Type']}"
            if value == SWITCHED:
                switched.add(each["Type"])
                assert template["Parameters"][PARAMETER]["Default"] == "true", "on, where nobody says anything"
    assert switched == {
        "AWS::DynamoDB::Table",
        "AWS::RDS::DBCluster",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
    }


def test_the_command_gives_the_parameter_of_the_templates() -> None:
    assert cdk.PROTECTION == PARAMETER


def test_what_others_write_to_is_not_deleted_by_a_rollback_and_has_no_fixed_name(
    app_templates: dict[str, Template],
) -> None:
    """ELB writes a test object, a pipeline its artifacts: the rollback could not delete the bucket."""
    buckets = [each for _, _, each in resources(app_templates) if each["Type"] == "AWS::S3::Bucket"]
    assert buckets
    for each in buckets:
        assert each["DeletionPolicy"] == "Retain"
        assert "BucketName" not in each.get("Properties", {})


def test_no_fixed_name_outlives_a_creation_that_failed(app_templates: dict[str, Template]) -> None:
    kept = [
        (name, each["Type"])
        for name, _, each in resources(app_templates)
        if each.get("DeletionPolicy") == "Retain"
        and any(isinstance(each["Properties"].get(key), str) for key in FIXED_NAMES)
    ]
    assert kept == []
