"""The section of ``docs/explanation/benchmarks.md`` that sets Stepship beside its peers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

import config
from stepship.executions.follow import POLL_SECONDS
from tools.benchmarks.document import table
from tools.benchmarks.machine import measured_here
from tools.benchmarks.peers import attempts as measuring
from tools.benchmarks.peers.attempts import Attempt, measure
from tools.benchmarks.peers.figures import Machine, goals, machine_calls, take_apart
from tools.benchmarks.peers.scene import BAKE_SECONDS, CRASH_SECONDS, ROLLOUT_SECONDS, TASKS, Scene, scene
from tools.benchmarks.peers.tools import OURS, Tool, ecspresso_is_here, tools

NEVER = "never"
NOTHING = "-"

WARM_UP_SERVICES = 1
COLUMNS = (
    "tool",
    "services",
    "wall s",
    "detection s",
    "mean s",
    "of best peer",
    "command's end s",
    "AWS calls",
    "per service",
)


def section() -> str:
    """Measure, and return the Markdown."""
    begin = time.monotonic()
    console = Console(width=110)
    chosen = tools()
    with tempfile.TemporaryDirectory(prefix="stepship-bench-") as folder, scene(Path(folder)) as made:
        cold = warm_up(made)
        found = measure(made, chosen, lambda each: console.print(progress(each)))
    return render(chosen, found, take_apart(cold), measured_here(time.monotonic() - begin))


def warm_up(made: Scene) -> Attempt:
    """Deploy once with ours: every function starts cold in it."""
    _, good = made.image()
    return measuring.attempt(made, OURS, WARM_UP_SERVICES, crashes=False, good=good)


def progress(each: Attempt) -> str:
    """Return a line for who watches ``make bench``."""
    what = "crashing image" if each.crashes else "good image"
    return f"{each.tool}, {counted(each.services)}, {what}: {each.wall_seconds:.1f} s, {each.calls.total()} AWS calls"


def render(chosen: Sequence[Tool], found: Sequence[Attempt], cold: Machine, measured: str) -> str:
    """Return the section of what was found."""
    yardsticks = [each.name for each in chosen if each.is_yardstick]
    rows = [f"* **{each.name}**: {each.about}." for each in chosen]
    if not ecspresso_is_here():
        rows.append("* **ecspresso**: not on PATH, so it was not measured.")
    parts = [
        "## Beside what users have",
        measured,
        "\n".join(rows),
        _fairness(),
        "### A good image",
        _good(found, yardsticks),
        _good_words(),
        "### A crashing image",
        _bad(found, yardsticks),
        _bad_words(),
        "### AWS calls by operation",
        _calls(found),
        "### Stepship's own parts",
        _parts(found, cold),
        "### Goals",
        "\n".join(goals(found, cold, OURS.name, yardsticks)),
    ]
    return "\n\n".join(parts)


def _fairness() -> str:
    return (
        "One emulator, one tool at a time, all in real time: the same services, the same pinned images, the same "
        f"rollout. A service has {TASKS} tasks, and the emulated ECS counts a task as steady {ROLLOUT_SECONDS:.0f} s "
        f"after its start. The crashing container lives {CRASH_SECONDS:.0f} s, one service of the deployment has it, "
        "and ECS replaces it at once. Peers deploy several services in parallel, one process for each, which is faster "
        "than one after the other; with ten of them they share this machine's cores, and so does the emulator. The "
        "emulator counts the calls and notes when ECS was steady and when a task crashed; a peer knew when its process "
        "ended, Stepship when its execution's history says so. *Best peer* is the best with its documented defaults. "
        "A peer that never pauses between two looks is shown, and is no yardstick: see its calls."
    )


def _good(found: Sequence[Attempt], yardsticks: Sequence[str]) -> str:
    rows = []
    for each in found:
        if each.crashes:
            continue
        calls = machine_calls(each) if each.tool == OURS.name else each.calls.total()
        rows.append(
            [
                each.tool,
                str(each.services),
                f"{each.wall_seconds:.1f}",
                _seconds(each.detection_seconds),
                _seconds(each.mean_detection_seconds),
                _ratio(each, found, yardsticks),
                _seconds(each.command_seconds),
                str(calls),
                f"{calls / each.services:.1f}",
            ]
        )
    return table(
        COLUMNS,
        rows,
    )


def _good_words() -> str:
    bakes = ", ".join(f"{name} {config.load(name).rollout.bake_seconds} s" for name in ("dev", "production"))
    return (
        "*Detection*: from the moment when the last service was steady until the tool knew. For peers that is the end "
        "of their last process; for Stepship the end of `Check rollout`, because what follows is a bake, which peers "
        "do not have. One run meets one moment between two looks, so luck is in that figure; *mean* has none: half the "
        "tool's pause between two looks, and what followed on the look that saw it. *Of best peer*, and the goal, are "
        "by the mean. *Command's end* counts from the same moment until the command ended: for Stepship that is after "
        f"bake, record, and up to {POLL_SECONDS:.0f} s between two looks of the command itself. Here the bake is "
        f"{BAKE_SECONDS} s; as committed it is longer ({bakes}), and the wall time with it. The calls of Stepship are "
        "those of the machine and its start; what `stepship deploy` calls to show a deployment to a person is in the "
        "table by operation."
    )


def _bad(found: Sequence[Attempt], yardsticks: Sequence[str]) -> str:
    rows = []
    for each in found:
        if each.crashes:
            back = _seconds(each.back_seconds)
            if each.left:
                back = f"{NEVER}: {each.left} of {each.services} not"
            rows.append(
                [
                    each.tool,
                    str(each.services),
                    _seconds(each.failed_seconds) if each.failed_seconds is not None else NEVER,
                    _ratio(each, found, yardsticks),
                    back,
                    ", ".join(str(code) for code in sorted(set(each.exits))),
                ]
            )
    return table(["tool", "services", "failed s", "of best peer", "all back s", "exit codes"], rows)


def _bad_words() -> str:
    return (
        "Both times begin at the first crash. *All back*: every service runs, steadily, what it ran before. fabfuel "
        "reads the failed rollout only where ECS does not roll back by itself, and its `--rollback` does not follow on "
        "that failure; where ECS rolls back, it ends well, and deregisters the revision that it replaced, which is the "
        "one that runs. The AWS CLI's waiter ends well too: the failure is seen by the `describe-services` that our "
        "script adds, and ECS has brought back the one service. No peer brings back services that had succeeded."
    )


def _calls(found: Sequence[Attempt]) -> str:
    good = [each for each in found if not each.crashes]
    most = max(each.services for each in good)
    columns = [each for each in good if each.services in (1, most)]
    operations = sorted({operation for each in columns for operation in each.calls})
    rows = [[name, *(str(each.calls[name] or NOTHING) for each in columns)] for name in operations]
    return table(["good image", *(f"{each.tool}, {each.services}" for each in columns)], rows)


def _parts(found: Sequence[Attempt], cold: Machine) -> str:
    ours = [(counted(each.services), take_apart(each)) for each in found if each.tool == OURS.name]
    named = [("1 service, all functions cold", cold), *ours]
    crashes = [each.crashes for each in found if each.tool == OURS.name]
    rows = []
    for (name, each), crashed in zip(named, [False, *crashes], strict=True):
        rows.append(
            [
                f"{name}, crashing image" if crashed else name,
                str(each.transitions),
                str(each.invocations),
                NOTHING if crashed else f"{each.overhead_seconds:.2f}",
                f"{each.function_seconds:.2f}",
                f"${each.bill.transitions:.5f}",
                f"${each.bill.functions:.5f}",
                f"${each.bill.calls:.5f}",
                f"${each.bill.total:.5f}",
            ]
        )
    words = (
        "\n\n*Overhead*: the execution without ECS's own rollout and without the bake, with the mean detection. *In "
        "functions*: without `Check rollout` and `Check rollback`, which wait; the rest of the overhead is detection, "
        "and the emulator's work between two states. Prices, with their sources, are in "
        "`tools/benchmarks/dollars.py`; the goal for dollars adds the visits and the seconds that production's "
        "config allows (`tools/benchmarks/peers/figures.py`). "
        "What the deployer costs while nobody deploys is in [cost.md](../reference/cost.md)."
    )
    columns = ["deploy of", "transitions", "invocations", "overhead s", "in functions s"]
    return table([*columns, "Step Functions", "Lambda", "calls", "total"], rows) + words


def counted(services: int) -> str:
    """``1 service``, ``10 services``."""
    return f"{services} service{'' if services == 1 else 's'}"


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _ratio(each: Attempt, found: Sequence[Attempt], yardsticks: Sequence[str]) -> str:
    """Return detection, or time to failed, as a part of the best peer's."""

    def figure(one: Attempt) -> float | None:
        return one.failed_seconds if one.crashes else one.mean_detection_seconds

    alike = (one for one in found if (one.services, one.crashes) == (each.services, each.crashes))
    best = min((value for one in alike if one.tool in yardsticks and (value := figure(one)) is not None), default=None)
    mine = figure(each)
    return NOTHING if best is None or mine is None else f"{mine / best:.2f}"
