"""``stepship infra`` refuses what cannot go well before it begins, in one sentence, and says how to go on after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import config
from lambdas.release.errors import StepshipError
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.commands.infra import plan
from stepship.commands.infra_deploy import EXAMPLE_OWNER, InfraRequest, deploy
from stepship.commands.infra_work import Hearing, said
from stepship.errors import CommandError
from stepship.infra.layout import layout
from stepship.infra.tools import AppOptions, Tools, app_options
from tests.stepship.conftest import Desk, Refuse
from tests.stepship.infra_environment import PREFIX, ROOT, FakeCdk, make_stack, session_in, statuses

ALL = AppOptions()


def assembly_of(environment: str, folder: Path) -> Path:
    """Write the manifest of an assembly with the stacks of an environment."""
    stacks = [step.stack for step in layout(config.load(environment)).steps]
    artifacts = {
        "Tree": {"type": "cdk:tree"},
        **{name: {"type": "aws:cloudformation:stack", "properties": {"stackName": name}} for name in stacks},
    }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


def test_how_to_go_on_repeats_all_that_was_given(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cdk.fails = {f"{PREFIX}bootstrap": "no"}
    folder = tmp_path / "the templates"
    folder.mkdir()
    options = app_options(["config=config"], assembly_of("dev", folder))
    request = InfraRequest("bootstrap", options, ("bootstrap", "cicd"), ("cicd/Pipeline",), 1)
    assert deploy(session_in(simulated), request, tools) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"Go on with: stepship infra deploy --env dev --stage bootstrap --context config=config --assembly '{folder}' "
        "--recreate bootstrap --recreate cicd --skip cicd/Pipeline --concurrency 1 (what is done is skipped)"
    )


def test_templates_of_another_environment_are_refused(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, tmp_path: Path
) -> None:
    options = AppOptions(assembly=assembly_of("dev", tmp_path))
    commands: tuple[Callable[[], int], ...] = (
        lambda: deploy(session_in(simulated, "staging"), InfraRequest(None, options), tools),
        lambda: plan(session_in(simulated, "staging"), None, options, tools),
    )
    for command in commands:
        with pytest.raises(CommandError) as error:
            command()
        assert error.value.exit_code == 2
        assert f"--assembly {tmp_path} lacks v3-backend-staging-bootstrap and" in str(error.value)
        assert f"synth --context environment=staging --output {tmp_path}`" in str(error.value)
    assert cdk.asked == []


@pytest.mark.parametrize("content", [None, "no JSON"])
def test_a_folder_without_templates_is_refused(
    simulated: SimulatedEnvironment, tools: Tools, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(CommandError, match=r"nothing was synthesised to it: `node_modules/\.bin/cdk synth"):
        deploy(session_in(simulated), InfraRequest(options=AppOptions(assembly=tmp_path)), tools)


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
@pytest.mark.parametrize("stage", [None, "bootstrap", "frontend"])
def test_the_repository_of_the_example_is_refused(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, environment: str, stage: str | None
) -> None:
    with pytest.raises(CommandError) as error:
        deploy(session_in(simulated, environment, folder=ROOT), InfraRequest(stage), tools)
    assert str(error.value) == (
        f'config/{environment}.toml: [pipeline] repository is the example "{EXAMPLE_OWNER}/v3-backend", from which no '
        "pipeline can deploy: give your own, or [pipeline] enabled = false and [frontend_pipeline] enabled = false"
    )
    assert (error.value.exit_code, cdk.context, cdk.asked) == (2, None, [])


def test_the_repository_of_the_example_hinders_nothing_but_pipelines(
    simulated: SimulatedEnvironment, tools: Tools
) -> None:
    assert plan(session_in(simulated, folder=ROOT), None, ALL, tools) == 0
    for part in ("bootstrap", "deployment-coordinator"):
        make_stack(f"{PREFIX}{part}")
    assert deploy(session_in(simulated, folder=ROOT), InfraRequest("infrastructure"), tools) == 0


def test_without_credentials_nothing_is_synthesised(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, refuse: Refuse
) -> None:
    refuse("sts", "GetCallerIdentity", "ExpiredToken", "The security token included in the request is expired")
    refuse("cloudformation", "DescribeStacks", "ExpiredToken", "The security token included in the request is expired")
    commands: tuple[Callable[[], int], ...] = (
        lambda: deploy(session_in(simulated), InfraRequest(), tools),
        lambda: plan(session_in(simulated), None, ALL, tools),
    )
    for command in commands:
        with pytest.raises(StepshipError, match="ExpiredToken"):
            command()
    assert cdk.context is None


def test_an_account_that_the_cdk_was_not_prepared_for_is_one_sentence() -> None:
    lines = [
        "x-net: SSM parameter /cdk-bootstrap/hnb659fds/version not found. Has the environment been bootstrapped?",
        "Parameter /cdk-bootstrap/hnb659fds/version not found",
    ]
    heard: list[str] = []
    hearing = Hearing(heard.append)
    for line in lines:
        hearing(line)
    assert said("x-net", hearing.lines) == (
        "the CDK has not been prepared for this account and region: `node_modules/.bin/cdk bootstrap`, once"
    )
    assert heard == []


def test_a_cause_is_free_of_what_tells_nothing() -> None:
    lines = [
        "x-net: start: Building x-net Template",
        "x-net: the role may not be assumed",
        "x-net: success: Published x-net Template (current_account-current_region)",
        "✨  Deployment time: 1 s",
    ]
    assert said("x-net", lines) == "the role may not be assumed"


def test_a_no_destroys_nothing_and_ends_with_the_code_of_its_help(
    simulated: SimulatedEnvironment, stepship: Desk
) -> None:
    make_stack(f"{PREFIX}network")
    stepship.asks = True
    typed = stepship("infra", "destroy", answer="n\n")
    assert (typed.exit_code, list(statuses())) == (2, ["network"])
    assert typed.stdout.endswith("Nothing was destroyed\n")


def test_ctrl_c_at_the_question_ends_as_ctrl_c_does(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    make_stack(f"{PREFIX}network")
    stepship.asks = True
    typed = stepship("infra", "destroy", answer="")  # the end of what is typed is heard as Ctrl-C is
    assert (typed.exit_code, list(statuses())) == (130, ["network"])
    assert "stepship: interrupted\n" in typed.stderr


def test_the_question_names_what_stays(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    for part in ("network", "frontend"):
        make_stack(f"{PREFIX}{part}")
    stepship.asks = True
    assert stepship("infra", "destroy", answer="n\n").stdout.startswith(
        f"dev has 2 stacks: {PREFIX}network, {PREFIX}frontend\n"
        "What they hold goes, but for the buckets of frontend "
        '(docs/how-to/rollback.md, "What is kept when a stack goes")\n'
    )
