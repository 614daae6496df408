"""What can be said of the Dockerfile and the lock files without building anything."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from app.chains import CHAINS
from tools.image.base import FROM_BASE
from tools.image.check import DOCKERFILE, ROOT, SECRETS, USER

INSTRUCTIONS = [
    line.strip()
    for line in re.sub(r"\\\n(?:\s*#.*\n)*", " ", re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE))
    .strip()
    .splitlines()
    if line.strip()
]
LOCKS = ["requirements", "requirements-build"]


def locked(name: str) -> dict[str, str]:
    """Return package to version."""
    text = (ROOT / "workload" / "app" / f"{name}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\$", text, re.MULTILINE))


def wanted(name: str) -> dict[str, str]:
    text = (ROOT / "workload" / "app" / f"{name}.in").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)$", text, re.MULTILINE))


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_secrets_are_those_of_the_chains() -> None:
    assert {chain.secret for chain in CHAINS.values()} == set(SECRETS)


def test_one_step_alone_sees_the_secrets_and_must_have_them() -> None:
    steps = [line for line in INSTRUCTIONS if "secret" in line]
    assert len(steps) == 1
    assert steps[0].startswith("RUN ")
    for name in SECRETS:
        assert f"--mount=type=secret,id={name},required=true" in steps[0]
    assert "app.subgraph.generate" in steps[0]


def test_no_argument_or_variable_is_a_key() -> None:
    names = [line for line in INSTRUCTIONS if line.startswith(("ARG ", "ENV ", "LABEL "))]
    assert names
    assert not [line for line in names if re.search(r"key|token|password|thegraph", line, re.IGNORECASE)]


def test_the_base_is_pinned_to_a_whole_version_and_all_stages_share_it() -> None:
    assert FROM_BASE.search(DOCKERFILE.read_text())
    stages = [line for line in INSTRUCTIONS if line.startswith("FROM ")]
    assert all(line.startswith("FROM base AS ") for line in stages[1:])


def test_the_user_is_a_number_and_not_root() -> None:
    assert [line for line in INSTRUCTIONS if line.startswith("USER ")] == [f"USER {USER}"]
    assert not USER.startswith("0:")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_has_what_is_wanted_with_hashes_and_without_hosts(name: str) -> None:
    assert wanted(name)
    assert wanted(name).items() <= locked(name).items()
    lines = (ROOT / "workload" / "app" / f"{name}.lock").read_text().splitlines()
    others = [line for line in lines if not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)]
    assert others == [f"{package}=={pin} \\" for package, pin in locked(name).items()]


def test_the_tests_run_against_what_the_image_runs() -> None:
    assert {name: version(name) for name in wanted("requirements")} == wanted("requirements")
