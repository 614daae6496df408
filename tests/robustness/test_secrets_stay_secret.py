"""No value of a secret or of an environment variable leaves ECS, however a deployment ends and whoever looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import config
from simulator.ecs.images import HEALTHY, ImageBehavior
from simulator.engine.runs import Run, StopAt
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import LOGS, SimulatedEnvironment
from statemachine.steps import STEPS
from tests.lambdas.handlers.flow import Flow, Json, table_items
from tests.lambdas.handlers.surroundings import change_definition
from tests.simulator.quick import few_looks
from tests.stepship.conftest import Desk

CANARY = "canary-6f1d2b"
PRINTS = ("cannot log in", f"password {CANARY} was refused", "KeyError: 'QUEUE_URL'")
SMALL = (SimulatedService("api", wave=1, desired=1), SimulatedService("worker", wave=2, desired=1))


def plant(simulated: SimulatedEnvironment) -> None:
    """Put the canary wherever a value may be."""
    secrets, ssm = simulated.aws.client("secretsmanager"), simulated.aws.client("ssm")
    arn = secrets.create_secret(Name="v3-backend/dev/canary", SecretString=CANARY)["ARN"]
    ssm.put_parameter(Name="/v3-backend/dev/canary", Value=CANARY, Type="SecureString")
    references = [{"name": "A", "valueFrom": arn}, {"name": "B", "valueFrom": "/v3-backend/dev/canary"}]

    def change(new: Json) -> None:
        container = new["containerDefinitions"][0]
        container["environment"] = [{"name": "PASSWORD", "value": CANARY}]
        container["secrets"] = references
        container["dockerLabels"] = {"label": CANARY}
        container["command"] = ["serve", "--password", CANARY]

    for service in (*(each.name for each in SMALL), "migration"):
        change_definition(simulated, service, change)


@dataclass(frozen=True)
class Story:
    """One kind of deployment: how it goes, and how it ends."""

    happens: Callable[[SimulatedEnvironment], Run]
    outcome: str
    behavior: ImageBehavior = HEALTHY
    migration: ImageBehavior = HEALTHY
    asks: bool = False


def deploys(simulated: SimulatedEnvironment, **more: object) -> Run:
    return simulated.run({"imageTag": "v2", **more}, "story")


def is_stopped(simulated: SimulatedEnvironment) -> Run:
    return simulated.run({"imageTag": "v2"}, "story", stop=StopAt("Check rollout"))


def returns(simulated: SimulatedEnvironment) -> Run:
    simulated.push("v1")
    for tag in ("v1", "v2"):
        assert simulated.run({"imageTag": tag}, tag).status == "SUCCEEDED"
    return simulated.run({"action": "rollback"}, "story")


def misses_a_secret(simulated: SimulatedEnvironment) -> Run:
    simulated.aws.client("secretsmanager").delete_secret(
        SecretId="v3-backend/dev/canary", ForceDeleteWithoutRecovery=True
    )
    return simulated.run({"imageTag": "v2"}, "story")


def is_approved(simulated: SimulatedEnvironment) -> Run:
    run = simulated.start({"imageTag": "v2"}, "story")
    answered = False
    while not run.ended:
        simulated.aws.clock.sleep(5)
        if run.state == "Wait for approval" and not answered:
            answered = Desk(simulated)("approve", "--yes").exit_code == 0
    simulated.settle()
    return run


STORIES = {
    "deployed": Story(deploys, "Deployed"),
    "crash": Story(deploys, "RolledBack", ImageBehavior("crash", logs=PRINTS)),
    "failing migration": Story(deploys, "RolledBack", migration=ImageBehavior("crash", exit_code=3, logs=PRINTS)),
    "secret missing at start": Story(deploys, "RolledBack", ImageBehavior("secret_missing")),
    "secret deleted before": Story(misses_a_secret, "Rejected"),
    "stopped": Story(is_stopped, "Stopped"),
    "rollback": Story(returns, "Deployed"),
    "dry run": Story(lambda simulated: deploys(simulated, dryRun=True), "Planned"),
    "approval": Story(is_approved, "Deployed", asks=True),
}
COMMANDS = (
    "explain story",
    "explain story --json",
    "status --json",
    "history",
    "history --json",
    "plan v2 --all --json",
)


@pytest.fixture(autouse=True)
def _talkative(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the functions log all that they would under the most curious settings."""
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    identity = config.load("dev").identity
    loggers = [logging.getLogger(step.function_name(identity)) for step in STEPS]
    loggers += [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if "v3-backend" in name]
    before = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield
    for logger, level in before:
        logger.setLevel(level)


def shown_by_github(simulated: SimulatedEnvironment, folder: Path) -> str:
    """Return log and summary of the workflow's step that follows the execution."""
    summary = folder / "summary.md"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    typed = Desk(simulated, environ)("watch", "story")
    return typed.stdout + summary.read_text()


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_canary_is_nowhere_to_be_read(story: Story, tmp_path: Path) -> None:
    dev = few_looks()
    with SimulatedEnvironment(
        services=SMALL, settings=replace(dev, approval=replace(dev.approval, required=story.asks))
    ) as simulated:
        plant(simulated)
        simulated.push("v2", story.behavior, per_service={"migration": story.migration})
        run = story.happens(simulated)
        assert simulated.records()["story"].outcome == story.outcome

        stepfunctions, ssm = simulated.aws.client("stepfunctions"), simulated.aws.client("ssm")
        written = ssm.get_parameters_by_path(Path="/v3-backend/dev/", Recursive=True)["Parameters"]
        desk = Desk(simulated)
        places = {
            "log lines and metrics": "".join(LOGS.lines),
            "execution histories": str(
                [stepfunctions.get_execution_history(executionArn=r.arn)["events"] for r in simulated.aws.runs]
            ),
            "inputs, outputs and causes": str([(r.input_json, r.output, r.error, r.cause) for r in simulated.aws.runs]),
            "events": str([call.params for call in simulated.aws.calls.of("events")]),
            "table": str(table_items(simulated)),
            "parameters": str([each for each in written if each["Name"] != "/v3-backend/dev/canary"]),
            "job summary": shown_by_github(simulated, tmp_path),
        }
        for command in COMMANDS:
            typed = desk(*command.split())
            places[f"stepship {command}"] = typed.stdout + typed.stderr

        assert all(places.values()), [place for place, text in places.items() if not text]
        assert [place for place, text in places.items() if CANARY in text] == []
        assert simulated.aws.calls.of("secretsmanager", "GetSecretValue") == []
        assert not [c for c in simulated.aws.calls.of("ssm") if c.params.get("WithDecryption")]
        if PRINTS in (story.behavior.logs, story.migration.logs):
            assert "password ${PASSWORD} was refused" in str(run.cause)
            assert "password ${PASSWORD} was refused" in places["job summary"]
        if story.outcome == "Deployed":
            registered = simulated.aws.calls.of("ecs", "RegisterTaskDefinition")[0].params["containerDefinitions"][0]
            assert [each["value"] for each in registered["environment"]] == [CANARY], "it does reach ECS"


def test_a_step_that_breaks_does_not_log_what_it_had_in_hand() -> None:
    with SimulatedEnvironment(services=SMALL, recovery=False) as simulated:
        plant(simulated)
        simulated.push("v1")
        flow = Flow(simulated, {"imageTag": "v1"}).run_to("Register task definitions")
        del flow.state["plan"]["services"]["api"]["family"]
        assert flow.fails().error_type == "TypeError"
        assert "step broke" in "".join(LOGS.lines)
        assert CANARY not in "".join(LOGS.lines)
