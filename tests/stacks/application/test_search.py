"""Search: the official image, data that survives its task, one task and never two, and narrow roles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import config
from tests.stacks.synthesis import (
    Template,
    allowed_on,
    by_environment,
    check_house_rules,
    flat,
    of_kind,
    only,
    parameter_of,
    parameters_read,
    published,
    resources,
    security_group_rules,
)

PATH = "/v3-backend/dev/search/"


@pytest.fixture(scope="module")
def infra(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-search-infra"]


@pytest.fixture(scope="module")
def service(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-search-service"]


@pytest.fixture(scope="module")
def functions(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-search-lambda"]


def container(service: Template) -> dict[str, Any]:
    (found,) = only(service, "AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("environment", config.environments())
def test_the_official_image_is_named_by_version_in_a_parameter_that_the_service_reads_when_it_is_deployed(
    environment: str, app_templates: dict[str, Template]
) -> None:
    name = f"/v3-backend/{environment}/search/image"
    infra = by_environment(app_templates, "search-infra")[environment]
    service = by_environment(app_templates, "search-service")[environment]
    assert published(infra)[name] == "docker.io/typesense/typesense:28.0"
    assert parameter_of(service, container(service)["Image"]) == name


def test_there_is_no_repository_and_no_code_deployment_for_it(
    infra: Template, service: Template, functions: Template
) -> None:
    for template in (infra, service, functions):
        assert not resources(template, "AWS::ECR::Repository")
        assert not [name for name in published(template) if name.startswith("/v3-backend/dev/services/")]
    for role in resources(service, "AWS::IAM::Role"):
        assert "Path" not in role, "the deployer may pass roles of /v3-backend/dev/ alone"


@pytest.mark.parametrize("environment", config.environments())
def test_the_data_is_encrypted_backed_up_and_kept_in_production(
    environment: str, app_templates: dict[str, Template]
) -> None:
    infra = by_environment(app_templates, "search-infra")[environment]
    (resource,) = of_kind(infra, "AWS::EFS::FileSystem").values()
    assert resource["Properties"]["Encrypted"] is True
    assert resource["Properties"]["BackupPolicy"] == {"Status": "ENABLED"}
    kept = "RetainExceptOnCreate" if environment == "production" else "Delete"
    assert resource["DeletionPolicy"] == kept
    zones = config.load(environment).network.availability_zones
    assert len(resources(infra, "AWS::EFS::MountTarget")) == zones


def test_what_is_not_encrypted_on_its_way_is_refused(infra: Template) -> None:
    (statement,) = only(infra, "AWS::EFS::FileSystem")["FileSystemPolicy"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_typesense_writes_where_the_file_system_is_mounted_and_nowhere_else(infra: Template, service: Template) -> None:
    found = container(service)
    (mount,) = found["MountPoints"]
    assert mount == {"ContainerPath": "/data", "ReadOnly": False, "SourceVolume": "data"}
    assert found["Command"][:2] == ["--data-dir", mount["ContainerPath"]]
    # Each restart has another address, and the group of one on the disk keeps the one that it was made with.
    assert found["Command"][-2:] == ["--peering-address", "127.0.0.1"]
    assert found["ReadonlyRootFilesystem"] is True
    (volume,) = only(service, "AWS::ECS::TaskDefinition")["Volumes"]
    assert volume["Name"] == mount["SourceVolume"]
    efs = volume["EFSVolumeConfiguration"]
    assert parameter_of(service, efs["FilesystemId"]) == f"{PATH}fileSystemId"
    assert parameter_of(service, efs["AuthorizationConfig"]["AccessPointId"]) == f"{PATH}accessPointId"
    assert efs["TransitEncryption"] == "ENABLED"
    assert efs["AuthorizationConfig"]["IAM"] == "ENABLED"
    point = only(infra, "AWS::EFS::AccessPoint")
    assert found["User"] == f"{point['PosixUser']['Uid']}:{point['PosixUser']['Gid']}"
    assert point["RootDirectory"]["CreationInfo"]["OwnerUid"] == point["PosixUser"]["Uid"]


def test_the_task_may_mount_through_its_access_point_and_not_be_root_there(service: Template) -> None:
    (role,) = [each for each in resources(service, "AWS::IAM::Role") if each["Description"].startswith("Mounts")]
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"}
    assert "file-system/" in flat(statement["Resource"])
    (point,) = statement["Condition"]["StringEquals"].values()
    assert "searchaccessPointId" in flat(point)


def test_there_is_never_a_second_server_on_the_data(service: Template) -> None:
    found = only(service, "AWS::ECS::Service")
    assert found["DesiredCount"] == 1
    assert found["DeploymentConfiguration"]["MinimumHealthyPercent"] == 0
    assert found["DeploymentConfiguration"]["MaximumPercent"] == 100
    assert found["AvailabilityZoneRebalancing"] == "DISABLED"
    assert not resources(service, "AWS::ApplicationAutoScaling::ScalableTarget")


def test_the_key_is_a_secret_and_in_no_template(infra: Template, service: Template, functions: Template) -> None:
    assert only(infra, "AWS::SecretsManager::Secret")["GenerateSecretString"]["PasswordLength"] == 48
    (secret,) = container(service)["Secrets"]
    assert secret["Name"] == "TYPESENSE_API_KEY"
    assert parameter_of(service, secret["ValueFrom"]) == f"{PATH}keyArn"
    assert "resolve:secretsmanager" not in json.dumps([infra, service, functions])
    assert "--api-key" not in container(service)["Command"]


def test_it_is_healthy_when_its_own_health_says_so(service: Template) -> None:
    check = container(service)["HealthCheck"]
    assert check["Command"][:3] == ["CMD", "bash", "-c"]  # the image has neither curl nor wget
    assert "/health" in check["Command"][3]
    assert check["StartPeriod"] == 300


def test_it_is_private_and_found_by_name(service: Template, app_templates: dict[str, Template]) -> None:
    network = only(service, "AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert "/v3-backend/dev/network/privateSubnetIds" in parameters_read(service)
    assert only(service, "AWS::ServiceDiscovery::Service")["Name"] == "search"
    (namespace,) = resources(
        app_templates["v3-backend-dev-compute-shared"], "AWS::ServiceDiscovery::PrivateDnsNamespace"
    )
    functions = app_templates["v3-backend-dev-search-lambda"]
    for function in resources(functions, "AWS::Lambda::Function"):
        url = function["Environment"]["Variables"]["SEARCH_URL"]
        assert url == f"http://search.{namespace['Name']}:8108"


def test_only_clients_reach_the_server_and_only_the_server_reaches_the_data(infra: Template) -> None:
    rules = list(security_group_rules(infra))
    ingress = [
        (each["FromPort"], flat(each["SourceSecurityGroupId"])) for each in rules if "SourceSecurityGroupId" in each
    ]
    assert not [each for each in rules if each.get("IpProtocol") == "-1"]
    assert sorted(port for port, _ in ingress) == [2049, 8108]
    by_port = dict(ingress)
    assert "ClientGroup" in by_port[8108]
    assert "ServerGroup" in by_port[2049]


@pytest.mark.parametrize("environment", config.environments())
def test_size_and_log_group_follow_the_config(environment: str, app_templates: dict[str, Template]) -> None:
    settings = config.load(environment)
    definition = only(by_environment(app_templates, "search-service")[environment], "AWS::ECS::TaskDefinition")
    assert (definition["Cpu"], definition["Memory"]) == (str(settings.search.cpu), str(settings.search.memory))
    assert definition["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    group = only(by_environment(app_templates, "search-infra")[environment], "AWS::Logs::LogGroup")
    (log,) = [each["LogConfiguration"]["Options"]["awslogs-group"] for each in definition["ContainerDefinitions"]]
    assert group["LogGroupName"] == log


def test_changes_that_cannot_be_written_are_kept_and_told(functions: Template) -> None:
    changes, dead = sorted(resources(functions, "AWS::SQS::Queue"), key=lambda each: str(each["QueueName"]))
    assert (changes["QueueName"], dead["QueueName"]) == ("v3-backend-dev-search", "v3-backend-dev-search-dead")
    assert changes["RedrivePolicy"]["maxReceiveCount"] == 10
    mapping = only(functions, "AWS::Lambda::EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    index = next(
        each for each in resources(functions, "AWS::Lambda::Function") if each["Handler"] == "search.index.handler"
    )
    assert changes["VisibilityTimeout"] == 6 * index["Timeout"]
    assert only(functions, "AWS::CloudWatch::Alarm")["AlarmName"] == "v3-backend-dev-search-dead-changes"


def test_the_functions_may_read_the_key_and_the_queue_and_nothing_else(functions: Template) -> None:
    index, query = sorted(resources(functions, "AWS::IAM::Role"), key=lambda each: str(each["Description"]))
    assert allowed_on(query, "sqs:ReceiveMessage") == set()
    assert len(allowed_on(index, "sqs:ReceiveMessage")) == 1
    for role in (index, query):
        (key,) = allowed_on(role, "secretsmanager:GetSecretValue")
        assert "searchkeyArn" in key
        assert allowed_on(role, "sqs:SendMessage") == set()
    assert not resources(functions, "AWS::IAM::Policy"), "grants stand in the roles"


def test_the_api_finds_the_function_that_answers(functions: Template) -> None:
    value = published(functions)[f"{PATH}queryFunctionArn"]
    (name,) = value["Fn::GetAtt"][:1]
    assert functions["Resources"][name]["Properties"]["FunctionName"] == "v3-backend-dev-search-query"


def test_the_functions_need_nothing_but_what_is_in_their_asset(tmp_path: Path) -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_lambda as lambda_

    from stacks.constructs.application_code import application_code

    app = cdk.App(outdir=str(tmp_path))
    stack = cdk.Stack(app, "Asset")
    lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="search.query.handler",
        code=application_code("search"),
    )
    app.synth()
    (asset,) = tmp_path.glob("asset.*")
    sources = {
        file.name for file in (Path(config.__file__).parents[1] / "workload" / "search").iterdir() if file.is_file()
    }
    expected = {f"search/{name}" for name in sources if name.endswith((".py", ".json"))}
    assert {file.relative_to(asset).as_posix() for file in asset.rglob("*") if file.is_file()} == expected
    code = f"import sys; sys.path.insert(0, {str(asset)!r}); from search import collection, index, query; "
    code += "print(collection.Collection.read().alias, index.handler.__name__, query.handler.__name__)"
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "places handler handler\n"


@pytest.mark.parametrize("part", ["search-infra", "search-service", "search-lambda"])
def test_the_stack_keeps_the_house_rules(part: str, app_templates: dict[str, Template]) -> None:
    for environment, template in by_environment(app_templates, part).items():
        check_house_rules(template, config.load(environment))
