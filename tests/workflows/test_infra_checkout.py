"""What deploy-infra.yml checks out is enough: for the CDK app, for its assets, and for ``stepship infra deploy``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import config
from stacks.names import Names
from stacks.stages import chosen, parts
from stepship.commands.infra_deploy import EXAMPLE_OWNER
from tests.workflows.runner import SPARSE, Runner
from tests.workflows.workflow import ROOT, step

DEPLOY = step("deploy-infra.yml", "deploy", "Deploy")

SYNTH = """
import json, cdk_app
from pathlib import Path
app = cdk_app.build({**json.loads(Path("cdk.json").read_text())["context"], "environment": "dev",
                     "aws:cdk:bundling-stacks": []})
print(json.dumps(sorted(path.name for path in Path(app.outdir).iterdir())))
"""

COMMAND = """
from moto import mock_aws
from stepship.cli.main import main
with mock_aws():
    sys.argv = {arguments!r}
    main()
"""

CDK = """#!/bin/sh
echo "$@" >> calls.txt
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what the job has: the folders that it names, and the files at the top."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        (folder / file.name).symlink_to(file)
    for name in DEPLOY.checkout:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    # A team's own: the command refuses the example's repository.
    file = folder / "config" / "dev.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(f"{EXAMPLE_OWNER}/", "octo-team/"), encoding="utf-8")
    return folder


def run(folder: Path, code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SPARSE.format(folder=str(folder)) + code],
        cwd=folder,
        env={**os.environ, "CDK_VALIDATION": "false", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_cdk_app_finds_all_that_it_imports_and_packs(
    checkout: Path, app_templates: dict[str, dict[str, Any]]
) -> None:
    staged = json.loads(run(checkout, SYNTH).splitlines()[-1])

    packed = {
        resource["Properties"]["Code"]["S3Key"].removesuffix(".zip")
        for part in ("lambda", "search-lambda")
        for resource in app_templates[f"v3-backend-dev-{part}"]["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    assert len(packed) == 2
    assert {f"asset.{each}" for each in packed} <= set(staged)


def test_the_command_line_deploys_all_stacks_from_what_was_synthesised(checkout: Path, runner: Runner) -> None:
    runner.answer("stepship", "deploy")
    values = {"inputs.environment": "dev", "inputs.without_lock": "", "steps.image.outputs.uri": ""}
    (call,) = runner.run(DEPLOY, values).calls
    program = checkout / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True)
    program.write_text(CDK)
    program.chmod(0o755)
    settings = config.load("dev")
    stacks = {Names(settings).stack(part) for part in parts(chosen(settings))}
    (checkout / "cdk.out").mkdir()
    manifest = {"artifacts": {name: {"type": "aws:cloudformation:stack"} for name in stacks}}
    (checkout / "cdk.out" / "manifest.json").write_text(json.dumps(manifest))
    nobody = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "eu-central-1"}

    told = run(
        checkout,
        COMMAND.format(arguments=list(call)),
        **nobody,
        GITHUB_ACTIONS="true",
        GITHUB_ACTOR="octocat",
        CI="true",
    )

    calls = [line.split() for line in (checkout / "calls.txt").read_text().splitlines()]
    assert {each[1] for each in calls} == stacks
    assert all(each[0] == "deploy" and each[each.index("--app") + 1] == str(checkout / "cdk.out") for each in calls)
    assert "stacks are as they should be" in told
