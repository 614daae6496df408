"""``make accept`` plays the whole proof against an emulator by its endpoint, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import ACCOUNT
from tests.e2e.emulator import ROOT, Emulator
from tools.acceptance.chapters import CHAPTERS, skipped_by_emulator

SECONDS = 900
RUN = "a1b2c3"


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account of its own: whoever proves something has nothing of ours in it."""
    with Emulator(tmp_path_factory.mktemp("accept")) as running:
        yield running


def accept(emulator: Emulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.acceptance", *arguments, "--account", ACCOUNT, "--region", "eu-west-1"],
        cwd=ROOT,
        env={**os.environ, "ACCEPT_ENDPOINT": emulator.url},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_whole_proof_runs_against_the_emulator(emulated: Emulator) -> None:
    done = accept(emulated, "run", "--run", RUN)

    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = re.findall(r"to send: (.*)", done.stdout)
    report = json.loads(Path(file).read_text(encoding="utf-8"))
    verdicts = {each["chapter"]: each["verdict"] for each in report["chapters"]}
    assert list(verdicts) == [each.name for each in CHAPTERS]
    skipped = {name for name, verdict in verdicts.items() if verdict == "skipped"}
    assert skipped == set(skipped_by_emulator())
    assert {verdict for name, verdict in verdicts.items() if name not in skipped} == {"ok"}
    assert f"skipped ({len(skipped)}): " in done.stdout
    assert "nothing is left behind" in done.stdout


def test_the_janitor_finds_nothing_of_it(emulated: Emulator) -> None:
    done = accept(emulated, "janitor", "--run", RUN)

    assert (done.returncode, done.stdout) == (0, f"run {RUN}: 0 left\n")
