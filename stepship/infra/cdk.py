"""The CDK CLI, pinned in ``node_modules/``: it deploys, and this starts it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stepship.errors import CommandError, wrong_usage

Say = Callable[[str], object]

COLOR = re.compile(r"\x1b\[[0-9;]*m")
TAIL_LINES = 40
"""Lines of a failed ``cdk synth`` or ``cdk diff`` that are shown."""

NO_CHANGES = "(no changes)"
"""How the CLI says that a stack was as it should be (aws-cdk 2.1148.1)."""

NOISE = (
    *("✨", "✅", "start: ", "success: ", "Stack ARN:", "arn:aws:cloudformation:"),
    *("Hold on while we create", "Could not create a change set"),
)
"""How the CLI's lines begin that tell nothing of a stack, or what we say ourselves."""

END_SECONDS = 5
"""How long a CLI that is ended may take; it has nothing to put in order."""

PROTECTION = "DeletionProtection"
"""The parameter of templates with something that is protected from being deleted (statemachine/protection.py)."""

QUIET = ("--no-notices", "--no-color", "--ci")


class Cdk(Protocol):
    """What deploys stacks; tests have one of their own."""

    def synthesise(self, context: Mapping[str, str]) -> None:
        """Write the templates once: what was shown is what is deployed."""

    def diff(self, stacks: Sequence[str]) -> str:
        """Return what would change, as the CDK says it."""

    def protects(self, stack: str) -> bool:
        """Whether a stack has something whose deletion protection can be switched."""

    def deploy(self, stack: str, say: Say, *, protection: bool | None = None) -> bool:
        """Deploy one stack; returns whether that went well.

        Parameters
        ----------
        stack, say
            Its name, and who hears the CLI's lines.
        protection
            Whether what it protects is protected; None leaves that as it is.
        """

    def destroy(self, stack: str, say: Say) -> bool:
        """Destroy one stack; returns whether that went well."""

    def abandon(self) -> None:
        """End the CLI's processes; what CloudFormation has begun goes on without them."""


class CdkCli:
    """The CDK CLI of this folder.

    Parameters
    ----------
    folder
        The repository: ``cdk.json`` and ``node_modules/`` are here.
    assembly
        Where the templates are written, and read from.
    environ
        The environment variables: credentials, region and endpoint are the CLI's as they are ours.
    """

    def __init__(self, folder: Path, assembly: Path, environ: Mapping[str, str]) -> None:
        self._program = folder / "node_modules" / ".bin" / "cdk"
        self._folder, self._assembly = folder, assembly
        # Node, which the CLI is started with, comes from the wheel beside this Python.
        path = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
        self._environ = {"CDK_DISABLE_CLI_TELEMETRY": "true", **environ, "PATH": path}
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Check that there is an app and a CLI.

        Raises
        ------
        CommandError
            Says what is missing.
        """
        if not (self._folder / "cdk.json").is_file():
            raise wrong_usage("there is no cdk.json here: run it in the folder of the CDK app")
        if not self._program.exists():
            raise wrong_usage("the CDK CLI is not here: run `make node_modules/.ready`")

    def synthesise(self, context: Mapping[str, str]) -> None:
        """Write the templates to the assembly.

        Raises
        ------
        CommandError
            The app cannot be synthesised; with its last lines.
        """
        options = [option for key, value in context.items() for option in ("--context", f"{key}={value}")]
        self._read("cdk synth", "synth", "--quiet", *options, "--output", str(self._assembly))

    def diff(self, stacks: Sequence[str]) -> str:
        """Return what ``cdk diff`` says.

        Raises
        ------
        CommandError
            It could not compare; with its last lines.
        """
        return self._read("cdk diff", "diff", *stacks, "--exclusively", "--app", str(self._assembly))

    def protects(self, stack: str) -> bool:
        """Whether the template of a stack has the parameter that switches deletion protection."""
        try:
            template = json.loads((self._assembly / f"{stack}.template.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False  # the CLI says what is wrong with the templates
        return PROTECTION in template.get("Parameters", {})

    def deploy(self, stack: str, say: Say, *, protection: bool | None = None) -> bool:
        """Deploy one stack; approval was given with the command itself, ``plan`` shows what changes in IAM."""
        options = ["--require-approval", "never", "--progress", "events"]
        if protection is not None:
            options += ["--parameters", f"{stack}:{PROTECTION}={str(protection).lower()}"]
        return self._run(say, "deploy", stack, "--exclusively", *options, "--app", str(self._assembly)) == 0

    def destroy(self, stack: str, say: Say) -> bool:
        """Destroy one stack."""
        return self._run(say, "destroy", stack, "--exclusively", "--force", "--app", str(self._assembly)) == 0

    def abandon(self) -> None:
        """End the CLI's processes, by their own ids."""
        with self._lock:
            for process in self._running:
                _signal(process, signal.SIGTERM)

    def _read(self, what: str, *arguments: str) -> str:
        lines: list[str] = []
        if self._run(lines.append, *arguments):
            raise CommandError(f"{what} failed, nothing was changed: " + " / ".join(lines[-TAIL_LINES:]))
        return "\n".join(lines)

    def _run(self, say: Say, *arguments: str) -> int:
        with subprocess.Popen(
            [str(self._program), *arguments, *QUIET],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C is for us: the CLI goes on until CloudFormation is done with the stack.
            start_new_session=True,
        ) as process:
            try:
                with self._lock:
                    self._running.add(process)
                for line in process.stdout or ():
                    if text := COLOR.sub("", line).rstrip():
                        say(text)
                return process.wait()
            except BaseException:
                _end(process)
                raise
            finally:
                with self._lock:
                    self._running.discard(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a CLI and the app that it runs, and wait: they write to a folder that is removed after this."""
    # Its group has its own number, for it began a session.
    _signal(process, signal.SIGTERM)
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.communicate()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
