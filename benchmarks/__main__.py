"""Print the figures: ``python -m benchmarks`` or ``make bench``."""

from __future__ import annotations

import argparse
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import synthesis
from benchmarks.cold_start import GOAL, measure
from simulator.events import EventKind
from simulator.runs import Run
from simulator.world import World
from statemachine.packaging import build_asset
from statemachine.steps import STEPS

ASSET_GOAL_MB = 2.0
DOLLARS_PER_TRANSITION = 0.025 / 1000
"""AWS Step Functions pricing, Standard workflows, us-east-1."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m benchmarks --rounds 3")
    parser.add_argument("--rounds", type=int, default=7, help="processes per cold start figure (default 7)")
    rounds = parser.parse_args().rounds
    console = Console(width=110)
    with World() as world:
        run, seconds = _deploy(world)
        console.print(_deploy_table(world, run, seconds))
        console.print(_calls_table(world, run))
        first_services = _first_services(world)
    console.print(_asset_line())
    console.print(_synthesis_table())
    table = Table(title=f"cold start, median of {rounds} processes; goal: at most {GOAL} of the floor")
    for column in ("handler", "first client", "ms", "floor ms", "of floor", "peak MiB", ""):
        table.add_column(column, justify="left" if column in ("handler", "first client", "") else "right")
    for one in measure(first_services, rounds):
        table.add_row(
            one.handler,
            one.service,
            f"{one.milliseconds:.0f}",
            f"{one.floor_milliseconds:.0f}",
            f"{one.ratio:.2f}",
            f"{one.peak_mib:.0f}",
            "ok" if one.ratio <= GOAL else "MISSED",
        )
    console.print(table)


def _synthesis_table() -> Table:
    """Show the seconds of a synth of one environment: with CloudFormation validation, and each part without it."""
    plain, validated = synthesis.measure(validation=False), synthesis.measure(validation=True)
    table = Table(title=f"synth of all stacks of {synthesis.ENVIRONMENT}, a process of its own")
    table.add_column("part")
    table.add_column("s", justify="right")
    table.add_row("all, with CloudFormation validation (make synth)", f"{validated['total']:.1f}")
    table.add_row("all, without (tests)", f"{plain['total']:.1f}")
    table.add_row("  import of the CDK", f"{plain['import']:.1f}")
    for part, seconds in plain["stacks"].items():
        table.add_row(f"  {part}", f"{seconds:.2f}")
    table.add_row("  templates and cdk-nag", f"{plain['synth']:.1f}")
    return table


def _deploy(world: World) -> tuple[Run, float]:
    """Deploy a first release, then the one that is measured: three services in two waves, with a migration."""
    world.push("v1")
    world.run({"imageTag": "v1"}, "warm-up")
    world.push("v2")
    begin = time.perf_counter()
    run = world.run({"imageTag": "v2"}, "measured")
    return run, time.perf_counter() - begin


def _calls(world: World, run: Run) -> Counter[str]:
    return Counter(f"{c.service}:{c.operation}" for c in world.aws.calls if c.execution == run.name)


def _deploy_table(world: World, run: Run, seconds: float) -> Table:
    mine = [event for event in world.aws.events if event.execution == run.name]
    invocations = [event for event in mine if event.kind == EventKind.LAMBDA_INVOKED]
    transitions = len(run.states)
    table = Table(title="a deploy of three services in two waves, with a migration (simulated, environment dev)")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_row("ended as", run.state)
    table.add_row("virtual duration", f"{(run.ended_at or 0) - (run.started_at or 0):.0f} s")
    table.add_row("real duration", f"{seconds:.2f} s")
    table.add_row("state transitions", str(transitions))
    table.add_row("of it, cost of Step Functions", f"${transitions * DOLLARS_PER_TRANSITION:.5f}")
    table.add_row("Lambda invocations", str(len(invocations)))
    table.add_row("AWS calls", str(_calls(world, run).total()))
    return table


def _calls_table(world: World, run: Run) -> Table:
    table = Table(title="its AWS calls by operation")
    table.add_column("operation")
    table.add_column("calls", justify="right")
    for operation, count in _calls(world, run).most_common():
        table.add_row(operation, str(count))
    return table


def _first_services(world: World) -> dict[str, str]:
    """Return the service that each handler calls first, as seen in the deployment; DynamoDB for the rest."""
    prefix = f"{world.platform.cluster}-"
    first: dict[str, str] = {}
    for call in world.aws.calls:
        first.setdefault(call.function.removeprefix(prefix), call.service)
    return {step.handler: first.get(step.slug, "dynamodb") for step in STEPS}


def _asset_line() -> str:
    """Build the asset as a deploy does, and zip it as the CDK does."""
    with tempfile.TemporaryDirectory() as folder:
        asset = Path(folder) / "asset"
        asset.mkdir()
        build_asset(asset)
        archive = Path(folder) / "asset.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in sorted(asset.rglob("*")):
                zipped.write(file, file.relative_to(asset))
        megabytes = archive.stat().st_size / 1e6
    verdict = "ok" if megabytes <= ASSET_GOAL_MB else "MISSED"
    return f"asset: {megabytes:.2f} MB zipped (goal ≤ {ASSET_GOAL_MB:.0f} MB) {verdict}"


if __name__ == "__main__":
    main()
