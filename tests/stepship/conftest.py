"""The command line in a simulated world: its sleep lets the world go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from moto.core.responses import ActionResult
from moto.stepfunctions.responses import StepFunctionResponse
from typer.testing import CliRunner

from config import EnvironmentConfig
from lambdas.aws.gateway import client_of
from simulator.ecs.responses import PlainResult
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.calls import current_invocation
from stepship.cli.main import app
from stepship.host import Host
from stepship.infra.tools import Tools
from tests.simulator.quick import few_looks
from tests.stepship.infra_environment import ROOT, FakeCdk, tools_with


@dataclass
class Typed:
    """What a command printed."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document


@dataclass
class Desk:
    """A person or a CI job that types commands.

    Attributes
    ----------
    on_sleep
        Called with the virtual time before each sleep: Ctrl-C, or somebody else who does something meanwhile.
    """

    simulated: SimulatedEnvironment
    environ: dict[str, str] = field(default_factory=dict)
    watched: bool = False
    asks: bool = False
    on_sleep: Callable[[float], object] = lambda _now: None
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.on_sleep(self.simulated.aws.clock.now())
        self.simulated.aws.clock.sleep(seconds)

    def type(self, *arguments: str, answer: str | None = None) -> Typed:
        clock = self.simulated.aws.clock
        host = Host(clock.now, self.sleep, self.environ, ROOT, watched=self.watched, asks=self.asks, width=110)
        result = CliRunner().invoke(app, [*arguments], obj=host, input=answer, catch_exceptions=False)
        return Typed(result.exit_code, result.stdout, result.stderr)

    def __call__(self, *arguments: str, answer: str | None = None) -> Typed:
        return self.type(*arguments, "--env", "dev", answer=answer)


def get_execution_history(response: StepFunctionResponse) -> ActionResult:
    """Page the history as AWS does: moto gives all of it, whatever is asked for."""
    asked = response._get_param
    events = response.stepfunction_backend.get_execution_history(asked("executionArn"))["events"]
    if asked("reverseOrder"):
        events = events[::-1]
    first = int(asked("nextToken") or 0)
    last = first + int(asked("maxResults") or 100)
    page = events[first:last]
    if not asked("includeExecutionData", True):
        page = [
            {**event, **{key: without_data(event[key]) for key in event if key.endswith("Details")}} for event in page
        ]
    return PlainResult({"events": page, **({"nextToken": str(last)} if last < len(events) else {})})


def without_data(details: Any) -> Any:
    hidden = ("input", "output", "inputDetails", "outputDetails")
    return {key: value for key, value in details.items() if key not in hidden}


@pytest.fixture(autouse=True)
def history_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StepFunctionResponse, "get_execution_history", get_execution_history)


@pytest.fixture
def settings() -> EnvironmentConfig:
    """Of the world; ``as_committed`` puts the committed config in its place."""
    return few_looks()


@pytest.fixture
def simulated(settings: EnvironmentConfig) -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(settings=settings) as simulated:
        yield simulated


@pytest.fixture
def stepship(simulated: SimulatedEnvironment) -> Desk:
    return Desk(simulated)


@pytest.fixture
def asking_world() -> Iterator[SimulatedEnvironment]:
    """A world in which a person has to say yes."""
    settings = few_looks()
    asking = replace(settings.approval, required=True, timeout_seconds=600)
    with SimulatedEnvironment(settings=replace(settings, approval=asking)) as simulated:
        yield simulated


Refuse = Callable[[str, str, str, str], None]


@pytest.fixture
def refuse() -> Iterator[Refuse]:
    """Let AWS refuse an operation to the command; the functions of the state machine may go on."""
    registered: list[tuple[Any, str, Callable[..., object]]] = []

    def add(service: str, operation: str, code: str, message: str) -> None:
        def answer(**_: object) -> object:
            if current_invocation.get() is not None:
                return None
            error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            return AWSResponse("", 400, {}, None), error

        emitter = client_of(service).meta.events
        name = f"before-call.{emitter_name(service)}.{operation}"
        emitter.register_first(name, answer)
        registered.append((emitter, name, answer))

    yield add
    for emitter, name, answer in registered:
        emitter.unregister(name, answer)


def emitter_name(service: str) -> str:
    """Return how botocore names a service in its events."""
    return {"stepfunctions": "sfn"}.get(service, service)


@pytest.fixture
def cdk() -> FakeCdk:
    """The CDK of ``stepship infra``, for a test."""
    return FakeCdk()


@pytest.fixture
def tools(cdk: FakeCdk) -> Tools:
    """What ``stepship infra`` works with, with that CDK."""
    return tools_with(cdk)
