"""``stepship infra`` in an account of its own, since the story begins in an empty one: a deploy that is killed, one
that goes on, and the lock that it shares with code deployments.
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

import config
from lambdas.release.lock import Claim, Kind
from stacks.stages import ALWAYS, parts
from tests.e2e.cloud import ACCOUNT, REGION, Cloud, Json, wait_until
from tests.e2e.emulator import Emulator
from tests.e2e.infrastructure import ENVIRONMENT, NOW, Changes, config_folder, synthesise
from tests.e2e.observation import Observer

PREFIX = "infra:"


PARTS: Changes = {
    (part.section, "enabled"): "false" for part in parts().values() if part.section not in (ALWAYS, "platform")
}
"""The platform alone: other parts tell nothing more about the command, and the emulator lacks some of their types."""

WAIT_SECONDS = 200
"""Six of ours, see ``emulator.WAIT_SCALE``."""


@pytest.fixture(scope="module")
def settings(workplace: Path) -> Path:
    """The config; the command asks for the lock every second."""
    return config_folder(workplace / "config-infra", {**NOW, **PARTS, ("lock", "poll_seconds"): "1"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Iterator[Cloud]:
    """An account in an emulator of its own; it ends with this file."""
    with Emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield Cloud(running.url, config.load(ENVIRONMENT, settings))


@pytest.fixture(scope="module")
def world(cloud: Cloud) -> Observer:
    """Who looks at the environment."""
    return Observer(cloud)


@pytest.fixture(scope="module")
def assembly(cloud: Cloud, workplace: Path, settings: Path) -> Path:
    """The templates, synthesised once, in an account that the CDK is ready for."""
    folder = workplace / "infra"
    synthesise(cloud, settings, folder)
    cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(folder))
    return folder


def deploy(stage: str, assembly: Path, settings: Path, *more: str) -> tuple[str, ...]:
    """Return the words of a deploy of one stage."""
    where = ("--assembly", str(assembly), "--context", f"config={settings}")
    return ("infra", "deploy", "--stage", stage, *where, *more)


def outcomes(told: Json) -> dict[str, str]:
    return {each["part"]: each["outcome"] for stage in told["stages"] for each in stage["stacks"]}


def made(cloud: Cloud) -> dict[str, str]:
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {each["StackName"]: each["StackStatus"] for each in stacks}


def holder(world: Observer) -> str:
    found = world.table.read_lock().holder
    return found.execution if found else ""


def test_a_deploy_that_is_killed_in_the_middle_is_resumed(
    cloud: Cloud, world: Observer, assembly: Path, settings: Path
) -> None:
    words = deploy("bootstrap", assembly, settings, "--concurrency", "1")
    bootstrap, coordinator = world.names.stack("bootstrap"), world.names.stack("deployment-coordinator")
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
    lock = world.table.read_lock()
    assert (lock.token, lock.holder) == (1, None)


def test_what_is_done_is_told_as_no_change(cloud: Cloud, assembly: Path, settings: Path) -> None:
    told = cloud.stepship(*deploy("bootstrap", assembly, settings))
    assert set(outcomes(told).values()) == {"noChange"}


def test_a_plan_tells_what_is_as_it_should_be_and_what_is_new(cloud: Cloud, assembly: Path, settings: Path) -> None:
    where = ("--assembly", str(assembly), "--context", f"config={settings}")
    told = {
        stage: cloud.stepship("infra", "plan", "--stage", stage, *where) for stage in ("bootstrap", "infrastructure")
    }
    changes = {stage: {each["changes"] for each in found["stages"][0]["stacks"]} for stage, found in told.items()}
    assert changes == {"bootstrap": {False}, "infrastructure": {True}}
    assert all("[+] AWS::" in each["diff"] for each in told["infrastructure"]["stages"][0]["stacks"])


def test_code_waits_for_infrastructure(cloud: Cloud, world: Observer, assembly: Path, settings: Path) -> None:
    with cloud.running(*cloud.stepship_command(*deploy("infrastructure", assembly, settings))) as process:
        wait_until(lambda: holder(world).startswith(PREFIX) or None, "infrastructure has the lock")
        execution = cloud.start(action="rollback")
        cloud.await_state(execution, "Wait for lock")
        assert holder(world).startswith(PREFIX)
        output, errors = process.communicate(timeout=120)

    assert process.returncode == 0, f"{output}{errors}"
    ended = cloud.finish(execution)
    # It got the lock, and then there was nothing to roll back: the stage with the services is not there.
    assert (ended["status"], ended["cause"]["step"], ended["cause"]["errorType"]) == ("FAILED", "Plan", "NoServices")
    assert holder(world) == ""


def test_infrastructure_waits_for_an_execution_that_has_the_lock(
    cloud: Cloud, world: Observer, assembly: Path, settings: Path
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
    lock = world.table.read_lock()
    world.table.swap_lock(lock, replace(lock, token=lock.token + 1, holder=Claim(execution, Kind.DEPLOY, time.time())))

    told = cloud.stepship(*deploy("bootstrap", assembly, settings))

    assert cloud.describe(execution)["status"] == "SUCCEEDED"
    assert set(outcomes(told).values()) == {"noChange"}
    after = world.table.read_lock()
    # The next execution writes the record of the one that had the lock and wrote none.
    assert (after.holder, after.token, after.dead_holders) == (None, lock.token + 2, (execution,))
