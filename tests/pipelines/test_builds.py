"""The builds' commands, run where CodeBuild runs them: in the sources that CodePipeline hands over, without ``.git``.

A connection's ``CODE_ZIP`` holds the files of one commit and nothing of git (CodePipeline User Guide, action reference
"CodeStarSourceConnection"), so no tool can ask git what .gitignore leaves out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.stacks.synthesis import ROOT

ELSEWHERE = {
    r"^make ": "sets up what this environment has already",
    r"^\.venv/bin/mypy$": "takes a minute; `make lint` runs it",
    r"pip-audit|npm audit": "asks the network",
    r"CODEBUILD_SRC_DIR_Assembly|cdk synth": "wants the templates; `make synth` and `make lint` run it",
    r"^aws |\$\(aws ": "wants an account",
    r"^node_modules/": "wants what npm installs; `make lint` runs it",
    r"smoke-test\.sh": "wants the page; test_smoke_test.py runs it",
}
"""Commands that are not run here, and why."""

BUILDS = sorted((ROOT / "pipelines").glob("*.yml"))


def commands(file: Path) -> list[str]:
    phases = yaml.safe_load(file.read_text(encoding="utf-8"))["phases"]
    return [command for phase in phases.values() for command in phase["commands"]]


def run_here(file: Path) -> list[str]:
    return [each for each in commands(file) if not any(re.search(pattern, each) for pattern in ELSEWHERE)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what CodeBuild has before the first command: the files of git, and the environment that `make` has made."""
    folder = tmp_path_factory.mktemp("codebuild") / "src"
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", *ignored))
    (folder / ".venv").symlink_to(sys.prefix)
    # `app.subgraph.prepare` makes both of these with packages from the network; here it finds its own stamp.
    shutil.copytree(ROOT / "workload" / "app" / "generated", folder / "workload" / "app" / "generated")
    packages = folder / "build" / "generator" / "lib"
    packages.mkdir(parents=True)
    (packages / "not_ours.py").write_text("import os,sys\nx = eval( '1' )\n")
    return folder


@pytest.mark.parametrize("file", [each for each in BUILDS if run_here(each)], ids=lambda file: file.stem)
def test_a_build_that_needs_nothing_from_outside_passes(file: Path, sources: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    given = yaml.safe_load(file.read_text(encoding="utf-8")).get("env", {}).get("variables", {})
    environ = {**given, "HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    script = "\n".join(["set -ex", *run_here(file)])
    answer = subprocess.run(
        ["bash", "-c", script], cwd=sources, env=environ, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]


def test_every_command_is_run_here_or_has_a_reason() -> None:
    everything = [each for file in BUILDS for each in commands(file)]
    for pattern in ELSEWHERE:
        assert any(re.search(pattern, each) for each in everything), pattern
    run = {file.stem for file in BUILDS if run_here(file)}
    assert {"scan-code", "scan-iac", "scan-secrets", "site-lint", "site-scan", "site-test"} <= run


@pytest.mark.parametrize(
    ("path", "text", "build"),
    [
        ("stacks/wrong.py", "import os,sys\n", "scan-code"),
        ("workload/frontend/site/wrong.txt", "AKIA" + "IOSFODNN7EXAMPL3", "site-scan"),
        ("workload/frontend/site/wrong.html", "<script>alert(1)</script>\n", "site-scan"),
        ("workload/frontend/site/wrong.js", "let = ;\n", "site-lint"),
    ],
)
def test_a_build_still_finds_what_it_looks_for(path: str, text: str, build: str, sources: Path) -> None:
    (sources / path).write_text(text)
    try:
        script = "\n".join(["set -e", *run_here(ROOT / "pipelines" / f"{build}.yml")])
        answer = subprocess.run(["bash", "-c", script], cwd=sources, capture_output=True, text=True, check=False)
    finally:
        (sources / path).unlink()
    assert answer.returncode != 0
    assert path in answer.stdout + answer.stderr
