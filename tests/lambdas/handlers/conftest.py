"""A simulated environment for each test."""

from collections.abc import Iterator

import pytest

from config import EnvironmentConfig
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.simulator.quick import few_looks


@pytest.fixture
def settings() -> EnvironmentConfig:
    """Of the world; ``as_committed`` puts the committed config in its place."""
    return few_looks()


@pytest.fixture
def simulated(settings: EnvironmentConfig) -> Iterator[SimulatedEnvironment]:
    """Three services on a placeholder image, and a migration; nothing was released yet."""
    with SimulatedEnvironment(settings=settings, recovery=False) as simulated:
        yield simulated
