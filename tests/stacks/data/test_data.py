"""The data: a cluster that only its clients reach, a table, and one migration for both."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

import config
from config import EnvironmentConfig
from lambdas.release.catalog import parse_catalog
from stacks.names import Names
from tests.stacks.synthesis import (
    SWITCHED,
    Template,
    allowed_on,
    by_environment,
    check_house_rules,
    flat,
    known_text,
    of_kind,
    only,
    parameter_of,
    parameters_read,
    published,
    resources,
    security_group_rules,
    synthesise,
)
from tests.workload.database.postgres import server_version

ENVIRONMENTS = config.environments()


def without_aurora(environment: str) -> EnvironmentConfig:
    settings = config.load(environment)
    return dataclasses.replace(settings, aurora=dataclasses.replace(settings.aurora, enabled=False))


def cluster(template: Template) -> dict[str, Any]:
    """Return the whole resource, with its policies."""
    (found,) = of_kind(template, "AWS::RDS::DBCluster").values()
    return found


@pytest.mark.parametrize("part", ["aurora", "dynamodb", "db-migration"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_rules_of_the_house_hold(part: str, environment: str, app_templates: dict[str, Template]) -> None:
    check_house_rules(by_environment(app_templates, part)[environment], config.load(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_cluster_is_serverless_encrypted_and_as_large_as_the_config_says(
    environment: str, app_templates: dict[str, Template]
) -> None:
    template, aurora = by_environment(app_templates, "aurora")[environment], config.load(environment).aurora
    found = cluster(template)["Properties"]
    assert found["Engine"] == "aurora-postgresql"
    assert found["ServerlessV2ScalingConfiguration"] == {"MinCapacity": aurora.min_acu, "MaxCapacity": aurora.max_acu}
    assert found["StorageEncrypted"] is True
    assert found["EnableIAMDatabaseAuthentication"] is True
    assert found["BackupRetentionPeriod"] == aurora.backup_days
    assert "EnableHttpEndpoint" not in found
    instances = resources(template, "AWS::RDS::DBInstance")
    assert len(instances) == 1 + aurora.readers
    for instance in instances:
        assert instance["DBInstanceClass"] == "db.serverless"
        assert instance["PubliclyAccessible"] is False
        assert instance["PromotionTier"] <= 1
        assert (instance["EnablePerformanceInsights"], instance["PerformanceInsightsRetentionPeriod"]) == (True, 7)


def test_only_production_has_a_reader_never_sleeps_and_is_protected(app_templates: dict[str, Template]) -> None:
    for environment, template in by_environment(app_templates, "aurora").items():
        production = environment == "production"
        found = cluster(template)
        assert found["Properties"]["DeletionProtection"] == (SWITCHED if production else False)
        assert found["DeletionPolicy"] == found["UpdateReplacePolicy"] == ("Snapshot" if production else "Delete")
        assert (config.load(environment).aurora.readers > 0) is production
        assert (config.load(environment).aurora.min_acu > 0) is production
        table = only(by_environment(app_templates, "dynamodb")[environment], "AWS::DynamoDB::Table")
        assert table["DeletionProtectionEnabled"] == (SWITCHED if production else False)


def test_environments_differ_in_size(app_templates: dict[str, Template]) -> None:
    largest = {
        cluster(each)["Properties"]["ServerlessV2ScalingConfiguration"]["MaxCapacity"]
        for each in by_environment(app_templates, "aurora").values()
    }
    assert len(largest) == len(ENVIRONMENTS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_rds_keeps_the_password_and_no_template_does(environment: str, app_templates: dict[str, Template]) -> None:
    template = by_environment(app_templates, "aurora")[environment]
    found = cluster(template)["Properties"]
    assert found["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in found
    assert published(template)[f"/v3-backend/{environment}/aurora/secretArn"] == {
        "Fn::GetAtt": ["Cluster", "MasterUserSecret.SecretArn"]
    }


def test_tls_is_forced_and_slow_queries_are_logged(app_templates: dict[str, Template]) -> None:
    template = app_templates["v3-backend-dev-aurora"]
    group = only(template, "AWS::RDS::DBClusterParameterGroup")
    assert group["Parameters"]["rds.force_ssl"] == "1"
    major = cluster(template)["Properties"]["EngineVersion"].split(".")[0]
    assert group["Family"] == f"aurora-postgresql{major}"
    assert cluster(template)["Properties"]["DBClusterParameterGroupName"] == {"Ref": "Parameters"}


@pytest.mark.parametrize("app", ["user", "select", "rdsadmin", "postgres"])
def test_the_database_is_called_after_the_app_and_by_no_word_that_postgresql_or_rds_keeps(app: str) -> None:
    assert Names(dataclasses.replace(config.load("dev"), app=app)).database_name == f"{app}_db"


def test_the_tests_of_the_migrations_run_on_the_clusters_version(app_templates: dict[str, Template]) -> None:
    assert cluster(app_templates["v3-backend-dev-aurora"])["Properties"]["EngineVersion"] == server_version()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_log_group_is_there_before_the_cluster_would_make_one_without_an_end(
    environment: str, app_templates: dict[str, Template]
) -> None:
    template = by_environment(app_templates, "aurora")[environment]
    (name,) = of_kind(template, "AWS::Logs::LogGroup")
    found = cluster(template)
    assert name in found["DependsOn"]
    assert found["Properties"]["EnableCloudwatchLogsExports"] == ["postgresql"]
    group = only(template, "AWS::Logs::LogGroup")
    assert group["LogGroupName"] == f"/aws/rds/cluster/{found['Properties']['DBClusterIdentifier']}/postgresql"


def test_only_clients_and_tasks_get_in_and_only_from_private_subnets(app_templates: dict[str, Template]) -> None:
    template = app_templates["v3-backend-dev-aurora"]
    groups = {name: each["Properties"] for name, each in of_kind(template, "AWS::EC2::SecurityGroup").items()}
    (server,) = (name for name in groups if name.startswith("ServerGroup"))
    (client,) = (name for name in groups if name.startswith("ClientGroup"))
    rules = groups[server]["SecurityGroupIngress"]
    sources = [each["SourceSecurityGroupId"] for each in rules]
    assert {(each["FromPort"], each["ToPort"]) for each in rules} == {(5432, 5432)}
    assert len(sources) == 2
    assert {"Fn::GetAtt": [client, "GroupId"]} in sources
    tasks = next(each for each in sources if "Ref" in each)
    assert parameter_of(template, tasks) == "/v3-backend/dev/compute/taskSecurityGroupId"
    assert cluster(template)["Properties"]["VpcSecurityGroupIds"] == [{"Fn::GetAtt": [server, "GroupId"]}]
    assert "SecurityGroupIngress" not in groups[client]
    assert [each["CidrIp"] for each in groups[server]["SecurityGroupEgress"]] == ["255.255.255.255/32"]
    # Checks, too, that no rule stands beside its group, which loses it at its next change.
    assert len(list(security_group_rules(template))) == 4
    assert "/v3-backend/dev/network/privateSubnetIds" in parameters_read(template)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_clients_need_is_published(environment: str, app_templates: dict[str, Template]) -> None:
    path = f"/v3-backend/{environment}"
    assert set(published(by_environment(app_templates, "aurora")[environment])) == {
        f"{path}/aurora/{each}" for each in ("endpoint", "port", "secretArn", "clientSecurityGroupId")
    }
    assert set(published(by_environment(app_templates, "dynamodb")[environment])) == {f"{path}/dynamodb/tableArn"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_table_is_paid_by_the_request_within_limits_and_can_be_restored(
    environment: str, app_templates: dict[str, Template]
) -> None:
    table = only(by_environment(app_templates, "dynamodb")[environment], "AWS::DynamoDB::Table")
    sizes = config.load(environment).dynamodb
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["OnDemandThroughput"] == {
        "MaxReadRequestUnits": sizes.max_read_units,
        "MaxWriteRequestUnits": sizes.max_write_units,
    }
    assert table["PointInTimeRecoverySpecification"] == {
        "PointInTimeRecoveryEnabled": True,
        "RecoveryPeriodInDays": sizes.recovery_days,
    }
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_migration_gets_a_way_to_the_database_and_no_password_in_its_template(
    environment: str, app_templates: dict[str, Template]
) -> None:
    template = by_environment(app_templates, "db-migration")[environment]
    definition = only(template, "AWS::ECS::TaskDefinition")
    (container,) = definition["ContainerDefinitions"]
    assert definition["Family"] == f"v3-backend-{environment}-migration"
    assert (container["Name"], container["Command"]) == ("v3-backend-migration", ["migrate"])
    variables = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert variables["DATABASE_NAME"] == "v3_backend_db"
    assert {"DATABASE_HOST", "DATABASE_PORT", "POOLS_TABLE", "APP_ENVIRONMENT"} < set(variables)
    secrets = {each["Name"]: flat(each["ValueFrom"]) for each in container["Secrets"]}
    assert set(secrets) == {"DATABASE_USER", "DATABASE_PASSWORD"}
    assert secrets["DATABASE_PASSWORD"].endswith(":password::")
    assert "PASSWORD" not in "".join(variables)


def test_the_migrations_code_may_not_read_the_secret_itself(app_templates: dict[str, Template]) -> None:
    template = app_templates["v3-backend-dev-db-migration"]
    (task,) = (
        each for each in resources(template, "AWS::IAM::Role") if "Is what the code may do" in each["Description"]
    )
    assert allowed_on(task, "dynamodb:UpdateItem")
    assert not allowed_on(task, "secretsmanager:GetSecretValue")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_has_one_migration_the_same_with_a_cluster_and_without(
    environment: str, app_templates: dict[str, Template]
) -> None:
    from stacks.application.migration_stack import MigrationStack

    with_cluster = by_environment(app_templates, "migration")[environment]
    without = synthesise(MigrationStack, without_aurora(environment))
    assert not resources(with_cluster, "AWS::ECS::TaskDefinition")
    (registered,) = published(with_cluster).values()
    assert published(without) == {f"/v3-backend/{environment}/services/migration": registered}
    definitions = [
        only(each, "AWS::ECS::TaskDefinition")
        for each in (without, app_templates[f"v3-backend-{environment}-db-migration"])
    ]
    registry = parse_catalog({f"/v3-backend/{environment}/services/migration": known_text(registered)})
    assert registry.migration is not None
    assert {each["Family"] for each in definitions} == {registry.migration.family}
    assert {each["ContainerDefinitions"][0]["Name"] for each in definitions} == {registry.migration.container}
    assert "DATABASE" not in json.dumps(definitions[0])


def test_without_aurora_there_is_no_cluster_and_nothing_that_needs_one() -> None:
    from stacks.stages import chosen, parts

    everything, without = parts(chosen(config.load("dev"))), parts(chosen(without_aurora("dev")))
    assert set(everything) - set(without) == {"aurora", "db-migration"}


def test_the_migration_is_registered_after_the_task_definition_that_it_names() -> None:
    from stacks.stages import chosen, parts

    assert "db-migration" in parts(chosen(config.load("dev")))["migration"].earlier
    assert "db-migration" not in parts(chosen(without_aurora("dev")))["migration"].earlier
