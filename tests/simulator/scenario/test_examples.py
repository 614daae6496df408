"""Each example of an execution input runs, and ends as its name says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.engine.runs import StopAt
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.simulator.quick import few_looks

EXAMPLES = Path(__file__).parents[3] / "statemachine" / "examples"
TAG = json.loads((EXAMPLES / "deploy.json").read_text())["imageTag"]


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    """Two releases are verified, and a third image is pushed."""
    with SimulatedEnvironment(settings=few_looks()) as simulated:
        for tag in ("v1", "v2"):
            simulated.push(tag)
            simulated.run({"imageTag": tag}, tag)
        yield simulated


def example(name: str, **real: str) -> dict[str, Any]:
    """Read an example; what differs in every account is replaced by what this world has."""
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    assert set(real) <= set(document)
    return {**document, **real}


def images(simulated: SimulatedEnvironment) -> dict[str, str]:
    return {name: service["image"].rsplit("@", 1)[-1] for name, service in simulated.snapshot().services.items()}


def test_deploy_moves_every_service(simulated: SimulatedEnvironment) -> None:
    digest = simulated.push(TAG)
    assert simulated.run(example("deploy"), "example").state == "Deployed"
    assert set(images(simulated).values()) == {digest}


def test_deploy_one_service_by_digest_moves_that_service_alone(simulated: SimulatedEnvironment) -> None:
    before, digest = images(simulated), simulated.push("v3")
    run = simulated.run(example("deploy-one-service-by-digest", imageDigest=digest), "example")
    assert run.state == "Deployed"
    assert "Run migration" not in run.path
    assert images(simulated) == {**before, "api": digest}


def test_dry_run_shows_the_plan_and_writes_nothing(simulated: SimulatedEnvironment) -> None:
    before = simulated.snapshot()
    simulated.push(TAG)
    run = simulated.run(example("dry-run"), "example")
    assert run.state == "Planned"
    assert run.output["plan"]["waves"] == [["api"], ["scheduler", "worker"]]
    assert {check["result"] for check in run.output["plan"]["checks"]} == {"OK"}
    assert (simulated.snapshot().services, simulated.snapshot().parameters) == (before.services, before.parameters)


def test_rollback_returns_to_the_release_before(simulated: SimulatedEnvironment) -> None:
    first = simulated.table.release_before(str(simulated.snapshot().live))
    assert first is not None
    assert simulated.run(example("rollback"), "example").state == "Deployed"
    assert simulated.snapshot().live == first.release_id
    assert {f"{image}" for image in images(simulated).values()} == {first.images["api"].rsplit("@", 1)[-1]}


def test_rollback_to_release_returns_to_that_release(simulated: SimulatedEnvironment) -> None:
    first = str(simulated.snapshot().history[0]["release"])
    assert simulated.run(example("rollback-to-release", releaseId=first), "example").state == "Deployed"
    assert simulated.snapshot().live == first


def test_a_recovery_rolls_back_what_the_stopped_execution_had_moved(simulated: SimulatedEnvironment) -> None:
    before = simulated.snapshot()
    simulated.recovers = False
    simulated.push("v3", ImageBehavior(outcome="slow"))
    stopped = simulated.run({"imageTag": "v3"}, "stopped", stop=StopAt("Check rollout"))
    assert simulated.snapshot().parameters != before.parameters
    assert simulated.run(example("recovery", takeover=stopped.arn), "example").state == "Deployed"
    assert (simulated.snapshot().services, simulated.snapshot().parameters) == (before.services, before.parameters)
