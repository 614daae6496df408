"""``Check rollout``: a verdict on every service of the wave, and the explanation when one failed."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.aws.evidence import service_evidence
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.polling import poll_until
from lambdas.release.explanation import Explanation, explain
from lambdas.release.results import RolloutResult, needed
from lambdas.release.rollout import Goal, ServiceFacts, Verdict, firing, judge_rollout, judge_wave
from lambdas.release.verdicts import Status


def check_rollout(call: Invocation, dependencies: Dependencies, logger: Logger) -> RolloutResult:
    """Look at the wave until it is decided, or until the hold is over; at the alarms once."""
    plan, wave = call.plan, needed(call.state.wave)
    planned = [plan.services[name] for name in wave.services]
    alarms = firing(dependencies.alarms.states(plan.rollout.alarms), plan.rollout.alarms)

    def look() -> tuple[dict[str, ServiceFacts], dict[str, Verdict]]:
        facts = dependencies.ecs.services(planned)
        now = dependencies.clock.now()
        return facts, {s.name: judge_rollout(facts.get(s.name), _goal(call, s.name), now) for s in planned}

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
    return RolloutResult(
        status=status,
        wave=wave.index,
        more_waves=wave.index + 1 < len(plan.waves),
        services=verdicts,
        alarms=alarms,
        explanation=_explain(call, dependencies, verdicts, facts, alarms) if status == Status.FAILED else None,
    )


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
