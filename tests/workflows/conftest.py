"""A runner for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.runner import Runner


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)
