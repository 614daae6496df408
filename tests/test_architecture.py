"""The house rules that no linter knows: which way imports point, one state one file, what a file may hold."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from statemachine.steps import STEPS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "app",
    "config",
    "database",
    "functions",
    "lambdas",
    "pipelines",
    "search",
    "simulator",
    "stacks",
    "statemachine",
    "stepship",
    "tools",
)
WORKLOAD = ("app", "database", "functions", "search")
"""Its folder ``workload/`` is a source root and no package: in the image and in the functions the names are bare."""

# Who may import what of ours; everything else of ours is forbidden. The longest matching name rules.
MAY_IMPORT = {
    "app": ("app", "database"),  # what it is deployed by is none of its business
    "database": ("database",),
    "functions": ("functions",),
    "search": ("search",),
    "config": ("config", "lambdas.release.policies", "lambdas.release.gates"),
    "lambdas": ("lambdas",),
    "lambdas.aws": ("lambdas.aws", "lambdas.release"),
    "lambdas.handlers": (
        "lambdas.aws",
        "lambdas.release",
        "lambdas.dependencies",
        "lambdas.settings",
        "lambdas.handler",
        "lambdas.polling",
        "lambdas.completion",
        "lambdas.gatekeeper",
        "lambdas.revisions",
        "lambdas.plan_checks",
        "lambdas.migration",
        "lambdas.parameter_repair",
        "lambdas.request_schema",
    ),
    "lambdas.release": ("lambdas.release",),
    "simulator": ("simulator", "statemachine", "config", "lambdas"),
    "stacks": ("stacks", "statemachine", "config"),
    "statemachine": ("statemachine", "config", "lambdas"),
    # What the builds run: the same road as `stepship infra`.
    "pipelines": ("pipelines", "stepship", "config", "lambdas", "stacks.names"),
    # Of the stacks only what needs no CDK: their order, their names, and what the account must have for them.
    "stepship": (
        "stepship",
        "simulator",
        "statemachine",
        "config",
        "lambdas",
        "stacks.stages",
        "stacks.names",
        "stacks.account",
    ),
    "tools.image": ("tools.image",),
    "tools": ("tools", "tests", "stepship", "simulator", "stacks", "statemachine", "config", "lambdas"),
}

# Libraries that a package must do without, and why.
MUST_NOT_IMPORT = {
    "lambdas.release": ("boto3", "botocore", "aws_lambda_powertools"),  # pure: decides, never acts
    "lambdas": ("aws_cdk", "constructs", "moto", "typer", "rich"),  # the asset holds none of them
    "stepship": ("lambdas.handlers",),  # it starts executions, and reads what they left; it is no step of one
}

NEEDS_NODE = ("aws_cdk", "constructs", "jsii", "cdk_nag")

MAX_FILES = 14
"""Python files of one folder that a newcomer still takes in; commands and the steps' handlers are lists."""
LISTS = ("stepship/commands",)


def module_name(path: Path) -> str:
    """Return ``lambdas.release.plan`` for ``lambdas/release/plan.py``, ``app.api`` for ``workload/app/api.py``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "workload" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def folder_of(package: str) -> Path:
    """Return where a package lies."""
    return ROOT / "workload" / package if package in WORKLOAD else ROOT / package


SOURCES = {
    module_name(path): path
    for package in PACKAGES
    for path in sorted(folder_of(package).rglob("*.py"))
    if path.is_file()
}


def imports(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Return the modules that the source imports, at the top or inside a function, as absolute names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            # `from lambdas import settings` imports a module, `from config import load` does not.
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in SOURCES else base for name in names}
    return found


IMPORTS = {
    module: imports(path.read_text(), module, is_package=path.name == "__init__.py") for module, path in SOURCES.items()
}


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Tell whether the module is one of the packages or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def rule_for(module: str) -> str:
    """Return the key of ``MAY_IMPORT`` that rules a module: the longest that it is in."""
    return max((package for package in MAY_IMPORT if within(module, (package,))), key=len)


def reachable(start: str) -> Iterator[tuple[str, str]]:
    """Yield every (importing module, imported module) that importing ``start`` pulls in, of ours and of others."""
    seen: set[str] = set()
    queue = [start]
    while queue:
        module = queue.pop()
        if module in seen:
            continue
        seen.add(module)
        for target in sorted(IMPORTS.get(module, ())):
            yield module, target
            parents = target.split(".")
            queue += [".".join(parents[: end + 1]) for end in range(len(parents))]


def committed_files() -> Iterator[Path]:
    """Yield the files that are the project's: all below the root that ``.gitignore`` does not name."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line[:1] not in ("", "#")]

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.name == ".git" or any(fnmatch(path.name, pattern) for pattern in ignored):
                continue
            if path.is_dir():
                yield from walk(path)
            else:
                yield path

    return walk(ROOT)


def text_files() -> Iterator[tuple[str, str]]:
    """Yield (path below the root, text) of each committed file that is text."""
    for path in committed_files():
        data = path.read_bytes()
        if b"\0" not in data:
            yield path.relative_to(ROOT).as_posix(), data.decode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import boto3", {"boto3"}),
        ("import lambdas.release.errors as e", {"lambdas.release.errors"}),
        ("from lambdas import settings", {"lambdas.settings"}),
        ("from lambdas.settings import Identity", {"lambdas.settings"}),
        ("from ..release.errors import Failed", {"lambdas.release.errors"}),
        ("from .. import settings", {"lambdas.settings"}),
        ("def f():\n    import botocore.session", {"botocore.session"}),
    ],
)
def test_every_spelling_of_an_import_is_seen(line: str, expected: set[str]) -> None:
    assert imports(line, "lambdas.handlers.plan") == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_looked_at(package: str) -> None:
    assert [module for module in SOURCES if within(module, (package,))]


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_one_way(module: str) -> None:
    ours = {target for target in IMPORTS[module] if within(target, PACKAGES)}
    allowed = MAY_IMPORT[rule_for(module)]
    assert not {target for target in ours if not within(target, allowed)}, f"{module} may import {allowed}"


@pytest.mark.parametrize("package", MUST_NOT_IMPORT)
def test_a_package_does_without(package: str) -> None:
    found = {
        (module, target)
        for module, targets in IMPORTS.items()
        if within(module, (package,))
        for target in targets
        if within(target, MUST_NOT_IMPORT[package])
    }
    assert not found


@pytest.mark.parametrize(
    "package", ["simulator", "stepship", "lambdas", "config", "statemachine.steps", "stacks.stages", "stacks.names"]
)
def test_what_runs_without_the_cdk_never_reaches_it(package: str) -> None:
    starts = [module for module in SOURCES if within(module, (package,))]
    found = {hop for start in starts for hop in reachable(start) if within(hop[1], NEEDS_NODE)}
    assert not found


ON_THE_SIMULATOR = (
    "stepship.commands.demo",
    "stepship.commands.simulate",
    "stepship.cli.main",
    "stepship.cli.__main__",
)
"""``cli.main`` names all commands; tests/packaging tells what it loads."""


def test_what_talks_to_aws_never_reaches_the_simulator() -> None:
    starts = [
        module
        for module in SOURCES
        if within(module, ("stepship.commands", "stepship.executions", "stepship.environment", "stepship.infra"))
        and module not in ON_THE_SIMULATOR
    ]
    assert starts
    assert not {hop for start in starts for hop in reachable(start) if within(hop[1], ("simulator",))}


def test_each_step_has_a_handler_of_the_same_name_and_each_handler_a_step() -> None:
    handlers = {path.stem for path in (ROOT / "lambdas" / "handlers").glob("*.py")} - {"__init__"}
    assert handlers == {step.handler for step in STEPS}


def test_a_module_is_named_after_what_it_does() -> None:
    nameless = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert not [path for path in committed_files() if path.name in nameless]


def folders_of(package: str) -> dict[Path, set[Path]]:
    """Return the folders of a package, each with the others of our folders that its own files import."""
    found: dict[Path, set[Path]] = {}
    for module, path in SOURCES.items():
        if within(module, (package,)):
            targets = {SOURCES[target].parent for target in IMPORTS[module] if target in SOURCES}
            found.setdefault(path.parent, set()).update(targets - {path.parent})
    return found


@pytest.mark.parametrize("package", [package for package in PACKAGES if package not in WORKLOAD])
def test_no_two_folders_import_each_other(package: str) -> None:
    try:
        TopologicalSorter(folders_of(package)).prepare()
    except CycleError as error:
        circle = " -> ".join(folder.relative_to(ROOT).as_posix() for folder in error.args[1])
        pytest.fail(f"these folders import each other: {circle}")


@pytest.mark.parametrize("package", ["simulator", "stacks", "stepship"])
def test_a_folder_holds_no_more_files_than_a_newcomer_takes_in(package: str) -> None:
    files: dict[str, int] = {}
    for path in SOURCES.values():
        folder = path.parent.relative_to(ROOT).as_posix()
        if folder.split("/")[0] == package and path.name != "__init__.py":
            files[folder] = files.get(folder, 0) + 1
    assert not {folder: count for folder, count in files.items() if count > MAX_FILES and folder not in LISTS}


def test_no_file_names_a_folder_of_one_machine() -> None:
    home = re.compile(r"(?<![\w.*${}-])/(?:root|work|home)/")
    assert not [name for name, text in text_files() if home.search(text)]


def test_no_file_names_a_package_index() -> None:
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs", "org"))]
    assert not [(name, host) for name, text in text_files() for host in hosts if host in text]


def test_the_npm_lock_names_no_hosts_and_has_hashes() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    assert not [name for name, package in installed.items() if "resolved" in package]
    assert all(package["integrity"].startswith("sha512-") for package in installed.values())
