"""What one deploy is made of, in the simulator: states, invocations, AWS calls, and the size of what runs."""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from simulator.engine.runs import Run
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine.events import EventKind
from statemachine.packaging import build_asset
from tools.benchmarks.document import table
from tools.benchmarks.dollars import TRANSITION
from tools.benchmarks.goals import Goal
from tools.benchmarks.machine import measured_here

ASSET = Goal("asset, zipped", 2.0, " MB", "A wheel has grown, or the asset holds one more.")


def section() -> str:
    """Measure, and return the Markdown."""
    begin = time.monotonic()
    with SimulatedEnvironment() as simulated:
        run, spent = deploy(simulated)
        calls = _calls(simulated, run)
        figures = _figures(simulated, run, spent)
    asset = ASSET.verdict(_asset_megabytes())
    parts = [
        "## A deploy, simulated",
        measured_here(time.monotonic() - begin),
        "Three services in two waves, with a migration, config `dev`, on `make demo`'s simulator.",
        table(["figure", "value"], figures),
        table(["AWS call", "times"], [[name, str(count)] for name, count in calls.most_common()]),
        asset,
    ]
    return "\n\n".join(parts)


@dataclass(frozen=True)
class Spent:
    """What the measured deploy took on this machine, in seconds: of the clock on the wall, and of the processor."""

    real: float
    processor: float


def deploy(simulated: SimulatedEnvironment) -> tuple[Run, Spent]:
    """Deploy a first release, then the one that is measured; returns it and what it took."""
    simulated.push("v1")
    simulated.run({"imageTag": "v1"}, "warm-up")
    simulated.push("v2")
    begin, spent = time.perf_counter(), time.process_time()
    run = simulated.run({"imageTag": "v2"}, "measured")
    if run.state != "Deployed":
        raise RuntimeError(f"the deploy ended in {run.state}, so its figures would mean nothing")
    return run, Spent(time.perf_counter() - begin, time.process_time() - spent)


def _calls(simulated: SimulatedEnvironment, run: Run) -> Counter[str]:
    return Counter(f"{c.service}:{c.operation}" for c in simulated.aws.calls if c.execution == run.name)


def _figures(simulated: SimulatedEnvironment, run: Run, spent: Spent) -> list[list[str]]:
    mine = [event for event in simulated.aws.events if event.execution == run.name]
    invocations = [event for event in mine if event.kind == EventKind.LAMBDA_INVOKED]
    transitions = len(run.states)
    return [
        ["ended as", run.state],
        ["virtual duration", f"{(run.ended_at or 0) - (run.started_at or 0):.0f} s"],
        ["real duration", f"{spent.real:.2f} s"],
        ["of the processor", f"{spent.processor:.2f} s"],
        ["state transitions", str(transitions)],
        ["of it, cost of Step Functions", f"${transitions * TRANSITION:.5f}"],
        ["Lambda invocations", str(len(invocations))],
        ["AWS calls", str(_calls(simulated, run).total())],
    ]


def _asset_megabytes() -> float:
    """Build the asset as a deploy does, and zip it as the CDK does."""
    with tempfile.TemporaryDirectory() as folder:
        asset = Path(folder) / "asset"
        asset.mkdir()
        build_asset(asset)
        archive = Path(folder) / "asset.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in sorted(asset.rglob("*")):
                zipped.write(file, file.relative_to(asset))
        return archive.stat().st_size / 1e6
