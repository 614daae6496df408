"""Every build of the pipelines has its file, and what the files call is there."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from stepship.infra.cdk import CdkCli
from tests.stacks.delivery.test_pipelines import PARTS, pipeline, stages, template_of
from tests.stacks.synthesis import ROOT, Template, resources


def test_no_file_of_a_build_is_left_over(app_templates: dict[str, Template]) -> None:
    used = {
        project["Source"]["BuildSpec"]
        for part in PARTS
        for project in resources(template_of(app_templates, "production", part), "AWS::CodeBuild::Project")
    }
    assert {f"pipelines/{file.name}" for file in (ROOT / "pipelines").glob("*.yml")} == used


@pytest.mark.parametrize("file", sorted((ROOT / "pipelines").glob("*.yml")), ids=lambda file: file.stem)
def test_what_a_build_calls_is_there(file: Path) -> None:
    phases = yaml.safe_load(file.read_text())["phases"]
    commands = [command for phase in phases.values() for command in phase["commands"]]
    makefile = (ROOT / "Makefile").read_text()
    stamps = {
        ".venv/.ready": "$(READY):",
        "node_modules/.ready": "$(NODE_READY):",
        ".venv/checkov/.ready": "$(CHECKOV_READY):",
    }
    for command in commands:
        assert isinstance(command, str)  # YAML makes an object of a command with a colon in it
        if command.startswith("make "):
            for stamp in command.split()[1:]:
                assert stamps[stamp] in makefile
        for script in re.findall(r"bash (\S+)", command):
            assert (ROOT / script).is_file()
        for module in re.findall(r"python -m (pipelines\.\w+|statemachine\.\w+|app\.[\w.]+)", command):
            root = ROOT / "workload" if module.startswith("app.") else ROOT
            assert (root / f"{module.replace('.', '/')}.py").is_file()


def test_what_the_builds_of_the_page_use_starts_its_pipeline(app_templates: dict[str, Template]) -> None:
    template = template_of(app_templates, "production", "frontend-cicd")
    used = {"workload/frontend/site/index.html", "tests/workload/frontend/test_site.py"}
    for project in resources(template, "AWS::CodeBuild::Project"):
        file = project["Source"]["BuildSpec"]
        used |= {file, *re.findall(r"bash (\S+\.sh)", (ROOT / file).read_text())}
    (push,) = pipeline(template)["Triggers"][0]["GitConfiguration"]["Push"]
    patterns = push["FilePaths"]["Includes"]
    assert [path for path in sorted(used) if not any(fnmatch(path, pattern) for pattern in patterns)] == []
    assert len(used) > len(patterns)


def test_the_pipeline_scans_what_continuous_integration_scans() -> None:
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    pin = r"uv tool run (pip-audit==[\d.]+)"
    dependencies = (ROOT / "pipelines" / "scan-dependencies.yml").read_text()
    assert set(re.findall(pin, dependencies)) == set(re.findall(pin, ci)) != set()
    lint = (ROOT / "Makefile").read_text()
    for tool in ("zizmor --quiet --offline .github", "hadolint Dockerfile", "statelint --ignore=FLOAT"):
        assert tool in lint
        assert tool in (ROOT / "pipelines" / "scan-iac.yml").read_text()


@pytest.mark.parametrize("part", PARTS)
def test_every_build_has_a_project_and_its_file(part: str, app_templates: dict[str, Template]) -> None:
    template = template_of(app_templates, "production", part)
    named = {each["Name"]: each["Source"]["BuildSpec"] for each in resources(template, "AWS::CodeBuild::Project")}
    used = {
        action["Configuration"]["ProjectName"]
        for stage in stages(template).values()
        for action in stage["Actions"]
        if action["ActionTypeId"]["Provider"] == "CodeBuild"
    }
    assert used == set(named)
    for file in named.values():
        assert yaml.safe_load((ROOT / file).read_text())["version"] == 0.2


def test_the_cli_that_deploys_takes_the_assembly(tmp_path: Path) -> None:
    # What pipelines/deploy_stack.py hands on: one stack, exclusively, out of the folder that synth has written.
    program = tmp_path / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    said: list[str] = []
    assert CdkCli(tmp_path, tmp_path / "assembly", {"PATH": "/bin:/usr/bin"}).deploy(
        "v3-backend-dev-network", said.append
    )
    assert said[0].startswith("deploy v3-backend-dev-network --exclusively")
    assert f"--app {tmp_path / 'assembly'}" in said[0]
