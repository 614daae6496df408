"""Each example of an execution input runs, and ends as its name says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.engine.runs import StopAt
from simulator.environment.simulated_environment import World

EXAMPLES = Path(__file__).parents[3] / "statemachine" / "examples"
TAG = json.loads((EXAMPLES / "deploy.json").read_text())["imageTag"]


@pytest.fixture
def world() -> Iterator[World]:
    """Two releases are verified, and a third image is pushed."""
    with World() as world:
        for tag in ("v1", "v2"):
            world.push(tag)
            world.run({"imageTag": tag}, tag)
        yield world


def example(name: str, **real: str) -> dict[str, Any]:
    """Read an example; what differs in every account is replaced by what this world has."""
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    assert set(real) <= set(document)
    return {**document, **real}


def images(world: World) -> dict[str, str]:
    return {name: service["image"].rsplit("@", 1)[-1] for name, service in world.snapshot().services.items()}


def test_deploy_moves_every_service(world: World) -> None:
    digest = world.push(TAG)
    assert world.run(example("deploy"), "example").state == "Deployed"
    assert set(images(world).values()) == {digest}


def test_deploy_one_service_by_digest_moves_that_service_alone(world: World) -> None:
    before, digest = images(world), world.push("v3")
    run = world.run(example("deploy-one-service-by-digest", imageDigest=digest), "example")
    assert run.state == "Deployed"
    assert "Run migration" not in run.path
    assert images(world) == {**before, "api": digest}


def test_dry_run_shows_the_plan_and_writes_nothing(world: World) -> None:
    before = world.snapshot()
    world.push(TAG)
    run = world.run(example("dry-run"), "example")
    assert run.state == "Planned"
    assert run.output["plan"]["waves"] == [["api"], ["scheduler", "worker"]]
    assert {check["result"] for check in run.output["plan"]["checks"]} == {"OK"}
    assert (world.snapshot().services, world.snapshot().parameters) == (before.services, before.parameters)


def test_rollback_returns_to_the_release_before(world: World) -> None:
    first = world.table.release_before(str(world.snapshot().live))
    assert first is not None
    assert world.run(example("rollback"), "example").state == "Deployed"
    assert world.snapshot().live == first.release_id
    assert {f"{image}" for image in images(world).values()} == {first.images["api"].rsplit("@", 1)[-1]}


def test_rollback_to_release_returns_to_that_release(world: World) -> None:
    first = str(world.snapshot().history[0]["release"])
    assert world.run(example("rollback-to-release", releaseId=first), "example").state == "Deployed"
    assert world.snapshot().live == first


def test_takeover_puts_back_what_the_stopped_execution_had_moved(world: World) -> None:
    before = world.snapshot()
    world.recovers = False
    world.push("v3", ImageBehavior(outcome="slow"))
    stopped = world.run({"imageTag": "v3"}, "stopped", stop=StopAt("Check rollout"))
    assert world.snapshot().parameters != before.parameters
    assert world.run(example("takeover", takeover=stopped.arn), "example").state == "Deployed"
    assert (world.snapshot().services, world.snapshot().parameters) == (before.services, before.parameters)
