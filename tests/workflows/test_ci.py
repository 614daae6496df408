"""ci.yml: each job is one make target, or a scan that asks the network."""

from __future__ import annotations

import pytest

from tests.workflows.runner import Runner
from tests.workflows.workflow import WORKFLOWS, Step, step

TARGETS = {
    "lint": step("ci.yml", "lint", "Lint"),
    "test": step("ci.yml", "test", "Test"),
    "demo": step("ci.yml", "demo", "Deploy, fail and roll back in the simulator"),
    "e2e": step("ci.yml", "e2e", "Deploy into an emulated AWS"),
    "explore N=600": step("ci.yml", "explore", "Break deployments everywhere"),
    "synth": step("ci.yml", "synth", "Synthesise"),
    "image-check": step("ci.yml", "image", "Check the image"),
    ".venv/.ready node_modules/.ready": step("ci.yml", "scan", "Install"),
}
WORKFLOW_SCAN = step("ci.yml", "scan", "Scan the workflows")
PYTHON_SCAN = step("ci.yml", "scan", "Scan the Python packages")
NPM_SCAN = step("ci.yml", "scan", "Scan the npm packages")


@pytest.mark.parametrize(("target", "each"), TARGETS.items())
def test_a_job_runs_the_target_that_a_person_runs(runner: Runner, target: str, each: Step) -> None:
    runner.answer("make")

    assert runner.run(each, {}).calls == (("make", *target.split()),)


@pytest.mark.parametrize("each", TARGETS.values(), ids=TARGETS)
def test_a_target_that_fails_fails_its_job(runner: Runner, each: Step) -> None:
    runner.answer("make", code=2)

    assert runner.run(each, {}).code == 2


def test_the_workflows_are_scanned_with_what_github_knows(runner: Runner) -> None:
    runner.answer("zizmor")

    result = runner.run(WORKFLOW_SCAN, {"github.token": "ghs_secret"})

    assert result.calls == (("zizmor", ".github/workflows"),)
    assert "ghs_secret" not in result.log


def test_the_python_packages_of_the_lock_file_are_scanned_and_no_others(runner: Runner) -> None:
    runner.answer("uv")

    (call,) = runner.run(PYTHON_SCAN, {}).calls

    assert call[1:3] == ("tool", "run")
    assert "==" in call[3]
    assert call[-2:] == ("--requirement", "requirements.lock")


def test_the_npm_packages_are_scanned(runner: Runner) -> None:
    runner.answer("npm")

    assert runner.run(NPM_SCAN, {}).calls == (("npm", "audit", "--audit-level=high"),)


@pytest.mark.parametrize("each", [WORKFLOW_SCAN, PYTHON_SCAN, NPM_SCAN], ids=lambda each: each.name)
def test_a_finding_fails_the_scan(runner: Runner, each: Step) -> None:
    runner.answer("zizmor", code=14).answer("uv", code=1).answer("npm", code=1)

    assert runner.run(each, {"github.token": "ghs_secret"}).code != 0


def test_a_pull_request_gets_no_credentials() -> None:
    for job in WORKFLOWS["ci.yml"]["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert "environment" not in job
