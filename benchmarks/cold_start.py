"""Cold start of each handler against its floor: importing boto3 and making the one client that it needs first.

Each figure is the median over fresh Python processes; peak memory is the process's maximum resident size (Linux only).
The absolute numbers are this machine's, the ratio is what one may compare.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deploy import deploy
from benchmarks.document import table
from benchmarks.goals import Goal
from benchmarks.machine import measured_here
from simulator.world import World
from statemachine.steps import STEPS

ROOT = Path(__file__).parents[1]
GOAL = Goal(
    "cold start of the slowest handler, of its floor",
    1.3,
    "",
    "The floor has neither Powertools' Logger nor modules of ours: for 194 ms of boto3 and the client there are 60 ms "
    "of the Logger and 40 ms of ours, most of them dataclasses, which are built when they are imported.",
)
ROUNDS = 3
"""Processes for each figure."""

MEASURE = """
import time
begin = time.perf_counter()
{body}
seconds = time.perf_counter() - begin
import json, re
# VmHWM: the peak of this process alone; ru_maxrss would begin with that of the one that started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
print(json.dumps([seconds * 1000, peak / 1024]))
"""
FLOOR = "import boto3; boto3.client({service!r})"
HANDLER = """
import importlib; importlib.import_module('lambdas.handlers.{handler}')
from lambdas.aws.gateway import client_of; client_of({service!r})
"""


@dataclass(frozen=True)
class ColdStart:
    """One handler: milliseconds and MiB, medians."""

    handler: str
    service: str
    milliseconds: float
    floor_milliseconds: float
    peak_mib: float

    @property
    def ratio(self) -> float:
        """How many times the floor."""
        return self.milliseconds / self.floor_milliseconds


def section() -> str:
    """Measure, and return the Markdown."""
    begin = time.monotonic()
    found = measure(_first_services(), ROUNDS)
    rows = [
        [
            each.handler,
            each.service,
            f"{each.milliseconds:.0f}",
            f"{each.floor_milliseconds:.0f}",
            f"{each.ratio:.2f}",
            f"{each.peak_mib:.0f}",
        ]
        for each in found
    ]
    parts = [
        "## Cold starts",
        measured_here(time.monotonic() - begin),
        f"Median of {ROUNDS} processes. The floor is `import boto3` and the client that the handler needs first.",
        table(["handler", "first client", "ms", "floor ms", "of floor", "peak MiB"], rows),
        GOAL.verdict(max(each.ratio for each in found)),
    ]
    return "\n\n".join(parts)


def _first_services() -> dict[str, str]:
    """Return the service that each handler calls first, as seen in a deployment; DynamoDB for the rest."""
    with World() as world:
        deploy(world)
        prefix = f"{world.platform.cluster}-"
        first: dict[str, str] = {}
        for call in world.aws.calls:
            first.setdefault(call.function.removeprefix(prefix), call.service)
    return {step.handler: first.get(step.slug, "dynamodb") for step in STEPS}


def measure(first_services: dict[str, str], rounds: int) -> list[ColdStart]:
    """Measure every handler; floor and handler take turns, so that both meet the same noise.

    Parameters
    ----------
    first_services
        Handler to the boto3 name of the service that it calls first.
    rounds
        Processes per figure.
    """
    found = []
    for handler, service in first_services.items():
        pairs = [
            (_run(FLOOR.format(service=service)), _run(HANDLER.format(handler=handler, service=service)))
            for _ in range(rounds)
        ]
        found.append(
            ColdStart(
                handler,
                service,
                statistics.median(mine[0] for _, mine in pairs),
                statistics.median(floor[0] for floor, _ in pairs),
                statistics.median(mine[1] for _, mine in pairs),
            )
        )
    return found


def _run(body: str) -> tuple[float, float]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
    }
    command = [sys.executable, "-c", MEASURE.format(body=body)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    milliseconds, mib = json.loads(answer.stdout)
    return milliseconds, mib
