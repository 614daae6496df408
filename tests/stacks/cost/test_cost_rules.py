"""What keeps the bill small, over all templates of all environments: nothing piles up, nothing is larger than asked.

That every resource is tagged, and that nothing is without an end at all, is in ``test_stages.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import config

Json = dict[str, Any]


def each(app_templates: dict[str, Json], kind: str, environment: str = "") -> Iterator[tuple[str, Json]]:
    """Yield (stack and logical id, properties) of all resources of a type, of one environment or of all."""
    for stack, template in app_templates.items():
        if stack.startswith(f"v3-backend-{environment}"):
            for name, resource in template["Resources"].items():
                if resource["Type"] == kind:
                    yield f"{stack}: {name}", resource.get("Properties", {})


def some(app_templates: dict[str, Json], kind: str, environment: str = "") -> list[tuple[str, Json]]:
    """Return the same as a list with something in it: a rule about nothing proves nothing."""
    found = list(each(app_templates, kind, environment))
    assert found, f"no {kind}"
    return found


def test_what_is_in_a_bucket_has_an_end(app_templates: dict[str, Json]) -> None:
    for name, properties in some(app_templates, "AWS::S3::Bucket"):
        rules = properties["LifecycleConfiguration"]["Rules"]
        assert all(rule["Status"] == "Enabled" for rule in rules), name
        everything = [rule for rule in rules if not {"Prefix", "TagFilters"} & set(rule)]
        assert any("ExpirationInDays" in rule or "NoncurrentVersionExpiration" in rule for rule in everything), name
        if properties.get("VersioningConfiguration", {}).get("Status") == "Enabled":
            assert any("NoncurrentVersionExpiration" in rule for rule in everything), name


def test_parts_of_uploads_that_never_ended_go_away(app_templates: dict[str, Json]) -> None:
    for name, properties in some(app_templates, "AWS::S3::Bucket"):
        rules = properties["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name


def test_a_repository_keeps_as_many_images_as_the_config_says(app_templates: dict[str, Json]) -> None:
    for environment in config.environments():
        wanted = config.load(environment).bootstrap.keep_images
        for name, properties in each(app_templates, "AWS::ECR::Repository", environment):
            rules = json.loads(properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
            kept = [rule["selection"]["countNumber"] for rule in rules if rule["selection"]["tagStatus"] != "untagged"]
            assert wanted in kept, name
    assert some(app_templates, "AWS::ECR::Repository")


@pytest.mark.parametrize("environment", config.environments())
def test_a_log_is_kept_as_long_as_the_config_says(environment: str, app_templates: dict[str, Json]) -> None:
    settings = config.load(environment)
    wanted = {settings.logs.retention_days, settings.machine.log_retention_days}
    for name, properties in some(app_templates, "AWS::Logs::LogGroup", f"{environment}-"):
        assert properties["RetentionInDays"] in wanted, name


def test_nobody_writes_into_a_log_group_that_aws_makes_and_keeps_for_ever(app_templates: dict[str, Json]) -> None:
    for name, properties in some(app_templates, "AWS::Lambda::Function"):
        assert properties["LoggingConfig"]["LogGroup"], name
    for name, properties in some(app_templates, "AWS::CodeBuild::Project"):
        logs = properties["LogsConfig"]["CloudWatchLogs"]
        assert logs["Status"] == "ENABLED", name
        assert logs["GroupName"], name


def test_every_table_is_paid_by_the_request(app_templates: dict[str, Json]) -> None:
    for name, properties in some(app_templates, "AWS::DynamoDB::Table"):
        assert properties["BillingMode"] == "PAY_PER_REQUEST", name
        assert "ProvisionedThroughput" not in properties, name


@pytest.mark.parametrize("environment", config.environments())
def test_a_loop_that_never_ends_can_cost_no_more_than_the_config_says(
    environment: str, app_templates: dict[str, Json]
) -> None:
    settings = config.load(environment)
    limits = [
        properties["OnDemandThroughput"]
        for name, properties in some(app_templates, "AWS::DynamoDB::Table", f"{environment}-dynamodb")
    ]
    sizes = settings.dynamodb
    assert limits == [{"MaxReadRequestUnits": sizes.max_read_units, "MaxWriteRequestUnits": sizes.max_write_units}]
    for name, properties in some(app_templates, "AWS::ApiGatewayV2::Stage", f"{environment}-"):
        throttled = properties["DefaultRouteSettings"]
        assert throttled["ThrottlingRateLimit"] == settings.api_gateway.rate_per_second, name
        assert throttled["ThrottlingBurstLimit"] == settings.api_gateway.burst, name


def test_everything_that_computes_is_arm(app_templates: dict[str, Json]) -> None:
    for name, properties in some(app_templates, "AWS::Lambda::Function"):
        assert properties["Architectures"] == ["arm64"], name
    for name, properties in some(app_templates, "AWS::ECS::TaskDefinition"):
        assert properties["RuntimePlatform"]["CpuArchitecture"] == "ARM64", name
    for name, properties in some(app_templates, "AWS::CodeBuild::Project"):
        assert properties["Environment"]["Type"] == "ARM_CONTAINER", name
        assert properties["Environment"]["ComputeType"] == "BUILD_GENERAL1_SMALL", name


def providers(app_templates: dict[str, Json], environment: str) -> set[str]:
    """Return what all services of an environment run on."""
    services = some(app_templates, "AWS::ECS::Service", f"{environment}-")
    assert not [name for name, properties in services if "LaunchType" in properties]
    return {
        strategy["CapacityProvider"]
        for _, properties in services
        for strategy in properties["CapacityProviderStrategy"]
    }


def test_development_runs_on_spot_and_nothing_else_does(app_templates: dict[str, Json]) -> None:
    assert providers(app_templates, "dev") == {"FARGATE_SPOT"}
    assert providers(app_templates, "staging") == {"FARGATE"}
    assert providers(app_templates, "production") == {"FARGATE"}


def test_development_has_one_nat_gateway_and_pays_for_no_endpoint(app_templates: dict[str, Json]) -> None:
    assert len(some(app_templates, "AWS::EC2::NatGateway", "dev-")) == 1
    for name, properties in some(app_templates, "AWS::EC2::VPCEndpoint", "dev-"):
        assert properties["VpcEndpointType"] == "Gateway", name


def test_no_zone_of_production_depends_on_the_way_out_of_another_one(app_templates: dict[str, Json]) -> None:
    gateways = some(app_templates, "AWS::EC2::NatGateway", "production-")
    assert len(gateways) == config.load("production").network.availability_zones


@pytest.mark.parametrize("environment", config.environments())
def test_the_database_is_serverless_between_the_limits_of_the_config(
    environment: str, app_templates: dict[str, Json]
) -> None:
    sizes = config.load(environment).aurora
    for name, properties in some(app_templates, "AWS::RDS::DBInstance", f"{environment}-"):
        assert properties["DBInstanceClass"] == "db.serverless", name
    for name, properties in some(app_templates, "AWS::RDS::DBCluster", f"{environment}-"):
        scaling = properties["ServerlessV2ScalingConfiguration"]
        assert scaling == {"MinCapacity": sizes.min_acu, "MaxCapacity": sizes.max_acu}, name


def test_development_sleeps_and_production_does_not() -> None:
    assert config.load("dev").aurora.min_acu == 0
    assert config.load("production").aurora.min_acu > 0


def test_no_function_is_kept_warm(app_templates: dict[str, Json]) -> None:
    kinds = {resource["Type"] for template in app_templates.values() for resource in template["Resources"].values()}
    assert not kinds & {"AWS::Lambda::Version", "AWS::Lambda::Alias"}, "provisioned concurrency stands on one of these"


@pytest.mark.parametrize("environment", config.environments())
def test_tasks_are_on_the_bill_of_whoever_their_service_belongs_to(
    environment: str, app_templates: dict[str, Json]
) -> None:
    for name, properties in some(app_templates, "AWS::ECS::Service", f"{environment}-"):
        assert properties["PropagateTags"] == "SERVICE", name
        assert properties["EnableECSManagedTags"] is True, name
