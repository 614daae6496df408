"""Every error of ours that a state retries or catches can occur there.

What a step can raise is read from the code: from its function on, all that is called below ``lambdas/``. A function is
followed as its module imports it; a method by its name alone, so a name that two classes have counts for both: too much
is found rather than too little. What a function catches does not leave it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lambdas.release.errors import leaves
from statemachine.steps import STEPS, Step

ROOT = Path(__file__).parents[2]
STATES: dict[str, dict[str, Any]] = json.loads((ROOT / "statemachine" / "deployment.asl.json").read_text())["States"]
OURS = {leaf.__name__ for leaf in leaves() if leaf.__module__ == "lambdas.release.errors"}
ANY_CLASS = "*"


@dataclass(frozen=True)
class Function:
    """What a function mentions, as (module, name) or (``*``, method); and which errors it keeps to itself."""

    mentions: frozenset[tuple[str, str]]
    catches: frozenset[str]


def functions() -> dict[tuple[str, str], list[Function]]:
    """Return all functions by module and name, and all methods by ``*`` and name."""
    found: dict[tuple[str, str], list[Function]] = {}
    for path in (ROOT / "lambdas").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        origins = {
            alias.asname or alias.name: (str(node.module), alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for owner in ast.walk(tree):
            for node in getattr(owner, "body", ()) if isinstance(owner, ast.Module | ast.ClassDef) else ():
                if isinstance(node, ast.FunctionDef):
                    key = (module if isinstance(owner, ast.Module) else ANY_CLASS, node.name)
                    found.setdefault(key, []).append(read(node, module, origins))
    return found


def read(node: ast.FunctionDef, module: str, origins: dict[str, tuple[str, str]]) -> Function:
    mentions = {
        (ANY_CLASS, each.attr) if isinstance(each, ast.Attribute) else origins.get(each.id, (module, each.id))
        for each in mentioned(node)
    }
    catches = {name for handler in ast.walk(node) if isinstance(handler, ast.ExceptHandler) for name in caught(handler)}
    return Function(frozenset(mentions), frozenset(catches))


def caught(handler: ast.ExceptHandler) -> Iterator[str]:
    """Yield what an ``except`` names, unless it raises the same again."""
    again = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    if handler.type is not None and not again:
        yield from (node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name))


def mentioned(node: ast.AST) -> Iterator[ast.Name | ast.Attribute]:
    """Yield what a body uses; not what its annotations name, nor the errors that it catches or compares with."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list") or (field == "type" and value is not None):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Attribute) and child.attr == "__name__":
                continue
            if isinstance(child, ast.Name | ast.Attribute):
                yield child
            if isinstance(child, ast.AST):
                yield from mentioned(child)


@cache
def all_errors() -> dict[tuple[str, str], set[str]]:
    """Return the errors that may leave each function; grown until nothing is added any more."""
    code = functions()
    errors: dict[tuple[str, str], set[str]] = {key: set() for key in code}
    errors.update({("lambdas.release.errors", name): {name} for name in OURS})
    grows = True
    while grows:
        grows = False
        for key, each in code.items():
            found = {e for f in each for mention in f.mentions for e in errors.get(mention, set()) - f.catches}
            grows = grows or not found <= errors[key]
            errors[key] |= found
    return errors


def errors_of(step: Step) -> set[str]:
    """Return the errors that a step's function may end with."""
    return all_errors()[f"lambdas.handlers.{step.handler}", step.handler]


def named(rules: list[dict[str, Any]]) -> set[str]:
    return {error for rule in rules for error in rule["ErrorEquals"]} & OURS


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.state)
def test_what_a_state_retries_or_catches_can_occur_there(step: Step) -> None:
    state = STATES[step.state]
    assert named(state["Retry"]) | named(state["Catch"]) <= errors_of(step)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.state)
def test_an_error_that_has_a_way_of_its_own_has_it_wherever_it_occurs(step: Step) -> None:
    """A step that writes and loses the lease must not roll back: another execution holds the lock."""
    state = STATES[step.state]
    if state["Catch"][-1]["Next"] == "Roll back" and "LeaseLost" in errors_of(step):
        assert "LeaseLost" in named(state["Catch"])


def test_errors_are_found_where_they_are_known_to_occur() -> None:
    found = {step.state: errors_of(step) for step in STEPS}
    assert {state for state, errors in found.items() if "NothingToReturnTo" in errors} == {"Roll back"}
    assert {state for state, errors in found.items() if "ScanInProgress" in errors} == {"Verify image"}
    assert "LeaseLost" in found["Deploy wave"]
    assert "LeaseLost" not in found["Check rollout"] | found["Record failure"] | found["Record outcome"]
    assert all({"Throttled", "AwsUnavailable"} <= errors for errors in found.values())
