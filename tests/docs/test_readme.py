"""The README is one screen, its command runs, and the links of all pages lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md")), ROOT / ".github/workflows/README.md"]
PICTURE = "docs/images/failed-deployment.svg"
TEMPLATES = ROOT / ".github" / "ISSUE_TEMPLATE"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    typed = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    named = set(re.findall(r"^(?:\$ )?make ([a-z0-9-]+)(?![\w/.])", typed, re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z0-9-]+)(?![\w/.])", text))
    assert len(named) > 5
    assert named <= targets


def test_the_demo_runs() -> None:
    command = [sys.executable, "-m", "stepship.cli", "demo"]
    plain = {**os.environ, "CI": "true", "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_first_screen_is_a_screen() -> None:
    shown = [line for line in README.splitlines() if line]
    bullets = [line for line in shown if line.startswith("* ")]
    assert len(bullets) == 4
    assert len(shown) < 40
    assert commands() == ["make demo"]
    assert (ROOT / PICTURE).is_file()
    assert f"]({PICTURE})" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_is_found_from_the_index() -> None:
    docs = ROOT / "docs"
    assert "](docs/index.md)" in README
    text = (docs / "index.md").read_text(encoding="utf-8")
    pages = [str(page.relative_to(docs)) for page in docs.glob("*/*.md")]
    assert len(pages) > 15
    assert not [page for page in pages if f"]({page})" not in text]
    decisions = docs / "explanation" / "decisions"
    listed = (decisions / "README.md").read_text(encoding="utf-8")
    assert not [record.name for record in decisions.glob("0*.md") if f"]({record.name})" not in listed]


def test_every_link_to_a_heading_leads_to_one() -> None:
    missing = []
    for page in PAGES:
        for target, heading in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
            file = page.parent / target if target else page
            if not target.startswith("http") and heading not in headings(file):
                missing.append(f"{page.relative_to(ROOT)}: {target}#{heading}")
    assert missing == []


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_folder_and_target_is_in_the_contributors_guide() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ignored = {"node_modules", "cdk.out", "build", "dist"}
    folders = {file.name for file in ROOT.iterdir() if file.is_dir() and file.name[0] not in "._"} - ignored
    assert not [name for name in folders if f"| `{name}/` |" not in guide and not name.endswith(".egg-info")]
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert not [name for name in targets - {"help", "clean"} if f"make {name}" not in guide]


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.yml")), ids=lambda file: file.stem)
def test_an_issue_template_is_one_that_github_takes(template: Path) -> None:
    form = yaml.safe_load(template.read_text(encoding="utf-8"))
    if template.stem == "config":
        assert set(form) == {"blank_issues_enabled"}
        return
    assert {"name", "description", "body"} <= set(form)
    assert {field["type"] for field in form["body"]} <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    named = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(set(named)) == len(named)
    assert all("label" in field["attributes"] for field in form["body"] if field["type"] != "markdown")
