"""``Run migration``: start the one-off task, then follow it. Called again until it has ended."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.aws.evidence import task_evidence
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.catalog import MIGRATION
from lambdas.release.explanation import StoppedTask, explain
from lambdas.release.results import MigrationResult, needed
from lambdas.release.verdicts import MigrationStatus


def run_migration(call: Invocation, dependencies: Dependencies, logger: Logger) -> MigrationResult:
    """Start the migration, or look how it does.

    It is started once per release: the task is found again by ``startedBy``, and ECS itself answers a
    repeated ``clientToken`` with the first task.

    Raises
    ------
    LeaseLost
    """
    plan, known = call.plan, call.state.migration
    if known is None or known.task is None:
        started_at = dependencies.clock.now()
        call.renew_lease(dependencies)
        task, reason = _start(call, dependencies)
        if task is None:
            return _failed(dependencies, None, f"ECS could not start it: {reason}", None, started_at)
        logger.info("migration started", task=task)
        return MigrationResult(MigrationStatus.RUNNING, task, started_at)
    task, started_at = known.task, known.started_at
    found = dependencies.ecs.task(plan.migration.cluster, task)
    if found is None:
        return _failed(dependencies, None, "ECS no longer knows the task", task, started_at, call)
    status, stopped = found
    if status != "STOPPED":
        waited = dependencies.clock.now() - started_at
        if waited < plan.migration.timeout_seconds:
            return MigrationResult(MigrationStatus.RUNNING, task, started_at)
        call.renew_lease(dependencies)
        dependencies.ecs.stop_task(plan.migration.cluster, task, "Stepship: the migration took too long")
        return _failed(dependencies, stopped, f"not done after {round(waited)} s; stopped", task, started_at, call)
    exit_code = next((c.exit_code for c in stopped.containers if c.name == plan.migration.container), None)
    if exit_code == 0:
        return MigrationResult(MigrationStatus.SUCCEEDED, task, started_at)
    said = f"exited with {exit_code}" if exit_code is not None else stopped.stopped_reason or "never ran"
    return _failed(dependencies, stopped, f"the migration {said}", task, started_at, call)


def _start(call: Invocation, dependencies: Dependencies) -> tuple[str | None, str]:
    migration = call.plan.migration
    release = str(call.plan.release_id)
    started_by = f"stepship/{release}"
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
) -> MigrationResult:
    container = call.plan.migration.container if call else ""
    evidence = task_evidence(dependencies.ecs, dependencies.logs, MIGRATION, container, stopped, reason)
    return MigrationResult(MigrationStatus.FAILED, task, started_at, reason, explain([evidence]))


handler = Handler(run_migration)
