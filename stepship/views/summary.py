"""What a scenario came to, in words: what the live view and the plain view both show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambdas.release.history import DeploymentRecord, Outcome, parse_timestamp
from lambdas.release.wording import counted
from simulator.engine.runs import Run
from simulator.environment.invariant import outcome_of
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.scenario.reader import Step
from simulator.scenario.result import report_of
from stepship.views.durations import duration

FAILED = frozenset({Outcome.REJECTED, Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED})

VERBS = {
    Outcome.REJECTED: "was rejected",
    Outcome.ROLLED_BACK: "was rolled back",
    Outcome.ROLLBACK_FAILED: "could not be rolled back",
    Outcome.STOPPED: "was stopped",
}


@dataclass(frozen=True)
class ServiceLine:
    """A service at one moment: what runs, by tag, oldest first.

    Attributes
    ----------
    versions
        ``(tag, revision, running, desired)`` of each deployment that ECS has not finished with.
    state
        ECS's ``rolloutState``.
    """

    name: str
    running: int
    desired: int
    versions: tuple[tuple[str, str, int, int], ...]
    state: str


def service_lines(simulated: SimulatedEnvironment) -> list[ServiceLine]:
    """Look at the services without an AWS call, in the order in which the world names them."""
    seen, prefix = simulated.live.snapshot(simulated.platform.cluster), f"{simulated.platform.cluster}-"
    lines = []
    for service in simulated.platform.services:
        each = seen[prefix + service.name]
        versions = tuple(
            (_tag(simulated, service.name, arn), arn.rpartition(":")[2], running, desired)
            for status, arn, running, desired in reversed(each.deployments)
            if status == "PRIMARY" or running or desired
        )
        lines.append(ServiceLine(service.name, each.running, each.desired, versions, each.rollout_state))
    return lines


def about(step: Step) -> str:
    """Say in a few words what happens: the file's words, or ``deploy v2``."""
    if step.about:
        return step.about
    if step.kind == "infrastructure":
        changes = [f"{key} {value}" for key, value in step.what.items() if key != "service"]
        return f"somebody changes {step.what['service']}: {', '.join(changes)}"
    if step.kind == "interrupt":
        return f"{counted(step.what.get('tasks', 1), 'task')} of {step.what['service']} ended: {step.what['kind']}"
    return f"{step.kind} {step.what}" if isinstance(step.what, str) else f"{step.kind} {json.dumps(step.what)[:60]}"


def why(run: Run, runs: Sequence[Run], records: Mapping[str, DeploymentRecord]) -> tuple[str, Mapping[str, Any]] | None:
    """Return a title and a report for an execution that needs an explanation; None for others.

    Parameters
    ----------
    runs
        All of its phase: the recovery tells what was done about a stop.
    records
        The history by execution: a stopped execution could not write its own report.
    """
    outcome = Outcome(outcome_of(run))
    if outcome not in VERBS:
        return None
    report = dict(report_of(run))
    if outcome == Outcome.STOPPED:
        record = records.get(run.name)
        report = {"message": record.report.message if record else f"it ended as {run.status}"}
        report["explanation"] = {"done": list(_recovered(run, runs))}
    step = f" at {report['step']}" if report.get("step") else ""
    return f"Why {run.name} {VERBS[outcome]}{step}", report


def history_rows(records: Mapping[str, DeploymentRecord]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Give start (UTC), execution, action, tag, outcome and duration of each record."""
    for name, record in records.items():
        lasted = parse_timestamp(record.ended_at) - parse_timestamp(record.started_at)
        yield record.started_at[11:19], name, record.action, record.image_tag or "", record.outcome, duration(lasted)


def totals(executions: int, calls: int, virtual_seconds: float, real_seconds: float) -> str:
    """``6 executions, 514 AWS calls: 14 min 53 s of virtual time in 9.1 s``."""
    return (
        f"{executions} execution{'s' if executions != 1 else ''}, {calls} AWS calls: "
        f"{duration(virtual_seconds)} of virtual time in {real_seconds:.1f} s"
    )


def _tag(simulated: SimulatedEnvironment, service: str, arn: str) -> str:
    definition = simulated.live.task_definitions.describe(arn)
    name = simulated.platform.container(service)
    return simulated.tag_of(next(each["image"] for each in definition["containerDefinitions"] if each["name"] == name))


def _recovered(run: Run, runs: Sequence[Run]) -> Iterator[str]:
    for other in runs:
        if f'"takeover": "{run.arn}"' not in other.input_json:
            continue
        services = (other.output or {}).get("services") if outcome_of(other) == Outcome.DEPLOYED else None
        yield f"EventBridge started {other.name}, which waited until no function of {run.name} could still write."
        if services:
            yield f"It made sure that {', '.join(services)} and the parameters are what they were before."
        else:
            yield f"It ended as {outcome_of(other)}."
