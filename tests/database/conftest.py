from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from database.migrate import Target
from tests.database.postgres import connect, running

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Target]:
    with running() as target:
        yield target


@pytest.fixture
def target(server: Target) -> Iterator[Target]:
    """Make an empty database for one test."""
    name = f"test{next(NUMBERS)}"
    with connect(server) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield replace(server, name=name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
