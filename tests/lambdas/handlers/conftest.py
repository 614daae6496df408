"""A simulated environment for each test."""

from collections.abc import Iterator

import pytest

from simulator.environment.simulated_environment import World


@pytest.fixture
def world() -> Iterator[World]:
    """Three services on a placeholder image, and a migration; nothing was released yet."""
    with World(recovery=False) as world:
        yield world
