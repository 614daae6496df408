"""``stepship infra`` in an account of its own, since the story begins in an empty one: the five stages with every part
that the emulator can have, deployed through kills, Ctrl-C and failures, the lock that it shares with code deployments,
what stands then and whether it works, and all of it destroyed.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import config
from lambdas.release.catalog import MIGRATION
from lambdas.release.lock import Claim, Kind, freed
from stacks.stages import chosen, parts
from tests.e2e.cloud import ACCOUNT, REGION, Cloud, Json, wait_until
from tests.e2e.emulator import ROOT, Emulator
from tests.e2e.infrastructure import ENVIRONMENT, LEFT_OUT, OPTIONAL, WHOLE, config_folder, synthesise
from tests.e2e.observation import Observer
from tests.e2e.standing import HOLDS, Holds

PREFIX = "infra:"

INTERRUPTED = 130
"""The exit code after Ctrl-C (docs/how-to/infrastructure.md)."""

README = Path(__file__).with_name("README.md")

WAIT_SECONDS = 200
"""Six of ours, see ``emulator.WAIT_SCALE``."""


@pytest.fixture(scope="module")
def settings(workplace: Path) -> Path:
    """The config; the command asks for the lock every second."""
    return config_folder(workplace / "config-infra", {**WHOLE, ("lock", "poll_seconds"): "1"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Iterator[Cloud]:
    """An account in an emulator of its own; it ends with this file."""
    variables = {
        # Whose API and page it is that people ask for without credentials.
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        # It runs the function of CloudFront in Node, and ours is in the wheel beside this Python.
        "PATH": os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]]),
    }
    with Emulator(tmp_path_factory.mktemp("emulator"), variables=variables) as running:
        yield Cloud(running.url, config.load(ENVIRONMENT, settings))


@pytest.fixture(scope="module")
def observer(cloud: Cloud) -> Observer:
    """Who looks at the environment."""
    return Observer(cloud)


@pytest.fixture(scope="module")
def assembly(cloud: Cloud, workplace: Path, settings: Path) -> Path:
    """The templates, synthesised once, in an account that the CDK is ready for."""
    folder = workplace / "infra"
    synthesise(cloud, settings, folder)
    cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(folder))
    return folder


def where(assembly: Path, settings: Path) -> tuple[str, ...]:
    """Return the words that say which templates."""
    return ("--assembly", str(assembly), "--context", f"config={settings}")


def deploy(stage: str, assembly: Path, settings: Path, *more: str) -> tuple[str, ...]:
    """Return the words of a deploy of one stage."""
    return ("infra", "deploy", "--stage", stage, *where(assembly, settings), *more)


def each_stack(told: Json) -> dict[str, Json]:
    """Return what a document tells of each stack, by part."""
    return {each["part"]: each for stage in told["stages"] for each in stage["stacks"]}


def outcomes(told: Json) -> dict[str, str]:
    return {part: each["outcome"] for part, each in each_stack(told).items()}


def made(cloud: Cloud) -> dict[str, str]:
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {each["StackName"]: each["StackStatus"] for each in stacks}


def holder(observer: Observer) -> str:
    found = observer.table.read_lock().holder
    return found.execution if found else ""


def test_what_is_left_out_is_what_the_emulator_lacks(cloud: Cloud) -> None:
    left_out = [each for part, each in parts().items() if each.section in LEFT_OUT]
    assert {each.section for each in left_out} == set(LEFT_OUT) < OPTIONAL
    assert {each.name for stage in chosen(cloud.settings) for each in stage.stacks} == (
        set(parts()) - {each.name for each in left_out}
    )
    types = sorted({kind for each in LEFT_OUT.values() for kind in each.types})
    template = {"Resources": {f"R{number}": {"Type": kind} for number, kind in enumerate(types)}}
    with pytest.raises(ClientError) as refused:
        cloud.client("cloudformation").validate_template(TemplateBody=json.dumps(template))
    assert f"Unrecognized resource types: [{', '.join(types)}]" in str(refused.value)


def test_the_readme_says_what_is_left_out_and_why() -> None:
    _, _, section = README.read_text().partition("## Parts that the emulator does not deploy")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert rows == [
        f"| {' '.join(f'`{part.name}`' for part in parts().values() if part.section == name)} | `[{name}]` "
        f"| {', '.join(f'`{kind}`' for kind in each.types)} | {each.why} |"
        for name, each in LEFT_OUT.items()
    ]


def test_a_deploy_that_is_killed_in_the_middle_is_resumed(
    cloud: Cloud, observer: Observer, assembly: Path, settings: Path
) -> None:
    words = deploy("bootstrap", assembly, settings, "--concurrency", "1")
    bootstrap, coordinator = observer.names.stack("bootstrap"), observer.names.stack("deployment-coordinator")
    with cloud.running(*cloud.stepship_command(*words)) as process:
        wait_until(lambda: made(cloud).get(bootstrap), "the first stack is on its way")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert coordinator not in made(cloud)

    told = cloud.stepship(*words)

    assert told["exitCode"] == 0
    assert outcomes(told)["deployment-coordinator"] == "deployed"
    assert {made(cloud)[bootstrap], made(cloud)[coordinator]} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    # The lock was taken as soon as its table stood, and given back.
    lock = observer.table.read_lock()
    assert (lock.token, lock.holder) == (1, None)


def test_what_is_done_is_told_as_no_change(cloud: Cloud, assembly: Path, settings: Path) -> None:
    told = cloud.stepship(*deploy("bootstrap", assembly, settings))
    assert set(outcomes(told).values()) == {"noChange"}


def test_a_plan_tells_what_is_as_it_should_be_and_what_is_new(cloud: Cloud, assembly: Path, settings: Path) -> None:
    told = {
        stage: cloud.stepship("infra", "plan", "--stage", stage, *where(assembly, settings))
        for stage in ("bootstrap", "infrastructure")
    }
    changes = {stage: {each["changes"] for each in found["stages"][0]["stacks"]} for stage, found in told.items()}
    assert changes == {"bootstrap": {False}, "infrastructure": {True}}
    assert all("[+] AWS::" in each["diff"] for each in told["infrastructure"]["stages"][0]["stacks"])


def test_code_waits_for_infrastructure(cloud: Cloud, observer: Observer, assembly: Path, settings: Path) -> None:
    with cloud.running(*cloud.stepship_command(*deploy("infrastructure", assembly, settings))) as process:
        wait_until(lambda: holder(observer).startswith(PREFIX) or None, "infrastructure has the lock")
        execution = cloud.start(action="rollback")
        cloud.await_state(execution, "Wait for lock")
        assert holder(observer).startswith(PREFIX)
        output, errors = process.communicate(timeout=300)

    assert process.returncode == 0, f"{output}{errors}"
    ended = cloud.finish(execution)
    # It got the lock, and then there was nothing to roll back: the stage with the services is not there.
    assert (ended["status"], ended["cause"]["step"], ended["cause"]["errorType"]) == ("FAILED", "Plan", "NoServices")
    assert holder(observer) == ""


def test_infrastructure_waits_for_an_execution_that_has_the_lock(
    cloud: Cloud, observer: Observer, assembly: Path, settings: Path
) -> None:
    # An execution that takes its time, of a machine that does nothing else.
    roles = cloud.client("iam").list_roles()["Roles"]
    machine = cloud.client("stepfunctions").create_state_machine(
        name="takes-its-time",
        definition=json.dumps(
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": WAIT_SECONDS, "End": True}}}
        ),
        roleArn=roles[0]["Arn"],
    )
    execution = cloud.client("stepfunctions").start_execution(stateMachineArn=machine["stateMachineArn"])[
        "executionArn"
    ]
    lock = observer.table.read_lock()
    observer.table.swap_lock(
        lock, replace(lock, token=lock.token + 1, holder=Claim(execution, Kind.DEPLOY, time.time()))
    )

    told = cloud.stepship(*deploy("bootstrap", assembly, settings))

    assert cloud.describe(execution)["status"] == "SUCCEEDED"
    assert set(outcomes(told).values()) == {"noChange"}
    after = observer.table.read_lock()
    # The next execution writes the record of the one that had the lock and wrote none.
    assert (after.holder, after.token, after.dead_holders) == (None, lock.token + 2, (execution,))


def test_a_stack_that_fails_is_explained_and_made_anew(
    cloud: Cloud, observer: Observer, assembly: Path, settings: Path
) -> None:
    ssm, name = cloud.client("ssm"), observer.names.application_table_arn
    ssm.put_parameter(Name=name, Value="somebody's", Type="String")
    words = deploy("data", assembly, settings)

    told = cloud.stepship(*words, expect=1)

    # What was under way beside it was finished.
    assert (outcomes(told)["dynamodb"], outcomes(told)["aurora"]) == ("failed", "deployed")
    assert "AWS::SSM::Parameter" in (reason := each_stack(told)["dynamodb"]["reason"])
    assert "ParameterAlreadyExists" in reason
    assert made(cloud)[observer.names.stack("dynamodb")] == "ROLLBACK_COMPLETE"
    assert holder(observer) == ""

    ssm.delete_parameter(Name=name)
    told = cloud.stepship(*words)

    assert (outcomes(told)["dynamodb"], outcomes(told)["aurora"]) == ("deployed", "noChange")
    assert made(cloud)[observer.names.stack("dynamodb")] == "CREATE_COMPLETE"
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"].startswith("arn:aws:dynamodb:")


def test_ctrl_c_lets_the_stacks_under_way_finish(
    cloud: Cloud, observer: Observer, assembly: Path, settings: Path
) -> None:
    stage = next(each for each in chosen(cloud.settings) if each.name == "application")

    def under_way() -> set[str] | None:
        found = {part.name for part in stage.stacks if observer.names.stack(part.name) in made(cloud)}
        return found if len(found) > 1 else None

    words = deploy("application", assembly, settings)
    with cloud.running(*cloud.stepship_command(*words)) as process:
        begun = wait_until(under_way, "two stacks are under way")
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=300)

    assert process.returncode == INTERRUPTED, f"{output}{errors}"
    told = outcomes(json.loads(output))
    assert {told[part] for part in begun} == {"deployed"}
    assert told["api-gateway"] == "notStarted"
    assert {made(cloud)[observer.names.stack(part)] for part in begun} == {"CREATE_COMPLETE"}
    assert holder(observer) == ""


def test_all_stages_go_on_where_they_stopped(cloud: Cloud, observer: Observer, assembly: Path, settings: Path) -> None:
    # Somebody has made a change set and never executed it: an empty shell stands in the way.
    shell = observer.names.stack("frontend")
    cloud.client("cloudformation").create_change_set(
        StackName=shell,
        ChangeSetName="never-executed",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}),
    )
    wait_until(lambda: made(cloud).get(shell) == "REVIEW_IN_PROGRESS" or None, "the shell is there")
    before = made(cloud)

    told = cloud.stepship("infra", "deploy", *where(assembly, settings))

    assert told["exitCode"] == 0
    assert set(outcomes(told)) == set(parts()) - {"cicd", "frontend-cicd"}
    complete = {part for part, each in each_stack(told).items() if before.get(each["stack"], "").endswith("_COMPLETE")}
    assert {part for part, outcome in outcomes(told).items() if outcome == "noChange"} == complete
    assert {part for part, outcome in outcomes(told).items() if outcome == "deployed"} == set(outcomes(told)) - complete
    told = cloud.stepship("infra", "status", *where(assembly, settings)[2:])
    stand = {part: (each["status"], each["remedy"]) for part, each in each_stack(told).items()}
    assert set(stand) == set(parts()) - {"cicd", "frontend-cicd"}
    assert set(stand.values()) <= {("CREATE_COMPLETE", "none"), ("UPDATE_COMPLETE", "none")}
    assert told["deploying"] is None


@pytest.mark.parametrize("holds", HOLDS, ids=lambda holds: holds.__name__.replace("_", " "))
def test_it_works(cloud: Cloud, observer: Observer, holds: Holds) -> None:
    holds(cloud, observer)


def test_nothing_is_left_to_deploy(cloud: Cloud, assembly: Path, settings: Path) -> None:
    told = cloud.stepship("infra", "plan", *where(assembly, settings))
    assert {part: each["diff"] for part, each in each_stack(told).items() if each["changes"]} == {}


def test_code_is_deployed_beside_all_parts(cloud: Cloud, observer: Observer) -> None:
    search, migration = (observer.names.service(name) for name in ("search", MIGRATION))
    before = observer.task_definition(search)
    digest = cloud.push("v1")

    ended = cloud.deploy(imageTag="v1")

    assert ended["status"] == "SUCCEEDED", ended
    observer.note(ended)
    assert observer.violations() == ()
    # The task that migrates the database ran with the release; the search server is none of its services.
    ran = observer.task_definition(migration)["containerDefinitions"][0]
    assert ran["image"].endswith(f"@{digest}")
    assert "DATABASE_HOST" in {each["name"] for each in ran["environment"]}
    assert "Run migration" in cloud.path(ended["executionArn"])
    assert observer.task_definition(search) == before


def test_actions_of_a_pipeline_deploy_side_by_side(cloud: Cloud, observer: Observer, assembly: Path) -> None:
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "pipelines.deploy_stack", "--env", ENVIRONMENT]
    command += ["--run", "7", "--assembly", str(assembly), "--part"]
    images = {name: each["image"] for name, each in observer.services().items()}

    with cloud.running(*command, "api-service") as one, cloud.running(*command, "worker-service") as other:
        for process in (one, other):
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, f"{output}{errors}"

    # Infrastructure carries the image that code has deployed.
    assert {name: each["image"] for name, each in observer.services().items()} == images
    assert holder(observer) == f"{PREFIX}pipeline@7"
    # Nobody gives it back; it ends by itself in a minute, which nobody has to wait for here.
    lock = observer.table.read_lock()
    assert observer.table.swap_lock(lock, freed(lock))


def test_all_of_it_is_destroyed_with_what_was_switched_off_since(cloud: Cloud, workplace: Path, assembly: Path) -> None:
    settings = config_folder(workplace / "config-less", {**WHOLE, ("aurora", "enabled"): "false"})
    shown = each_stack(cloud.stepship("infra", "status", "--context", f"config={settings}"))
    assert {part for part, each in shown.items() if each["switchedOff"]} == {"aurora", "db-migration"}

    told = cloud.stepship("infra", "destroy", "--yes", *where(assembly, settings), "--concurrency", "4")
    assert [stage["name"] for stage in told["stages"]] == [each.name for each in reversed(chosen(cloud.settings))]
    assert set(outcomes(told).values()) == {"destroyed"}
    assert set(made(cloud)) == {"CDKToolkit"}
    assert cloud.client("lambda").list_functions()["Functions"] == []
    assert [each for each in cloud.client("ec2").describe_vpcs()["Vpcs"] if not each["IsDefault"]] == []
    # Images are the releases, and logs and pages are nobody's to lose: these outlive their stacks.
    assert cloud.client("ecr").describe_repositories()["repositories"]
