"""Read a scenario file: YAML, checked against ``scenario_schema.json``, into frozen data.

docs/reference/simulator.md documents every key. A file that cannot be used is one :class:`ScenarioError`: it names the
file, the key and the fix.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import yaml

import config
from config.reading import Reader
from lambdas.release.catalog import MIGRATION
from simulator.ecs.images import ImageBehavior, ScanResult
from simulator.engine.runs import StopAt
from simulator.environment.platform import DEFAULT_SERVICES, SimulatedService
from simulator.environment.simulated_environment import EVENT_SECONDS, NOT_DELIVERED, Delivery
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault, FunctionAction, FunctionFault
from statemachine.steps import STEPS

HERE = Path(__file__).parent
FOLDER = HERE.parent / "scenarios"
SCHEMA_FILE = HERE / "scenario_schema.json"
DEFINITION_FILE = HERE.parents[1] / "statemachine" / "deployment.asl.json"

KINDS = ("deploy", "rollback", "start", "redrive", "infrastructure", "interrupt")
AROUND = ("infrastructure", "interrupt")
"""The kinds of steps that are no execution: what happens around one."""

TIMES = ("at", "after", "overlap")
PREVIOUS = "previous"


class _Loader(yaml.SafeLoader):
    """PyYAML's, but for a key that stands twice: there the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 (PyYAML's signature)
        """Refuse a key that stands twice."""
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


class ScenarioError(ValueError):
    """A scenario file cannot be used; the message names file, key and fix."""


@dataclass(frozen=True)
class PushedImage:
    """An image that is in the repository from the beginning."""

    tag: str
    behavior: ImageBehavior
    per_service: Mapping[str, ImageBehavior]
    architectures: tuple[str, ...]
    index: bool
    scan: ScanResult | None
    archived: bool = False
    artifact: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a person says to the question for approval, ``after`` seconds after it was asked."""

    approves: bool
    after: float
    reason: str = ""


@dataclass(frozen=True)
class Step:
    """One thing that happens in a scenario.

    Attributes
    ----------
    name
        Of the execution; unique.
    kind
        ``deploy``, ``rollback``, ``start``, ``redrive``, ``infrastructure`` or ``interrupt``.
    what
        The tag; the step to return to, or ``previous``; the raw input; the step to redrive; what changes; whose tasks
        end, and why.
    request
        More fields of the execution input.
    at, after, overlap
        When it starts, in seconds: since the scenario began, since all before it ended (the default), since the step
        before it started.
    stop, stop_after
        Where, or how many seconds after its start, somebody stops it.
    expect
        What it must end like; see ``scenario_result.py``.
    """

    name: str
    kind: str
    what: Any
    about: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None
    after: float = 0.0
    overlap: float | None = None
    stop: StopAt | None = None
    stop_after: float | None = None
    answer: Answer | None = None
    faults: tuple[CallFault | FunctionFault, ...] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sequential(self) -> bool:
        """Whether it waits for everything before it."""
        return self.at is None and self.overlap is None


@dataclass(frozen=True)
class Scenario:
    """A scenario file, read. ``file`` is how messages name it."""

    file: str
    description: str
    settings: config.EnvironmentConfig
    services: tuple[SimulatedService, ...]
    migration: bool
    recovery: Delivery
    circuit_breaker: bool
    seed: int
    images: tuple[PushedImage, ...]
    steps: tuple[Step, ...]
    expect: Mapping[str, Any]


def read_scenario(source: Path | Mapping[str, Any]) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    source
        A YAML file, or what is in one.

    Raises
    ------
    ScenarioError
        If the file does not exist, is not YAML, breaks the schema or contradicts itself.
    """
    if isinstance(source, Mapping):
        return _Reader("scenario").read(dict(source))
    file = str(source)
    try:
        document = yaml.load(source.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read: {error.strerror}; give the path of a scenario file") from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{file}: is not YAML: {_one_line(error)}; correct that line") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{file}: is not text in UTF-8; save it as UTF-8") from error
    return _Reader(file).read(document)


class _Reader:
    """Reads one document."""

    def __init__(self, file: str) -> None:
        self.file = file

    def read(self, document: Any) -> Scenario:
        self._check_json(document, "")
        self._check_schema(document)
        services = tuple(
            SimulatedService(name, **entry) for name, entry in document.get("services", {}).items()
        ) or tuple(DEFAULT_SERVICES)
        known = {service.name for service in services} | {MIGRATION}
        images = tuple(self._image(tag, entry, known) for tag, entry in document.get("images", {}).items())
        tags = {image.tag for image in images}
        steps: list[Step] = []
        for index, entry in enumerate(document["steps"]):
            steps.append(self._step(f"steps[{index}]", index, entry, steps, known, tags))
        for name in document.get("expect", {}).get("images", {}):
            if name not in known - {MIGRATION}:
                self._fail(f"expect.images.{name}", "is no service", f"the services are {_list(known - {MIGRATION})}")
        return Scenario(
            file=self.file,
            description=" ".join(document["description"].split()),
            settings=self._settings(document.get("config", {})),
            services=services,
            migration=document.get("migration", True),
            recovery=_delivery(document.get("recovery", True)),
            circuit_breaker=document.get("circuit_breaker", True),
            seed=document.get("seed", 0),
            images=images,
            steps=tuple(steps),
            expect=document.get("expect", {}),
        )

    def _check_json(self, value: Any, key: str) -> None:
        """Refuse what YAML knows and JSON does not: dates, keys that are no text, numbers that are none."""
        if isinstance(value, dict):
            for name, item in value.items():
                if not isinstance(name, str):
                    self._fail(key or "file", f"has the key {name!r}, which is no text", f'quote it: "{name}"')
                self._check_json(item, f"{key}.{name}".lstrip("."))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._check_json(item, f"{key}[{index}]")
        elif isinstance(value, float) and not math.isfinite(value):
            self._fail(key, f"is {value}", "give a number")
        elif not isinstance(value, str | int | float | None):
            self._fail(key, f"is a {type(value).__name__}", "quote it")

    def _check_schema(self, document: Any) -> None:
        try:
            _validator()(document)
        except fastjsonschema.JsonSchemaValueException as error:
            path = str(error.name).removeprefix("data").lstrip(".")
            rule = error.definition if isinstance(error.definition, dict) else {}
            fix = rule.get("description") or "see docs/reference/simulator.md"
            wrong = str(error.message).removeprefix(str(error.name)).strip()
            if error.rule == "additionalProperties" and isinstance(error.value, dict):
                allowed = sorted(rule.get("properties", {}))
                unknown = min(str(key) for key in error.value if key not in allowed)
                near = difflib.get_close_matches(unknown, allowed, 1)
                path, wrong = f"{path}.{unknown}".lstrip("."), "is unknown"
                fix = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(allowed)}"
            elif error.rule == "required" and isinstance(error.value, dict):
                missing = next(key for key in rule["required"] if key not in error.value)
                path, wrong = f"{path}.{missing}".lstrip("."), "is missing"
                fix = rule.get("properties", {}).get(missing, {}).get("description", fix)
            elif error.rule in ("type", "enum", "pattern", "minimum", "maximum"):
                wrong = f"is {json.dumps(error.value, default=str)[:60]}"
            raise self._error(path or "file", wrong, fix) from None

    def _settings(self, overrides: Mapping[str, Any]) -> config.EnvironmentConfig:
        """Put the overrides over ``config/dev.toml`` and read the result as the config itself is read."""
        document: dict[str, Any] = tomllib.loads((config.FOLDER / "dev.toml").read_text(encoding="utf-8"))
        for section, values in overrides.items():
            document[section] = {**document.get(section, {}), **values}
        reader = Reader(self.file)
        settings = reader.environment(document)
        if settings is None or reader.problems:
            problem = reader.problems[0]
            raise self._error(f"config: {problem.key}", problem.wrong, problem.fix)
        return settings

    def _image(self, tag: str, entry: Mapping[str, Any], known: set[str]) -> PushedImage:
        for name in entry.get("services", {}):
            if name not in known:
                self._fail(f"images.{tag}.services.{name}", "is no service", f"the services are {_list(known)}")
        architectures = tuple(entry.get("architectures", ("arm64",)))
        if len(architectures) > 1 and not entry.get("index"):
            self._fail(f"images.{tag}.architectures", "names several platforms", "add index: true")
        scan = entry.get("scan")
        return PushedImage(
            tag=str(tag),
            behavior=_behavior(entry.get("behavior", {})),
            per_service={name: _behavior(how) for name, how in entry.get("services", {}).items()},
            architectures=architectures,
            index=entry.get("index", False),
            scan=None if scan is None else ScanResult(**scan),
            archived=entry.get("archived", False),
            artifact=entry.get("artifact"),
        )

    def _step(
        self, key: str, index: int, entry: Mapping[str, Any], before: list[Step], known: set[str], tags: set[str]
    ) -> Step:
        kinds = [kind for kind in KINDS if kind in entry]
        if len(kinds) != 1:
            wrong = f"is {' and '.join(kinds)} at once" if kinds else "does nothing"
            self._fail(key, wrong, f"write exactly one of {', '.join(KINDS)}")
        kind = kinds[0]
        times = [time for time in TIMES if time in entry]
        if len(times) > 1:
            self._fail(key, f"has {' and '.join(times)}", "keep one of them")
        if "overlap" in entry and not before:
            self._fail(f"{key}.overlap", "has no step before it", "leave it out")
        name = entry.get("name") or f"{kind}-{index + 1}"
        if name.startswith("recovery-"):
            self._fail(f"{key}.name", f"is {name}", "give another name: recoveries are called so")
        if name in {step.name for step in before}:
            self._fail(f"{key}.name", f"is {name}, which an earlier step has", "give another name")
        self._check_kind(key, kind, entry, before, known, tags)
        stop, stop_after = self._stop(f"{key}.stop", entry.get("stop"))
        if "approve" in entry and "reject" in entry:
            self._fail(key, "is approved and rejected", "keep approve or reject")
        return Step(
            name=name,
            kind=kind,
            what=entry[kind],
            about=entry.get("about", ""),
            request=entry.get("request", {}),
            at=entry.get("at"),
            after=entry.get("after", 0.0),
            overlap=entry.get("overlap"),
            stop=stop,
            stop_after=stop_after,
            answer=_answer(entry),
            faults=tuple(
                self._fault(f"{key}.faults[{number}]", fault) for number, fault in enumerate(entry.get("faults", []))
            ),
            expect=entry.get("expect", {}),
        )

    def _check_kind(
        self, key: str, kind: str, entry: Mapping[str, Any], before: list[Step], known: set[str], tags: set[str]
    ) -> None:
        what = entry[kind]
        executions = {step.name for step in before if step.kind not in AROUND}
        if kind == "rollback" and what != PREVIOUS and what not in executions:
            there = f"write {PREVIOUS}, or one of {_list(executions)}" if executions else f"write {PREVIOUS}"
            self._fail(f"{key}.rollback", f"is {what}, which no earlier step is named", there)
        if kind == "redrive":
            self._check_redrive(key, entry, executions)
        if kind in AROUND:
            self._check_around(key, kind, entry, known, tags)

    def _check_around(self, key: str, kind: str, entry: Mapping[str, Any], known: set[str], tags: set[str]) -> None:
        what = entry[kind]
        if what["service"] not in known - {MIGRATION}:
            fix = f"the services are {_list(known - {MIGRATION})}"
            self._fail(f"{key}.{kind}.service", f"is {what['service']}, which is no service", fix)
        if kind == "infrastructure":
            self._check_change(key, what, tags)
        for name in ("request", "stop", "approve", "reject", "faults", "expect"):
            if name in entry:
                self._fail(f"{key}.{name}", "belongs to an execution", f"leave it out of an {kind} step")

    def _check_change(self, key: str, what: Mapping[str, Any], tags: set[str]) -> None:
        if what.get("image", next(iter(tags), None)) not in tags and "image" in what:
            self._fail(f"{key}.infrastructure.image", f"is {what['image']}, which is no image", "add it to images")
        if len(what) == 1:
            self._fail(
                f"{key}.infrastructure", "changes nothing", "add memory, desired, image, deregister or newer_field"
            )
        if what.get("deregister") == "replaced" and not {"memory", "image", "newer_field"} & set(what):
            self._fail(f"{key}.infrastructure.deregister", "is replaced, and nothing is", "add memory or image")
        if "delete" in what and "deregister" not in what:
            self._fail(f"{key}.infrastructure.delete", "deletes nothing", "add deregister")

    def _check_redrive(self, key: str, entry: Mapping[str, Any], executions: set[str]) -> None:
        if entry["redrive"] not in executions:
            there = f"write one of {_list(executions)}" if executions else "put the step that is redriven before it"
            self._fail(f"{key}.redrive", f"is {entry['redrive']}, which no earlier step is named", there)
        if "request" in entry:
            self._fail(f"{key}.request", "belongs to a new execution", "leave it out: a redrive has the same input")

    def _stop(self, key: str, entry: Mapping[str, Any] | None) -> tuple[StopAt | None, float | None]:
        if entry is None:
            return None, None
        if ("state" in entry) == ("after" in entry):
            self._fail(key, "needs a state or a time", "write {state: Check rollout, nth: 2}, or {after: 90}")
        if "after" in entry:
            return None, float(entry["after"])
        self._known_state(f"{key}.state", entry["state"])
        return StopAt(entry["state"], entry.get("when", "entered"), entry.get("nth", 1)), None

    def _fault(self, key: str, entry: Mapping[str, Any]) -> CallFault | FunctionFault:
        if ("call" in entry) == ("function" in entry):
            self._fail(key, "needs call or function, one of them", "write - {call: throttle, service: ecs}")
        function = None
        if "step" in entry:
            self._known_state(f"{key}.step", entry["step"])
            named = [step for step in STEPS if step.state == entry["step"]]
            if not named:
                self._fail(f"{key}.step", f"is {entry['step']}, which has no function", _near(entry["step"], _tasks()))
            function = named[0].function_name(config.load("dev").identity)
        of_functions = ("after_calls", "after_seconds", "error")
        of_calls = ("service", "operation", "code", "message", "http_status")
        common = {"function": function, "nth": entry.get("nth", 1), "times": entry.get("times", 1)}
        if "call" in entry:
            wrong = [name for name in of_functions if name in entry]
            if wrong:
                self._fail(f"{key}.{wrong[0]}", "belongs to a function", "leave it out, or write function:")
            chosen = {name: entry[name] for name in of_calls if name in entry}
            return CallFault(CallAction(entry["call"]), **common, **chosen)
        wrong = [name for name in of_calls if name in entry]
        if wrong:
            self._fail(f"{key}.{wrong[0]}", "belongs to a call", "leave it out, or write call:")
        chosen = {name: entry[name] for name in of_functions if name in entry}
        return FunctionFault(FunctionAction(entry["function"]), **common, **chosen)

    def _known_state(self, key: str, state: str) -> None:
        if state not in _states():
            self._fail(key, f"is {state}, which is no state", _near(state, _states()))

    def _fail(self, key: str, wrong: str, fix: str) -> None:
        raise self._error(key, wrong, fix)

    def _error(self, key: str, wrong: str, fix: str) -> ScenarioError:
        return ScenarioError(f"{self.file}: {key} {wrong}; {fix}")


def _behavior(entry: Mapping[str, Any]) -> ImageBehavior:
    return ImageBehavior(**{**entry, "logs": tuple(entry.get("logs", ()))})


def _answer(entry: Mapping[str, Any]) -> Answer | None:
    if "approve" in entry:
        return Answer(approves=True, after=entry["approve"].get("after", 0.0))
    if "reject" in entry:
        said = entry["reject"]
        return Answer(approves=False, after=said.get("after", 0.0), reason=said.get("reason", "rejected"))
    return None


def _delivery(entry: Any) -> Delivery:
    if isinstance(entry, Mapping):
        return Delivery(entry.get("times", 1), entry.get("after", EVENT_SECONDS), not entry.get("without_error", False))
    return {"True": Delivery(), "doubled": Delivery(times=2)}.get(str(entry), NOT_DELIVERED)


@cache
def _validator() -> Any:
    return fastjsonschema.compile(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


@cache
def _states() -> tuple[str, ...]:
    return tuple(json.loads(DEFINITION_FILE.read_text(encoding="utf-8"))["States"])


def _tasks() -> tuple[str, ...]:
    return tuple(step.state for step in STEPS)


def _near(word: str, words: tuple[str, ...]) -> str:
    found = difflib.get_close_matches(word, words, 1, 0.4)
    return f"did you mean {found[0]}?" if found else "see statemachine/deployment.asl.json"


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _one_line(error: yaml.YAMLError) -> str:
    return re.sub(r"\s+", " ", str(error))
