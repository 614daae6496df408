"""A world to begin in, over and over: each schedule runs in a copy of it, which is a fork of this process.

Building a world and deploying its first release takes as long as three schedules; a fork takes 10 ms, copies
nothing that is not written to, and leaves nothing behind for the next schedule.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import select
import signal
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from lambdas.dependencies import Dependencies
from lambdas.release.history import Outcome
from simulator.engine.runs import Run
from simulator.environment.invariant import examine, outcome_of
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.scenario.play import Play, read_scenario
from statemachine.events import EventKind
from statemachine.steps import STEPS
from tools.exploration import cases
from tools.exploration.cases import Ending
from tools.exploration.invariants import Invariants
from tools.exploration.schedules import DEPLOYMENT, Place, Probe, Schedule

HANG_SECONDS = 120
"""Real seconds: a schedule that takes longer hangs. The slowest takes 3 s on a busy machine."""

SETTLE_SECONDS = 60.0
"""Virtual seconds after everything has ended: the tasks of a service that was scaled out last have started then."""

REPAIR = "repair"
"""The rollback that a person starts when a deployment could not even write down how it ended."""


@dataclass(frozen=True)
class Verdict:
    """How a schedule went.

    Attributes
    ----------
    outcomes
        How each execution ended, in the order in which they started; the first release is not among them.
    violations
        One sentence each; empty when everything held.
    probe
        Where one could break it, of the first execution.
    """

    outcomes: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    probe: Probe | None = field(default=None, repr=False)


class Checkpoint:
    """A world at rest whose first release is live. One at a time in a process.

    Parameters
    ----------
    migrates
        Whether a migration is registered.
    dependencies
        Makes the gateways of the functions; a test of the exploration puts a bug there.
    """

    def __init__(self, *, migrates: bool, dependencies: Callable[..., Dependencies] = Dependencies) -> None:
        self.migrates = migrates
        self._document = cases.simulated(migrates=migrates)
        self._dependencies = dependencies
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Build it."""
        scenario = read_scenario(self._document)
        with ExitStack() as stack:
            self._world = stack.enter_context(
                SimulatedEnvironment(
                    services=scenario.services,
                    migration=scenario.migration,
                    settings=scenario.settings,
                    dependencies=self._dependencies,
                )
            )
            self._play = Play(scenario, self._world)
            self._play.begin()
            self._play.go_on(scenario.steps)
            if [outcome_of(run) for run in self._world.aws.runs] != [Outcome.DEPLOYED]:
                raise RuntimeError("the first release did not arrive")
            self._invariants = Invariants(self._world)
            # What there is now is never written to again: the children share its memory.
            gc.collect()
            gc.freeze()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Forget it."""
        gc.unfreeze()
        self._exit.close()

    def document(self, schedule: Schedule) -> dict[str, Any]:
        """Return the schedule as a scenario file that stands for itself."""
        steps = [*self._document["steps"], *schedule.steps]
        used = {step.get("deploy") for step in steps}
        images = {tag: image for tag, image in self._document["images"].items() if tag in used}
        document = {**self._document, "description": schedule.title, "images": images, "steps": steps}
        return document if schedule.recovery is True else {**document, "recovery": schedule.recovery}

    def attempt(self, schedule: Schedule) -> Verdict:
        """Run a schedule in a copy of the world, to its end."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _answer(writer, lambda: self._run(schedule))
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            answer = _read(answers.fileno())
        if answer is None:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if answer is None:
            return Verdict(violations=(f"it hangs: not done after {HANG_SECONDS} s",))
        if not answer:
            return Verdict(violations=("its process died without an answer",))
        verdict: Verdict = pickle.loads(answer)  # noqa: S301 (our own child wrote it)
        return verdict

    def _run(self, schedule: Schedule) -> Verdict:
        simulated = self._world
        steps = [*self._document["steps"], *schedule.steps]
        scenario = read_scenario({**self._document, "steps": steps, "recovery": schedule.recovery})
        simulated.delivery = scenario.recovery
        events, runs = len(simulated.aws.events), len(simulated.aws.runs)
        wrong: list[str] = []
        try:
            self._play.go_on(scenario.steps[len(self._document["steps"]) :])
            simulated.aws.clock.sleep(SETTLE_SECONDS)
            wrong += self._wrong_at_rest(schedule)
            wrong += self._invariants.violations()
        except Exception as error:  # noqa: BLE001 (a deadlock, or a bug of the simulator: told as what it is)
            wrong += [f"it broke off: {error!r}", *traceback.format_exc().splitlines()[-6:]]
        outcomes = tuple(outcome_of(run) for run in simulated.aws.runs[runs:])
        ended = outcomes[0] if outcomes else "nothing"
        if schedule.outcome is not None and ended != schedule.outcome:
            wrong.append(f"{DEPLOYMENT} ended as {ended}; it has to end as {schedule.outcome}")
        elif schedule.ending is not None:
            wrong += _wrong_ending(simulated.aws.runs[runs], schedule.ending)
        return Verdict(outcomes, tuple(wrong), _probe(simulated, schedule, events))

    def _wrong_at_rest(self, schedule: Schedule) -> list[str]:
        """Examine the world; where faults may outlive every retry, after a person has rolled back."""
        snapshot = self._world.snapshot()
        found = examine(snapshot, self._world.aws.runs)
        if schedule.forgiving and (found.person_needed or found.violations):
            self._world.aws.faults.clear()
            # The journal says what to roll back; without one, whatever is not on the live release returns to it.
            target = {} if snapshot.journal else {"releaseId": "live"}
            run = self._world.run({"action": "rollback", **target, "requestedBy": "person:exploration"}, REPAIR)
            if outcome_of(run) not in (Outcome.DEPLOYED, Outcome.NOTHING_TO_DO):
                wrong = [*found.person_needed, *found.violations]
                return [*wrong, f"and a person's rollback ended as {outcome_of(run)}: {run.cause}"]
            found = examine(self._world.snapshot(), self._world.aws.runs)
            return [*found.person_needed, *filter(self._could_be_recorded, found.violations)]
        return [*found.person_needed, *found.violations]

    def _could_be_recorded(self, violation: str) -> bool:
        """Tell whether it is not about an execution that never had the lock, and whose record the table refused.

        Whoever gets the lock next writes the record of a holder; nobody knows of one that only waited. It says so in
        its Cause (docs/explanation/decisions/0013).
        """
        unknown = [
            run.name for run in self._world.aws.runs if "Outcome not recorded" in run.path and "Plan" not in run.path
        ]
        return not any(violation.startswith(f"{name} ended as") and "0 records" in violation for name in unknown)


def _wrong_ending(run: Run, ending: Ending) -> list[str]:
    """Compare the report of a deployment that nothing disturbed with how it has to end."""
    report = json.loads(run.cause) if run.cause else {}
    causes = (report.get("explanation") or {}).get("causes") or [{}]
    seen = Ending(outcome_of(run), report.get("step"), causes[0].get("cause"))
    if seen == ending:
        return []
    return [f"{run.name} failed in {seen.step} of {seen.cause}; it has to fail in {ending.step} of {ending.cause}"]


def _answer(writer: int, run: Callable[[], Verdict]) -> None:
    """Be the child: run, write the verdict, and end without what a Python process does at its end."""
    try:
        answer = pickle.dumps(run())
    except BaseException:  # noqa: BLE001 (whatever it is, the parent has to hear of it)
        answer = pickle.dumps(Verdict(violations=tuple(traceback.format_exc().splitlines())))
    with os.fdopen(writer, "wb") as answers:
        answers.write(answer)
    os._exit(0)


def _read(pipe: int) -> bytes | None:
    """Read all that a child writes; None when it does not end."""
    deadline = time.monotonic() + HANG_SECONDS
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(pipe, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _probe(simulated: SimulatedEnvironment, schedule: Schedule, since: int) -> Probe | None:
    """Collect the places at which the first execution of a schedule could have been broken."""
    first = schedule.deployment
    if not first:
        return None
    states = {step.function_name(simulated.identity): step.state for step in STEPS}
    seen: Counter[tuple[str, ...]] = Counter()
    calls: list[Place] = []
    made: dict[str, list[int]] = defaultdict(list)
    for event in simulated.aws.events[since:]:
        if event.execution != DEPLOYMENT or event.function not in states:
            continue
        step = states[event.function]
        if event.kind == EventKind.LAMBDA_INVOKED:
            made[step].append(0)
        elif event.kind == EventKind.AWS_CALL:
            service, operation = str(event.detail["service"]), str(event.detail["operation"])
            seen[step, service, operation] += 1
            made[step][-1] += 1
            calls.append(Place(step, seen[step, service, operation], service, operation))
    run = next(run for run in simulated.aws.runs if run.name == DEPLOYMENT)
    return Probe(
        tag=str(first["deploy"]),
        migrates=schedule.migrates,
        outcome=outcome_of(run),
        calls=tuple(calls),
        functions=tuple(
            Place(step, nth, calls=count) for step, counts in made.items() for nth, count in enumerate(counts, 1)
        ),
        visits=Counter(run.path),
    )
