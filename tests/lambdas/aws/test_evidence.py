from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lambdas.aws.ecs import ContainerService
from lambdas.aws.evidence import service_evidence, task_evidence
from lambdas.aws.logs import ContainerLogs
from lambdas.release.errors import AccessDenied, StepshipError, Throttled
from lambdas.release.explanation import Evidence, StoppedContainer, StoppedTask
from lambdas.release.plan import PlannedService
from lambdas.release.rollout import Event, ServiceFacts, Verdict
from lambdas.release.task_definition import TaskDefinition
from lambdas.release.verdicts import Status

API = PlannedService("api", "c", "app-api", "app-api", "main", 1, "old")
VERDICT = Verdict(Status.FAILED, "2 tasks failed")
STOPPED = tuple(StoppedTask(f"task-{n}", "new", containers=(StoppedContainer("main", 1),)) for n in range(3))
LOGGING: dict[str, Any] = {
    "taskDefinitionArn": "new",
    "containerDefinitions": [
        {
            "name": "main",
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/app", "awslogs-stream-prefix": "ecs"},
            },
        }
    ],
}


class Ecs(ContainerService):
    """ECS as it answered, or as it failed."""

    def __init__(
        self,
        stopped: tuple[StoppedTask, ...] | StepshipError = STOPPED,
        definition: dict[str, Any] | StepshipError | None = LOGGING,
    ) -> None:
        self.stopped, self.definition = stopped, definition

    def stopped_tasks(self, cluster: str, service: str, task_definition: str) -> tuple[StoppedTask, ...]:
        assert (cluster, service, task_definition) == ("c", "app-api", "new")
        if isinstance(self.stopped, StepshipError):
            raise self.stopped
        return self.stopped

    def task_definition(self, name: str) -> TaskDefinition | None:
        assert name == "new"
        if isinstance(self.definition, StepshipError):
            raise self.definition
        return TaskDefinition(self.definition) if self.definition else None


class Logs(ContainerLogs):
    """Streams by name."""

    def __init__(self, streams: dict[str, tuple[str, ...]] | StepshipError) -> None:
        self.streams = streams
        self.read: list[str] = []

    def last_lines(self, group: str, stream: str, count: int) -> tuple[str, ...]:
        assert group == "/app"
        self.read.append(stream)
        if isinstance(self.streams, StepshipError):
            raise self.streams
        return self.streams.get(stream, ())[-count:]


def gathered(ecs: Ecs, logs: Logs, facts: ServiceFacts | None = None, since: float = 100.0) -> Evidence:
    return service_evidence(ecs, logs, API, "new", facts, VERDICT, since=since)


def test_evidence_is_stopped_tasks_events_since_then_and_the_last_lines() -> None:
    events = (Event(120, "is unhealthy"), Event(100, "has started"), Event(99, "of the deployment before"))
    found = gathered(Ecs(), Logs({"ecs/main/task-0": ("bye",)}), ServiceFacts("app-api", "c", events=events))
    assert found == Evidence("api", "2 tasks failed", "main", STOPPED, ("is unhealthy", "has started"), ("bye",), ())


def test_a_task_that_stopped_in_the_second_of_the_beginning_counts_whatever_the_answer_leaves_out_of_its_time() -> None:
    ecs = Ecs((replace(STOPPED[0], stopped_at=100.0),))
    assert [task.stopped_at for task in gathered(ecs, Logs({}), since=100.9).stopped] == [100.0]
    assert gathered(ecs, Logs({}), since=101.0).stopped == ()


def test_the_newest_task_that_wrote_anything_is_quoted() -> None:
    logs = Logs({"ecs/main/task-1": ("second",), "ecs/main/task-2": ("third",)})
    assert gathered(Ecs(), logs).log_lines == ("second",)
    assert logs.read == ["ecs/main/task-0", "ecs/main/task-1"]


def test_a_service_that_ecs_no_longer_knows_has_no_events() -> None:
    assert gathered(Ecs(()), Logs({})).events == ()


@pytest.mark.parametrize("error", [AccessDenied("ecs:list_tasks: no"), Throttled("ecs:list_tasks: slow down")])
def test_stopped_tasks_that_cannot_be_read_are_named(error: StepshipError) -> None:
    found = gathered(Ecs(error), Logs({}))
    assert (found.stopped, found.missing) == ((), (str(error),))


def test_lines_that_cannot_be_read_are_named_and_the_tasks_stay() -> None:
    found = gathered(Ecs(), Logs(AccessDenied("logs:get_log_events: no")))
    assert (found.stopped, found.log_lines, found.missing) == (STOPPED, (), ("logs:get_log_events: no",))


@pytest.mark.parametrize(
    "definition",
    [
        None,
        {"containerDefinitions": []},
        {"containerDefinitions": [{"name": "main"}]},
        {"containerDefinitions": [{"name": "main", "logConfiguration": {"logDriver": "awsfirelens"}}]},
        {
            "containerDefinitions": [
                {"name": "main", "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/app"}}}
            ]
        },
    ],
)
def test_a_container_whose_lines_are_elsewhere_has_none(definition: dict[str, Any] | None) -> None:
    logs = Logs({})
    found = gathered(Ecs(definition=definition), logs)
    assert (found.log_lines, found.missing, logs.read) == ((), (), [])


def test_a_one_off_task_is_evidence_of_itself() -> None:
    logs = Logs({"ecs/main/task-0": ("bye",)})
    found = task_evidence(Ecs(), logs, "migration", "main", STOPPED[0], "exited with 1")
    assert found == Evidence("migration", "exited with 1", "main", (STOPPED[0],), (), ("bye",), ())


def test_a_task_that_never_started_has_only_its_reason() -> None:
    found = task_evidence(Ecs(), Logs({}), "migration", "main", None, "ECS could not start it")
    assert found == Evidence("migration", "ECS could not start it", "main", failures=("ECS could not start it",))


SCALED_IN = StoppedTask(
    "scaled", "new", "Scaling activity initiated by (deployment ecs-svc/1)", 300.0, (StoppedContainer("main", 143),)
)


def test_a_task_that_was_scaled_in_and_one_of_a_deployment_before_are_no_evidence() -> None:
    died = replace(STOPPED[0], stopped_at=200.0)
    logs = Logs({"ecs/main/task-0": ("bye",), "ecs/main/scaled": ("served",)})
    found = gathered(Ecs((SCALED_IN, died, replace(died, task="before", stopped_at=99.0))), logs)
    assert (found.stopped, found.log_lines) == ((died,), ("bye",))
    assert logs.read == ["ecs/main/task-0"]


def test_the_lines_are_those_of_the_container_that_ended_the_task() -> None:
    """Its log configuration is its own; one that is not essential ended nothing."""
    log = LOGGING["containerDefinitions"][0]["logConfiguration"]
    definition = {
        "taskDefinitionArn": "new",
        "containerDefinitions": [
            {"name": "main", "essential": True, "logConfiguration": log},
            {"name": "proxy", "essential": True, "logConfiguration": log},
            {"name": "agent", "essential": False, "logConfiguration": log},
        ],
    }
    ended = (StoppedContainer("main", 143), StoppedContainer("agent", 2), StoppedContainer("proxy", 1))
    stopped = StoppedTask("t", "new", "Essential container in task exited", 200.0, ended, "EssentialContainerExited")
    logs = Logs({"ecs/proxy/t": ("no upstream",)})
    found = gathered(Ecs((stopped,), definition), logs)
    assert found.log_lines == ("no upstream",)
    assert [container.essential for container in found.stopped[0].containers] == [True, False, True]
