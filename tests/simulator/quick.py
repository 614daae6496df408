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


def every_five_seconds() -> config.EnvironmentConfig:
    """The dev environment in which a step that waits looks a fifth as often; each state is visited just as often."""
    dev = config.load("dev")
    return replace(dev, rollout=replace(dev.rollout, poll_seconds=5))


as_committed = pytest.mark.parametrize("settings", [config.load("dev")], ids=["as committed"])
"""For a test that is about looks, or whose expected seconds are those of the committed config."""
