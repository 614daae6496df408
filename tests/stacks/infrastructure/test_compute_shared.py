from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import config
from config import EnvironmentConfig
from tests.stacks.synthesis import (
    ROOT,
    SWITCHED,
    Template,
    by_environment,
    check_house_rules,
    flat,
    of_kind,
    only,
    parameters_read,
    published,
    resources,
    security_group_rules,
    synthesise,
)

ENVIRONMENTS = config.environments()
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
PUBLIC = replace(
    config.load("production"), compute=replace(config.load("production").compute, certificate_arn=CERTIFICATE)
)


@pytest.fixture(scope="module")
def templates(app_templates: dict[str, Template]) -> dict[str, Template]:
    return by_environment(app_templates, "compute-shared")


@pytest.fixture(scope="module")
def public() -> Template:
    """With a certificate, as no committed config has one."""
    from stacks.infrastructure.compute_shared_stack import ComputeSharedStack

    return synthesise(ComputeSharedStack, PUBLIC)


def attributes(template: Template) -> dict[str, Any]:
    load_balancer = only(template, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    return {each["Key"]: each["Value"] for each in load_balancer["LoadBalancerAttributes"]}


def group(template: Template, about: str) -> dict[str, Any]:
    (found,) = (
        each for each in resources(template, "AWS::EC2::SecurityGroup") if each["GroupDescription"].startswith(about)
    )
    return found


def listeners(template: Template) -> dict[int, dict[str, Any]]:
    return {each["Port"]: each for each in resources(template, "AWS::ElasticLoadBalancingV2::Listener")}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_house_rules(environment: str, templates: dict[str, Template]) -> None:
    check_house_rules(templates[environment], config.load(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_needs_the_network_and_nothing_else(environment: str, templates: dict[str, Template]) -> None:
    prefix = f"/v3-backend/{environment}/network"
    assert parameters_read(templates[environment]) == {f"{prefix}/vpcId", f"{prefix}/privateSubnetIds"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_services_learn_what_only_aws_can_name(environment: str, templates: dict[str, Template]) -> None:
    prefix = f"/v3-backend/{environment}/compute"
    assert set(published(templates[environment])) == {
        f"{prefix}/{name}"
        for name in (
            "loadBalancerFullName",
            "loadBalancerAddress",
            "listenerArn",
            "apiSecurityGroupId",
            "taskSecurityGroupId",
            "namespaceId",
            "subgraphKeysArn",
        )
    }


# The cluster.


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_cluster_measures_as_the_config_says_and_runs_on_fargate(
    environment: str, templates: dict[str, Template]
) -> None:
    cluster = only(templates[environment], "AWS::ECS::Cluster")
    assert cluster["ClusterName"] == f"v3-backend-{environment}"
    assert cluster["ClusterSettings"] == [
        {"Name": "containerInsights", "Value": config.load(environment).compute.container_insights}
    ]
    assert cluster["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert cluster["DefaultCapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE", "Weight": 1}]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_people_type_into_tasks_is_on_record_where_they_may(
    environment: str, templates: dict[str, Template]
) -> None:
    settings = config.load(environment)
    names = {each["LogGroupName"] for each in resources(templates[environment], "AWS::Logs::LogGroup")}
    session_logs = f"/aws/ecs/v3-backend-{environment}/exec"
    assert (session_logs in names) is settings.compute.execute_command
    configuration = only(templates[environment], "AWS::ECS::Cluster").get("Configuration")
    assert (configuration is not None) is settings.compute.execute_command
    if configuration:
        assert configuration["ExecuteCommandConfiguration"]["Logging"] == "OVERRIDE"
    # The deployer, and so whoever reads its explanations, sees the services' logs alone.
    assert not session_logs.startswith(settings.permissions.log_group_prefix)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_workload_has_its_log_group(environment: str, templates: dict[str, Template]) -> None:
    found = {
        each["LogGroupName"]: each["RetentionInDays"]
        for each in resources(templates[environment], "AWS::Logs::LogGroup")
    }
    for name in ("api", "worker", "scheduler", "migration"):
        assert found[f"/v3-backend/{environment}/{name}"] == config.load(environment).logs.retention_days


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_services_find_each_other_in_a_private_namespace(environment: str, templates: dict[str, Template]) -> None:
    namespace = only(templates[environment], "AWS::ServiceDiscovery::PrivateDnsNamespace")
    assert namespace["Name"] == f"{environment}.v3-backend.internal"


# The load balancer.


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_without_a_certificate_the_load_balancer_is_reached_from_the_vpc_alone(
    environment: str, templates: dict[str, Template]
) -> None:
    template = templates[environment]
    load_balancer = only(template, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert load_balancer["Scheme"] == "internal"
    assert "privateSubnetIds" in json.dumps(load_balancer["Subnets"])
    assert "publicSubnetIds" not in json.dumps(load_balancer["Subnets"])
    assert len(load_balancer["Subnets"]) == config.load(environment).network.availability_zones
    (listener,) = listeners(template).values()
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    ingress = group(template, "The load balancer")["SecurityGroupIngress"]
    assert [(each["CidrIp"], each["FromPort"]) for each in ingress] == [(config.load(environment).network.cidr, 80)]


def test_with_a_certificate_it_is_public_and_speaks_https(public: Template) -> None:
    load_balancer = only(public, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert load_balancer["Scheme"] == "internet-facing"
    assert "publicSubnetIds" in json.dumps(load_balancer["Subnets"])
    assert parameters_read(public) == {
        "/v3-backend/production/network/vpcId",
        "/v3-backend/production/network/publicSubnetIds",
    }
    found = listeners(public)
    assert set(found) == {80, 443}
    assert found[443]["Protocol"] == "HTTPS"
    assert found[443]["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert found[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    (redirect,) = found[80]["DefaultActions"]
    assert redirect["Type"] == "redirect"
    assert redirect["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    ingress = group(public, "The load balancer")["SecurityGroupIngress"]
    assert {(each["CidrIp"], each["FromPort"], each["ToPort"]) for each in ingress} == {
        ("0.0.0.0/0", 443, 443),
        ("0.0.0.0/0", 80, 80),
    }


def test_the_services_listener_is_the_one_that_carries_them(public: Template, templates: dict[str, Template]) -> None:
    for template, port in ((public, 443), (templates["production"], 80)):
        arn = flat(published(template)["/v3-backend/production/compute/listenerArn"])
        named = {f"<{name}>": each for name, each in template["Resources"].items()}
        assert named[arn]["Properties"]["Port"] == port


def test_what_no_service_takes_is_not_found(public: Template, templates: dict[str, Template]) -> None:
    for listener in (listeners(public)[443], listeners(templates["dev"])[80]):
        (action,) = listener["DefaultActions"]
        answer = action["FixedResponseConfig"]
        assert (answer["StatusCode"], answer["ContentType"]) == ("404", "application/json")
        assert json.loads(answer["MessageBody"]) == {"error": "not found"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_load_balancer_is_careful(environment: str, templates: dict[str, Template]) -> None:
    found = attributes(templates[environment])
    assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert found["deletion_protection.enabled"] == (SWITCHED if environment == "production" else "false")
    assert found["idle_timeout.timeout_seconds"] == "60"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_requests_are_on_record_in_a_bucket_that_elb_alone_may_write(
    environment: str, templates: dict[str, Template]
) -> None:
    template = templates[environment]
    found = attributes(template)
    assert found["access_logs.s3.enabled"] == "true"
    ((name, bucket),) = of_kind(template, "AWS::S3::Bucket").items()
    assert found["access_logs.s3.bucket"] == {"Ref": name}
    (encryption,) = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    ((policy_name, policy),) = of_kind(template, "AWS::S3::BucketPolicy").items()
    said = policy["Properties"]["PolicyDocument"]["Statement"]
    (allowed,) = (each for each in said if each["Effect"] == "Allow")
    assert allowed["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert allowed["Action"] == "s3:PutObject"
    assert flat(allowed["Resource"]).endswith("/AWSLogs/<AWS::AccountId>/*")
    (load_balancer,) = of_kind(template, "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    assert policy_name in load_balancer["DependsOn"]


# Who may talk to whom.


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_api_is_reached_from_the_load_balancer_and_from_tasks_on_its_port(
    environment: str, templates: dict[str, Template]
) -> None:
    template = templates[environment]
    rules = group(template, "The API")["SecurityGroupIngress"]
    assert {(each["FromPort"], each["ToPort"]) for each in rules} == {(8080, 8080)}
    assert {flat(each["SourceSecurityGroupId"]) for each in rules} == {
        f'<["{name}", "GroupId"]>'
        for name, each in of_kind(template, "AWS::EC2::SecurityGroup").items()
        if each["Properties"]["GroupDescription"].startswith(("The load balancer", "Worker"))
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_reaches_the_other_tasks(environment: str, templates: dict[str, Template]) -> None:
    assert "SecurityGroupIngress" not in group(templates[environment], "Worker, scheduler and migration")


def test_tasks_reach_https_and_the_vpc_and_the_load_balancer_reaches_tasks(templates: dict[str, Template]) -> None:
    def outwards(about: str) -> set[tuple[str, str, int | None]]:
        rules = group(templates["dev"], about)["SecurityGroupEgress"]
        return {(each["CidrIp"], each["IpProtocol"], each.get("FromPort")) for each in rules}

    for tasks in ("The API", "Worker"):
        assert outwards(tasks) == {("0.0.0.0/0", "tcp", 443), ("10.20.0.0/16", "-1", None)}
    assert outwards("The load balancer") == {("10.20.0.0/16", "tcp", 8080)}


def test_every_rule_says_what_it_is_for_in_letters_that_ec2_takes(
    public: Template, templates: dict[str, Template]
) -> None:
    # EC2 API reference, "IpRange".
    allowed = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    for template in (public, *templates.values()):
        assert all(allowed.fullmatch(rule["Description"]) for rule in security_group_rules(template))
        for each in resources(template, "AWS::EC2::SecurityGroup"):
            assert allowed.fullmatch(each["GroupDescription"])


# What the services keep.


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_table_can_be_put_back_to_any_second_and_production_cannot_lose_it(
    environment: str, templates: dict[str, Template]
) -> None:
    (table,) = of_kind(templates[environment], "AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert properties["TableName"] == f"v3-backend-{environment}-pools"
    assert {each["AttributeName"]: each["KeyType"] for each in properties["KeySchema"]} == {"pk": "HASH", "sk": "RANGE"}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    is_production = environment == "production"
    assert properties["DeletionProtectionEnabled"] == (SWITCHED if is_production else False)
    assert table["DeletionPolicy"] == ("RetainExceptOnCreate" if is_production else "Delete")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_secret_starts_with_both_keys_not_set(environment: str, templates: dict[str, Template]) -> None:
    """CloudFormation makes a new value when these lines change: they must stay as they are, letter by letter."""
    secret = only(templates[environment], "AWS::SecretsManager::Secret")
    assert secret["Name"] == f"v3-backend/{environment}/thegraph"
    assert "SecretString" not in secret
    assert secret["GenerateSecretString"] == {
        "SecretStringTemplate": '{"thegraph_balancer": "not-set", "thegraph_fantom": "not-set"}',
        "GenerateStringKey": "initial",
    }


def renamed(settings: EnvironmentConfig) -> EnvironmentConfig:
    return replace(settings, owner="another-team", cost_center="other", logs=replace(settings.logs, retention_days=1))


def test_no_other_setting_makes_a_new_secret(templates: dict[str, Template]) -> None:
    from stacks.infrastructure.compute_shared_stack import ComputeSharedStack

    after = synthesise(ComputeSharedStack, renamed(config.load("dev")))
    before = only(templates["dev"], "AWS::SecretsManager::Secret")
    now = only(after, "AWS::SecretsManager::Secret")
    assert now["Tags"] != before["Tags"]
    assert now["GenerateSecretString"] == before["GenerateSecretString"]


def test_cfn_lint_finds_nothing_in_the_public_one(public: Template, tmp_path: Path) -> None:
    file = tmp_path / "public.template.json"
    file.write_text(json.dumps(public))
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([str(lint), str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
