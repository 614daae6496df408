"""What must be true while a schedule runs, and at its end: every write is checked at the moment of its effect.

The invariant of the world at rest is :mod:`simulator.environment.invariant`. This adds what only shows on the way:

* whoever writes to the world holds the lock at that moment;
* only images that were verified are registered, pinned or run;
* no execution outlives the machine's timeout;
* an execution that says it moved nothing has written nothing, one that says it went back has returned everything,
  and its event says the same as its end.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from lambdas.release.history import Outcome
from simulator.engine.runs import Run
from simulator.environment.invariant import outcome_of
from simulator.environment.recorded_outcomes import lock_holder
from simulator.environment.simulated_environment import DEFINITION_FILE, SimulatedEnvironment
from simulator.faults.api_call import ApiCall
from statemachine.events import Event, EventKind

WRITES = frozenset(
    {
        ("ssm", "PutParameter"),
        ("ssm", "DeleteParameter"),
        ("ecs", "RegisterTaskDefinition"),
        ("ecs", "UpdateService"),
        ("ecs", "RunTask"),
        ("ecs", "StopTask"),
    }
)
"""The calls that change what runs, or what will run."""

UNMOVED = frozenset({Outcome.REJECTED, Outcome.NOTHING_TO_DO, Outcome.PLANNED, Outcome.SUPERSEDED})
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TIMEOUT_TOLERANCE_SECONDS = 1.0


class Invariants:
    """Watches a world from now on.

    Parameters
    ----------
    world
        At rest.
    """

    def __init__(self, simulated: SimulatedEnvironment) -> None:
        self._world = simulated
        self._wrong: list[str] = []
        self._wrote_at: dict[str, float] = {}
        self._verified: set[str] = {*DIGEST.findall(json.dumps(simulated.snapshot().services))}
        self._verified.update(DIGEST.findall(json.dumps(simulated.parameters())))
        self._definitions: dict[str, set[str]] = {}
        self._before: dict[str, dict[str, str]] = {}
        self._told: dict[str, set[str]] = defaultdict(set)
        timeout = json.loads(DEFINITION_FILE.read_text())["TimeoutSeconds"]
        self._timeout_seconds = min(timeout, simulated.settings.machine.timeout_seconds)
        simulated.aws.watch_effects(self._effect)
        simulated.aws.subscribe(self._event)

    def violations(self) -> Iterator[str]:
        """Yield what was and is wrong, one sentence each. The world is at rest."""
        yield from dict.fromkeys(self._wrong)
        for run in self._world.aws.runs:
            yield from self._of(run)

    def _of(self, run: Run) -> Iterator[str]:
        truth = outcome_of(run)
        if run.ended and run.started_at is not None and run.ended_at is not None:
            lasted = run.ended_at - (run.redriven_at or run.started_at)
            if lasted > self._timeout_seconds + TIMEOUT_TOLERANCE_SECONDS:
                yield f"{run.name} lasted {lasted:.0f} s; the machine's timeout is {self._timeout_seconds} s"
        # What a redriven one wrote before, somebody else has rolled back.
        if truth in UNMOVED and self._wrote_at.get(run.arn, -1.0) >= (run.redriven_at or 0.0):
            yield f"{run.name} ended as {truth}, and has written"
        if truth == Outcome.ROLLED_BACK:
            before, after = self._before.get(run.name, {}), self._world.endings.ran.get(run.name, {})
            for service, image in before.items():
                if after.get(service) != image:
                    yield f"{run.name} ended as {truth}, and {service} ran {after.get(service)}, not {image} as before"
        told = self._told[run.arn] - {truth}
        if told and truth != Outcome.STOPPED:
            yield f"{run.name} ended as {truth}, and its event said {', '.join(sorted(told))}"

    def _effect(self, call: ApiCall) -> None:
        if (call.service, call.operation) == ("events", "PutEvents"):
            for entry in call.params["Entries"]:
                detail = json.loads(entry["Detail"])
                if "outcome" in detail:
                    self._told[detail["execution"]].add(detail["outcome"])
        if (call.service, call.operation) not in WRITES:
            return
        arn = self._arn_of(call.execution)
        self._wrote_at[arn] = self._world.aws.clock.now()
        holder = lock_holder(self._world.identity.table)
        if holder != arn:
            what = f"{call.execution}: {call.service}:{call.operation} in {call.state}"
            self._wrong.append(f"{what}, while the lock is held by {(holder or 'nobody').rpartition(':')[2]}")
        for digest in self._digests(call) - self._verified:
            self._wrong.append(f"{call.execution}: {call.service}:{call.operation} of {digest}, which nobody verified")

    def _event(self, event: Event) -> None:
        if event.kind == EventKind.STATE_EXITED and event.state == "Verify image":
            output = json.loads(str(event.detail["output"]))
            self._verified.update(DIGEST.findall(json.dumps(output.get("image", {}))))
        elif event.kind == EventKind.STATE_EXITED and event.state == "Plan":
            self._before[event.execution] = self._world.images()

    def _arn_of(self, execution: str) -> str:
        return next((run.arn for run in self._world.aws.runs if run.name == execution), execution)

    def _digests(self, call: ApiCall) -> set[str]:
        params: Mapping[str, Any] = call.params
        definition = params.get("taskDefinition")
        if definition is None:
            written = {key: params[key] for key in ("containerDefinitions", "Value") if key in params}
            return set(DIGEST.findall(json.dumps(written)))
        if definition not in self._definitions:
            found = self._world.live.task_definitions.describe(definition)
            self._definitions[definition] = set(DIGEST.findall(json.dumps(found["containerDefinitions"])))
        return self._definitions[definition]
