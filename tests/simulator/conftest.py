"""A simulated world for each test."""

from collections.abc import Iterator

import pytest

from simulator.engine.machine import SimulatedAws
from tests.simulator.engine import toys


@pytest.fixture
def aws() -> Iterator[SimulatedAws]:
    """A world with a table."""
    yield from toys.simulated()
