"""The templates are taken by CloudFormation's own schemas, and the config by its rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint

import config
from config.schema import Service
from tools.acceptance.world.account import ENVIRONMENT, Account, Run
from tools.acceptance.world.settings import COMMANDS, SERVICES, write
from tools.acceptance.world.templates import Network, base, partition, services

RUN, ACCOUNT = Run("a1b2c3"), Account("111122223333", "eu-west-1")
NETWORK = Network("vpc-0123456789abcdef0", ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"))
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/accept-a1b2c3@sha256:" + "a" * 64


@pytest.mark.parametrize(
    "template",
    [base(RUN, own_network=False), base(RUN, own_network=True), services(RUN, ACCOUNT, NETWORK, IMAGE)],
    ids=["base", "base with a network", "services"],
)
def test_cfn_lint_finds_nothing(template: dict[str, Any]) -> None:
    assert [str(match) for match in lint(json.dumps(template))] == []


def test_every_service_runs_the_image_by_the_word_it_is_started_with() -> None:
    resources = services(RUN, ACCOUNT, NETWORK, IMAGE)["Resources"].values()
    definitions = [each["Properties"] for each in resources if each["Type"] == "AWS::ECS::TaskDefinition"]

    (containers,) = zip(*(each["ContainerDefinitions"] for each in definitions), strict=True)
    assert {each["Name"]: each["Command"] for each in containers} == {name: [word] for name, word in COMMANDS.items()}
    assert {each["Image"] for each in containers} == {IMAGE}


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:4566"])
@pytest.mark.parametrize("strict", [False, True])
def test_the_config_of_a_run_is_a_good_config_about_the_run_alone(
    tmp_path: Path, endpoint: str | None, *, strict: bool
) -> None:
    account = Account("111122223333", "eu-west-1", endpoint)

    settings = config.load(ENVIRONMENT, write(tmp_path / "config", RUN, account, strict=strict))

    assert (settings.app, settings.platform.enabled) == (RUN.app, False)
    assert settings.permissions.clusters == (RUN.prefix,)
    assert settings.image.repositories == (RUN.app,)
    assert settings.circuit_breaker.alarms == ()
    waves = {name: each.wave for name, each in settings.services.items() if isinstance(each, Service)}
    assert waves == SERVICES
    assert settings.approval.required is strict
    assert (settings.image.max_high_findings == 0) is strict


@pytest.mark.parametrize(
    ("region", "expected"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov"), ("us-east-1", "aws")],
)
def test_a_region_tells_its_partition(region: str, expected: str) -> None:
    assert partition(region) == expected
