"""The workflows as data, and one of their steps with all that its shell gets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def load(name: str) -> dict[str, Any]:
    """Read a workflow; YAML 1.1 takes its key ``on`` for a truth value, and here it is ``on`` again."""
    document: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in document.items()}


WORKFLOWS: dict[str, dict[str, Any]] = {path.name: load(path.name) for path in sorted(FOLDER.glob("*.yml"))}


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file, workflow in WORKFLOWS.items():
        for name, job in workflow["jobs"].items():
            yield file, name, job


def steps() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file, name, job in jobs():
        for each in job.get("steps", ()):
            yield file, name, each


@dataclass(frozen=True)
class Step:
    """A step that runs shell.

    Attributes
    ----------
    env
        Of workflow, job and step together, the innermost last, with their expressions.
    checkout
        What the job's checkout brought before this step: folders, everything as ``.``, or nothing.
    """

    file: str
    job: str
    name: str
    run: str
    env: Mapping[str, str]
    checkout: tuple[str, ...]

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """Fill in the expressions of ``env`` from a table."""
        return {name: evaluate(text, values) for name, text in self.env.items()}


def step(file: str, job: str, name: str) -> Step:
    """Find a step by the names that a person reads; ``test_every_step.py`` looks for the calls of this function."""
    workflow = WORKFLOWS[file]
    described = workflow["jobs"][job]
    checkout: tuple[str, ...] = ()
    for each in described["steps"]:
        if str(each.get("uses", "")).startswith("actions/checkout@"):
            checkout = tuple(each["with"].get("sparse-checkout", ".").split())
        if each.get("name") == name:
            scopes = (workflow.get("env", {}), described.get("env", {}), each.get("env", {}))
            env = {key: str(value) for scope in scopes for key, value in scope.items()}
            return Step(file, job, name, each["run"], env, checkout)
    raise LookupError(f"{file}: the job {job} has no step {name}")


def evaluate(text: str, values: Mapping[str, str]) -> str:
    """Replace each ``${{ … }}``: a name, a literal in quotes, or several of them with ``||`` between."""

    def value(match: re.Match[str]) -> str:
        for operand in match[1].split(" || "):
            if operand.startswith("'"):
                found = operand.strip("'")
            elif operand in values:
                found = values[operand]
            else:
                raise LookupError(f"the test has no value for {operand} in {match[0]}")
            if found:
                return found
        return ""

    return EXPRESSION.sub(value, text)
