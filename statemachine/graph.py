"""Check the graph of a definition: what no ASL validator finds. ``python -m statemachine.graph FILE``.

The other half of the file draws the diagram in ``README.md``. No CDK here: the checked thing is the JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lambdas.release.errors import leaves

Definition = Mapping[str, Any]

SERVICE_ERROR = re.compile(r"(States|Lambda|Sandbox|Runtime)\.[A-Za-z0-9.]+")
"""Errors that AWS raises, by the beginning of their names."""

SHAPES = {"Choice": ("{{", "}}"), "Wait": ("([", "])"), "Succeed": ("((", "))"), "Fail": ("((", "))")}
TERMINAL = ("Succeed", "Fail")
SAME_WAY_OUT = 4
"""From so many states on, the diagram says once that their errors lead to the same place."""

BEGIN, END = "<!-- diagram: begin (python -m statemachine.render) -->", "<!-- diagram: end -->"


def check(definition: Definition) -> list[str]:
    """Return what is wrong with the graph, one sentence each; an empty list when nothing is.

    Parameters
    ----------
    definition
        The ASL document as a JSON object.
    """
    states: Mapping[str, Any] = definition["States"]
    return [
        *_missing_targets(definition, states),
        *_unreachable(definition, states),
        *_endless(states),
        *_choices(states),
        *_timeouts(states),
        *_errors(states),
    ]


def transitions(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (target, why) for every way out of a state; ``why`` is empty for the plain next one."""
    if "Next" in state:
        yield state["Next"], ""
    for choice in state.get("Choices", ()):
        yield choice["Next"], _condition(choice)
    if "Default" in state:
        yield state["Default"], "otherwise"
    for catcher in state.get("Catch", ()):
        yield catcher["Next"], ", ".join(_plain(error) for error in catcher["ErrorEquals"])


def _missing_targets(definition: Definition, states: Mapping[str, Any]) -> Iterator[str]:
    if definition["StartAt"] not in states:
        yield f"StartAt: there is no state {definition['StartAt']!r}"
    for name, state in states.items():
        for target, _ in transitions(state):
            if target not in states:
                yield f"{name}: there is no state {target!r} to go to"
        if state["Type"] not in (*TERMINAL, "Choice") and "Next" not in state and not state.get("End"):
            yield f"{name}: has neither Next nor End"


def _reachable(states: Mapping[str, Any], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in states and name not in seen:
            seen.add(name)
            waiting += [target for target, _ in transitions(states[name])]
    return seen


def _unreachable(definition: Definition, states: Mapping[str, Any]) -> Iterator[str]:
    reachable = _reachable(states, definition["StartAt"])
    yield from (f"{name}: is unreachable" for name in states if name not in reachable)


def _endless(states: Mapping[str, Any]) -> Iterator[str]:
    """Find the states from which no end can be reached. The way of an error does not count as one."""
    for name in states:
        seen = _reachable({key: {**state, "Catch": ()} for key, state in states.items()}, name)
        if not any(states[other]["Type"] in TERMINAL or states[other].get("End") for other in seen):
            yield f"{name}: no end is reachable from here"


def _choices(states: Mapping[str, Any]) -> Iterator[str]:
    for name, state in states.items():
        if state["Type"] == "Choice" and "Default" not in state:
            yield f"{name}: a Choice without Default fails with States.NoChoiceMatched, which nothing here catches"


def _timeouts(states: Mapping[str, Any]) -> Iterator[str]:
    for name, state in states.items():
        if state["Type"] == "Task" and not {"TimeoutSeconds", "TimeoutSecondsPath"} & state.keys():
            yield f"{name}: a Task without TimeoutSeconds may wait for a year"


def _errors(states: Mapping[str, Any]) -> Iterator[str]:
    known = {leaf.__name__ for leaf in leaves()}
    for name, state in states.items():
        for field in ("Retry", "Catch"):
            rules: Sequence[Mapping[str, Any]] = state.get(field, ())
            taken: set[str] = set()
            for position, rule in enumerate(rules, start=1):
                errors = rule["ErrorEquals"]
                if "States.ALL" in errors and len(errors) > 1:
                    yield f"{name}: {field} {position} names States.ALL beside others; it must stand alone"
                if "States.ALL" in errors and position < len(rules):
                    yield f"{name}: {field} {position} is States.ALL and must be the last"
                for error in errors:
                    if not SERVICE_ERROR.fullmatch(error) and error not in known:
                        yield f"{name}: {field} {position} names {error!r}, which nothing raises"
                    if error in taken:
                        yield f"{name}: {field} {position} names {error!r} again, which never gets here"
                taken |= set(errors)


def mermaid(definition: Definition) -> str:
    """Draw the definition as a Mermaid flowchart: rounded states wait or decide, thick ones end.

    Parameters
    ----------
    definition
        The ASL document as a JSON object.

    Returns
    -------
    str
        The diagram; the same text for the same definition.
    """
    states: Mapping[str, Any] = definition["States"]
    ids = _identifiers(states)
    lines = ["flowchart TD", f"  start(( )) --> {ids[definition['StartAt']]}"]
    lines += [f"  {ids[name]}{_shape(name, state)}" for name, state in states.items()]
    caught: dict[tuple[str, str], list[str]] = {}
    for name, state in states.items():
        normal = {**state, "Catch": ()}
        lines += [f"  {ids[name]} -->{_label(why)} {ids[target]}" for target, why in transitions(normal)]
        for target, why in transitions({"Catch": state.get("Catch", ())}):
            caught.setdefault((target, why), []).append(name)
    for number, ((target, why), names) in enumerate(caught.items(), start=1):
        if len(names) >= SAME_WAY_OUT:
            label = "<br/>".join([f"{why} in", *names])
            lines += [f'  caught{number}["{label}"]:::caught', f"  caught{number} -.-> {ids[target]}"]
        else:
            lines += [f"  {ids[name]} -.->{_label(why)} {ids[target]}" for name in names]
    good = ",".join(ids[name] for name, state in states.items() if state["Type"] == "Succeed")
    bad = ",".join(ids[name] for name, state in states.items() if state["Type"] == "Fail")
    lines += [f"  class {ends} {kind}" for ends, kind in ((good, "good"), (bad, "bad")) if ends]
    lines += [
        "  classDef good fill:#d3f5dc,stroke:#1a7f37,color:#000",
        "  classDef bad fill:#ffd8d3,stroke:#b3261e,color:#000",
        "  classDef caught fill:#fff,stroke:#999,stroke-dasharray:3,color:#555,text-align:left",
    ]
    return "\n".join(lines)


def with_diagram(page: str, diagram: str) -> str:
    """Return the page with the diagram between its two markers.

    Raises
    ------
    ValueError
        A marker is missing.
    """
    before, found, rest = page.partition(BEGIN)
    _, also_found, after = rest.partition(END)
    if not (found and also_found):
        raise ValueError(f"the page lacks the line {BEGIN if not found else END}")
    return f"{before}{BEGIN}\n```mermaid\n{diagram}\n```\n{END}{after}"


def _identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return an id for every name: Mermaid's own words, such as ``end``, are avoided by the prefix."""
    ids: dict[str, str] = {}
    for name in names:
        plain = "s_" + re.sub(r"\W+", "_", name).strip("_").lower()
        twins = sum(re.fullmatch(rf"{plain}(_\d+)?", other) is not None for other in ids.values())
        ids[name] = f"{plain}_{twins + 1}" if twins else plain
    return ids


def _shape(name: str, state: Mapping[str, Any]) -> str:
    opening, closing = SHAPES.get(state["Type"], ("[", "]"))
    return f'{opening}"{name}"{closing}'


def _label(why: str) -> str:
    return f'|"{why}"|' if why else ""


def _condition(choice: Mapping[str, Any]) -> str:
    value = next((choice[key] for key in choice if key not in ("Variable", "Next")), "")
    return "yes" if value is True else str(value)


def _plain(error: str) -> str:
    return "any error" if error == "States.ALL" else error


def main(arguments: Sequence[str]) -> int:
    """Check a file; print what is wrong and return 1 if anything is."""
    if len(arguments) != 1:
        print("usage: python -m statemachine.graph FILE", file=sys.stderr)
        return 2
    problems = check(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    print("\n".join(problems) or f"{arguments[0]}: the graph is sound")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
