"""Run a scenario: the world of a YAML file, its deployments one after the other or overlapping, faults, stops.

>>> run_scenario(FOLDER / "crash-at-start.yaml").is_as_expected                 # doctest: +SKIP
True

The driver's thread plays the people: it starts what is due, waits until everything has ended, and goes on. Steps that
overlap belong to one *phase* with the step that they overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError

from lambdas.release.task_definition import READ_ONLY
from simulator.engine.runs import NotRedrivableError, Run
from simulator.environment.invariant import examine
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.faults import CallFault, FunctionFault
from simulator.scenario.reader import FOLDER, PREVIOUS, Answer, Scenario, ScenarioError, Step, read_scenario
from simulator.scenario.result import (
    ScenarioResult,
    deployment_document,
    deployment_mismatches,
    world_document,
    world_mismatches,
)
from statemachine.events import Event, EventKind

__all__ = ["FOLDER", "Scenario", "ScenarioError", "ScenarioResult", "Step", "Viewer", "read_scenario", "run_scenario"]

ASKING = "Wait for approval"
ASKING_SECONDS = 1.0
"""A person cannot answer before the function has kept the task token."""

TASKS_START_SECONDS = 300.0
"""So long a scenario waits, after all executions, for the tasks of a service that was scaled or interrupted."""

INFRASTRUCTURE_SECONDS = 1800.0
"""CloudFormation waits longer for a service; a scenario whose infrastructure does not get steady is broken."""


class Viewer(Protocol):
    """Somebody who watches a scenario."""

    def begin(self, scenario: Scenario, simulated: SimulatedEnvironment) -> None:
        """The world stands; nothing has happened yet."""

    def phase(self, steps: Sequence[Step]) -> None:
        """These steps begin, the first of them now."""

    def event(self, event: Event) -> None:
        """Something happened; called in the thread in which it happened."""

    def rest(self, runs: Sequence[Run]) -> None:
        """The phase is over; these executions belonged to it, recoveries included."""


class _Nobody:
    """Nobody watches."""

    def begin(self, scenario: Scenario, simulated: SimulatedEnvironment) -> None:
        pass

    def phase(self, steps: Sequence[Step]) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def rest(self, runs: Sequence[Run]) -> None:
        pass


def run_scenario(
    source: Path | Mapping[str, Any] | Scenario, viewer: Viewer | None = None, *, pace: float = 0.0
) -> ScenarioResult:
    """Run a scenario from its beginning to the world at rest.

    Parameters
    ----------
    source
        A YAML file, what is in one, or what was read from one.
    viewer
        Who watches.
    pace
        Real seconds per virtual second, for somebody who watches.

    Raises
    ------
    ScenarioError
        The file cannot be used.
    """
    scenario = source if isinstance(source, Scenario) else read_scenario(source)
    simulated = SimulatedEnvironment(
        services=scenario.services,
        migration=scenario.migration,
        settings=scenario.settings,
        pace=pace,
        pace_limit_seconds=0.2,
        seed=scenario.seed,
        recovery=scenario.recovery,
        circuit_breaker=scenario.circuit_breaker,
    )
    with simulated:
        play = Play(scenario, simulated, viewer)
        play.begin()
        play.go_on(scenario.steps)
        return play.result()


class Play:
    """One run of a scenario in a world that stands: :meth:`begin`, then :meth:`go_on` as often as one likes."""

    def __init__(self, scenario: Scenario, simulated: SimulatedEnvironment, viewer: Viewer | None = None) -> None:
        self.scenario, self.simulated, self.viewer = scenario, simulated, viewer or _Nobody()
        self.clock = simulated.aws.clock
        self.began_at = self.clock.now()
        self.runs: dict[str, Run] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: set[str] = set()
        self.mismatches: list[str] = []

    def begin(self) -> None:
        """Push the images."""
        for image in self.scenario.images:
            self.simulated.push(
                image.tag,
                image.behavior,
                per_service=image.per_service,
                architectures=image.architectures,
                index=image.index,
                scan=image.scan,
                archived=image.archived,
                artifact=image.artifact,
            )
        self.viewer.begin(self.scenario, self.simulated)
        self.simulated.aws.subscribe(self._answer_questions)
        self.simulated.aws.subscribe(self.viewer.event)

    def go_on(self, steps: Sequence[Step]) -> None:
        """Play these steps until the world is at rest."""
        for phase in phases(steps):
            self._play(phase)

    def _play(self, phase: Sequence[Step]) -> None:
        known = len(self.simulated.aws.runs)
        self.viewer.phase(phase)
        for at, step in self._times(phase):
            self.clock.sleep(at - self.clock.now())
            if step.kind == "infrastructure":
                self._deploy_infrastructure(step)
            elif step.kind == "redrive":
                self._redrive(step)
            elif step.kind == "interrupt":
                self._interrupt(step)
            else:
                self._start(step)
        self.simulated.settle()
        if any(step.kind in ("infrastructure", "interrupt") for step in phase):
            self._let_tasks_start()
        self.viewer.rest(self.simulated.aws.runs[known:])

    def _times(self, phase: Sequence[Step]) -> list[tuple[float, Step]]:
        """Say when each step of a phase begins (unix seconds), in the order in which they do."""
        times: list[tuple[float, Step]] = []
        previous = self.clock.now()
        for step in phase:
            if step.at is not None:
                previous = self.began_at + step.at
            elif step.overlap is not None:
                previous += step.overlap
            else:
                previous += step.after
            times.append((previous, step))
        return sorted(times, key=lambda item: item[0])

    def _start(self, step: Step) -> None:
        self._prepare(step, step.name)
        try:
            run = self.simulated.start(self._request(step), step.name, stop=step.stop)
        except ClientError as error:
            raise ScenarioError(f"{self.scenario.file}: {step.name}: {error}; give another input") from error
        self._follow(step, run)

    def _redrive(self, step: Step) -> None:
        """Redrive the execution of an earlier step; what that step expects is compared with its end before."""
        arn = self.runs[step.what].arn
        run = next(each for each in self.simulated.runs if each.arn == arn)
        self._prepare(step, run.name)
        self.runs = {name: each.as_it_ended() if each is run else each for name, each in self.runs.items()}
        if step.stop is not None:
            run.stop_at(replace(step.stop, nth=step.stop.nth + run.path.count(step.stop.state)))
        try:
            run.redrive()
        except NotRedrivableError as error:
            self.mismatches.append(f"{step.name}: {error}; redrive one that has ended badly")
            return
        self._follow(step, run)

    def _prepare(self, step: Step, execution: str) -> None:
        for fault in step.faults:
            self.simulated.aws.faults.add(fault)
        if step.answer is not None:
            self.answers[execution] = step.answer

    def _follow(self, step: Step, run: Run) -> None:
        self.runs[step.name] = run
        if step.stop_after is not None:
            self.clock.call_at(self.clock.now() + step.stop_after, run.stop, name=f"stop of {step.name}")

    def _request(self, step: Step) -> Any:
        if step.kind == "start":
            return step.what
        if step.kind == "deploy":
            return {"action": "deploy", "imageTag": step.what, "requestedBy": "scenario", **step.request}
        request = {"action": "rollback", "requestedBy": "scenario", **step.request}
        if step.what != PREVIOUS:
            records = {each["execution"]: each["release"] for each in self.simulated.snapshot().history}
            request["releaseId"] = records.get(step.what) or f"none-of-{step.what}"
        return request

    def _answer_questions(self, event: Event) -> None:
        """Let the person of the scenario answer, some time after the question was asked."""
        answer = self.answers.get(event.execution)
        if event.kind != EventKind.STATE_ENTERED or event.state != ASKING or answer is None:
            return
        run = self.runs[event.execution]
        self.asked.add(event.execution)
        at = event.at + max(answer.after, ASKING_SECONDS)
        self.clock.call_at(at, lambda: self._reply(run, answer), name=f"answer to {run.name}")

    def _reply(self, run: Run, answer: Answer) -> None:
        client = self.simulated.aws.client("stepfunctions")
        token = self.simulated.table.approval_token(run.arn)
        if answer.approves:
            client.send_task_success(taskToken=token, output='{"approvedBy": "person:scenario"}')
        else:
            client.send_task_failure(taskToken=token, error="ApprovalRejected", cause=answer.reason)

    def _deploy_infrastructure(self, step: Step) -> None:
        """Do what ``cdk deploy`` does to a service, or what somebody does past Stepship (``image``)."""
        what, ecs = step.what, self.simulated.aws.client("ecs")
        cluster = self.simulated.platform.cluster
        name = f"{cluster}-{what['service']}"
        service = ecs.describe_services(cluster=cluster, services=[name])["services"][0]
        update: dict[str, Any] = {}
        if "desired" in what:
            update["desiredCount"] = what["desired"]
        if {"memory", "image", "newer_field"} & set(what):
            update["taskDefinition"] = self._register(service["taskDefinition"], what)
        if update:
            ecs.update_service(cluster=cluster, service=name, **update)
        self._deregister(service["taskDefinition"], what)
        if step.is_sequential:
            self._wait_until_steady(step)

    def _deregister(self, arn: str, what: Mapping[str, Any]) -> None:
        """Deregister as Terraform does with what it replaced, and clean-up jobs with what they take for old."""
        if "deregister" not in what:
            return
        ecs, revisions = self.simulated.aws.client("ecs"), [arn]
        if what["deregister"] == "all":
            family = arn.rpartition("/")[2].partition(":")[0]
            revisions = ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"]
        for revision in revisions:
            ecs.deregister_task_definition(taskDefinition=revision)
        if what.get("delete"):
            ecs.delete_task_definitions(taskDefinitions=revisions)

    def _interrupt(self, step: Step) -> None:
        """Take tasks away from a service."""
        cluster, what = self.simulated.platform.cluster, step.what
        name = f"{cluster}-{what['service']}"
        self.simulated.live.interrupt(cluster, name, what["kind"], what.get("tasks", 1))

    def _register(self, arn: str, what: Mapping[str, Any]) -> str:
        """Register the next revision; its image is that of the SSM parameter, as the service stacks read it."""
        ecs, found = self.simulated.aws.client("ecs"), self.simulated.parameters()
        answer = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
        copied = {key: value for key, value in answer["taskDefinition"].items() if key not in READ_ONLY}
        pinned = found.get(self.simulated.identity.images_path + what["service"])
        if "image" in what:
            pinned = self._image(what["image"])
        for container in copied["containerDefinitions"]:
            if container["name"] == self.simulated.platform.container(what["service"]) and pinned:
                container["image"] = pinned
        if "memory" in what:
            copied["memory"] = str(what["memory"])
        registered = ecs.register_task_definition(**copied, tags=answer.get("tags", []))
        made = str(registered["taskDefinition"]["taskDefinitionArn"])
        if "newer_field" in what:
            self.simulated.live.task_definitions.carry_newer_field(made, what["newer_field"], {"enabled": True})
        return made

    def _image(self, tag: str) -> str:
        repository = self.simulated.platform.repository
        found = self.simulated.aws.client("ecr").describe_repositories(repositoryNames=[repository])["repositories"][0]
        digest = next(digest for digest, name in self.simulated.tags.items() if name == tag)
        return f"{found['repositoryUri']}@{digest}"

    def _wait_until_steady(self, step: Step) -> None:
        until = self.clock.now() + INFRASTRUCTURE_SECONDS
        while any(each["rolloutState"] != "COMPLETED" for each in self.simulated.snapshot().services.values()):
            if self.clock.now() > until:
                raise ScenarioError(
                    f"{self.scenario.file}: {step.name} leaves a service that never gets steady; "
                    "give it at: or overlap: if that is meant"
                )
            self.clock.sleep(10)

    def _let_tasks_start(self) -> None:
        """Wait for what was scaled or interrupted last, but not for what never gets steady."""
        until = self.clock.now() + TASKS_START_SECONDS
        while self.clock.now() < until and any(
            each["running"] != each["desired"] for each in self.simulated.snapshot().services.values()
        ):
            self.clock.sleep(10)

    def _missed(self, step: Step) -> Iterator[str]:
        """Say what a step was to meet, and never met."""
        run = self.runs[step.name]
        if step.stop is not None and run.status != "ABORTED":
            stop = step.stop
            yield f"{step.name}: it never {stop.when} {stop.state} for the {stop.nth}. time, so nobody stopped it"
        if step.stop_after is not None and run.status != "ABORTED":
            yield f"{step.name}: it had ended before somebody stopped it, after {step.stop_after:g} s"
        if step.answer is not None and step.name not in self.asked:
            yield f"{step.name}: nobody was asked, so nobody answered; is approval.required set in config?"

    def result(self) -> ScenarioResult:
        """Look at the world at rest, and compare it with what the scenario expects."""
        simulated, runs = self.simulated.snapshot(), tuple(self.simulated.aws.runs)
        examination = examine(simulated, runs)
        mismatches = [
            *self.mismatches,
            *(
                mismatch
                for step in self.scenario.steps
                if step.name in self.runs
                for mismatch in (*deployment_mismatches(step.expect, self.runs[step.name]), *self._missed(step))
            ),
        ]
        mismatches += [f"a fault never hit: {fault}" for fault in map(_in_words, self.simulated.aws.faults.pending)]
        tags = {name: self.simulated.tag_of(service["image"]) for name, service in simulated.services.items()}
        mismatches += world_mismatches(
            self.scenario.expect, simulated, examination, tags, dict(self._memory(simulated.services))
        )
        calls = self.simulated.aws.calls
        return ScenarioResult(
            document={
                "description": self.scenario.description,
                "deployments": [deployment_document(run, calls) for run in runs],
                "world": world_document(simulated),
                "violations": list(examination.violations),
                "personNeeded": [*examination.person_needed, *examination.excused],
                "mismatches": mismatches,
                "virtualSeconds": round(self.clock.now() - self.began_at, 3),
            },
            runs=runs,
            simulated=simulated,
            examination=examination,
            records=self.simulated.records(),
            mismatches=tuple(mismatches),
        )

    def _memory(self, services: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
        ecs = self.simulated.aws.client("ecs")
        for name, service in services.items():
            found = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
            yield name, int(re.sub(r"\D", "", found["memory"]))


def _in_words(fault: CallFault | FunctionFault) -> str:
    """Write a fault as it stands in a scenario file, without what was not said."""
    said = {
        each.name: getattr(fault, each.name)
        for each in fields(fault)
        if each.name != "action" and getattr(fault, each.name) != each.default
    }
    kind = "call" if isinstance(fault, CallFault) else "function"
    return ", ".join([f"{kind}: {fault.action}", *(f"{key}: {value}" for key, value in said.items())])


def phases(steps: Sequence[Step]) -> list[list[Step]]:
    """Group the steps: each that waits for everything before it begins a phase."""
    grouped: list[list[Step]] = []
    for step in steps:
        if step.is_sequential or not grouped:
            grouped.append([])
        grouped[-1].append(step)
    return grouped
