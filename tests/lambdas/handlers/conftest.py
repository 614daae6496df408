"""A simulated environment for each test."""

from collections.abc import Iterator

import pytest

from simulator.environment.simulated_environment import SimulatedEnvironment


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    """Three services on a placeholder image, and a migration; nothing was released yet."""
    with SimulatedEnvironment(recovery=False) as simulated:
        yield simulated
