"""What others did meanwhile, and how far a rollback has come: decided on what runs, so it may start at any point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lambdas.release.errors import RollbackTimeout
from lambdas.release.plan import Plan, PlannedService
from lambdas.release.rollout import ServiceFacts, is_rollback_of_ecs
from lambdas.release.task_definition import TaskDefinition, is_twin
from lambdas.release.verdicts import RollbackStatus


def changed_by_others(
    plan: Plan, facts: Mapping[str, ServiceFacts], ours: Mapping[str, str]
) -> dict[str, ServiceFacts]:
    """Return the services that run neither what they had nor what this deployment gave them."""
    return {
        name: there
        for name, service in plan.services.items()
        if (there := _there(facts.get(name))) is not None
        and there.primary is not None
        and there.primary.task_definition not in (service.previous, ours.get(name))
    }


def with_twins(plan: Plan, facts: Mapping[str, ServiceFacts], twins: Mapping[str, str]) -> Plan:
    """Let services return to the ACTIVE revisions that stand for what was deregistered.

    One that still is where it was, or that ECS itself has put back there, stays: ECS goes on with an INACTIVE revision.

    Parameters
    ----------
    twins
        Service to the ARN of a revision with the content of its previous one.
    """
    services = dict(plan.services)
    for name, twin in twins.items():
        service = services.get(name)
        if service and not _is_returning(service, facts.get(name)):
            services[name] = replace(service, previous=twin)
    return replace(plan, services=services)


def keep_infrastructure(
    plan: Plan, running: Mapping[str, TaskDefinition | None], before: Mapping[str, TaskDefinition | None]
) -> Plan:
    """Leave a service where somebody else put it, if it runs the code that it had before.

    An infrastructure deploy that was made meanwhile is not undone: only the code is rolled back. A revision that an
    earlier run of ``Roll back`` has registered, because the previous one was INACTIVE, is known by the same rule.

    Parameters
    ----------
    running
        What the services of ``changed_by_others`` run.
    before
        What those had before whose image of before is not known.
    """
    services = dict(plan.services)
    for name, definition in running.items():
        service, had = plan.services[name], before.get(name)
        if definition is None:
            continue
        same_code = service.previous_image and definition.image(*service.containers) == service.previous_image
        if same_code or (had is not None and is_twin(definition, had)):
            services[name] = replace(service, previous=definition.arn)
    return replace(plan, services=services)


def was_put_back_by_ecs(service: PlannedService, facts: ServiceFacts | None) -> bool:
    """Whether ECS itself, and nobody else, has put something in the place of our deployment.

    An event of an earlier rollback leads to the deployment that was there when the plan was made, so it does not count.
    """
    there = _there(facts)
    if there is None or there.primary is None or there.primary.id == service.deployment:
        return False
    return is_rollback_of_ecs(there, 0)


def next_wave_back(plan: Plan, facts: Mapping[str, ServiceFacts]) -> tuple[PlannedService, ...]:
    """Return the wave to work on: going backwards, the first that is not wholly back; empty when all are."""
    for wave in reversed(plan.waves):
        services = tuple(plan.services[name] for name in wave)
        if not all(is_back(service, facts.get(service.name)) for service in services):
            return services
    return ()


def to_restore(wave: Sequence[PlannedService], facts: Mapping[str, ServiceFacts]) -> tuple[PlannedService, ...]:
    """Return the services of the wave that ECS is not rolling back already."""
    return tuple(service for service in wave if not _is_returning(service, facts.get(service.name)))


def is_back(service: PlannedService, facts: ServiceFacts | None) -> bool:
    """Whether the service runs steadily on the exact task definition that it had.

    A service that is gone has nothing to return to; the report says so by its verdict, not by waiting.
    """
    there = _there(facts)
    return there is None or (_is_returning(service, there) and there.is_settled)


def _is_returning(service: PlannedService, facts: ServiceFacts | None) -> bool:
    there = _there(facts)
    return there is None or (there.primary is not None and there.primary.task_definition == service.previous)


def _there(facts: ServiceFacts | None) -> ServiceFacts | None:
    """Leave out a service that cannot be updated: ECS lists a deleted one as DRAINING, then for a while as INACTIVE."""
    return facts if facts and facts.status == "ACTIVE" else None


def judge_rollback(plan: Plan, facts: Mapping[str, ServiceFacts], started_at: float, now: float) -> RollbackStatus:
    """Decide how a rollback stands.

    Raises
    ------
    RollbackTimeout
        It took too long, or ECS gave a service up on its previous task definition.
    """
    wave = next_wave_back(plan, facts)
    if not wave:
        return RollbackStatus.STEADY
    given_up = [
        service.name
        for service in wave
        if _is_returning(service, facts.get(service.name)) and _was_given_up(facts.get(service.name))
    ]
    late = now - started_at >= plan.rollout.rollback_timeout_seconds
    if given_up or late:
        late_ones = given_up or [s.name for s in wave if not is_back(s, facts.get(s.name))]
        why = "ECS gave it up" if given_up else f"not steady after {round(now - started_at)} s"
        rest = [s.name for s in plan.in_order() if s.name not in late_ones and not is_back(s, facts.get(s.name))]
        more = f"; not back yet either: {', '.join(rest)}" if rest else ""
        raise RollbackTimeout(f"{', '.join(late_ones)}: {why} on the previous task definition{more}")
    if to_restore(wave, facts):
        return RollbackStatus.NEXT_WAVE
    return RollbackStatus.IN_PROGRESS


def _was_given_up(facts: ServiceFacts | None) -> bool:
    return facts is not None and facts.primary is not None and facts.primary.rollout_state == "FAILED"
