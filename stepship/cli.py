"""The command line. What a command needs is imported when it runs, so that ``stepship --help`` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    name="stepship",
    help="Code deploys to Amazon ECS as one Step Functions execution: all services or none, explained when it fails.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)


@app.callback()
def stepship() -> None:
    """Keep the commands' names, also while there is only one."""


@app.command()
def demo() -> None:
    """Show five deployments on a simulated AWS: good ones, a crash, a failing migration, a stop in the middle.

    It needs no AWS account, no docker and no network, and takes some ten seconds. In a pipe or a CI job it writes
    plain lines.

    **Example**: `stepship demo`

    Exit code: 0 when every deployment ended as it should and the invariant holds, else 1.
    """
    from rich.console import Console  # noqa: PLC0415 (--help does not wait for it)

    from stepship.demo import run_demo  # noqa: PLC0415 (--help does not wait for it)

    raise typer.Exit(0 if run_demo(Console()) else 1)


@app.command()
def simulate(
    scenario: Annotated[
        Path,
        typer.Option("--scenario", "-s", metavar="FILE", help="A YAML file; docs/simulator.md documents its keys."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Play a scenario on a simulated AWS: deployments, faults, stops, and what must come of them.

    **Example**: `stepship simulate --scenario simulator/scenarios/two-at-once.yaml`

    **Example**: `stepship simulate -s simulator/scenarios/crash-at-start.yaml --json | jq .deployments[1].cause`

    Exit code: 0 when the expectations of the file and the invariant hold, 1 when not, 2 for a file that cannot be used.
    """
    from stepship.simulate import run_simulation  # noqa: PLC0415 (--help does not wait for it)

    raise typer.Exit(run_simulation(scenario, as_json=as_json))


def main() -> NoReturn:
    """Run the command line."""
    app(prog_name="stepship")
    raise SystemExit
