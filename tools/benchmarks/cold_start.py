"""Cold start of each handler against its floor: importing boto3 and making the one client that it needs first.

Each figure is the median over fresh Python processes; peak memory is the process's maximum resident size (Linux only).
The absolute numbers are this machine's, the ratio is what one may compare. All bytecode is there before, in a folder of
the benchmark's own: else the first run in a new virtual environment would measure how Python compiles boto3.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine.steps import STEPS
from tools.benchmarks.deploy import deploy
from tools.benchmarks.document import table
from tools.benchmarks.goals import Goal
from tools.benchmarks.machine import measured_here

ROOT = Path(__file__).parents[2]
GOAL = Goal(
    "cold start of the slowest handler, of its floor",
    1.3,
    "",
    "The floor has neither Powertools' Logger nor modules of ours: what is above it are these, and of ours most is "
    "dataclasses, which are built when they are imported.",
)
Figures = tuple[float, float]
"""Milliseconds and MiB of one process."""

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
        (
            f"Median of {ROUNDS} processes. The floor is `import boto3` and the client that the handler needs first. "
            "All bytecode is there before, as that of boto3 is in Lambda; of the asset it is not there, and compiling "
            "it comes on top."
        ),
        table(["handler", "first client", "ms", "floor ms", "of floor", "peak MiB"], rows),
        GOAL.verdict(max(each.ratio for each in found)),
    ]
    return "\n\n".join(parts)


def _first_services() -> dict[str, str]:
    """Return the service that each handler calls first, as seen in a deployment; DynamoDB for the rest."""
    with SimulatedEnvironment() as simulated:
        deploy(simulated)
        prefix = f"{simulated.platform.cluster}-"
        first: dict[str, str] = {}
        for call in simulated.aws.calls:
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
    with TemporaryDirectory(prefix="stepship-bench-") as bytecode:

        def both(handler: str, service: str) -> tuple[Figures, Figures]:
            body = HANDLER.format(handler=handler, service=service)
            return _run(FLOOR.format(service=service), bytecode), _run(body, bytecode)

        for handler, service in first_services.items():
            both(handler, service)
        return [
            _median(handler, service, [both(handler, service) for _ in range(rounds)])
            for handler, service in first_services.items()
        ]


def _median(handler: str, service: str, pairs: Sequence[tuple[Figures, Figures]]) -> ColdStart:
    return ColdStart(
        handler,
        service,
        statistics.median(mine[0] for _, mine in pairs),
        statistics.median(floor[0] for floor, _ in pairs),
        statistics.median(mine[1] for _, mine in pairs),
    )


def _run(body: str, bytecode: str) -> Figures:
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPYCACHEPREFIX": bytecode,
        "PYTHONPATH": str(ROOT),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
    }
    command = [sys.executable, "-c", MEASURE.format(body=body)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    milliseconds, mib = json.loads(answer.stdout)
    return milliseconds, mib
