"""What a scenario came to: the JSON of ``stepship simulate --json``, and what differs from the expectations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambdas.release.codec import encode
from lambdas.release.history import DeploymentRecord, Outcome
from simulator.engine.runs import Run
from simulator.environment.invariant import Examination, outcome_of
from simulator.environment.snapshot import Snapshot
from simulator.faults.calls import CallLog


@dataclass(frozen=True)
class ScenarioResult:
    """How a scenario ended.

    Attributes
    ----------
    document
        What ``--json`` prints; the same for every run of the same scenario.
    runs
        All executions, recoveries included, in the order in which they started.
    world, examination
        The world at the end, and its comparison with the invariant.
    records
        The history by the name of the execution, oldest first.
    mismatches
        What differs from the scenario's expectations, one sentence each.
    """

    document: Mapping[str, Any]
    runs: tuple[Run, ...]
    simulated: Snapshot
    examination: Examination
    records: Mapping[str, DeploymentRecord]
    mismatches: tuple[str, ...]

    @property
    def is_as_expected(self) -> bool:
        """Whether everything ended as the scenario says; a violation that it does not name is a mismatch."""
        return not self.mismatches


def deployment_document(run: Run, calls: CallLog) -> dict[str, Any]:
    """Describe one execution.

    Returns
    -------
    dict
        ``name``, ``status``, ``output`` or ``error`` and ``cause`` (parsed when it is JSON), ``states`` in the order
        in which they were entered, ``durations`` in virtual seconds by state, ``apiCalls`` by API call.
    """
    ending: dict[str, Any] = {"output": run.output}
    if run.status != "SUCCEEDED":
        ending = {"error": run.error, "cause": parsed(run.cause)}
    durations: dict[str, float] = {}
    for visit in run.states:
        left = visit.exited_at if visit.exited_at is not None else (run.ended_at or visit.entered_at)
        durations[visit.state] = round(durations.get(visit.state, 0.0) + left - visit.entered_at, 3)
    made = Counter(f"{call.service}:{call.operation}" for call in calls if call.execution == run.name)
    return {
        "name": run.name,
        "status": run.status,
        **ending,
        "states": run.path,
        "durations": durations,
        "apiCalls": dict(sorted(made.items())),
        **({"redriveCount": run.redrive_count} if run.redrive_count else {}),
    }


def world_document(simulated: Snapshot) -> dict[str, Any]:
    """Describe the world at the end."""
    return {
        "services": {name: dict(service) for name, service in simulated.services.items()},
        "parameters": dict(simulated.parameters),
        "lock": simulated.lock,
        "history": [encode(dict(record)) for record in simulated.history],
    }


def report_of(run: Run) -> Mapping[str, Any]:
    """Return the report that an execution ended with; empty when it was stopped or broke."""
    report = run.output if run.status == "SUCCEEDED" else parsed(run.cause)
    return report if isinstance(report, dict) else {}


def parsed(text: str | None) -> Any:
    """Return what a text says in JSON, or the text."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def deployment_mismatches(expect: Mapping[str, Any], run: Run) -> Iterable[str]:
    """Compare an execution with a step's ``expect``."""
    report = report_of(run)
    causes = (report.get("explanation") or {}).get("causes") or [{}]
    seen = {
        "status": run.status,
        "outcome": outcome_of(run),
        "error_type": report.get("errorType"),
        "step": report.get("step"),
        "cause": causes[0].get("cause"),
    }
    for key, value in seen.items():
        if key in expect and expect[key] != value:
            said = f" ({report['message']})" if report.get("message") else ""
            yield f"{run.name}: {key} is {value}, not {expect[key]}{said}"
    if "message" in expect and expect["message"] not in str(report.get("message")):
        yield f"{run.name}: the message does not say {expect['message']!r}, but {report.get('message')!r}"


def world_mismatches(
    expect: Mapping[str, Any],
    simulated: Snapshot,
    examination: Examination,
    tags: Mapping[str, str],
    memory: Mapping[str, int],
) -> Iterable[str]:
    """Compare the world at the end with the scenario's ``expect``.

    Parameters
    ----------
    tags
        Service name to the tag of the image that it runs.
    memory
        Service name to the memory of its task definition, MiB.
    """
    for what, expected, found in (
        ("image", expect.get("images", {}), tags),
        ("memory", expect.get("memory", {}), memory),
    ):
        for name, value in expected.items():
            if found.get(name) != value:
                yield f"{name}: {what} is {found.get(name)}, not {value}"
    tag = simulated.parameters.get(simulated.tag_parameter)
    if "tag" in expect and tag != expect["tag"]:
        yield f"{simulated.tag_parameter} is {tag}, not {expect['tag']}"
    outcomes = [str(record["outcome"]) for record in simulated.history]
    if "history" in expect and outcomes != expect["history"]:
        yield f"the history is {', '.join(outcomes)}, not {', '.join(expect['history'])}"
    yield from _violation_mismatches(expect.get("violations", ()), examination.violations)
    needed = bool(examination.person_needed)
    if needed != expect.get("person_needed", False):
        yield "; ".join(examination.person_needed) or f"no execution ended as {Outcome.ROLLBACK_FAILED}"


def _violation_mismatches(expected: Sequence[str], found: Sequence[str]) -> Iterable[str]:
    for sentence in found:
        if not any(piece in sentence for piece in expected):
            yield f"invariant: {sentence}"
    for piece in expected:
        if not any(piece in sentence for sentence in found):
            yield f"invariant: no violation says {piece!r}"
