"""The migration that is given up on: it is stopped, so that nothing changes the database behind everybody's back."""

from __future__ import annotations

from lambdas.aws.ecs import ContainerService
from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.polling import poll_until
from lambdas.release.plan import migration_started_by
from lambdas.release.verdicts import MigrationStatus


def has_ended(ecs: ContainerService, cluster: str, task: str) -> bool:
    """Whether a task that is being stopped is one that ECS shows as STOPPED, or no longer shows."""
    found = ecs.task(cluster, task)
    return found is None or found[0] == "STOPPED"


def stop_unfinished(call: Invocation, dependencies: Dependencies) -> str | None:
    """Stop the migration of a deployment that is rolled back for another reason than its end.

    Its end is waited for as long as the function has time: a container gets 30 s to end unless it asks for more
    (``stopTimeout``, ECS API Reference, ContainerDefinition).

    Returns
    -------
    str or None
        The task; None when none was left to stop.
    """
    planned, known = call.plan.migration, call.state.migration
    if not planned.runs or "registered" not in call.state.keys:
        return None
    if known is not None and known.status != MigrationStatus.RUNNING:
        return None
    ecs, clock, every = dependencies.ecs, dependencies.clock, call.plan.rollout.poll_seconds
    until = clock.now() + call.hold_seconds
    task = known.task if known else None
    if task is None:
        # The function that started it may have died before it could say so, and ECS does not show a new task at once.
        started_by = migration_started_by(str(call.plan.release_id))
        task = poll_until(
            lambda: ecs.running_task(planned.cluster, started_by),
            lambda found: found is not None,
            every_seconds=every,
            hold_seconds=until - clock.now(),
            clock=clock,
        )
    if task is None:
        return None
    ecs.stop_task(planned.cluster, task, "Stepship: the deployment is rolled back")
    poll_until(
        lambda: has_ended(ecs, planned.cluster, task),
        bool,
        every_seconds=every,
        hold_seconds=until - clock.now(),
        clock=clock,
    )
    return task
