"""``Check health``: watch all services of the release until the bake time is over."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.aws.ecs import ContainerService
from lambdas.aws.evidence import service_evidence
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import AccessDenied
from lambdas.release.explanation import explain
from lambdas.release.plan import PlannedService
from lambdas.release.results import HealthResult, needed
from lambdas.release.rollout import ServiceFacts, Watch, firing, judge_health, tasks_died, tasks_replaced
from lambdas.release.verdicts import HealthStatus, Status


def check_health(call: Invocation, dependencies: Dependencies, logger: Logger) -> HealthResult:
    """Look once at every service and every alarm."""
    plan = call.plan
    since, now = needed(call.state.rollout).at, dependencies.clock.now()
    targets = needed(call.state.registered).task_definitions
    facts = dependencies.ecs.services(plan.in_order())
    watches = {
        s.name: Watch(targets[s.name], since, s.desired, plan.rollout.failed_tasks_limit) for s in plan.in_order()
    }
    verdicts = {
        s.name: judge_health(
            facts.get(s.name), watches[s.name], _died(s, facts.get(s.name), watches[s.name], dependencies.ecs)
        )
        for s in plan.in_order()
    }
    alarms = firing(dependencies.alarms.states(plan.rollout.alarms), plan.rollout.alarms)
    bad = [name for name, verdict in verdicts.items() if verdict.status in (Status.FAILED, Status.SUPERSEDED)]
    waiting = [name for name, verdict in verdicts.items() if verdict.status == Status.IN_PROGRESS]
    ends_at = since + plan.rollout.bake_seconds
    if now >= ends_at + plan.rollout.timeout_seconds:
        # A task that died in the bake and never came back is as bad as one that dies again and again.
        bad += waiting
    if bad or alarms:
        evidence = [
            service_evidence(
                dependencies.ecs,
                dependencies.logs,
                plan.services[name],
                targets[name],
                facts.get(name),
                verdicts[name],
                since=since,
            )
            for name in bad[:5]
        ]
        logger.info("bake failed", services=bad, alarms=alarms)
        return HealthResult(HealthStatus.UNHEALTHY, verdicts, alarms, explain(evidence, alarms))
    return HealthResult(HealthStatus.HEALTHY if now >= ends_at and not waiting else HealthStatus.BAKING, verdicts)


def _died(service: PlannedService, facts: ServiceFacts | None, watch: Watch, ecs: ContainerService) -> int | None:
    """Look at the stopped tasks before a service is called unhealthy: the events do not tell dying from scaling."""
    if facts is None or tasks_replaced(facts, watch) < watch.failed_tasks_limit:
        return None
    try:
        stopped = ecs.stopped_tasks(service.cluster, service.service, watch.target)
    except AccessDenied:
        return None
    return tasks_died(stopped, watch.since)


handler = Handler(check_health)
