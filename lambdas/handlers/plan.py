"""``Plan``: look at what runs, check it, and decide everything that will be written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.gatekeeper import pass_gates
from lambdas.handler import Handler, Invocation
from lambdas.plan_checks import deploy_checks, rollback_checks
from lambdas.release.catalog import MIGRATION, Catalog, Service, parse_catalog
from lambdas.release.codec import encode
from lambdas.release.errors import AwsError
from lambdas.release.history import DeploymentRecord, Listed, Release, release_id_of
from lambdas.release.image import check_release
from lambdas.release.plan import AbandonedTask, Plan, check_size, migration_started_by, room_for_checks
from lambdas.release.planning import (
    PlanInputs,
    Policies,
    RunningService,
    left_behind,
    plan_deploy,
    plan_recovery,
    plan_rollback,
    with_moved,
)
from lambdas.release.policies import ApprovalPolicy, CircuitBreakerPolicy, MigrationPolicy, RolloutPolicy
from lambdas.release.preflight import (
    Check,
    Result,
    check_alarms,
    check_gone,
    check_migration_network,
    check_room,
    check_service,
    check_task_definition,
    require,
    shown,
    skip,
)
from lambdas.release.request import Request
from lambdas.release.rollback_target import (
    LIVE,
    PASSED_OVER,
    ReleaseBefore,
    choose_release,
    left_by_rollback,
    release_before,
    undone_meanwhile,
)
from lambdas.release.rollout import ServiceFacts
from lambdas.release.state import needed
from lambdas.release.task_definition import Platform, TaskDefinition, is_revision_of

RECENT = 50
"""Records that a rollback without a name looks at: what ended while it waited, and what somebody rolled back from.

Worked example: with ten deployments a day a release that was fled from is known as such for a week.
"""


def plan(call: Invocation, dependencies: Dependencies, logger: Logger) -> Plan:
    """Return the plan.

    Raises
    ------
    DeploysPaused, Frozen
        A deploy is held back.
    PreflightFailed
        Lists every check that is FAIL.
    WrongArchitecture
        The image has no manifest for what a service runs on.
    ReleaseNotFound, NoServices, InvalidRegistration
    """
    request = call.request
    checks = pass_gates(call, dependencies)
    journal = _journal(call, dependencies)
    catalog = parse_catalog(dependencies.parameters.below(dependencies.identity.services_path))
    if journal and not request.is_deploy:
        catalog = with_moved(catalog, journal)
    catalog = catalog.select(request.services)
    facts = dependencies.ecs.services(catalog.services)
    gone = _gone(call, catalog, facts, journal)
    checks += gone.values()
    services = [s for s in catalog.services if s.name not in gone]
    # Of a service that another controller deploys nothing else matters, and there may be no task definition to look at.
    ours = [s for s in services if s.name in facts and facts[s.name].settings.controller == "ECS"]
    definitions = {s.name: dependencies.ecs.task_definition(facts[s.name].task_definition) for s in ours}
    # What new revisions are made from: what runs, or the registered family where a placeholder runs instead.
    # On the way back nothing is made of what runs: there the containers of the target count.
    bases = {
        s.name: definitions[s.name]
        if is_revision_of(facts[s.name].task_definition, s.family)
        else dependencies.ecs.task_definition(s.family)
        for s in (ours if request.is_deploy else ())
    }
    may_interrupt = request.force or not request.is_deploy
    checks += [c for s in services for c in check_service(s.name, facts.get(s.name), may_interrupt=may_interrupt)]
    alarms = dependencies.alarms.states(dependencies.policy(CircuitBreakerPolicy).alarms) if request.is_deploy else {}
    migration = _migration(request, catalog, dependencies)
    if request.is_deploy:
        checks += [c for s in ours for c in check_task_definition(s.name, s.family, s.containers, bases[s.name])]
        checks += [check_room(s.name, facts[s.name]) for s in ours]
        checks += deploy_checks(call, catalog, bases, migration, dependencies)
        checks += check_alarms(dependencies.policy(CircuitBreakerPolicy).alarms, alarms, forced=request.force)
    require(checks)
    _check_platforms(call, ours, bases)

    running = {
        s.name: RunningService(
            s,
            facts[s.name],
            _image(definitions[s.name], s.containers),
            () if request.is_deploy or request.release_id else _beside(s, facts[s.name], dependencies),
        )
        for s in services
    }
    names = [
        dependencies.identity.tag_parameter,
        *(dependencies.identity.images_path + n for n in (*(s.name for s in catalog.services), MIGRATION)),
    ]
    inputs = PlanInputs(
        identity=dependencies.identity,
        catalog=catalog,
        running=running,
        parameters=dependencies.parameters.get(names),
        live=dependencies.releases.live(),
        journal=journal,
        migration=migration,
        abandoned=_abandoned_migration(journal, dependencies),
    )
    silent = [name for name, state in alarms.items() if state != "ALARM"]
    made, more = _decide_and_check(
        call, dependencies, inputs, replace(dependencies.policy(CircuitBreakerPolicy), alarms=tuple(silent))
    )
    require(more)
    checks += more
    state_bytes = len(json.dumps({**call.state.keys, "plan": encode(made)}))
    environment = dependencies.identity.environment
    size = check_size(made, state_bytes, environment, dry_run=request.dry_run)
    require([size])
    checks.append(size)
    interesting = [c for c in checks if c.result != Result.OK or request.dry_run]
    room = room_for_checks(made, state_bytes, dry_run=request.dry_run)
    logger.info("checks", results=[str(check) for check in checks])
    logger.info("planned", nothing_to_do=made.nothing_to_do, services=sorted(made.services))
    return replace(made, checks=shown(interesting, room, environment))


def _check_platforms(call: Invocation, services: Sequence[Service], bases: Mapping[str, TaskDefinition | None]) -> None:
    """Compare what the image is built for with what new revisions are made from."""
    wanted: dict[str, dict[str, Platform]] = {}
    for service in services:
        if base := bases.get(service.name):
            wanted.setdefault(service.repository, {})[service.name] = base.platform
    if call.state.image is not None:
        check_release(call.state.image, wanted)


def _journal(call: Invocation, dependencies: Dependencies) -> Plan | None:
    """Read the plan of the deployment that this one recovers from, if its writes had begun."""
    return dependencies.releases.read_journal() if needed(call.state.lock).inherited else None


def _gone(
    call: Invocation, catalog: Catalog, facts: Mapping[str, ServiceFacts], journal: Plan | None
) -> dict[str, Check]:
    """Say of the services that a way back goes on without why: they were deleted."""
    if call.request.is_deploy:
        return {}
    found = {s.name: check_gone(s.name, facts.get(s.name)) for s in catalog.services}
    gone = {name: check for name, check in found.items() if check is not None}
    # Where none is left, a recovery still restores the parameters; any other rollback asks for something else.
    is_recovery = journal is not None or call.request.takeover is not None
    return gone if is_recovery or len(gone) < len(found) else {}


def _migration(request: Request, catalog: Catalog, dependencies: Dependencies) -> TaskDefinition | None:
    """Describe what the migration is made from; None when none is run."""
    if not request.is_deploy or not request.run_migration or catalog.migration is None:
        return None
    return dependencies.ecs.task_definition(catalog.migration.family)


def _abandoned_migration(journal: Plan | None, dependencies: Dependencies) -> AbandonedTask | None:
    """Find the migration that a stopped deployment has left running."""
    if journal is None or not journal.migration.needed:
        return None
    before = journal.migration
    started_by = migration_started_by(str(journal.release_id))
    task = dependencies.ecs.running_task(before.cluster, started_by) if before.runs else None
    return AbandonedTask(before.cluster, task) if task else before.abandoned


def _decide_and_check(
    call: Invocation, dependencies: Dependencies, inputs: PlanInputs, circuit_breaker: CircuitBreakerPolicy
) -> tuple[Plan, tuple[Check, ...]]:
    made, said = _decide(call, dependencies, inputs, circuit_breaker)
    if made.action == "deploy":
        has_network = bool(made.migration.network)
        return made, check_migration_network(MIGRATION, inputs.migration, has_network=has_network)
    return made, (*said, *rollback_checks(call, made, inputs, dependencies))


def _decide(
    call: Invocation, dependencies: Dependencies, inputs: PlanInputs, circuit_breaker: CircuitBreakerPolicy
) -> tuple[Plan, tuple[Check, ...]]:
    request = call.request
    policies = Policies(
        dependencies.policy(RolloutPolicy),
        circuit_breaker,
        dependencies.policy(MigrationPolicy),
        dependencies.policy(ApprovalPolicy),
    )
    if request.is_deploy:
        release_id = release_id_of(call.execution, call.started_at)
        return plan_deploy(request, needed(call.state.image), inputs, policies, release_id), ()
    if request.takeover or (inputs.journal and not request.release_id):
        return plan_recovery(request, inputs, policies), ()
    records = Listed[DeploymentRecord]() if request.release_id else dependencies.releases.history(RECENT)
    environment = dependencies.identity.environment
    unread = tuple(skip(environment, "history", each) for each in records.unreadable)
    if undone_meanwhile(records, call.started_at):
        return plan_recovery(request, inputs, policies), unread
    named = request.release_id if request.release_id != LIVE else None
    wanted = dependencies.releases.release(named) if named else None
    before = _release_before(inputs, records, dependencies) if not request.release_id else ReleaseBefore(None)
    chosen = choose_release(request, inputs, wanted, before.release, before.passed_over)
    made = plan_rollback(request, chosen, inputs, policies)
    passed_over = before.passed_over if chosen is before.release else ()
    said = tuple(skip(environment, PASSED_OVER, each) for each in passed_over)
    return made, (*unread, *said, *left_behind(made, inputs))


def _release_before(inputs: PlanInputs, records: Listed[DeploymentRecord], dependencies: Dependencies) -> ReleaseBefore:
    if inputs.live is None:
        return ReleaseBefore(None)

    def find(release_id: str) -> Release | str:
        try:
            return dependencies.releases.release(release_id) or f"{release_id} was deleted from the history"
        except AwsError as error:
            return str(error)

    return release_before(
        inputs.live, left_by_rollback(records), find, lambda than: dependencies.releases.older_releases(than, 1)
    )


def _beside(service: Service, facts: ServiceFacts, dependencies: Dependencies) -> tuple[str | None, ...]:
    """Return what else a service runs, or ran, in the middle of a rollout; asks nothing about one at rest."""
    if facts.is_settled:
        return ()
    others = dict.fromkeys(d.task_definition for d in facts.deployments if d.task_definition != facts.task_definition)
    return tuple(_image(dependencies.ecs.task_definition(arn), service.containers) for arn in others)


def _image(definition: TaskDefinition | None, containers: tuple[str, ...]) -> str | None:
    return definition.image(*containers) if definition else None


handler = Handler(plan)
