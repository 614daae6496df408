"""The emulator's process: started on a free port of 127.0.0.1, ended by its own process id."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv" / "e2e"
"""The emulator's own virtual environment: its botocore is not the product's."""

WAIT_SCALE = 0.03
"""The emulator's own setting: a Wait state of ten seconds takes 0.3."""

SWITCH = "app.AUTH"
"""A key that ``authorisation.py`` adds to the emulator's config endpoint: whether IAM is enforced."""

REFUSED = "REFUSED "
"""What a line of the log begins with that tells of a refusal; JSON follows."""

START_SECONDS = 30
END_SECONDS = 5
TAIL_LINES = 40
SCRATCH_BYTES = 2 * 1024**3
"""Ten times what the functions unpack; a container often has 64 MB of shared memory."""


class EmulatorError(Exception):
    """The emulator did not start, or does not run any more."""


@dataclass(frozen=True)
class Refusal:
    """A call that IAM has refused: of which session, what, and on what."""

    session: str
    action: str
    resource: str


class Emulator:
    """A running emulator; a context manager, after which nothing of it is left.

    Parameters
    ----------
    folder
        For its log.
    launcher
        The module that runs in its environment.
    wait_scale
        What a second of a Wait state takes, in seconds.
    variables
        More environment variables, for that module.
    """

    def __init__(
        self,
        folder: Path,
        *,
        launcher: str = "tests.e2e.launcher",
        wait_scale: float = WAIT_SCALE,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._launcher, self._wait_scale, self._variables = launcher, wait_scale, variables or {}
        self.log = folder / "emulator.log"
        self.port = _free_port()

    @property
    def url(self) -> str:
        """What ``AWS_ENDPOINT_URL`` has to be; the CDK wants the address and not a name."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start it, wait until it answers, and set its clock."""
        self._scratch = Path(tempfile.mkdtemp(prefix="stepship-e2e-", dir=_quick_folder()))
        self._output: IO[bytes] = self.log.open("wb")
        self._process = subprocess.Popen(
            [str(ENVIRONMENT / "bin" / "python"), "-m", self._launcher],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "TMPDIR": str(self._scratch),
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": "127.0.0.1",
                # Its address in the URLs that it hands out, such as where a custom resource answers.
                "MINISTACK_HOST": "127.0.0.1",
                # Listeners that it would open on ports of their own.
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "PYTHONDONTWRITEBYTECODE": "1",
                **self._variables,
            },
            # The launcher ends when this pipe is closed: also when this process is killed.
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # A group of its own, so that it can be ended together with the functions that it runs.
            start_new_session=True,
        )
        try:
            self._await_health()
            self._configure({"stepfunctions._SFN_WAIT_SCALE": self._wait_scale})
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and everything that it has started."""
        self._end()

    def enforce(self, *, on: bool) -> None:
        """Authorise the calls of the functions by their roles, or let everybody do everything."""
        self._configure({SWITCH: on})

    def refusals(self) -> list[Refusal]:
        """Return what IAM has refused since the start, in order."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [Refusal(**json.loads(line.removeprefix(REFUSED))) for line in lines if line.startswith(REFUSED)]

    def tail(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def _await_health(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EmulatorError(f"it ended with {self._process.returncode}:\n{self.tail()}")
            try:
                with urlopen(f"{self.url}/_ministack/health", timeout=2):  # noqa: S310 (our own address)
                    return
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise EmulatorError(f"no answer after {START_SECONDS} s:\n{self.tail()}")

    def _configure(self, settings: dict[str, Any]) -> None:
        request = Request(f"{self.url}/_ministack/config", json.dumps(settings).encode(), method="POST")  # noqa: S310
        with urlopen(request, timeout=60) as answer:  # noqa: S310 (our own address)
            applied = json.load(answer)["applied"]
        if applied != settings:
            raise EmulatorError(f"it took {applied} of {settings}")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # The functions' processes are in its group, whose number is its own process id.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin:
            self._process.stdin.close()
        self._output.close()
        # Each function that ran has unpacked the asset there.
        shutil.rmtree(self._scratch, ignore_errors=True)


def _quick_folder() -> Path | None:
    """Return where twenty copies of the asset are written and removed fastest: in memory, if there is enough."""
    memory = Path("/dev/shm")  # noqa: S108 (a folder of its own is made in it)
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > SCRATCH_BYTES else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
