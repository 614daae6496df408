"""The program of the images does on this machine what the emulator's containers are told to do."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tools.acceptance.world.program import executable

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the program is for Linux on x86-64"
)

PATIENCE_SECONDS = 30
CRASH = {"worker": {"exit_code": 3, "seconds": 0.01, "logs": ["starting", "KeyError: 'QUEUE_URL'"]}}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program"
    file.write_bytes(executable(CRASH))
    file.chmod(0o755)
    return file


def test_a_word_that_is_told_to_end_prints_its_lines_and_ends_with_its_code(program: Path) -> None:
    done = subprocess.run([program, "worker"], capture_output=True, text=True, timeout=10, check=False)

    assert (done.returncode, done.stdout) == (3, "starting\nKeyError: 'QUEUE_URL'\n")


def test_a_migration_ends_well_unless_it_is_told_otherwise(program: Path, tmp_path: Path) -> None:
    assert subprocess.run([program, "migrate"], timeout=10, check=False).returncode == 0
    other = tmp_path / "other"
    other.write_bytes(executable({"migrate": {"exit_code": 7, "seconds": 0}}))
    other.chmod(0o755)
    assert subprocess.run([other, "migrate"], timeout=10, check=False).returncode == 7


@pytest.mark.parametrize("words", [["api"], ["workers"], []], ids=["another word", "a longer word", "no word"])
def test_any_other_word_serves_until_it_is_stopped(tmp_path: Path, words: list[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    program = tmp_path / "server"
    program.write_bytes(executable(CRASH, port))
    program.chmod(0o755)
    with subprocess.Popen([program, *words]) as process:
        try:
            for _ in range(3):
                assert get(port) == (200, b"ok")
            assert process.poll() is None
        finally:
            process.kill()


def get(port: int) -> tuple[int, bytes]:
    """Ask until somebody answers: the program has only just been started."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read()
        except OSError:
            if time.monotonic() > deadline:
                raise
