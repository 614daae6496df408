"""``Check rollback``: whether all services are steady on what they ran before, and the parameters what they were."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.polling import poll_until
from lambdas.release.errors import StepshipError
from lambdas.release.plan import Plan
from lambdas.release.results import RestoredResult, TaskCount
from lambdas.release.rollback import judge_rollback
from lambdas.release.rollout import ServiceFacts
from lambdas.release.state import needed
from lambdas.release.verdicts import RollbackStatus
from lambdas.revisions import returning


def check_rollback(call: Invocation, dependencies: Dependencies, logger: Logger) -> RestoredResult:
    """Look at all services of the plan until something is to be done, or until the hold is over.

    Raises
    ------
    RollbackTimeout
    """
    plan, started_at = call.plan, needed(call.state.rollback_started_at)
    describe = cache(dependencies.ecs.task_definition)  # a revision does not change between two looks

    def look() -> tuple[dict[str, ServiceFacts], RollbackStatus]:
        facts = dependencies.ecs.services(plan.in_order())
        wanted, _ = returning(plan, call.state, facts, describe)
        return facts, judge_rollback(wanted, facts, started_at, dependencies.clock.now())

    facts, status = poll_until(
        look,
        lambda seen: seen[1] != RollbackStatus.IN_PROGRESS,
        every_seconds=plan.rollout.poll_seconds,
        hold_seconds=call.hold_seconds,
        clock=dependencies.clock,
    )
    changed: tuple[str, ...] = ()
    has_time = dependencies.clock.now() - started_at < plan.rollout.rollback_timeout_seconds
    if status == RollbackStatus.STEADY and has_time:
        changed = _changed_parameters(plan, dependencies, logger)
    if changed:
        # `Roll back` sets them again, finds no service to move, and comes back here.
        status = RollbackStatus.NEXT_WAVE
    counts = {name: TaskCount(one.running, one.desired) for name, one in facts.items()}
    result = RestoredResult(status, counts, changed)
    logger.info("rollback", status=status, services=result.message)
    return result


def _changed_parameters(plan: Plan, dependencies: Dependencies, logger: Logger) -> tuple[str, ...]:
    """Return the parameters that somebody has changed since they were restored; none when that cannot be looked up."""
    try:
        return tuple(dependencies.parameters.differing({each.name: each.previous for each in plan.parameters}))
    except StepshipError as error:
        # The services are back; that somebody may have edited a parameter must not make this a failed rollback.
        logger.warning("parameters not looked up", reason=str(error))
        return ()


handler = Handler(check_rollback)
