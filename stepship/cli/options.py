"""The options that commands share, and what happens around every command that talks to AWS."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Annotated

import typer

from stepship.failure import INTERRUPTED, fail

if TYPE_CHECKING:
    from stepship.session import Session

Environment = Annotated[
    str | None,
    typer.Option(
        "--env",
        "-e",
        metavar="NAME",
        envvar="STEPSHIP_ENV",
        help="The environment; without it, the only one that config/ has.",
    ),
]
Application = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="NAME",
        envvar="STEPSHIP_APP",
        help="The application; without it, `app` of config/ENV.toml.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]
Tag = Annotated[str | None, typer.Argument(metavar="TAG", help="Tag of the image.")]
Digest = Annotated[str | None, typer.Option(metavar="sha256:…", help="Digest of the image.")]
Services = Annotated[list[str] | None, typer.Option(metavar="A,B", help="Deploy these services only. May be repeated.")]
NoMigration = Annotated[bool, typer.Option("--no-migration", help="Leave the migration out.")]
Force = Annotated[bool, typer.Option("--force", help="Start new tasks even where nothing changes.")]
Execution = Annotated[
    str | None, typer.Argument(metavar="EXECUTION", help="Name or ARN; without it, the one that runs.")
]
Waiting = Annotated[
    str | None, typer.Argument(metavar="EXECUTION", help="Name or ARN; without it, the one that waits.")
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the history.")]
RequestedBy = Annotated[
    str | None,
    typer.Option("--requested-by", metavar="WHO", help="Who asks; without it, the workflow's actor or your ARN."),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", metavar="ID", help="Same ID, same execution; without it, what the CI system says."),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Start it and do not follow it.")]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="Follow it for so long, such as 45m. It goes on after that."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def prefer_aws_region(environ: MutableMapping[str, str]) -> None:
    """Let ``AWS_REGION`` say the region, as it does for the AWS CLI: boto3 only reads ``AWS_DEFAULT_REGION``."""
    if environ.get("AWS_REGION"):
        environ["AWS_DEFAULT_REGION"] = environ["AWS_REGION"]
    elif environ.get("AWS_DEFAULT_REGION") == "":
        # An unset variable of a workflow; boto3 would take it for the name of a region.
        del environ["AWS_DEFAULT_REGION"]


def run_command(
    context: typer.Context,
    environment: str | None,
    app: str | None,
    as_json: bool,
    command: Callable[[Session], int],
) -> None:
    """Run a command; whatever goes wrong is one line and an exit code.

    Parameters
    ----------
    context
        Its ``obj`` is the ``Host`` that a test passes; None is this process.
    command
        Returns the exit code.
    """
    # Loaded when a command runs: `--help` and shell completion do not wait for it.
    from lambdas.release.errors import StepshipError  # noqa: PLC0415
    from stepship.errors import CommandError, aws_error  # noqa: PLC0415
    from stepship.host import Host  # noqa: PLC0415
    from stepship.session import Session  # noqa: PLC0415
    from stepship.target import choose_target  # noqa: PLC0415

    host = context.obj if isinstance(context.obj, Host) else Host.of_this_process()
    session = None
    try:
        session = Session(host, choose_target(app, environment, host.folder), as_json=as_json)
        code = command(session)
    except (CommandError, StepshipError) as error:
        if isinstance(error, CommandError):
            told = error
        else:
            told = session.command_error(error) if session is not None else aws_error(error)
        code = told.exit_code
        fail(str(told), code, as_json=as_json)
        if session is not None and session.github:
            from stepship.executions.job_summary import failure_summary  # noqa: PLC0415 (a person needs none)

            session.github.annotate("error", f"stepship {context.info_name}", str(told))
            session.github.summarise(failure_summary(session.target.environment, str(context.info_name), str(told)))
    except (KeyboardInterrupt, typer.Abort) as interrupt:
        # Abort: Ctrl-C where a person was asked.
        code = INTERRUPTED
        fail(str(interrupt) or "interrupted", code, as_json=as_json)
    raise typer.Exit(code)


def write_any_text() -> None:
    """Let a character that the terminal or the pipe cannot show be written as its number: names come from outside."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def seconds(text: str | None) -> float | None:
    """Read a duration of an option.

    Raises
    ------
    typer.BadParameter
        It is none.
    """
    from stepship.views.durations import parse_duration  # noqa: PLC0415 (the same)

    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
