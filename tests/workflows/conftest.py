"""A runner for each test, and a simulated AWS for what the runner's steps type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stepship.conftest import history_in_pages, refuse, settings, simulated  # noqa: F401 (fixtures)
from tests.workflows.runner import Runner


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)
