"""``docs/reference/checklist.md``: each item has a place and tests that exist; each command can be typed."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from botocore import xform_name
from botocore.session import Session

from stacks.stages import STAGES
from stepship.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "checklist.md"
TEXT = PAGE.read_text(encoding="utf-8")
ITEMS = [
    tuple(cell.strip() for cell in line.strip("| ").split(" | "))
    for section in re.findall(r"^\| item \| where \| tests \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    for line in section.splitlines()
]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
STAGES_TABLE = TEXT.partition("## Stage by stage")[2].partition("\n## ")[0]

OF_THE_CLI = ("s3 sync", "s3 cp", "logs tail", "configure sso")
RENAMED = {"s3api": "s3"}
GLOBAL = ("query", "output", "region", "max-items", "profile")
ADDED = {"cloudfront create-invalidation": ("paths",)}
"""What the AWS CLI has beyond the API."""


def typed(program: str) -> list[str]:
    """Return the commands of all pages that begin with a program: in blocks, and between backticks."""
    found: set[str] = set()
    for page in (PAGE, *(ROOT / "docs" / "how-to").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"^ *```(?:sh|console)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE))
        lines = blocks.replace("\\\n", " ").splitlines()
        lines += [
            " ".join(each.split()) for each in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        ]
        found |= {line.strip().removeprefix("$ ").strip() for line in lines}
    return sorted(line for line in found if re.match(rf"{program} [a-z]", line))


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item[0][:60])
def test_an_item_has_a_place_and_tests_that_exist(item: tuple[str, ...]) -> None:
    what, where, tests = item
    assert what
    assert "](" in where
    assert TEST.findall(tests)
    assert not TEST.sub("", tests).strip(" ,")
    assert [name for file, name in TEST.findall(tests) if name not in names_in(file)] == []


def test_every_table_of_items_was_read() -> None:
    tables = TEXT.count("| item | where | tests |")
    assert tables == TEXT.count("\n### ")
    assert len(ITEMS) == TEXT.count("`tests/") - sum(len(TEST.findall(tests)) - 1 for _, _, tests in ITEMS)


def test_the_stages_are_deployed_in_their_order_by_the_commands_of_the_table() -> None:
    assert re.findall(r"infra deploy --env dev --stage (\w+)", STAGES_TABLE) == [stage.name for stage in STAGES]
    rows = [line for line in STAGES_TABLE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(STAGES) + 1
    assert all(len(row.strip("| ").split(" | ")) == 4 for row in rows), "each says what to see, and how to roll back"


@pytest.mark.parametrize("line", typed("stepship"))
def test_a_command_of_ours_can_be_typed(line: str) -> None:
    command: Any = typer.main.get_command(app)
    rest = shlex.split(line, comments=True)[1:]
    context = command.context_class(command, info_name="stepship")
    while hasattr(command, "resolve_command") and rest:
        name, command, rest = command.resolve_command(context, rest)
        context = command.context_class(command, info_name=name, parent=context)
    if rest:
        command.make_context(context.info_name, rest, parent=context.parent)


@pytest.mark.parametrize("line", typed("aws"))
def test_a_command_of_aws_has_options_that_it_takes(line: str) -> None:
    service, operation, *rest = re.split(r"\s+", line.removeprefix("aws "))
    if f"{service} {operation}" in OF_THE_CLI or operation == "wait":
        return
    model = Session().get_service_model(RENAMED.get(service, service))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations
    shape = model.operation_model(operations[operation]).input_shape
    members = {xform_name(name, "-"): shape.members[name] for name in (shape.members if shape else ())}
    known = set(members) | {f"no-{name}" for name, each in members.items() if each.type_name == "boolean"}
    options = re.findall(r"(?<!\S)--([a-z][a-z0-9-]*)", " ".join(rest))
    assert set(options) - known <= {*GLOBAL, *ADDED.get(f"{service} {operation}", ())}
