"""Gather what ECS and the containers said about a failure, before a rollback makes it disappear.

Evidence is worth having and not worth failing for: what cannot be read is named in the report instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from lambdas.aws.ecs import ContainerService
from lambdas.aws.logs import ContainerLogs
from lambdas.release.errors import StepshipError
from lambdas.release.explanation import MAX_LOG_LINES, Evidence, failed_containers
from lambdas.release.plan import PlannedService
from lambdas.release.redaction import without_values
from lambdas.release.rollout import ServiceFacts, Verdict
from lambdas.release.stopped_task import StoppedTask, is_scaled_in, with_essential
from lambdas.release.task_definition import TaskDefinition
from lambdas.release.verdicts import Status

T = TypeVar("T")

QUOTED_TASKS = 2
"""Of so many tasks the lines are asked for: the first that wrote any is quoted."""


def service_evidence(
    ecs: ContainerService,
    logs: ContainerLogs,
    planned: PlannedService,
    task_definition: str,
    facts: ServiceFacts | None,
    verdict: Verdict,
    *,
    since: float,
) -> Evidence:
    """Gather the evidence about one service.

    Parameters
    ----------
    task_definition
        The ARN that failed.
    since
        Unix seconds; older events and tasks belong to another deployment.
    """
    missing: list[str] = []
    none: tuple[StoppedTask, ...] = ()
    found = _try(missing, none, lambda: ecs.stopped_tasks(planned.cluster, planned.service, task_definition))
    stopped = tuple(task for task in found if _is_since(task, since) and not is_scaled_in(task))
    stopped, lines = _read(missing, ecs, logs, planned.container, stopped)
    events = tuple(event.message for event in facts.events if event.at >= since) if facts else ()
    return Evidence(
        subject=planned.name,
        verdict=verdict.reason,
        container=planned.container,
        stopped=stopped,
        events=events[:20],
        log_lines=lines,
        missing=tuple(missing),
        superseded=verdict.status == Status.SUPERSEDED,
    )


def task_evidence(
    ecs: ContainerService,
    logs: ContainerLogs,
    subject: str,
    container: str,
    stopped: StoppedTask | None,
    reason: str,
) -> Evidence:
    """Gather the evidence about a one-off task.

    Parameters
    ----------
    stopped
        None when there is no task: ``reason`` is then what RunTask said.
    """
    missing: list[str] = []
    if stopped is None:
        return Evidence(subject, reason, container, failures=(reason,))
    tasks, lines = _read(missing, ecs, logs, container, (stopped,))
    return Evidence(subject, reason, container, tasks, (), lines, tuple(missing))


def _is_since(task: StoppedTask, since: float) -> bool:
    """Whether it stopped since then. To the second: an answer may leave out the rest of the time."""
    return not task.stopped_at or task.stopped_at >= math.floor(since)


def _read(
    missing: list[str], ecs: ContainerService, logs: ContainerLogs, deployed: str, stopped: tuple[StoppedTask, ...]
) -> tuple[tuple[StoppedTask, ...], tuple[str, ...]]:
    """Return the tasks with what their task definition says of the containers, and the lines of what failed first."""
    if not stopped:
        return stopped, ()
    definition = _try(missing, None, lambda: ecs.task_definition(stopped[0].task_definition))
    if definition is None:
        return stopped, ()
    essential = {str(c.get("name")): bool(c["essential"]) for c in definition.containers if "essential" in c}
    known = tuple(with_essential(task, essential) for task in stopped)
    no_lines: tuple[str, ...] = ()
    return known, _try(missing, no_lines, lambda: _last_lines(logs, definition, deployed, known))


def _last_lines(
    logs: ContainerLogs, definition: TaskDefinition, deployed: str, stopped: tuple[StoppedTask, ...]
) -> tuple[str, ...]:
    """Read the last lines of the container that the first cause was read from; of the next one when it wrote none."""
    for task, container in list(failed_containers(stopped, deployed))[:QUOTED_TASKS]:
        target = definition.log_target(container)
        if target is None or target.prefix is None:
            continue
        lines = logs.last_lines(target.group, f"{target.prefix}/{container}/{task}", MAX_LOG_LINES)
        if lines:
            return without_values(lines, definition.environment(container))
    return ()


def _try(missing: list[str], otherwise: T, read: Callable[[], T]) -> T:
    try:
        return read()
    except StepshipError as error:
        missing.append(str(error))
        return otherwise
