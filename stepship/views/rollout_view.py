"""How the services of a deployment stand, read from the execution's state: no call to ECS is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from lambdas.release.verdicts import Status

WAITS, ROLLS_BACK = "waits", "rolls back"
"""How a service stands of which there is no verdict: its wave has not come, or it returns to what it ran before."""

STYLES = {
    Status.STEADY: "green",
    Status.IN_PROGRESS: "cyan",
    Status.FAILED: "red",
    Status.SUPERSEDED: "red",
    ROLLS_BACK: "yellow",
}
BAR_TASKS = 20
"""More tasks are not drawn one by one."""


@dataclass(frozen=True)
class ServiceState:
    """A service of the plan.

    Attributes
    ----------
    running, desired
        Tasks of the deployment that is being watched; of the one before while its wave has not come.
    status
        The verdict, ``waits`` or ``rolls back``.
    """

    name: str
    wave: int
    running: int
    desired: int
    status: str
    reason: str


def service_states(state: Mapping[str, Any]) -> list[ServiceState]:
    """Read the services in wave order; nothing before there is a plan."""
    plan = state.get("plan") or {}
    if plan.get("nothingToDo"):
        return []
    return [
        _state(state, name, number, plan["services"][name])
        for number, wave in enumerate(plan.get("waves") or ())
        for name in wave
    ]


def _state(state: Mapping[str, Any], name: str, number: int, planned: Mapping[str, Any]) -> ServiceState:
    wave = planned["wave"]
    if "rollback" in state:
        counts = ((state.get("restored") or {}).get("services") or {}).get(name) or {}
        running, desired = counts.get("running", 0), counts.get("desired", planned["desired"])
        return ServiceState(name, wave, running, desired, ROLLS_BACK, "to what ran before")
    current = (state.get("wave") or {}).get("index", -1)
    if number > current:
        return ServiceState(name, wave, planned["desired"], planned["desired"], WAITS, "")
    rollout = state.get("rollout") or {}
    if number < current:
        return ServiceState(name, wave, planned["desired"], planned["desired"], Status.STEADY, "steady")
    verdict = (rollout.get("services") or {}).get(name) if rollout.get("wave") == current else None
    if verdict is None:
        return ServiceState(name, wave, 0, planned["desired"], Status.IN_PROGRESS, "starts")
    return ServiceState(name, wave, verdict["running"], verdict["desired"], verdict["status"], verdict["reason"])


def service_table(states: Sequence[ServiceState]) -> Table:
    """``  api  3/3  ▰▰▰  steady``."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=14)
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    for each in states:
        style = STYLES.get(each.status, "dim")
        missing = max(0, each.desired - each.running)
        bar = "▰" * each.running + "▱" * missing if each.desired <= BAR_TASKS else ""
        reason = each.reason or each.status
        table.add_row(
            Text(f"      {each.name}"),
            Text(f"{each.running}/{each.desired}", "dim"),
            Text(bar, style),
            Text(reason, style),
        )
    return table
