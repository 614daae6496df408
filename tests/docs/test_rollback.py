"""``docs/how-to/rollback.md`` knows every stack, and names what there is: parameters, resources, options, days."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import config
from stacks.stages import parts
from stepship.cli.infra import infra_app

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "rollback.md"
TEXT = GUIDE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)

Json = dict[str, Any]


@pytest.mark.parametrize("part", parts())
def test_each_stack_has_its_row(part: str) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and f"`{part}`" in line.split("|")[1]]
    assert len(rows) == 1
    assert len([cell for cell in rows[0].split("|") if cell.strip()]) == 4


def test_a_row_is_about_stacks_that_there_are() -> None:
    table = TEXT.partition("## Each kind of stack")[2].partition("\n## ")[0]
    named = {name for line in table.splitlines() if line.startswith("| `") for name in line.split("|")[1].split(",")}
    assert {name.strip(" `") for name in named} == set(parts())


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_shell(block: str) -> None:
    found = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


def test_the_parameters_are_those_that_stacks_write(app_templates: dict[str, Json]) -> None:
    written = {
        resource["Properties"]["Name"]
        for name, template in app_templates.items()
        if name.startswith("v3-backend-dev-")
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SSM::Parameter"
    }
    named = set(re.findall(r"/v3-backend/dev/(?:aurora|search|frontend)/\w+", TEXT))
    for block in BLOCKS:
        folder = re.search(r'--name "(/v3-backend/dev/\w+/)\$1"', block)
        named |= {f"{folder[1]}{key}" for key in re.findall(r"\$\(read (\w+)\)", block)} if folder else set()
    assert len(named) >= 5
    assert named <= written


def test_what_the_restored_have_by_hand_is_what_the_templates_have(app_templates: dict[str, Json]) -> None:
    def only(part: str, kind: str) -> Json:
        resources = app_templates[f"v3-backend-dev-{part}"]["Resources"].values()
        (found,) = (each for each in resources if each["Type"] == kind)
        properties: Json = found["Properties"]
        return properties

    table, limits = only("dynamodb", "AWS::DynamoDB::Table"), config.load("dev").dynamodb
    assert f"table={table['TableName']}\n" in TEXT
    assert f"AttributeName={table['TimeToLiveSpecification']['AttributeName']}" in TEXT
    assert f"MaxReadRequestUnits={limits.max_read_units},MaxWriteRequestUnits={limits.max_write_units}" in TEXT
    assert f"RecoveryPeriodInDays={limits.recovery_days}\n" in TEXT
    cluster, sizes = only("aurora", "AWS::RDS::DBCluster"), config.load("dev").aurora
    assert f"old={cluster['DBClusterIdentifier']} " in TEXT
    assert f"MinCapacity={sizes.min_acu},MaxCapacity={sizes.max_acu}" in TEXT
    instance = only("aurora", "AWS::RDS::DBInstance")["DBInstanceIdentifier"]
    assert instance == f"{cluster['DBClusterIdentifier']}-0", "the guide gives the restored instance this name"
    point = only("search-infra", "AWS::EFS::AccessPoint")
    assert f"--posix-user Uid={point['PosixUser']['Uid']},Gid={point['PosixUser']['Gid']}" in TEXT
    assert f"00{point['RootDirectory']['Path']}'" in TEXT
    assert f"--secret-id {only('search-infra', 'AWS::SecretsManager::Secret')['Name']}" in TEXT
    assert f"--service {only('search-service', 'AWS::ECS::Service')['ServiceName']} " in TEXT


def is_told_to_go(resource: Json) -> bool:
    """Tell whether it is one of the two log groups that the guide makes an exception of."""
    name = str(resource["Properties"].get("LogGroupName", ""))
    return name.endswith("-seed-parameters") or name.startswith("/aws/kinesisfirehose/")


def test_what_it_says_is_kept_in_production_is_kept(app_templates: dict[str, Json]) -> None:
    data = ("AWS::DynamoDB::Table", "AWS::EFS::FileSystem", "AWS::SecretsManager::Secret", "AWS::KMS::Key")
    everywhere = ("AWS::S3::Bucket", "AWS::ECR::Repository")
    seen = set()
    for name, template in app_templates.items():
        for each in template["Resources"].values():
            # Retain: a bucket that is not empty stops the rollback of its own creation.
            policy = "Retain" if each["Type"] == "AWS::S3::Bucket" else "RetainExceptOnCreate"
            kept = each.get("DeletionPolicy") == policy and each["UpdateReplacePolicy"] == "Retain"
            if each["Type"] in everywhere:
                assert kept, name
            elif each["Type"] in (*data, "AWS::Logs::LogGroup") and not is_told_to_go(each):
                assert kept is ("-production-" in name), f"{name}: {each['Type']}"
            elif each["Type"] == "AWS::RDS::DBCluster":
                assert (each["DeletionPolicy"] == "Snapshot") is ("-production-" in name), name
            seen.add(each["Type"])
    assert {*data, *everywhere, "AWS::RDS::DBCluster"} <= seen


@pytest.mark.parametrize("option", ["--stage", "--recreate", "--skip"])
def test_the_options_are_those_of_the_command(option: str) -> None:
    import typer.main

    assert "stepship infra deploy --env" in TEXT
    assert option in TEXT
    command = typer.main.get_command(infra_app)
    assert isinstance(command, typer.core.TyperGroup)
    assert option in {name for parameter in command.commands["deploy"].params for name in parameter.opts}


def test_the_pipelines_are_those_that_there_are(app_templates: dict[str, Json]) -> None:
    asked = re.findall(r"rollback-stage --pipeline-name (\S+) --stage-name (\S+)", " ".join(TEXT.split()))
    assert asked
    there = {
        (each["Properties"]["Name"], stage["Name"])
        for template in app_templates.values()
        for each in template["Resources"].values()
        if each["Type"] == "AWS::CodePipeline::Pipeline"
        for stage in each["Properties"]["Stages"]
    }
    assert set(asked) <= there
