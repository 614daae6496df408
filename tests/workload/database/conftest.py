from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from database.migrate import Target
from tests.workload.database.postgres import connect, packaged, programs, running

NUMBERS = itertools.count(1)
SERVERS = {"wheel": programs(), **{f"debian-{folder.parent.name}": folder for folder in packaged()}}


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Target]:
    with running(SERVERS[request.param]) as target:
        yield target


@pytest.fixture
def target(server: Target) -> Iterator[Target]:
    """Make an empty database for one test."""
    name = f"test{next(NUMBERS)}"
    with connect(server) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield replace(server, name=name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
