"""The command line. What a command needs is imported when it runs, so that ``stepship --help`` is quick."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from stepship.cli.infra import infra_app
from stepship.cli.options import (
    Application,
    AsJson,
    Digest,
    Environment,
    Execution,
    Force,
    NoMigration,
    NoWait,
    Reason,
    RequestedBy,
    RunId,
    Services,
    Tag,
    Timeout,
    Waiting,
    Yes,
    prefer_aws_region,
    run_command,
    seconds,
    write_any_text,
)
from stepship.cli.usage import Commands
from stepship.failure import WRONG_USAGE, fail

AWS, LOCAL = "Commands for an environment in AWS", "Commands that need no AWS"

app = typer.Typer(
    name="stepship",
    cls=Commands,
    help="Code deploys to Amazon ECS as one Step Functions execution: all services or none, explained when it fails.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
# The words of before for `pause` and `resume`: scripts may have them.
line_app = typer.Typer(no_args_is_help=True)
app.add_typer(line_app, name="line", hidden=True)
app.add_typer(
    infra_app,
    name="infra",
    rich_help_panel=AWS,
    help="Deploy the stacks of an environment, stage by stage, by the CDK.",
)


@app.command(rich_help_panel=AWS)
def deploy(
    context: typer.Context,
    tag: Tag = None,
    environment: Environment = None,
    application: Application = None,
    digest: Digest = None,
    services: Services = None,
    no_migration: NoMigration = False,
    force: Force = False,
    override_freeze: Annotated[
        str | None, typer.Option(metavar="REASON", help="Deploy in a freeze, and say why.")
    ] = None,
    reason: Reason = None,
    requested_by: RequestedBy = None,
    run_id: RunId = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Deploy an image to all services, and follow it to its end.

    A CI step that is retried takes up the execution that it started before. Ctrl-C detaches: the deployment goes on,
    and `stepship watch` picks it up.

    **Example**: `stepship deploy sha-6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d --env production --reason "release 41"`

    **Example**: `stepship deploy v3 --services api,worker --no-migration --no-wait`

    Exit code: 0 deployed or nothing to do, 2 rejected, 3 rolled back, 4 rollback failed, 5 superseded, 1 anything else.
    """
    from stepship.commands.deploy import DeployRequest, Following, deploy  # noqa: PLC0415 (--help does not wait for it)

    request = DeployRequest(tag, digest, services or (), not no_migration, force, reason, requested_by, override_freeze)
    following = Following(run_id, not no_wait, seconds(timeout))
    run_command(context, environment, application, as_json, lambda session: deploy(session, request, following))


@app.command(rich_help_panel=AWS)
def rollback(
    context: typer.Context,
    release: Annotated[
        str | None, typer.Argument(metavar="RELEASE", help="Release to return to; `stepship history` lists them.")
    ] = None,
    environment: Environment = None,
    application: Application = None,
    reason: Reason = None,
    requested_by: RequestedBy = None,
    run_id: RunId = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Return all services to the live release if one is not on it, else to the verified release before it.

    It needs no build, no migration and no approval, and goes before every deploy that waits.

    **Example**: `stepship rollback --env production --reason "error rate doubled"`

    **Example**: `stepship rollback r-20260105-090030-93c922`

    Exit code: as for deploy.
    """
    from stepship.commands.deploy import Following  # noqa: PLC0415 (--help does not wait for it)
    from stepship.commands.rollback import rollback  # noqa: PLC0415 (the same)

    following = Following(run_id, not no_wait, seconds(timeout))
    run_command(
        context,
        environment,
        application,
        as_json,
        lambda session: rollback(session, release, following, reason=reason, requested_by=requested_by),
    )


@app.command(rich_help_panel=AWS)
def watch(
    context: typer.Context,
    execution: Execution = None,
    environment: Environment = None,
    application: Application = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Pick up what runs, or any execution, and follow it to its end.

    **Example**: `stepship watch --env production`

    Exit code: as for deploy; 0 when nothing runs.
    """
    from stepship.commands.watch import watch  # noqa: PLC0415 (--help does not wait for it)

    limit = seconds(timeout)
    run_command(context, environment, application, as_json, lambda session: watch(session, execution, limit))


@app.command(rich_help_panel=AWS)
def stop(
    context: typer.Context,
    execution: Execution = None,
    environment: Environment = None,
    application: Application = None,
    reason: Reason = None,
    yes: Yes = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Stop what runs; a recovery rolls back what it has moved.

    **Example**: `stepship stop --env dev --reason "wrong tag"`

    Exit code: 0 when everything is rolled back, 4 when it cannot be, 1 anything else.
    """
    from stepship.commands.stop import stop  # noqa: PLC0415 (--help does not wait for it)

    run_command(
        context,
        environment,
        application,
        as_json,
        lambda session: stop(session, execution, reason=reason, yes=yes, wait=not no_wait),
    )


@app.command(rich_help_panel=AWS)
def plan(
    context: typer.Context,
    tag: Tag = None,
    environment: Environment = None,
    application: Application = None,
    digest: Digest = None,
    services: Services = None,
    no_migration: NoMigration = False,
    force: Force = False,
    everything: Annotated[bool, typer.Option("--all", help="Show the checks that passed too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a deploy would do; nothing is written.

    **Example**: `stepship plan v3 --env production`

    Exit code: 0 when it could go ahead or there is nothing to do, 2 when it would be rejected, 1 anything else.
    """
    from stepship.commands.deploy import DeployRequest  # noqa: PLC0415 (--help does not wait for it)
    from stepship.commands.plan import plan  # noqa: PLC0415 (the same)

    request = DeployRequest(tag, digest, services or (), not no_migration, force)
    run_command(context, environment, application, as_json, lambda session: plan(session, request, show_all=everything))


@app.command(rich_help_panel=AWS)
def status(
    context: typer.Context, environment: Environment = None, application: Application = None, as_json: AsJson = False
) -> None:
    """Show what runs, what should run, and who is at it.

    **Example**: `stepship status --env production`

    **Example**: `stepship status --json | jq '.services[] | select(.drift != [])'`

    Exit code: 0, also where there is drift.
    """
    from stepship.commands.status import status  # noqa: PLC0415 (--help does not wait for it)

    run_command(context, environment, application, as_json, status)


@app.command(rich_help_panel=AWS)
def history(
    context: typer.Context,
    environment: Environment = None,
    application: Application = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many deployments to show.")] = 20,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days the figures are made of.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Show the newest deployments, and how often and how well this environment is deployed.

    **Example**: `stepship history --limit 5 --days 90`
    """
    from stepship.commands.history import history  # noqa: PLC0415 (--help does not wait for it)

    run_command(context, environment, application, as_json, lambda session: history(session, limit, days))


@app.command(rich_help_panel=AWS)
def explain(
    context: typer.Context,
    execution: Annotated[
        str | None,
        typer.Argument(metavar="EXECUTION", help="Name, ARN or release; without it, the last one that failed."),
    ] = None,
    environment: Environment = None,
    application: Application = None,
    as_json: AsJson = False,
) -> None:
    """Say why a deployment failed: likely causes with their evidence, last log lines, what was done about it.

    **Example**: `stepship explain --env production`

    **Example**: `stepship explain r-20260105-090030-93c922 --json`

    Exit code: 0, also for one that went well; 1 when there is none.
    """
    from stepship.commands.explain import explain  # noqa: PLC0415 (--help does not wait for it)

    run_command(context, environment, application, as_json, lambda session: explain(session, execution))


@app.command(rich_help_panel=AWS)
def approve(
    context: typer.Context,
    execution: Waiting = None,
    environment: Environment = None,
    application: Application = None,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Say yes to a deployment that waits for approval.

    **Example**: `stepship approve --env production --reason "the change board agreed"`

    Exit code: 0 when the answer was heard, 1 when nothing waits.
    """
    from stepship.commands.approval import approve  # noqa: PLC0415 (--help does not wait for it)

    run_command(
        context,
        environment,
        application,
        as_json,
        lambda session: approve(session, execution, reason=reason, yes=yes),
    )


@app.command(rich_help_panel=AWS)
def reject(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the requester reads it.")],
    execution: Waiting = None,
    environment: Environment = None,
    application: Application = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Say no to a deployment that waits for approval.

    **Example**: `stepship reject --env production --reason "not on a Friday"`

    Exit code: 0 when the answer was heard, 1 when nothing waits.
    """
    from stepship.commands.approval import reject  # noqa: PLC0415 (--help does not wait for it)

    run_command(
        context,
        environment,
        application,
        as_json,
        lambda session: reject(session, execution, reason=reason, yes=yes),
    )


@app.command(rich_help_panel=AWS)
@line_app.command("stop", hidden=True)
def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Why. Everybody whose deploy is refused reads it.")],
    environment: Environment = None,
    application: Application = None,
    as_json: AsJson = False,
) -> None:
    """Refuse deploys until they are resumed; rollbacks pass, and what runs goes on.

    **Example**: `stepship pause "the database is being moved" --env production`
    """
    from stepship.commands.pause import pause  # noqa: PLC0415 (--help does not wait for it)

    run_command(context, environment, application, as_json, lambda session: pause(session, reason))


@app.command(rich_help_panel=AWS)
@line_app.command("start", hidden=True)
def resume(
    context: typer.Context, environment: Environment = None, application: Application = None, as_json: AsJson = False
) -> None:
    """Let deploys pass again.

    **Example**: `stepship resume --env production`
    """
    from stepship.commands.pause import resume  # noqa: PLC0415 (--help does not wait for it)

    run_command(context, environment, application, as_json, resume)


@app.command(rich_help_panel=LOCAL)
def demo() -> None:
    """Show five deployments on a simulated AWS: good ones, a crash, a failing migration, a stop in the middle.

    It needs no AWS account, no docker and no network, and takes some ten seconds. In a pipe or a CI job it writes
    plain lines.

    **Example**: `stepship demo`

    Exit code: 0 when every deployment ended as it should and the invariant holds, else 1.
    """
    require_simulator()
    from rich.console import Console  # noqa: PLC0415 (--help does not wait for it)

    from stepship.commands.demo import run_demo  # noqa: PLC0415 (--help does not wait for it)

    raise typer.Exit(0 if run_demo(Console()) else 1)


@app.command(rich_help_panel=LOCAL)
def simulate(
    scenario: Annotated[
        Path,
        typer.Option(
            "--scenario", "-s", metavar="FILE", help="A YAML file; docs/reference/simulator.md documents its keys."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Play a scenario on a simulated AWS: deployments, faults, stops, and what must come of them.

    **Example**: `stepship simulate --scenario simulator/scenarios/two-at-once.yaml`

    **Example**: `stepship simulate -s simulator/scenarios/crash-at-start.yaml --json | jq '.deployments[1].cause'`

    Exit code: 0 when the expectations of the file and the invariant hold, 1 when not, 2 for a file that cannot be used.
    """
    require_simulator(as_json=as_json)
    from stepship.commands.simulate import run_simulation  # noqa: PLC0415 (--help does not wait for it)

    raise typer.Exit(run_simulation(scenario, as_json=as_json))


def require_simulator(*, as_json: bool = False) -> None:
    """End the command when what it runs on is not installed: moto is an extra, most machines do without it."""
    if find_spec("moto") is None:
        fail("this needs the simulator: pip install 'stepship[simulator]'", WRONG_USAGE, as_json=as_json)
        raise typer.Exit(WRONG_USAGE)


def main() -> NoReturn:
    """Run the command line."""
    prefer_aws_region(os.environ)
    write_any_text()
    app(prog_name="stepship")
    raise SystemExit
