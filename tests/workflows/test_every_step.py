"""Every step that runs shell is run by a test: none can be added, renamed or changed without one."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.workflows import workflow


def steps_used(module: ast.Module) -> set[tuple[str, str, str]]:
    """Find the steps that a module names, ``NAME = step(file, job, name)`` or a list of such, and its tests use."""
    used = {
        name.id
        for function in module.body
        if isinstance(function, ast.FunctionDef)
        for name in ast.walk(function)
        if isinstance(name, ast.Name)
    }
    found = set()
    for statement in module.body:
        if not isinstance(statement, ast.Assign):
            continue
        targets = {target.id for target in statement.targets if isinstance(target, ast.Name)}
        for call in ast.walk(statement.value):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "step":
                file, job, name = (ast.literal_eval(argument) for argument in call.args)
                assert targets & used, f"no test uses {targets}"
                found.add((file, job, name))
    return found


def test_every_step_that_runs_shell_is_run_by_a_test() -> None:
    modules = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.glob("test_*.py")]
    tested = {each for module in modules for each in steps_used(module)}
    all_steps = {(file, job, each["name"]) for file, job, each in workflow.steps() if "run" in each}

    assert tested == all_steps


def test_a_step_is_found_by_its_name_alone() -> None:
    names = [(file, job, each["name"]) for file, job, each in workflow.steps()]

    assert len(names) == len(set(names))
