"""``stepship infra plan``, ``deploy``, ``status`` and ``destroy`` with a CDK of the tests' own."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import config
from lambdas.aws.gateway import client_of
from lambdas.release.lock import Claim, Kind
from simulator.environment.simulated_environment import SimulatedEnvironment
from stacks.stages import chosen
from stepship.commands.infra import by_stack, plan, status
from stepship.commands.infra_deploy import InfraRequest, deploy
from stepship.commands.infra_destroy import destroy
from stepship.errors import CommandError
from stepship.infra.cloudformation import CloudFormation
from stepship.infra.layout import read_layout
from stepship.infra.tools import AppOptions, Tools, app_options, tools_of
from tests.stepship.conftest import Desk
from tests.stepship.infra_environment import PREFIX, FakeCdk, make_stack, session_in, set_status, statuses, tools_with

ALL = AppOptions()


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def outcomes(told: Any) -> dict[str, str]:
    return {each["part"]: each["outcome"] for stage in told["stages"] for each in stage["stacks"]}


def test_a_deploy_makes_every_stack_in_the_order_of_the_stages(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_in(simulated, as_json=True)
    assert deploy(session, InfraRequest(), tools) == 0
    stages = read_layout(session, {}).stages
    assert sorted(statuses()) == sorted(cdk.asked) == sorted(step.part for each in stages for step in each.steps)
    place = {part: number for number, part in enumerate(cdk.asked)}
    for before, after in pairwise(stages):
        assert max(place[step.part] for step in before.steps) < min(place[step.part] for step in after.steps)
    for step in (step for stage in stages for step in stage.steps):
        assert all(place[need] < place[step.part] for need in step.needs)
    told = document(capsys)
    assert set(outcomes(told).values()) == {"deployed"}
    assert (told["stopped"], told["exitCode"]) == (None, 0)
    assert cdk.context == {"environment": "dev"}
    assert simulated.table.read_lock().holder is None


def test_a_second_deploy_changes_nothing(
    simulated: SimulatedEnvironment, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_in(simulated)
    deploy(session, InfraRequest(), tools)
    capsys.readouterr()
    assert deploy(session, InfraRequest(), tools) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  00:00 network no change (0 s)" in lines
    assert lines[-1].endswith("stacks are as they should be; 0 changed; the longest took 0 s")


def test_it_holds_the_lock_while_stacks_are_deployed(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools
) -> None:
    holders: list[Claim | None] = []
    cdk.on_deploy = lambda _: holders.append(simulated.table.read_lock().holder)
    deploy(session_in(simulated), InfraRequest("bootstrap"), tools)
    assert holders
    for holder in holders:
        assert holder is not None
        assert holder.execution.startswith("infra:arn:aws:sts::123456789012:user/moto@")


def test_a_failure_is_explained_and_a_repair_goes_on_where_it_stopped(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    cdk.fails = {f"{PREFIX}compute-shared": "Resource handler returned message: no"}
    session = session_in(simulated)
    assert deploy(session, InfraRequest(), tools) == 1
    out = capsys.readouterr().out
    assert "compute-shared FAILED (0 s): Resource handler returned message: no" in out
    assert "Stopped: compute-shared failed; " in out
    assert out.endswith("Go on with: stepship infra deploy --env dev (what is done is skipped)\n")
    assert not {"log-forwarder", "api-service"} & set(statuses())
    cdk.fails = {}
    assert deploy(session_in(simulated, as_json=True), InfraRequest(), tools) == 0
    told = outcomes(document(capsys))
    assert (told["network"], told["compute-shared"]) == ("noChange", "deployed")


class Telling(CloudFormation):
    """CloudFormation with events of a failure, of which moto has none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def failures(self, name: str, since: float = 0.0) -> list[str]:
        self.asked.append((name, since))
        return ["Vpc (AWS::EC2::VPC): the maximum number of VPCs has been reached"]


def test_the_events_of_a_failed_stack_say_why(
    simulated: SimulatedEnvironment, cdk: FakeCdk, capsys: pytest.CaptureFixture[str]
) -> None:
    cloudformation = Telling()
    tools = Tools(lambda _: cdk, cloudformation)
    cdk.fails = {f"{PREFIX}network": "failed"}
    began_at = simulated.aws.clock.now()
    make_needed(("bootstrap", "deployment-coordinator"))
    assert deploy(session_in(simulated), InfraRequest("infrastructure"), tools) == 1
    assert "network FAILED (0 s): Vpc (AWS::EC2::VPC): the maximum number" in capsys.readouterr().out
    assert cloudformation.asked == [(f"{PREFIX}network", began_at)]


def steps_of(stage: str) -> int:
    return next(len(each.stacks) for each in chosen(config.load("dev")) if each.name == stage)


def make_needed(parts: tuple[str, ...]) -> None:
    for part in parts:
        make_stack(f"{PREFIX}{part}")


def test_a_stage_wants_those_before_it(simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools) -> None:
    make_needed(("bootstrap", "deployment-coordinator"))
    with pytest.raises(CommandError, match="must stand before this: deploy the stage infrastructure first"):
        deploy(session_in(simulated), InfraRequest("application"), tools)
    assert cdk.asked == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (InfraRequest("basement"), "--stage basement: dev has no such stage; it has bootstrap, infrastructure"),
        (InfraRequest(recreate=("nothing",)), "--recreate nothing: the parts are"),
        (InfraRequest(skip=("nothing/Vpc",)), "--skip nothing: the parts are"),
        (InfraRequest(skip=("network",)), "--skip network: write PART/RESOURCE"),
    ],
)
def test_what_was_asked_wrongly_begins_nothing(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, asked: InfraRequest, words: str
) -> None:
    with pytest.raises(CommandError) as error:
        deploy(session_in(simulated), asked, tools)
    assert (error.value.exit_code, words in str(error.value)) == (2, True)
    assert (cdk.asked, simulated.table.read_lock().holder) == ([], None)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (["imageTag"], "--context imageTag: write KEY=VALUE"),
        (["environment=dev"], "--context environment: say it with --env"),
    ],
)
def test_a_context_that_cannot_be_used_is_refused(context: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        app_options(context, None)


def test_templates_that_were_synthesised_before_are_taken_as_they_are(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="nothing was synthesised to it"):
        deploy(session_in(simulated), InfraRequest("bootstrap", app_options((), tmp_path)), tools_with(cdk))
    stacks = [step.stack for step in read_layout(session_in(simulated), {}).only("bootstrap")[0].steps]
    artifacts = {stack: {"type": "aws:cloudformation:stack"} for stack in stacks}
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    with pytest.raises(CommandError, match="--context imageTag: the templates of --assembly were made without it"):
        app_options(["imageTag=v1"], tmp_path)
    assemblies: list[Path] = []

    def make(assembly: Path) -> FakeCdk:
        assemblies.append(assembly)
        return cdk

    tools = Tools(make)
    assert deploy(session_in(simulated), InfraRequest("bootstrap", app_options((), tmp_path)), tools) == 0
    assert (assemblies, cdk.context) == ([tmp_path], None)


def test_a_stack_that_was_never_made_is_made_anew(
    simulated: SimulatedEnvironment, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack(f"{PREFIX}bootstrap", "ROLLBACK_COMPLETE")
    assert deploy(session_in(simulated), InfraRequest("bootstrap"), tools) == 0
    assert statuses()["bootstrap"] == "CREATE_COMPLETE"
    assert "bootstrap | it is ROLLBACK_COMPLETE: it can only be deleted and made anew" in capsys.readouterr().out


def test_ctrl_c_says_how_to_go_on_and_frees_the_lock(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: str) -> None:
        tools.interrupts.count = 1

    cdk.on_deploy = interrupt
    assert deploy(session_in(simulated), InfraRequest("bootstrap", concurrency=1), tools) == 130
    out = capsys.readouterr().out
    assert f"Stopped: interrupted; 1 of {steps_of('bootstrap')} stacks are done" in out
    assert "Go on with: stepship infra deploy --env dev --stage bootstrap" in out
    assert simulated.table.read_lock().holder is None
    assert len(statuses()) == 1


def test_a_plan_shows_what_would_change_and_what_a_stuck_stack_needs(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack(f"{PREFIX}bootstrap")
    assert plan(session_in(simulated), "bootstrap", ALL, tools) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["Stage", "Stack", "Status", "Plan"],
        ["bootstrap", "bootstrap", "CREATE_COMPLETE", "no", "change"],
        ["deployment-coordinator", "-", "create"],
    ]
    assert lines[-2:] == ["Resources", "[+] AWS::SNS::Topic"]
    set_status(f"{PREFIX}bootstrap", "ROLLBACK_COMPLETE")
    plan(session_in(simulated, as_json=True), "bootstrap", ALL, tools)
    first, second = document(capsys)["stages"][0]["stacks"][:2]
    assert (first["remedy"], first["changes"], second["changes"]) == ("delete", False, True)
    assert cdk.asked == []


def test_a_diff_is_split_by_stack() -> None:
    text = """Stack one (1/eu-1)
There were no differences
start: Building two Template
Stack two
Resources
[+] a
Stack two-nested
[+] b
✨  Number of stacks with differences: 2"""
    assert by_stack(text, ["one", "two"]) == {
        "one": "There were no differences",
        "two": "Resources\n[+] a\nStack two-nested\n[+] b",
    }


def test_status_shows_stacks_and_who_deploys(
    simulated: SimulatedEnvironment, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack(f"{PREFIX}network", "ROLLBACK_COMPLETE")
    now = simulated.aws.clock.now()
    lock = simulated.table.read_lock()
    holder = Claim("infra:octocat@1f3c", Kind.INFRASTRUCTURE, now - 90)
    simulated.table.swap_lock(lock, replace(lock, holder=holder, lease_expires_at=now + 30))
    assert status(session_in(simulated), {}, tools) == 0
    out = capsys.readouterr().out
    assert "it is ROLLBACK_COMPLETE: it can only be deleted and made anew" in out
    assert out.endswith("infra:octocat@1f3c has been deploying infrastructure for 1 min 30 s\n")
    status(session_in(simulated, as_json=True), {}, tools)
    told = document(capsys)
    assert told["deploying"] == "infra:octocat@1f3c"
    network = next(each for stage in told["stages"] for each in stage["stacks"] if each["part"] == "network")
    assert (network["status"], network["remedy"], network["protected"]) == ("ROLLBACK_COMPLETE", "delete", False)


def test_status_of_the_code_knows_who_deploys_infrastructure(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    simulated.push("v1")
    simulated.run({"imageTag": "v1"}, "first")
    now, lock = simulated.aws.clock.now(), simulated.table.read_lock()
    holder = Claim("infra:octocat@1f3c", Kind.INFRASTRUCTURE, now - 90)
    simulated.table.swap_lock(lock, replace(lock, holder=holder, lease_expires_at=now + 30))
    assert "Lock: infra:octocat@1f3c (infrastructure), started 1 min 30 s ago" in stepship("status").stdout
    assert stepship("approve", "--yes").stderr == "stepship: nothing waits for approval in dev\n"
    simulated.aws.clock.sleep(40)
    assert "which no longer runs; its lease has ended" in stepship("status").stdout


def test_destroy_takes_the_last_stage_first(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ("bootstrap", "deployment-coordinator", "network", "compute-shared", "monitoring")
    make_needed(parts)
    assert destroy(session_in(simulated), confirm=None, yes=True, options=ALL, concurrency=1, tools=tools) == 0
    assert cdk.asked[:3] == ["monitoring", "compute-shared", "network"]
    assert sorted(cdk.asked[3:]) == ["bootstrap", "deployment-coordinator"]
    assert statuses() == {}
    assert capsys.readouterr().out.endswith(
        "All 5 stacks are gone; still there: the image repository, GitHub's identity provider and the buckets of "
        'compute-shared, docs/how-to/rollback.md, "What is kept when a stack goes"\n'
    )
    assert simulated.table.read_lock().holder is None


def test_destroy_of_nothing_says_so(simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools) -> None:
    assert destroy(session_in(simulated), confirm=None, yes=True, options=ALL, concurrency=1, tools=tools) == 0
    assert cdk.context is None


def test_destroy_stops_at_what_it_cannot_destroy(simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools) -> None:
    make_needed(("network", "compute-shared"))
    cdk.fails = {f"{PREFIX}compute-shared": "the bucket is not empty"}
    assert destroy(session_in(simulated), confirm=None, yes=True, options=ALL, concurrency=1, tools=tools) == 1
    assert list(statuses()) == ["network", "compute-shared"]


def test_destroy_asks_and_without_anybody_to_ask_it_refuses(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools
) -> None:
    make_needed(("network",))
    with pytest.raises(CommandError, match="nobody can be asked here: say --yes"):
        destroy(session_in(simulated), confirm=None, yes=False, options=ALL, concurrency=1, tools=tools)
    assert cdk.asked == []


@pytest.mark.parametrize("confirm", [None, "yes", "destroy staging of v3-backend"])
def test_production_is_destroyed_with_the_words_only(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, confirm: str | None
) -> None:
    make_stack("v3-backend-production-network")
    session = session_in(simulated, "production")
    with pytest.raises(CommandError, match='without --confirm "destroy production of v3-backend"') as error:
        destroy(session, confirm=confirm, yes=True, options=ALL, concurrency=1, tools=tools)
    assert (error.value.exit_code, cdk.asked) == (2, [])


def test_what_is_protected_is_told_and_nothing_is_destroyed(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools
) -> None:
    client_of("cloudformation").create_stack(
        StackName="v3-backend-production-network",
        TemplateBody=json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}),
        EnableTerminationProtection=True,
    )
    words = "destroy production of v3-backend"
    with pytest.raises(CommandError, match="termination protection is on for v3-backend-production-network"):
        destroy(session_in(simulated, "production"), confirm=words, yes=False, options=ALL, concurrency=1, tools=tools)
    assert cdk.asked == []


def test_there_must_be_an_app_and_the_cli(simulated: SimulatedEnvironment, tmp_path: Path) -> None:
    session = session_in(simulated)
    session.host = replace(session.host, folder=tmp_path)
    tools = tools_of(session)
    with pytest.raises(CommandError, match=r"there is no cdk\.json here"):
        tools.cdk(tmp_path)
    (tmp_path / "cdk.json").write_text("{}")
    with pytest.raises(CommandError, match=r"make node_modules/\.ready"):
        tools.cdk(tmp_path)


def test_another_application_than_the_folders_is_refused(stepship: Desk) -> None:
    typed = stepship("infra", "status", "--app", "shop")
    assert (typed.exit_code, "the stacks of this folder are those of v3-backend" in typed.stderr) == (2, True)


def test_a_creation_that_failed_stops_no_second_one_in_production_either(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = "v3-backend-production-deployment-coordinator"
    cdk.protected, cdk.fails = {stack}, {stack: "a limit of the account"}
    session = session_in(simulated, "production")
    assert deploy(session, InfraRequest("bootstrap"), tools) == 1
    assert CloudFormation().stacks([stack])[stack].status == "ROLLBACK_COMPLETE"
    cdk.fails = {}
    assert deploy(session, InfraRequest("bootstrap"), tools) == 0
    assert CloudFormation().stacks([stack])[stack].status == "CREATE_COMPLETE"
    assert cdk.protection[stack] is True


def test_protection_that_an_interrupted_run_has_not_switched_on_is_switched_on_by_the_next(
    simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = "v3-backend-production-deployment-coordinator"
    cdk.protected, cdk.protection = {stack}, {stack: False}
    make_stack(stack)
    session = session_in(simulated, "production", as_json=True)
    assert deploy(session, InfraRequest("bootstrap"), tools) == 0
    assert cdk.protection[stack] is True
    assert outcomes(document(capsys))["deployment-coordinator"] == "deployed"
    assert deploy(session, InfraRequest("bootstrap"), tools) == 0
    assert outcomes(document(capsys))["deployment-coordinator"] == "noChange"
