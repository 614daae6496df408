"""README.md says what is true: its commands exist and run, its output is real, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import fastjsonschema
import pytest

import config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]


def run_stepship(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from stepship.cli.main import main; main()", *arguments]
    plain = {**os.environ, "CI": "true", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z0-9-]+)`", README)) | {c.split()[1] for c in commands() if c.startswith("make ")}
    assert named
    assert named <= targets


def test_every_stepship_command_runs() -> None:
    found = [shlex.split(command)[1:] for command in commands() if "stepship" in command.split()[0]]
    assert found
    for arguments in found:
        answer = run_stepship(*arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_output_of_the_demo_is_real() -> None:
    shown = re.search(r"<!-- demo: begin -->\n```text\n(.*?)```", README, re.DOTALL)
    assert shown
    answer = run_stepship("demo")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert shown[1] in answer.stdout


@pytest.mark.parametrize("block", blocks("json"))
def test_every_input_that_is_shown_is_valid(block: str) -> None:
    schema = json.loads((ROOT / "statemachine" / "input.schema.json").read_text())
    fastjsonschema.validate(schema, json.loads(block))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_guide_and_folder_with_a_story_is_found_from_the_readme() -> None:
    stories = {file.parent.name for file in ROOT.glob("[a-z]*/README.md")}
    assert {"search", "database"} <= stories
    assert not [name for name in stories if f"{name}/" not in README]
    assert not [
        name for file in (ROOT / "docs").glob("*/*.md") if f"]({(name := file.relative_to(ROOT))}" not in README
    ]


def test_the_services_that_a_team_brings_are_valid_config(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    text = (ROOT / "config" / "dev.toml").read_text(encoding="utf-8")
    platform, services = block.split("\n\n", 1)
    text = text.replace("[platform]", "", 1).replace("enabled = true\n\n[github]", f"{platform}\n\n[github]", 1)
    (tmp_path / "dev.toml").write_text(f"{text}\n{services}", encoding="utf-8")
    assert set(config.load("dev", folder=tmp_path).services) == {"api"}
