"""``Check health``: watch all services of the release until the bake time is over."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.aws.ecs import ContainerService
from lambdas.aws.evidence import service_evidence
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.bake import Watch, judge_bake, judge_health, needs_a_look_at_deaths
from lambdas.release.errors import AccessDenied
from lambdas.release.explanation import MAX_CAUSES, explain
from lambdas.release.plan import PlannedService
from lambdas.release.results import HealthResult, SteadyService
from lambdas.release.rollout import ServiceFacts, firing
from lambdas.release.state import needed
from lambdas.release.stopped_task import Deaths, deaths
from lambdas.release.verdicts import HealthStatus


def check_health(call: Invocation, dependencies: Dependencies, logger: Logger) -> HealthResult:
    """Look once at every service and every alarm."""
    plan = call.plan
    rollout = needed(call.state.rollout)
    now = dependencies.clock.now()
    targets = call.state.targets
    facts = dependencies.ecs.services(plan.in_order())
    # An earlier wave has been steady for longer: what died there while the later ones rolled out counts too.
    steady = {s.name: rollout.steady.get(s.name, SteadyService(rollout.at, s.desired)) for s in plan.in_order()}
    watches = {
        name: Watch(targets[name], verified.at, verified.desired, plan.rollout.failed_tasks_limit)
        for name, verified in steady.items()
    }
    died = {s.name: _died(s, facts.get(s.name), watches[s.name], dependencies.ecs) for s in plan.in_order()}
    verdicts = {name: judge_health(facts.get(name), watch, died[name]) for name, watch in watches.items()}
    told = {name: found.message for name, found in died.items() if found and found.own}
    alarms = firing(dependencies.alarms.states(plan.rollout.alarms), plan.rollout.alarms)
    ends_at = rollout.at + plan.rollout.bake_seconds
    bake = judge_bake(verdicts, alarms, now=now, ends_at=ends_at, timeout_seconds=plan.rollout.timeout_seconds)
    # What died without ending the bake is explained once, at its end.
    subjects = tuple(told) if bake.status == HealthStatus.HEALTHY else bake.bad
    evidence = [
        service_evidence(
            dependencies.ecs,
            dependencies.logs,
            plan.services[name],
            targets[name],
            facts.get(name),
            verdicts[name],
            since=watches[name].since,
        )
        for name in subjects[:MAX_CAUSES]
    ]
    logger.info("bake", status=bake.status, bad=bake.bad, alarms=alarms, died=told)
    return HealthResult(bake.status, verdicts, alarms, explain(evidence, alarms) if evidence or alarms else None, told)


def _died(service: PlannedService, facts: ServiceFacts | None, watch: Watch, ecs: ContainerService) -> Deaths | None:
    """Look at the stopped tasks when something may have died; None when nobody may look."""
    if not needs_a_look_at_deaths(facts, watch):
        return Deaths()
    try:
        return deaths(ecs.stopped_tasks(service.cluster, service.service, watch.target), watch.since)
    except AccessDenied:
        return None


handler = Handler(check_health)
