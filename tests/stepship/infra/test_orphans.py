"""What was switched off after it was deployed is not forgotten, and what outlives its stack is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import config
from lambdas.aws.gateway import client_of
from simulator.environment.simulated_environment import SimulatedEnvironment
from stacks.stages import parts
from stepship.commands.infra import status
from stepship.commands.infra_deploy import EXAMPLE_OWNER, InfraRequest, deploy
from stepship.commands.infra_destroy import destroy
from stepship.errors import CommandError
from stepship.infra.cloudformation import CloudFormation, StackFacts
from stepship.infra.layout import Step, layout
from stepship.infra.orphans import is_ours, last_first, orphans, whole_environment
from stepship.infra.repair import Allowed, StackRepair
from stepship.infra.retained import BUCKETS, SHARED, retained
from stepship.infra.tools import AppOptions, Tools
from tests.stepship.infra_environment import PREFIX, FakeCdk, make_stack, session_in, statuses, write_config

DESCRIPTION = "Whatever it is for of v3-backend in dev"
OFF = {"aurora", "db-migration"}
ALL = AppOptions()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config in which the database was switched off."""
    (tmp_path / "config").mkdir()
    section = next(
        block
        for block in (Path(config.FOLDER) / "dev.toml").read_text(encoding="utf-8").split("\n[")
        if block.startswith("aurora]")
    )
    off = section.replace("enabled = true", "enabled = false", 1)
    write_config(tmp_path, "dev", (section, off), (f"{EXAMPLE_OWNER}/", "octo-team/"))
    return tmp_path


@pytest.fixture
def standing(simulated: SimulatedEnvironment) -> None:
    """The network, and the database that was switched off."""
    make_stack(f"{PREFIX}network", description=DESCRIPTION)
    for part in sorted(OFF):
        make_stack(f"{PREFIX}{part}", description=DESCRIPTION)


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("standing")
def test_status_shows_what_is_switched_off_and_still_stands(
    simulated: SimulatedEnvironment, tools: Tools, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(session_in(simulated, folder=folder), {}, tools) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("switched off, and still stands")]
    assert [{part for part in OFF if f" {part} " in line} for line in lines] == [{"aurora"}, {"db-migration"}]
    status(session_in(simulated, as_json=True, folder=folder), {}, tools)
    stages = document(capsys)["stages"]
    data = next(stage for stage in stages if stage["name"] == "data")["stacks"]
    assert {each["part"]: (each["switchedOff"], each["remedy"]) for each in data} == {
        "aurora": (True, "none"),
        "db-migration": (True, "none"),
        "dynamodb": (False, "none"),
    }


@pytest.mark.usefixtures("standing")
def test_destroy_takes_what_is_switched_off_in_its_place(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_in(simulated, folder=folder)
    assert destroy(session, confirm=None, yes=True, options=ALL, concurrency=3, tools=tools) == 0
    assert statuses() == {}
    # The CDK was asked for its own alone: a stack that is not in the app it cannot destroy.
    assert cdk.asked == ["network"]
    ended = [words[1] for line in capsys.readouterr().out.splitlines() if (words := line.split())[2:3] == ["gone"]]
    assert ended == ["db-migration", "aurora", "network"]


def test_what_alone_is_left_over_is_no_empty_environment(
    simulated: SimulatedEnvironment, tools: Tools, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack(f"{PREFIX}aurora", description=DESCRIPTION)
    destroy(session_in(simulated, folder=folder), confirm=None, yes=True, options=ALL, concurrency=1, tools=tools)
    out = capsys.readouterr().out
    assert "dev has 1 stacks: v3-backend-dev-aurora\nOf these the config has switched off: aurora\n" in out
    assert (statuses(), "All 1 stacks are gone" in out) == ({}, True)


def test_what_is_switched_off_is_protected_as_everything_is(
    simulated: SimulatedEnvironment, tools: Tools, folder: Path
) -> None:
    client_of("cloudformation").create_stack(
        StackName=f"{PREFIX}aurora",
        TemplateBody=json.dumps({"Description": DESCRIPTION, "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}),
        EnableTerminationProtection=True,
    )
    with pytest.raises(CommandError, match="termination protection is on for v3-backend-dev-aurora"):
        destroy(session_in(simulated, folder=folder), confirm=None, yes=True, options=ALL, concurrency=1, tools=tools)


def test_a_deploy_ends_with_what_is_left_over_and_how_to_take_it_away(
    simulated: SimulatedEnvironment, tools: Tools, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in sorted(OFF):
        make_stack(f"{PREFIX}{part}", description=DESCRIPTION)
    assert deploy(session_in(simulated, folder=folder), InfraRequest("bootstrap"), tools) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"Switched off, and still standing: {PREFIX}db-migration, {PREFIX}aurora. In this order, "
        "`aws cloudformation delete-stack --stack-name STACK` takes each away, with what it holds"
    )
    deploy(session_in(simulated, as_json=True, folder=folder), InfraRequest("bootstrap"), tools)
    assert document(capsys)["orphans"] == [f"{PREFIX}db-migration", f"{PREFIX}aurora"]


def test_a_stack_of_somebody_else_is_left_alone(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack(f"{PREFIX}aurora", description="The database of the shop")
    found = layout(config.load("dev", folder / "config"))
    assert orphans(found, tools.cloudformation) == ()
    assert whole_environment(found, tools.cloudformation)[1] == {}
    destroy(session_in(simulated, folder=folder), confirm=None, yes=True, options=ALL, concurrency=1, tools=tools)
    assert (list(statuses()), capsys.readouterr().out) == (["aurora"], "dev has no stacks\n")


class Undeletable(CloudFormation):
    """CloudFormation that deletes nothing."""

    def delete(self, name: str, **_: object) -> None:
        pass


def test_what_cloudformation_could_not_delete_is_not_called_gone(simulated: SimulatedEnvironment) -> None:
    make_stack(f"{PREFIX}aurora")
    repair = StackRepair(Undeletable(), Allowed(production=False), simulated.aws.clock.sleep)
    assert not repair.delete(Step("aurora", f"{PREFIX}aurora", "data", is_on=False), print)


def test_what_needs_another_comes_before_it() -> None:
    order = [step.part for step in last_first(layout(config.load("dev")).stages)]
    assert sorted(order) == sorted(parts())
    assert all(order.index(part.name) < order.index(need) for part in parts().values() for need in part.needs)


def test_every_stack_is_known_by_its_description(app_templates: dict[str, dict[str, Any]]) -> None:
    for environment in ("dev", "staging", "production"):
        settings = config.load(environment)
        for step in layout(settings).steps:
            facts = StackFacts("CREATE_COMPLETE", description=app_templates[step.stack]["Description"])
            if step.part != "deployment-coordinator":  # never off
                assert is_ours(settings, facts), step.stack
            assert not is_ours(config.load("dev" if environment != "dev" else "staging"), facts)


def test_what_outlives_its_stack_is_what_the_templates_keep(app_templates: dict[str, dict[str, Any]]) -> None:
    stays: dict[str, set[str]] = {}
    for step in layout(config.load("dev")).steps:
        for resource in app_templates[step.stack]["Resources"].values():
            if resource.get("DeletionPolicy", "Delete") != "Delete":
                stays.setdefault(step.part, set()).add(resource["Type"])
    shared = stays.pop(SHARED)
    assert shared == {"AWS::ECR::Repository", "AWS::IAM::OIDCProvider"}
    assert stays == {part: {"AWS::S3::Bucket"} for part in BUCKETS}


@pytest.mark.parametrize(
    ("standing_parts", "production", "said"),
    [
        (["network"], False, ""),
        (["frontend"], False, "the buckets of frontend"),
        (["cicd", "bootstrap"], False, "the image repository, GitHub's identity provider and the buckets of cicd"),
        (["frontend"], True, "the buckets of frontend and the data and logs of production"),
    ],
)
def test_what_stays_is_said_of_what_stands(standing_parts: list[str], production: bool, said: str) -> None:
    assert retained(standing_parts, production=production) == said
