"""The tools, each used as its own documentation shows, and in the fastest way that it has for several services."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import config
from tests.e2e.emulator import ENVIRONMENT, ROOT
from tests.e2e.infrastructure import ENVIRONMENT as ENVIRONMENT_NAME
from tools.benchmarks.peers.scene import CLUSTER, CONTAINER, Scene

FABFUEL = ROOT / ".venv" / "peers" / "bin" / "ecs"
AWS = ENVIRONMENT / "bin" / "aws"
STEPSHIP = ROOT / ".venv" / "bin" / "stepship"
COMMAND_SECONDS = 120
"""No run here may last longer; the peers themselves would wait five to ten minutes."""

DEPLOYED, ROLLED_BACK = 0, 3
"""Exit codes of ``stepship`` (docs/reference/cli.md)."""

TIMED_OUT = 124
"""The exit code of a command that was ended after that, as ``timeout`` (GNU coreutils) gives it."""

BREAKER = {"enable": True, "rollback": True}
"""The circuit breaker as CDK and console propose it: ECS goes back by itself, service by service."""

BREAKER_ALONE = {"enable": True, "rollback": False}


@dataclass(frozen=True)
class Job:
    """What a tool is to deploy: an image to services, in a scene."""

    scene: Scene
    services: tuple[str, ...]
    tag: str
    digest: str

    @property
    def image(self) -> str:
        """The pinned image."""
        return f"{self.scene.uri}@{self.digest}"


@dataclass(frozen=True)
class Done:
    """What a tool said, and when.

    Attributes
    ----------
    ended_at
        When its last process ended (unix seconds).
    failed_at
        When it first said that the deployment failed; None when it said that all is well.
    exits
        The exit codes of its processes.
    verdict_at
        When it knew that ECS has rolled out, where that is not the end.
    """

    ended_at: float
    failed_at: float | None
    exits: tuple[int, ...]
    verdict_at: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """A tool with its settings.

    Attributes
    ----------
    breaker
        The circuit breaker of the services, for a deployment that fails.
    look_seconds
        Its pause between two looks at ECS.
    looks_after
        DescribeServices calls that it makes after the look which sees that all is steady.
    is_yardstick
        Whether the goals are measured against it: peers with their documented defaults are.
    counts
        With how many services it is measured.
    deploys, fails_too
        Whether the good image is measured, and the crashing one.
    """

    name: str
    about: str
    deploy: Callable[[Job], Done]
    breaker: dict[str, Any]
    look_seconds: float
    looks_after: int = 0
    is_yardstick: bool = True
    counts: tuple[int, ...] = (1, 3, 10)
    deploys: bool = True
    fails_too: bool = True


def run(job: Job, *command: str) -> tuple[int, str, float]:
    """Run a command to its end; returns exit code, output, and when it ended (unix seconds)."""
    with job.scene.cloud.running(*command) as process:
        try:
            output, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            return TIMED_OUT, "", time.time()
    return process.returncode, output, time.time()


def fabfuel(*options: str) -> Callable[[Job], Done]:
    """Return ``ecs deploy`` with these options: one process for each service, all at once."""

    def deploy(job: Job) -> Done:
        def one(service: str) -> tuple[int, str, float]:
            return run(job, str(FABFUEL), "deploy", CLUSTER, service, "-i", CONTAINER, job.image, *options)

        ended = _all_at_once(one, job.services)
        failed = [at for code, _, at in ended if code]
        return Done(max(at for _, _, at in ended), min(failed, default=None), tuple(code for code, _, _ in ended))

    return deploy


def aws_cli(job: Job) -> Done:
    """Register and update service by service, all at once; then one waiter for all of them, and a look at the result.

    ``wait services-stable`` says that services are stable and not on what, so a script has to ask.
    """

    def update(service: str) -> str:
        ecs = (str(AWS), "ecs")
        _, shown, _ = run(job, *ecs, "describe-task-definition", "--task-definition", service, "--include", "TAGS")
        definition = json.loads(shown)["taskDefinition"]
        for key in READ_ONLY:
            definition.pop(key, None)
        definition["containerDefinitions"][0]["image"] = job.image
        _, shown, _ = run(job, *ecs, "register-task-definition", "--cli-input-json", json.dumps(definition))
        arn = str(json.loads(shown)["taskDefinition"]["taskDefinitionArn"])
        run(job, *ecs, "update-service", "--cluster", CLUSTER, "--service", service, "--task-definition", arn)
        return arn

    targets = _all_at_once(update, job.services)
    services = ("--cluster", CLUSTER, "--services", *job.services)
    code, _, _ = run(job, str(AWS), "ecs", "wait", "services-stable", *services)
    _, shown, at = run(job, str(AWS), "ecs", "describe-services", *services, "--query", "services[].taskDefinition")
    arrived = set(json.loads(shown)) == set(targets)
    return Done(at, None if arrived and not code else at, (code,))


READ_ONLY = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
)
"""What DescribeTaskDefinition adds and RegisterTaskDefinition does not take (ECS API Reference)."""


def stepship(job: Job) -> Done:
    """Run ``stepship deploy`` once for all services; when it knew what, the execution's history says."""
    code, output, ended_at = run(
        job,
        *(str(STEPSHIP), "deploy", job.tag, "--env", job.scene.cloud.settings.environment),
        *("--services", ",".join(job.services), "--json"),
    )
    if code not in (DEPLOYED, ROLLED_BACK):
        raise RuntimeError(f"stepship ended with {code}, so there is nothing to measure:\n{output}")
    execution = json.loads(output)["execution"]
    pages = job.scene.cloud.client("stepfunctions").get_paginator("get_execution_history")
    events = [event for page in pages.paginate(executionArn=execution) for event in page["events"]]
    looked = [
        event["timestamp"].timestamp()
        for event in events
        if event.get("stateExitedEventDetails", {}).get("name") == "Check rollout"
    ]
    verdict_at = looked[-1] if looked else None
    return Done(ended_at, verdict_at if code else None, (code,), verdict_at, {"events": events})


def ecspresso_is_here() -> bool:
    """Whether ``ecspresso`` is on PATH: it is a Go binary, and no package of ours."""
    return shutil.which("ecspresso") is not None


def ecspresso(job: Job) -> Done:
    """Run ``ecspresso deploy`` for each service, all at once, with files that ``ecspresso init`` made."""
    home = job.scene.file.parent / "ecspresso"

    def one(service: str) -> tuple[int, str, float]:
        folder = home / service
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "ecspresso.json"
        here = ("ecspresso", "--config", str(config))
        if not config.exists():
            run(job, *here, "init", "--region", "us-east-1", "--cluster", CLUSTER, "--service", service)
        definition = folder / "ecs-task-def.json"
        written = json.loads(definition.read_text(encoding="utf-8"))
        written["containerDefinitions"][0]["image"] = job.image
        definition.write_text(json.dumps(written), encoding="utf-8")
        return run(job, *here, "deploy")

    ended = _all_at_once(one, job.services)
    failed = [at for code, _, at in ended if code]
    return Done(max(at for _, _, at in ended), min(failed, default=None), tuple(code for code, _, _ in ended))


def _all_at_once(one: Callable[[str], Any], services: Sequence[str]) -> list[Any]:
    with ThreadPoolExecutor(len(services)) as pool:
        return list(pool.map(one, services))


OURS = Tool(
    "Stepship",
    "`stepship deploy TAG`",
    stepship,
    BREAKER,
    look_seconds=config.load(ENVIRONMENT_NAME).rollout.poll_seconds,
    is_yardstick=False,
)


def tools() -> list[Tool]:
    """Return the tools that are here, ours last."""
    found = [
        Tool(
            "fabfuel",
            "`ecs deploy --rollback`, looks every second (its default)",
            fabfuel("--rollback"),
            BREAKER_ALONE,
            look_seconds=1,
        ),
        Tool(
            "fabfuel, fastest",
            "the same with `--sleep-time 0`: never pauses",
            fabfuel("--rollback", "--sleep-time", "0"),
            BREAKER_ALONE,
            look_seconds=0,
            is_yardstick=False,
            # One service says it; ten would only load the emulator with some thousand calls a second.
            counts=(1,),
            fails_too=False,
        ),
        Tool(
            "fabfuel, ECS rolls back",
            "`ecs deploy`, and the circuit breaker with ECS's own rollback",
            fabfuel(),
            BREAKER,
            look_seconds=1,
            is_yardstick=False,
            counts=(1,),
            deploys=False,
        ),
        Tool(
            "AWS CLI",
            "`register-task-definition`, `update-service`, one `wait services-stable` (every 15 s)",
            aws_cli,
            BREAKER,
            look_seconds=15,
            # Our script's own question, what the services run now.
            looks_after=1,
        ),
    ]
    if ecspresso_is_here():
        found.append(Tool("ecspresso", "`ecspresso deploy`", ecspresso, BREAKER, look_seconds=15))
    return [*found, OURS]
