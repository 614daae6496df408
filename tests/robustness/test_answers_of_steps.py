"""A step whose AWS answers lack something: the same result or an error of ours, never better news than the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import config
from lambdas.release.errors import leaves
from simulator.ecs.images import ImageBehavior
from simulator.environment.invariant import violations
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import FUNCTION_OF, Flow, Json, StepError
from tests.robustness.answers import Path, changed, drop, optional
from tests.robustness.refusals import attempt
from tests.simulator.quick import few_looks

SERVICES = ("cloudwatch", "dynamodb", "ecr", "ecs", "logs", "ssm", "stepfunctions")
OURS = {leaf.__name__ for leaf in leaves()}
GOOD_NEWS = ("steady", "healthy", "succeeded")
SMALL = (SimulatedService("api", wave=1, desired=2), SimulatedService("worker", wave=2, desired=1))

READING = ["Verify image", "Plan", "Check rollout", "Check health", "Run migration"]


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    dev = config.load("dev")
    # Every call of a step that waits is one look.
    settings = replace(dev, rollout=replace(dev.rollout, poll_seconds=40))
    with SimulatedEnvironment(
        services=SMALL[:1], settings=settings, recovery=False, circuit_breaker=False
    ) as simulated:
        yield simulated


def places(flow: Flow) -> tuple[list[tuple[str, Path]], Json]:
    """Return all that could be left out of the answers to a step, each once, and the step's undisturbed result."""
    found: dict[tuple[str, Path], None] = {}

    def see(model: Any, parsed: dict[str, Any]) -> None:
        found.update(dict.fromkeys((model.name, path) for path in optional(model.output_shape, parsed)))

    with changed(see, *SERVICES):
        result = flow.call()
    return list(found), result


def without(operation: str, path: Path) -> Any:
    def change(model: Any, parsed: dict[str, Any]) -> None:
        if model.name == operation:
            drop(parsed, path)

    return changed(change, *SERVICES)


def verdict(result: Json) -> object:
    return result.get("status") or ("plan", result.get("nothingToDo"))


@pytest.mark.parametrize("state", READING)
def test_a_step_without_a_part_of_an_answer_ends_as_before_or_in_an_error_of_ours(
    simulated: SimulatedEnvironment, state: str
) -> None:
    simulated.push("v1")
    flow = Flow(simulated, {"imageTag": "v1"}).run_to(state)
    if state == "Run migration":
        flow.step()
        # ECS shows the task from then on.
        flow.wait(simulated.ecs_world.unseen_task_seconds)
        flow.run_to(state)
    parts, undisturbed = places(flow)
    assert len(parts) > 5
    refused = 0
    for operation, path in parts:
        with without(operation, path):
            result, error = attempt(flow.call, StepError)
        if error is not None:
            assert error.error_type in OURS, (operation, path, error)
            assert error.message.startswith(f"{state}: ")
            refused += 1
        else:
            said = verdict(result)
            assert said == verdict(undisturbed) or said not in GOOD_NEWS, (operation, path)
    assert refused, "what a step cannot do without is named"


@pytest.mark.parametrize("state", ["Check rollout", "Check rollback"])
def test_the_explanation_of_a_failure_does_with_what_it_gets(simulated: SimulatedEnvironment, state: str) -> None:
    simulated.push("v1", ImageBehavior("crash", logs=("last words",)))
    flow = Flow(simulated, {"imageTag": "v1"}).run_to(state)
    while state == "Check rollout" and flow.call()["status"] != "failed":
        flow.wait(5)
    parts, undisturbed = places(flow)
    for operation, path in parts:
        with without(operation, path):
            result, error = attempt(flow.call, StepError)
        if error is not None:
            assert error.error_type in OURS, (operation, path, error)
        else:
            assert verdict(result) == verdict(undisturbed) or verdict(result) not in GOOD_NEWS, (operation, path)


MISSING: list[tuple[str, Path]] = [
    ("DescribeServices", ("services", 0, "deployments", 0, "rolloutState")),
    ("UpdateService", ("service",)),
    ("RegisterTaskDefinition", ("taskDefinition", "taskDefinitionArn")),
    ("RunTask", ("tasks",)),
    ("DescribeTasks", ("tasks", 0, "containers", 0, "exitCode")),
    ("ListTasks", ("taskArns",)),
    ("DescribeTaskDefinition", ("taskDefinition", "containerDefinitions", 0, "name")),
]


@pytest.mark.parametrize(
    ("operation", "path"), MISSING, ids=lambda value: value if isinstance(value, str) else value[-1]
)
def test_a_whole_deployment_without_a_part_of_every_answer_keeps_the_invariant(operation: str, path: Path) -> None:
    with SimulatedEnvironment(services=SMALL, settings=few_looks()) as simulated:
        simulated.push("v1")
        assert simulated.run({"imageTag": "v1"}, "first").status == "SUCCEEDED"
        simulated.push("v2")
        with without(operation, path):
            run = simulated.run({"imageTag": "v2"}, "second")
        ended = json.loads(run.cause or "null") or run.output
        assert ended["outcome"] in ("Deployed", "Rejected", "RolledBack", "RollbackFailed")
        if ended["outcome"] != "Deployed":
            assert ended["errorType"] in OURS | {"RolloutFailed", "MigrationFailed"}, ended
            assert ended["message"]
        if ended["outcome"] != "RollbackFailed":
            assert violations(simulated.snapshot(), simulated.aws.runs) == ()


def test_every_step_of_the_flow_that_only_looks_is_covered() -> None:
    assert {*READING, "Check rollback"} <= set(FUNCTION_OF)
