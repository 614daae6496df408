"""One search server for all tests of a worker, and a collection for each of them."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from search.collection import Collection
from search.typesense import CachedKey, Typesense
from tests.workload.search.server import KEY, Server, binary, running

NUMBERS = count(1)


@pytest.fixture(scope="session")
def program() -> Path:
    found = binary()
    if found is None:
        pytest.skip("no Typesense server for this machine: `make test` installs one on Linux on x86-64")
    return found


@pytest.fixture(scope="session")
def server(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(program, tmp_path_factory.mktemp("typesense") / "data") as found:
        yield found


@pytest.fixture
def typesense(server: Server) -> Typesense:
    return client(server.url)


@pytest.fixture
def collection() -> Collection:
    """The committed schema, under names that no other test has."""
    committed, number = Collection.read(), next(NUMBERS)
    schema = {**committed.schema, "name": f"test-{number}-{committed.name}"}
    return dataclasses.replace(committed, alias=f"test-{number}-{committed.alias}", schema=schema)


def client(url: str, *, timeout_seconds: float = 60.0) -> Typesense:
    return Typesense(url, CachedKey(lambda: KEY), timeout_seconds=timeout_seconds)


@pytest.fixture
def capture() -> Iterator[list[dict[str, Any]]]:
    """What the functions log, one dictionary for each line."""
    lines: list[dict[str, Any]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(record.getMessage()))

    logger, handler = logging.getLogger("search"), Lines()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
