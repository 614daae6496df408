from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lambdas.release import errors
from lambdas.release.errors import StepshipError, leaves

LAMBDAS = Path(errors.__file__).parents[1]
OURS = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, StepshipError)]
LEAVES = {leaf.__name__: leaf for leaf in leaves() if leaf.__module__ == errors.__name__}
BASES = set(OURS) - set(LEAVES)
DRAWN = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)", re.MULTILINE)


def raised_names(source: str) -> set[str]:
    """Return the names that the source raises, or hands on as the error to raise."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found |= {raised.id} if isinstance(raised, ast.Name) else set()
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
    return found


def drawn_tree() -> dict[str, str | None]:
    """Return each class of the docstring's drawing with the one above it."""
    tree: dict[str, str | None] = {}
    path: list[str] = []
    for match in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(match["indent"]) // 4
        path = [*path[:depth], match["name"]]
        tree[match["name"]] = path[-2] if depth else None
    return tree


def test_the_drawing_shows_the_tree_as_it_is() -> None:
    actual = {name: vars(errors)[name].__base__.__name__ for name in OURS}
    assert drawn_tree() == {**actual, "StepshipError": None}


def test_leaves_are_the_classes_without_subclasses() -> None:
    assert {"StepshipError", "Transient", "Refused", "Failed", "Unexpected"} == BASES
    assert leaves(errors.Transient) == (errors.Throttled, errors.AwsUnavailable, errors.ScanInProgress)
    assert leaves(errors.LeaseLost) == (errors.LeaseLost,)


def test_no_two_leaves_share_the_name_that_the_state_machine_catches() -> None:
    # The command line has leaves of its own, which the state machine never sees.
    names = [leaf.__name__ for leaf in leaves() if leaf.__module__.startswith("lambdas.")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise Refused('x')", {"Refused"}),
        ("raise Refused", {"Refused"}),
        ("raise Refused('x') from error", {"Refused"}),
        ("known = {'a': lambda text: Refused(text)}", {"Refused"}),
        ("try:\n    pass\nexcept Refused:\n    raise", set()),
        ("raise module.Refused('x')", set()),
    ],
    ids=["call", "class", "from", "made to be raised", "caught only", "of a module"],
)
def test_every_spelling_of_raise_is_seen(source: str, expected: set[str]) -> None:
    assert raised_names(source) == expected


def test_only_leaves_are_raised() -> None:
    sources = {path: raised_names(path.read_text(encoding="utf-8")) for path in LAMBDAS.rglob("*.py")}
    assert not {path: names & BASES for path, names in sources.items() if names & BASES}


def test_every_leaf_is_used() -> None:
    """But for the one that a person's no is reported with: it comes from outside, through SendTaskFailure."""
    others = [path.read_text(encoding="utf-8") for path in LAMBDAS.rglob("*.py") if path.name != "errors.py"]
    assert not [
        name
        for name in LEAVES.keys() - {"ApprovalRejected"}
        if not any(re.search(rf"\b{name}\b", text) for text in others)
    ]


@pytest.mark.parametrize("name", OURS)
def test_every_error_says_in_a_sentence_when_it_is_raised(name: str) -> None:
    assert (vars(errors)[name].__doc__ or "").strip().endswith((".", "itself."))
