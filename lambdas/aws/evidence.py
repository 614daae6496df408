"""Gather what ECS and the containers said about a failure, before a rollback makes it disappear.

Evidence is worth having and not worth failing for: what cannot be read is named in the report instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lambdas.aws.ecs import ContainerService
from lambdas.aws.logs import ContainerLogs
from lambdas.release.errors import StepshipError
from lambdas.release.explanation import MAX_LOG_LINES, Evidence, StoppedTask
from lambdas.release.plan import PlannedService
from lambdas.release.redaction import without_values
from lambdas.release.rollout import ServiceFacts, Verdict
from lambdas.release.verdicts import Status

T = TypeVar("T", StoppedTask, str)


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
        Unix seconds; older events belong to another deployment.
    """
    missing: list[str] = []
    stopped = _try(missing, lambda: ecs.stopped_tasks(planned.cluster, planned.service, task_definition))
    lines = _try(missing, lambda: _last_lines(ecs, logs, planned.container, task_definition, stopped))
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
    """Gather the evidence about a one-off task."""
    missing: list[str] = []
    if stopped is None:
        return Evidence(subject, reason, container)
    lines = _try(missing, lambda: _last_lines(ecs, logs, container, stopped.task_definition, (stopped,)))
    return Evidence(subject, reason, container, (stopped,), (), lines, tuple(missing))


def _last_lines(
    ecs: ContainerService,
    logs: ContainerLogs,
    container: str,
    task_definition: str,
    stopped: tuple[StoppedTask, ...],
) -> tuple[str, ...]:
    """Read the last lines of the newest stopped task that wrote any."""
    if not stopped:
        return ()
    definition = ecs.task_definition(task_definition)
    target = definition.log_target(container) if definition else None
    if definition is None or target is None or target.prefix is None:
        return ()
    for task in stopped[:2]:
        lines = logs.last_lines(target.group, f"{target.prefix}/{container}/{task.task}", MAX_LOG_LINES)
        if lines:
            return without_values(lines, definition.environment(container))
    return ()


def _try(missing: list[str], read: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
    try:
        return read()
    except StepshipError as error:
        missing.append(str(error))
        return ()
