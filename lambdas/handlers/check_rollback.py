"""``Check rollback``: whether all services are steady on what they ran before."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.observability import Handler, Invocation, Json
from lambdas.release.way_back import changed_by_others, judge_way_back, keep_infrastructure
from lambdas.wiring import Wiring


def check_rollback(call: Invocation, wiring: Wiring, logger: Logger) -> Json:
    """Look once at all services of the plan.

    Returns
    -------
    dict
        ``status`` steady, inProgress or nextWave.

    Raises
    ------
    RollbackTimeout
    """
    facts = wiring.ecs.services(call.plan.in_order())
    others = changed_by_others(call.plan, facts, (call.state.get("registered") or {}).get("taskDefinitions", {}))
    plan = keep_infrastructure(call.plan, wiring.ecs.primary_definitions(others))
    started_at = call.state["rollback"]["startedAt"]
    status = judge_way_back(plan, facts, started_at, wiring.clock.now())
    counts = {name: {"running": one.running, "desired": one.desired} for name, one in facts.items()}
    logger.info("rollback", status=status, services=counts)
    return {"status": status, "services": counts}


handler = Handler(check_rollback)
