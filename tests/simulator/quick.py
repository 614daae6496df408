"""Settings with which a simulated deployment costs half: ECS is looked at less often, and few tests are about that."""

from __future__ import annotations

from dataclasses import replace

import pytest

import config


def few_looks() -> config.EnvironmentConfig:
    """The dev environment with long intervals: each state is visited, and none more often than it takes."""
    dev = config.load("dev")
    rollout = replace(dev.rollout, poll_seconds=40, bake_seconds=15, bake_poll_seconds=15)
    return replace(dev, rollout=rollout, migration=replace(dev.migration, poll_seconds=40))


as_committed = pytest.mark.parametrize("settings", [config.load("dev")], ids=["as committed"])
"""For a test that is about looks, or whose expected seconds are those of the committed config."""
