"""``make emulator``: what it prints can be typed, and nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from stacks.stages import parts
from tests.e2e.emulator import ROOT
from tests.e2e.infrastructure import LEFT_OUT

READY_SECONDS = 180
ROLLED_BACK = 3


@pytest.fixture
def printed() -> Iterator[str]:
    """What it says until it is ready; it is ended as a person ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.playground"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    lines: list[str] = []
    deadline = time.monotonic() + READY_SECONDS
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C here ends it" in line or time.monotonic() > deadline:
                break
        yield "".join(lines)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        process.stdout.close()


def typed(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_stranger_sees_a_deployment_that_is_explained_and_rolled_back(printed: str) -> None:
    exports = dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"export (.*)", printed))))
    environment = {**os.environ, **exports, "COLUMNS": "200"}
    commands = [found.split() for found in re.findall(r"^  (\.venv/bin/stepship [^#\n]*)", printed, re.MULTILINE)]
    assert [".venv/bin/stepship", "deploy", "v3"] in commands

    status = typed(commands[0], environment)
    assert status.returncode == 0, status.stderr
    assert "v1" in status.stdout

    failed = typed([".venv/bin/stepship", "deploy", "v3"], environment)
    assert failed.returncode == ROLLED_BACK, failed.stdout + failed.stderr
    assert "KeyError: 'QUEUE_URL'" in failed.stdout
    assert "everything runs what ran before" in failed.stdout

    infra = {words[2]: words for words in commands if words[1] == "infra"}
    assert set(infra) == {"status", "plan", "deploy"}
    stands = typed([*infra["status"], "--json"], environment)
    told = {each["part"]: each["status"] for stage in json.loads(stands.stdout)["stages"] for each in stage["stacks"]}
    assert set(told) == {name for name, part in parts().items() if part.section not in LEFT_OUT}
    assert set(told.values()) <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

    deployed = typed(infra["deploy"], environment)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert f"All {len(told)} stacks are as they should be" in deployed.stdout
