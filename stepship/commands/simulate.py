"""``stepship simulate``: one scenario, watched or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from simulator.scenario.play import ScenarioError, read_scenario, run_scenario
from stepship.commands.demo import PACE
from stepship.failure import WRONG_USAGE, fail
from stepship.host import is_watched
from stepship.views.live_view import LiveView
from stepship.views.plain_view import PlainView

AS_EXPECTED, NOT_AS_EXPECTED = 0, 1


def run_simulation(file: Path, *, as_json: bool) -> int:
    """Run the scenario; returns the exit code."""
    console = Console()
    try:
        scenario = read_scenario(file)
        if as_json:
            result = run_scenario(scenario)
            print(json.dumps(result.document, indent=2))
        else:
            watched = is_watched(console)
            view = LiveView(console) if watched else PlainView()
            try:
                result = run_scenario(scenario, view, pace=PACE if watched else 0.0)
            finally:
                view.close()
            view.summary(result)
    except ScenarioError as error:
        fail(str(error), WRONG_USAGE, as_json=as_json)
        return WRONG_USAGE
    return AS_EXPECTED if result.is_as_expected else NOT_AS_EXPECTED
