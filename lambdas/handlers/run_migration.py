"""``Run migration``: start the one-off task, then follow it. Called again until it has ended."""

from __future__ import annotations

from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.aws.evidence import task_evidence
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.migration import has_ended
from lambdas.release.catalog import MIGRATION
from lambdas.release.explanation import StoppedTask, explain
from lambdas.release.plan import migration_started_by
from lambdas.release.results import MigrationResult
from lambdas.release.state import needed
from lambdas.release.verdicts import MigrationStatus

MISSING_SECONDS = 300
"""For so long after RunTask ECS may not show the task (ECS API Reference, RunTask: eventual consistency; the waits that
it names go up to five minutes)."""

STOP_SECONDS = 180
"""For so long a task that was asked to stop may take: a container gets at most 120 s on Fargate (``stopTimeout``, ECS
API Reference, ContainerDefinition), and its network interface is detached after that."""


def run_migration(call: Invocation, dependencies: Dependencies, logger: Logger) -> MigrationResult:
    """Start the migration, or look how it does; before that, end the one that a stopped deployment has left running.

    It is started once per release: the task is found again by ``startedBy``, and ECS itself answers a
    repeated ``clientToken`` with the first task.

    Raises
    ------
    LeaseLost
    """
    known = call.state.migration
    if known is not None and known.task is not None:
        return _follow(known, known.task, call, dependencies)
    abandoned = _stop_abandoned(call, dependencies, logger)
    if abandoned is not None and abandoned.status != MigrationStatus.SUCCEEDED:
        return abandoned
    if not call.plan.migration.runs:
        return abandoned or MigrationResult(MigrationStatus.SUCCEEDED, None, dependencies.clock.now())
    started_at = dependencies.clock.now()
    call.renew_lease(dependencies)
    task, reason = _start(call, dependencies)
    if task is None:
        return _failed(dependencies, None, f"ECS could not start it: {reason}", None, started_at)
    logger.info("migration started", task=task)
    return MigrationResult(MigrationStatus.RUNNING, task, started_at)


def _stop_abandoned(call: Invocation, dependencies: Dependencies, logger: Logger) -> MigrationResult | None:
    """Stop the migration that a stopped deployment has left running, and wait for its end; None when there is none."""
    migration, known, now = call.plan.migration, call.state.migration, dependencies.clock.now()
    if migration.abandoned is None:
        return None
    cluster, task = migration.abandoned.cluster, migration.abandoned.task
    since = known.stopping_since if known else None
    if since is None:
        since = now
        call.renew_lease(dependencies)
        dependencies.ecs.stop_task(cluster, task, "Stepship: the deployment that started it was stopped")
        logger.info("abandoned migration stopped", task=task)
    if has_ended(dependencies.ecs, cluster, task):
        said = "stopped the migration of the deployment before"
        return MigrationResult(MigrationStatus.SUCCEEDED, None, since, said, stopping_since=since)
    said = "the migration of the deployment before has not stopped yet"
    if now - since < STOP_SECONDS:
        return MigrationResult(MigrationStatus.RUNNING, None, since, said, stopping_since=since)
    if migration.runs:
        return _failed(dependencies, None, f"{said}: two at once could undo each other", None, since)
    return MigrationResult(MigrationStatus.SUCCEEDED, None, since, said, stopping_since=since)


def _follow(known: MigrationResult, task: str, call: Invocation, dependencies: Dependencies) -> MigrationResult:
    migration, started_at, now = call.plan.migration, known.started_at, dependencies.clock.now()
    found = dependencies.ecs.task(migration.cluster, task)
    waited = now - started_at
    if found is None and (known.stopping_since is not None or waited >= MISSING_SECONDS):
        return _failed(dependencies, None, _ended(known, "ECS no longer knows the task"), task, started_at, call)
    status, stopped = found or ("MISSING", None)
    if status != "STOPPED" or stopped is None:
        if known.stopping_since is not None:
            if now - known.stopping_since < STOP_SECONDS:
                return known
            said = f"{known.reason}; not stopped {STOP_SECONDS} s after it was asked to: stop it by hand"
            return _failed(dependencies, stopped, said, task, started_at, call)
        if waited < migration.timeout_seconds:
            return MigrationResult(MigrationStatus.RUNNING, task, started_at)
        call.renew_lease(dependencies)
        dependencies.ecs.stop_task(migration.cluster, task, "Stepship: the migration took too long")
        said = f"not done after {round(waited)} s"
        return MigrationResult(MigrationStatus.RUNNING, task, started_at, said, stopping_since=now)
    exit_code = next((c.exit_code for c in stopped.containers if c.name == migration.container), None)
    if known.stopping_since is not None:
        # Whatever its exit code: a program that is told to end may well exit with 0, and has not done its work.
        return _failed(dependencies, stopped, _ended(known, "stopped"), task, started_at, call, given_up=True)
    if exit_code == 0:
        return MigrationResult(MigrationStatus.SUCCEEDED, task, started_at)
    said = f"exited with {exit_code}" if exit_code is not None else stopped.stopped_reason or "never ran"
    return _failed(dependencies, stopped, f"the migration {said}", task, started_at, call)


def _ended(known: MigrationResult, said: str) -> str:
    return f"{known.reason}; {said}" if known.reason else said


def _start(call: Invocation, dependencies: Dependencies) -> tuple[str | None, str]:
    migration = call.plan.migration
    release = str(call.plan.release_id)
    started_by = migration_started_by(release)
    found = dependencies.ecs.find_task(migration.cluster, started_by)
    if found:
        return found, ""
    return dependencies.ecs.run_task(
        migration.cluster,
        needed(needed(call.state.registered).migration),
        started_by=started_by,
        client_token=release,
        launch=migration.launch,
        network=migration.network,
    )


def _failed(
    dependencies: Dependencies,
    stopped: StoppedTask | None,
    reason: str,
    task: str | None,
    started_at: float,
    call: Invocation | None = None,
    *,
    given_up: bool = False,
) -> MigrationResult:
    container = call.plan.migration.container if call else ""
    evidence = task_evidence(dependencies.ecs, dependencies.logs, MIGRATION, container, stopped, reason)
    if given_up:
        # Its end says that it was stopped, which is no cause. Its last lines are.
        evidence = replace(evidence, stopped=())
    return MigrationResult(MigrationStatus.FAILED, task, started_at, reason, explain([evidence]))


handler = Handler(run_migration)
