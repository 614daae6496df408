from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from app.health import MAX_AGE_SECONDS, Pulse, problem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "health"


def beaten(path: Path, role: str) -> float:
    Pulse(path, role).beat()
    return path.stat().st_mtime


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_a_loop_that_beats_is_well(path: Path, role: str) -> None:
    assert problem(beaten(path, role) + MAX_AGE_SECONDS, path) is None


def test_a_loop_that_is_silent_for_too_long_is_not(path: Path) -> None:
    at = beaten(path, "worker")
    assert problem(at + MAX_AGE_SECONDS + 1, path) == "worker has given no sign of life for 91 s; 90 s are allowed"


def test_a_beat_makes_it_well_again(path: Path) -> None:
    beaten(path, "worker")
    os.utime(path, (0, 0))
    assert problem(beaten(path, "worker"), path) is None


def test_a_container_in_which_nothing_has_started_is_not_well(path: Path) -> None:
    assert str(problem(0, path)).startswith("nothing has started here")


@pytest.mark.parametrize(
    ("status", "expected"),
    [("200 OK", None), ("503 Service Unavailable", "api answers /health with 503")],
)
def test_the_api_is_asked_itself(path: Path, status: str, expected: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        now = beaten(path, f"api {server.getsockname()[1]}")

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /health ")
                connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        # Its file is as old as the container: only a loop has to beat.
        assert problem(now + 10 * MAX_AGE_SECONDS, path) == expected
        thread.join()


def test_an_api_that_does_not_listen_is_not_well(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert str(problem(beaten(path, f"api {port}"), path)).startswith(f"api does not answer on port {port}")
