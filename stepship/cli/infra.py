"""``stepship infra …`` on the command line. What a command needs is imported when it runs, as in ``cli.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepship.cli.options import Application, AsJson, Environment, Yes, run_command
from stepship.infra import CONCURRENCY

if TYPE_CHECKING:
    from stepship.session import Session

infra_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Stage = Annotated[
    str | None, typer.Option("--stage", metavar="NAME", help="This stage only; stacks/stages.py has them.")
]
Context = Annotated[
    list[str] | None,
    typer.Option("--context", "-c", metavar="KEY=VALUE", help="For the CDK app, as `cdk -c`. May be repeated."),
]
Assembly = Annotated[
    Path | None,
    typer.Option(
        "--assembly", metavar="FOLDER", help="Templates that `cdk synth` has written; without it, it does that."
    ),
]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, max=20, help="How many stacks at once.")]


@infra_app.command("plan")
def infra_plan(
    context: typer.Context,
    environment: Environment = None,
    application: Application = None,
    stage: Stage = None,
    cdk_context: Context = None,
    assembly: Assembly = None,
    as_json: AsJson = False,
) -> None:
    """Show stages and stacks, and what a deploy would change in each, IAM included; no stack is touched.

    **Example**: `stepship infra plan --env production`

    **Example**: `stepship infra plan --stage application --json`

    Exit code: 0, whatever would change; 2 for an app or a config that cannot be used.
    """
    from stepship.commands.infra import plan  # noqa: PLC0415 (--help does not wait for it)
    from stepship.infra.tools import app_options  # noqa: PLC0415 (the same)

    run_command(
        context,
        environment,
        application,
        as_json,
        lambda session: plan(session, stage, app_options(cdk_context or (), assembly)),
    )


@infra_app.command("deploy")
def infra_deploy(
    context: typer.Context,
    environment: Environment = None,
    application: Application = None,
    stage: Stage = None,
    cdk_context: Context = None,
    assembly: Assembly = None,
    recreate: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="In production: delete what was never wholly made, and make it anew."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="PART/RESOURCE", help="Continue a rollback that failed without this resource."),
    ] = None,
    concurrency: Concurrency = CONCURRENCY,
    as_json: AsJson = False,
) -> None:
    """Deploy the stacks stage by stage, several at once inside a stage, while no code is deployed.

    It holds the deployment lock, and lets a rollback pass between two stacks. Stacks that are stuck are freed first.
    Ctrl-C lets CloudFormation finish what it is at; run it again, and it goes on where it stopped.

    **Example**: `stepship infra deploy --env dev`

    **Example**: `stepship infra deploy --env production --stage data --recreate aurora`

    Exit code: 0 when every stack is as it should be, 2 wrong usage, 130 after Ctrl-C, 1 anything else.
    """
    from stepship.commands.infra_deploy import InfraRequest, deploy  # noqa: PLC0415 (--help does not wait for it)
    from stepship.infra.tools import app_options  # noqa: PLC0415 (the same)

    def run(session: Session) -> int:
        options = app_options(cdk_context or (), assembly)
        return deploy(session, InfraRequest(stage, options, tuple(recreate or ()), tuple(skip or ()), concurrency))

    run_command(context, environment, application, as_json, run)


@infra_app.command("status")
def infra_status(
    context: typer.Context,
    environment: Environment = None,
    application: Application = None,
    cdk_context: Context = None,
    as_json: AsJson = False,
) -> None:
    """Show what CloudFormation says about each stack, what a stuck one needs, and who is deploying.

    A part that was switched off after it was deployed is shown for as long as it stands.

    **Example**: `stepship infra status --env production`

    Exit code: 0, whatever there is to see.
    """
    from stepship.commands.infra import status  # noqa: PLC0415 (--help does not wait for it)
    from stepship.infra.tools import read_context  # noqa: PLC0415 (the same)

    run_command(
        context, environment, application, as_json, lambda session: status(session, read_context(cdk_context or ()))
    )


@infra_app.command("destroy")
def infra_destroy(
    context: typer.Context,
    environment: Environment = None,
    application: Application = None,
    confirm: Annotated[
        str | None, typer.Option(metavar="WORDS", help="For production: the words that it asks for.")
    ] = None,
    yes: Yes = False,
    cdk_context: Context = None,
    assembly: Assembly = None,
    concurrency: Concurrency = CONCURRENCY,
    as_json: AsJson = False,
) -> None:
    """Destroy all stacks of an environment, the last stage first; production only with the words.

    Those too that were switched off after they were deployed. What outlives its stack is named before and after.
    What has termination protection is not touched: it says how to switch that off.

    **Example**: `stepship infra destroy --env dev --yes`

    **Example**: `stepship infra destroy --env production --confirm "destroy production of v3-backend"`

    Exit code: 0 when all are gone, 2 when it was not confirmed, 130 after Ctrl-C, 1 anything else.
    """
    from stepship.commands.infra_destroy import destroy  # noqa: PLC0415 (--help does not wait for it)
    from stepship.infra.tools import app_options  # noqa: PLC0415 (the same)

    run_command(
        context,
        environment,
        application,
        as_json,
        lambda session: destroy(
            session,
            confirm=confirm,
            yes=yes,
            options=app_options(cdk_context or (), assembly),
            concurrency=concurrency,
        ),
    )
