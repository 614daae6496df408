"""A server that stands in for AWS and for the subgraphs' gateway: what a role in a process of its own talks to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GIVE_UP_SECONDS = 60
"""What a process or a thread gets for what takes milliseconds on a machine that has nothing else to do."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Stub:
    """Answers each operation of AWS, and each GraphQL operation, with what the test says; else with nothing.

    Attributes
    ----------
    answers
        Operation to what makes its answer of the request: ``SendMessage``, ``ListPools``, ``IntrospectionQuery``.
    calls
        (operation, request) in the order in which they came.
    headers
        Of the last request.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.headers: dict[str, str] = {}
        self._called = threading.Condition()
        self.url = ""

    def wait_for(self, operation: str, times: int = 1) -> None:
        """Wait until an operation has been called so often."""
        with self._called:
            assert self._called.wait_for(
                lambda: self.operations().count(operation) >= times, timeout=GIVE_UP_SECONDS
            ), self.calls

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        with self._called:
            self.calls.append((operation, request))
            self._called.notify_all()
        make = self.answers.get(operation)
        return make(request) if make else {}


@contextmanager
def serving() -> Iterator[Stub]:
    """Serve on a free port."""
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.headers = {name.lower(): value for name, value in self.headers.items()}
            target = self.headers.get("X-Amz-Target")
            operation = target.rpartition(".")[2] if target else request.get("operationName") or "IntrospectionQuery"
            answer = stub.answer(operation, request)
            status = answer.pop("status", 200)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield stub
        server.shutdown()
        thread.join()
