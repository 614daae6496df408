"""``Check rollback``: whether all services are steady on what they ran before."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation, Json
from lambdas.polling import poll_until
from lambdas.release.rollback import BackStatus, changed_by_others, judge_rollback, keep_infrastructure
from lambdas.release.rollout import ServiceFacts


def check_rollback(call: Invocation, dependencies: Dependencies, logger: Logger) -> Json:
    """Look at all services of the plan until something is to be done, or until the hold is over.

    Returns
    -------
    dict
        ``status`` steady, inProgress or nextWave.

    Raises
    ------
    RollbackTimeout
    """
    describe = cache(dependencies.ecs.task_definition)  # a revision does not change between two looks

    def look() -> tuple[dict[str, ServiceFacts], BackStatus]:
        facts = dependencies.ecs.services(call.plan.in_order())
        others = changed_by_others(call.plan, facts, (call.state.get("registered") or {}).get("taskDefinitions", {}))
        running = {name: describe(one.primary.task_definition) for name, one in others.items() if one.primary}
        plan = keep_infrastructure(call.plan, running)
        return facts, judge_rollback(plan, facts, call.state["rollback"]["startedAt"], dependencies.clock.now())

    facts, status = poll_until(
        look,
        lambda seen: seen[1] != BackStatus.IN_PROGRESS,
        every_seconds=call.plan.rollout.poll_seconds,
        hold_seconds=call.hold_seconds,
        clock=dependencies.clock,
    )
    counts = {name: {"running": one.running, "desired": one.desired} for name, one in facts.items()}
    logger.info("rollback", status=status, services=counts)
    return {"status": status, "services": counts}


handler = Handler(check_rollback)
