"""``stepship demo``: five deployments on a simulated AWS, and how each of them ends."""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from stepship.host import is_watched

PACE = 0.003
"""Real seconds per virtual second: some fifteen virtual minutes take some two and a half seconds of waiting."""

BUDGET_SECONDS = 8.0
"""On a slow machine the waiting is left out from here on, so that the whole stays below fifteen seconds."""

INTRODUCTION = (
    "Three services, one migration, one state machine. AWS is simulated, time is virtual;",
    "state machine and handlers are the ones that run in AWS.",
)


def run_demo(console: Console) -> bool:
    """Run the demonstration; returns whether everything ended as it should."""
    began_at = time.monotonic()
    watched = is_watched(console)
    if watched:
        console.print()
        console.print(Text.assemble((" Stepship ", "bold white on blue"), "  ", INTRODUCTION[0]))
        console.print(Text(f"             {INTRODUCTION[1]}"))
        with console.status(Text("building the world", "dim"), spinner="dots"):
            import simulator.scenario.play  # noqa: F401, PLC0415 (takes seconds: moto)
    from simulator.scenario.play import FOLDER, run_scenario  # noqa: PLC0415
    from stepship.views.live_view import LiveView  # noqa: PLC0415
    from stepship.views.plain_view import PlainView  # noqa: PLC0415

    spent = time.monotonic() - began_at
    view = LiveView(console, deadline_seconds=BUDGET_SECONDS - spent) if watched else PlainView()
    try:
        result = run_scenario(FOLDER / "demo.yaml", view, pace=PACE if watched else 0.0)
    finally:
        view.close()
    view.summary(result)
    return result.is_as_expected
