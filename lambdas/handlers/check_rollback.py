"""``Check rollback``: whether all services are steady on what they ran before."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.polling import poll_until
from lambdas.release.results import RestoredResult, TaskCount, needed
from lambdas.release.rollback import judge_rollback
from lambdas.release.rollout import ServiceFacts
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
    result = RestoredResult(status, {name: TaskCount(one.running, one.desired) for name, one in facts.items()})
    logger.info("rollback", status=status, services=result.message)
    return result


handler = Handler(check_rollback)
