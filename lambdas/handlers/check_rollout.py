"""``Check rollout``: a verdict on every service of the wave, and the explanation when one failed."""

from __future__ import annotations

from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.aws.evidence import service_evidence
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.polling import poll_until
from lambdas.release.errors import AccessDenied, StepshipError
from lambdas.release.explanation import Explanation, explain
from lambdas.release.plan import PlannedService
from lambdas.release.results import RolloutResult, SteadyService
from lambdas.release.rollout import (
    Goal,
    ServiceDeployment,
    ServiceFacts,
    Verdict,
    firing,
    judge_rollout,
    judge_wave,
    needs_stopped_tasks,
)
from lambdas.release.state import needed
from lambdas.release.stopped_task import StoppedTask
from lambdas.release.verdicts import Status


def check_rollout(call: Invocation, dependencies: Dependencies, logger: Logger) -> RolloutResult:
    """Look at the wave until it is decided, or until the hold is over; at the alarms once."""
    plan, wave = call.plan, needed(call.state.wave)
    planned = [plan.services[name] for name in wave.services]
    alarms = firing(dependencies.alarms.states(plan.rollout.alarms), plan.rollout.alarms)

    watcher = _Watcher(call, dependencies)

    def look() -> tuple[dict[str, ServiceFacts], dict[str, Verdict]]:
        facts = dependencies.ecs.services(planned)
        now = dependencies.clock.now()
        return facts, {service.name: watcher.judge(service, facts.get(service.name), now) for service in planned}

    facts, verdicts = poll_until(
        look,
        lambda seen: bool(alarms) or judge_wave(seen[1]) != Status.IN_PROGRESS,
        every_seconds=plan.rollout.poll_seconds,
        hold_seconds=call.hold_seconds,
        clock=dependencies.clock,
    )
    status = Status.FAILED if alarms else judge_wave(verdicts)
    for name, verdict in verdicts.items():
        logger.info("rollout", service=name, status=verdict.status, reason=verdict.reason)
    before, now = call.state.rollout, dependencies.clock.now()
    steady = {name: SteadyService(now, verdict.desired) for name, verdict in verdicts.items()}
    return RolloutResult(
        status=status,
        wave=wave.index,
        more_waves=wave.index + 1 < len(plan.waves),
        services=verdicts,
        alarms=alarms,
        explanation=_explain(call, dependencies, verdicts, facts, alarms) if status == Status.FAILED else None,
        steady={**(before.steady if before else {}), **(steady if status == Status.STEADY else {})},
    )


class _Watcher:
    """Judges the services of one wave, and asks ECS for more only about what is in trouble."""

    def __init__(self, call: Invocation, dependencies: Dependencies) -> None:
        self._call, self._ecs = call, dependencies.ecs
        self._stopped: dict[tuple[str, int, int], tuple[StoppedTask, ...] | None] = {}

    def judge(self, service: PlannedService, facts: ServiceFacts | None, now: float) -> Verdict:
        """Judge a service; of one that failed, say how ECS itself counts."""
        goal = _goal(self._call, service.name)
        stopped = self._stopped_tasks(service, facts, goal)
        verdict = judge_rollout(facts, goal, now, stopped)
        if verdict.status not in (Status.FAILED, Status.SUPERSEDED) or facts is None or facts.status != "ACTIVE":
            return verdict
        theirs = self._service_deployment(service)
        verdict = judge_rollout(facts, goal, now, stopped, theirs)
        said = theirs.message if theirs and verdict.status == Status.FAILED else ""
        return replace(verdict, reason=f"{verdict.reason.rstrip('.')}; {said}") if said else verdict

    def _stopped_tasks(
        self, service: PlannedService, facts: ServiceFacts | None, goal: Goal
    ) -> tuple[StoppedTask, ...] | None:
        """Read the stopped tasks when enough of them are gone, and again when another one is."""
        if facts is None or not needs_stopped_tasks(facts, goal):
            return None
        failed = facts.primary.failed_tasks if facts.primary else 0
        seen = service.name, facts.tasks_started_since(goal.started_at), failed
        if seen not in self._stopped:
            try:
                self._stopped[seen] = self._ecs.stopped_tasks(service.cluster, service.service, goal.target)
            except AccessDenied:
                self._stopped[seen] = None
        return self._stopped[seen]

    def _service_deployment(self, service: PlannedService) -> ServiceDeployment | None:
        """Ask ECS about its own deployment; an answer is worth having, and nothing fails without it."""
        moved = needed(self._call.state.wave).services[service.name]
        deployment = moved.deployment or moved.replaced
        try:
            return self._ecs.service_deployment(service.cluster, service.service, deployment) if deployment else None
        except StepshipError:
            return None


def _goal(call: Invocation, name: str) -> Goal:
    plan, wave = call.plan, needed(call.state.wave)
    return Goal(
        target=wave.services[name].target,
        previous=plan.services[name].previous,
        replaced_deployment=wave.services[name].replaced,
        started_at=wave.started_at,
        deadline=wave.started_at + plan.rollout.timeout_seconds,
        failed_tasks_limit=plan.rollout.failed_tasks_limit,
        desired=plan.services[name].desired,
    )


def _explain(
    call: Invocation,
    dependencies: Dependencies,
    verdicts: dict[str, Verdict],
    facts: dict[str, ServiceFacts],
    alarms: tuple[str, ...],
) -> Explanation:
    """Gather evidence on what failed; when an alarm ended the wave, on what was not steady."""
    wave = needed(call.state.wave)
    failed = [n for n, v in verdicts.items() if v.status in (Status.FAILED, Status.SUPERSEDED)]
    subjects = failed or [name for name, verdict in verdicts.items() if verdict.status != Status.STEADY]
    evidence = [
        service_evidence(
            dependencies.ecs,
            dependencies.logs,
            call.plan.services[name],
            wave.services[name].target,
            facts.get(name),
            verdicts[name],
            since=wave.started_at,
        )
        for name in subjects[:5]
    ]
    return explain(evidence, alarms)


handler = Handler(check_rollout)
