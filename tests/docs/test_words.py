"""Pages, help texts, states and messages use the words of the field, not words that we made up on the way.

To find what is left: ``python -m tests.docs.test_words``.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Phrase:
    """A phrase that is not used, and what is said instead."""

    pattern: str
    instead: str
    in_code: bool = True
    """Whether it is wrong in code too; a field and an alias keep the name that scripts know."""
    case: bool = False


PHRASES = (
    Phrase(r"ways? back", "rollback"),
    Phrase(r"put(s|ting)?( [\w`']+){0,4} back", "roll back"),
    Phrase(r"takeovers?", "recovery", in_code=False),
    Phrase(r"paged|pages? (a person|somebody|someone|whoever|people)", "on-call is notified"),
    Phrase(r"(has|have|had) to look|person needed|person (is|was) needed", "action needed"),
    Phrase(r"wish(es|ed)?", "request"),
    Phrase(r"NG", "FAIL", case=True),
    Phrase(r"service registr(y|ies)", "service catalog"),
    Phrase(r"line (stop|start)", "pause, resume", in_code=False),
    Phrase(r"(stop|start)(s|ped|ping|ing)? (the|a) line|stopped line|the line (is|runs)", "deploys are paused"),
    Phrase(r"the line of(?= \w+ (is|runs)|$)", "deploys are paused"),
    Phrase(r"wanderings?", "random schedules"),
    Phrase(r"(the|of|its|all) plants|the judge", "planted bugs, invariants"),
    Phrase(r"How did it end\?|What became of it\?", "Outcome?, Rollback outcome?"),
    Phrase(r"Release lock", "Record outcome", case=True),
    Phrase(r"for the night", "incident guide"),
    Phrase(r"look until", "poll until"),
    Phrase(r"leftovers?", "orphans", in_code=False),
)

PAGES = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md", ".github/ISSUE_TEMPLATE/*.yml", "[a-z]*/**/README.md")
    for file in ROOT.glob(pattern)
    if not {".venv", "node_modules", "cdk.out", "build"} & set(file.relative_to(ROOT).parts)
)
DATA = sorted(
    [
        *ROOT.glob("config/*.toml"),
        *ROOT.glob("simulator/scenarios/*.yaml"),
        ROOT / "statemachine" / "input.schema.json",
        ROOT / "simulator" / "scenario" / "scenario_schema.json",
        ROOT / "Makefile",
    ]
)
PACKAGES = ("config", "lambdas", "pipelines", "simulator", "stacks", "statemachine", "stepship", "tools")
WHOLE = ("config", "simulator", "stacks", "statemachine", "tools", "tests/docs", "tests/e2e", "tests/tools")
"""Folders whose comments and docstrings are held too."""


FIELD = re.compile(r'\btakeover(?=[:"])')
"""The name of the field in a message about the input: ``takeover: …``."""


def found(text: str, *, is_page: bool = False) -> list[str]:
    """Return each phrase that the text has, with its surroundings and what to say instead."""
    plain = re.sub(r"^```.*?^```|`[^`\n]*`", " ", text, flags=re.DOTALL | re.MULTILINE) if is_page else text
    hits = []
    for phrase in PHRASES:
        words = " ".join((text if phrase.in_code else plain).split())
        flags = re.NOFLAG if phrase.case else re.IGNORECASE
        hits += [
            f"{words[max(0, hit.start() - 50) : hit.end() + 30]!r}: say {phrase.instead}"
            for hit in re.finditer(rf"\b(?:{phrase.pattern})(?!\w)", words, flags)
        ]
    return hits


def messages(source: str) -> Iterator[tuple[int, str]]:
    """Yield every text of a module that is no docstring, with its line. A name without a blank is no message."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in said:
            continue
        if " " in node.value or node.value.isupper():
            yield node.lineno, node.value


def in_messages(package: str) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{line}: {hit}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for line, text in messages(file.read_text(encoding="utf-8"))
        for hit in found(FIELD.sub("", text))
    ]


def in_comments(folder: str) -> list[str]:
    """Return what is left in the comments and docstrings of a folder; identifiers and field names are no prose."""
    return [
        f"{file.relative_to(ROOT)}: {hit}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file != Path(__file__)
        for hit in found("\n".join(prose(file.read_text(encoding="utf-8"))))
    ]


def prose(source: str) -> Iterator[str]:
    """Yield the docstrings of a module, and its runs of comments, without the code in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield re.sub(r"``[^`]*``", "", node.value.value)
    for run in re.findall(r"(?:^ *#.*\n?)+", source, re.MULTILINE):
        yield re.sub(r"^ *# ?", "", run, flags=re.MULTILINE)


def in_page(file: Path) -> list[str]:
    """Return what is left in a page, or in a file of data, where the name of a field is no prose."""
    text = file.read_text(encoding="utf-8")
    return found(re.sub(r"\btakeover\b", "", text) if file in DATA else text, is_page=file not in DATA)


def in_help() -> list[str]:
    """Walk the command line and return what is left in its help texts."""
    import typer.main

    from stepship.cli.main import app

    texts: list[tuple[str, str]] = []

    def walk(name: str, command: Any) -> None:
        texts.extend((name, text) for text in (command.help, command.short_help, command.epilog) if text)
        texts.extend((name, parameter.help or "") for parameter in command.params if hasattr(parameter, "help"))
        for each, below in getattr(command, "commands", {}).items():
            walk(f"{name} {each}", below)

    walk("stepship", typer.main.get_command(app))
    assert len(texts) > 50
    return [f"{name}: {hit}" for name, text in texts for hit in found(text, is_page=True)]


def in_states() -> list[str]:
    definition = json.loads((ROOT / "statemachine" / "deployment.asl.json").read_text(encoding="utf-8"))
    return [hit for name in definition["States"] for hit in found(name)]


@pytest.mark.parametrize("page", [*PAGES, *DATA], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_the_words_of_the_field(page: Path) -> None:
    assert in_page(page) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_message_uses_the_words_of_the_field(package: str) -> None:
    assert in_messages(package) == []


@pytest.mark.parametrize("folder", WHOLE)
def test_a_comment_uses_the_words_of_the_field(folder: str) -> None:
    assert in_comments(folder) == []


def test_the_help_of_the_command_line_uses_the_words_of_the_field() -> None:
    assert in_help() == []


def test_the_states_use_the_words_of_the_field() -> None:
    assert in_states() == []


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("The services are put back.", 1),
        ("It puts all\nservices back.", 1),
        ("A rollback returns them.", 0),
        ("A takeover, in the field `takeover`.", 1),
        ("An orange, and NG.", 1),
        ("It is kept, and people are told.", 0),
    ],
)
def test_the_table_finds_what_it_is_meant_to_find(text: str, hits: int) -> None:
    assert len(found(text, is_page=True)) == hits


if __name__ == "__main__":
    left = [f"{page.relative_to(ROOT)}: {hit}" for page in (*PAGES, *DATA) for hit in in_page(page)]
    left += [hit for package in PACKAGES for hit in in_messages(package)]
    left += [hit for folder in WHOLE for hit in in_comments(folder)]
    left += [*in_help(), *in_states()]
    sys.stdout.write("".join(f"{line}\n" for line in left))
