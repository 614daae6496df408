"""What is typed: refusals come before any call, the estimate needs nothing, the janitor says what it finds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def accept(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ACCEPT_"))}
    nobody = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    return subprocess.run(
        [sys.executable, "-m", "tools.acceptance", *arguments],
        cwd=ROOT,
        env={**kept, **nobody, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("do", ["run", "janitor"])
@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "which account?"),
        ({"ACCEPT_ACCOUNT": "111122223333"}, "which region?"),
        ({"ACCEPT_ACCOUNT": "111122223333", "ACCEPT_REGION": "eu-west-1"}, "no credentials for 111122223333"),
        ({"ACCEPT_ACCOUNT": "$(whoami)", "ACCEPT_REGION": "eu-west-1"}, "is no account"),
    ],
)
def test_it_refuses_before_anything_is_made(do: str, variables: dict[str, str], says: str) -> None:
    done = accept(do, **variables)

    assert done.returncode == 2
    assert done.stdout.startswith("refused: ")
    assert says in done.stdout
    assert not done.stderr


def test_the_estimate_needs_no_account() -> None:
    done = accept("estimate")

    assert done.returncode == 0
    assert re.fullmatch(r"\d+ chapters: at most \d+ minutes, \$0\.\d\d, by their budgets\n", done.stdout)
