"""Break deployments on the simulator and examine the result each time: ``make explore``."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from simulator.scenario.reader import ScenarioError, read_scenario
from statemachine.steps import STEPS
from tools.exploration import cases
from tools.exploration.checkpoint import Checkpoint
from tools.exploration.explorer import Budget, Findings, explore
from tools.exploration.random_schedules import Found
from tools.exploration.schedules import Schedule

FOLDER = Path("build") / "explored"
TAGS = tuple(cases.tag(image, migration) for image, migration in cases.cases())
STATES = tuple(step.state for step in STEPS)


def main(arguments: Sequence[str]) -> int:
    """Explore, print what was found, and return the exit code: 1 when something broke."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.exploration",
        description=__doc__,
        epilog='examples: python -m tools.exploration 5000; python -m tools.exploration 200 --step "Roll back"; '
        "python -m tools.exploration --replay build/explored/crash-ok-stopped.yaml",
    )
    parser.add_argument("schedules", nargs="?", type=_positive, default=400, help="about how many to try (default 400)")
    parser.add_argument("--seed", type=int, default=1, help="which of them; the same seed tries the same (default 1)")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument(
        "--step", choices=STATES, metavar="STATE", help="break only this state, one that runs a function: 'Roll back'"
    )
    parser.add_argument("--tag", choices=TAGS, metavar="TAG", help="break only deployments of it, such as crash-ok")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one that was kept, and say what it breaks")
    given = parser.parse_args(arguments)
    if given.replay:
        if given != parser.parse_args(["--replay", str(given.replay)]):
            parser.error("--replay runs one file, and takes nothing beside it")
        return _replay(given.replay)
    print(f"exploring {given.schedules:,} schedules with seed {given.seed} in {given.jobs} processes", flush=True)
    try:
        findings = explore(Budget(given.schedules, given.seed, given.jobs, given.step, given.tag), _tell, keep)
    except KeyboardInterrupt:
        print("stopped; what was found until now is in build/explored/")
        return 130
    if findings.tried.total() == findings.tried["undisturbed"]:
        print("nothing was broken: no such deployment comes to that state; leave --step or --tag out", file=sys.stderr)
        return 2
    return _report(findings)


def _report(findings: Findings) -> int:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(findings.tried.items()))
    print(f"tried: {kinds}")
    print("executions ended as: " + ", ".join(f"{name} {count:,}" for name, count in findings.outcomes.most_common()))
    print(
        f"{findings.tried.total():,} schedules, {len(findings.broken)} with violations, "
        f"{findings.rate:.1f} schedules a second"
    )
    return 1 if findings.broken else 0


def _tell(findings: Findings) -> None:
    print(
        f"  {findings.tried.total():>6,} schedules, {len(findings.broken)} with violations, "
        f"{findings.rate:.1f} a second, {findings.seconds:.0f} s",
        flush=True,
    )


def keep(found: Found, folder: Path = FOLDER) -> None:
    """Write a schedule as a scenario file, and print what it breaks."""
    schedule, verdict = found
    document = Checkpoint(migrates=schedule.migrates).document(schedule)
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", schedule.title.lower()).strip("-")[:80]
    text = yaml.safe_dump(document, sort_keys=False, width=120)
    file = _free_name(folder, name, text)
    file.write_text(text, encoding="utf-8")
    print(f"\n{schedule.title}")
    for violation in verdict.violations:
        print(f"  {violation}")
    print(
        f"  run it again: .venv/bin/python -m tools.exploration --replay {file}\n"
        f"  watch it: .venv/bin/stepship simulate --scenario {file}"
    )


def _free_name(folder: Path, name: str, text: str) -> Path:
    """Return the file for a find: the one that has it already, or the next that nothing stands in."""
    files = (folder / f"{name}{f'-{number}' if number > 1 else ''}.yaml" for number in itertools.count(1))
    return next(file for file in files if not file.exists() or file.read_text(encoding="utf-8") == text)


def _replay(file: Path) -> int:
    try:
        scenario = read_scenario(file)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    if document.get("config") != cases.CONFIG or len(scenario.steps) == 1:
        print(f"{file}: is not one that the exploration kept; use stepship simulate --scenario {file}", file=sys.stderr)
        return 2
    schedule = Schedule(
        str(document["description"]),
        bool(document.get("migration", True)),
        tuple(document["steps"][1:]),
        recovery=document.get("recovery", True),
    )
    with Checkpoint(migrates=schedule.migrates) as checkpoint:
        verdict = checkpoint.attempt(schedule)
    print(f"{schedule.title}: {', '.join(verdict.outcomes)}")
    for violation in verdict.violations:
        print(f"  {violation}")
    return 1 if verdict.violations else 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
