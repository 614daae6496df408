"""What the search service's stack takes for granted, seen at a real server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from search.collection import Collection
from tests.workload.search.conftest import client
from tests.workload.search.server import Scripted, Server, free_port, running


def health_check(port: int) -> int:
    from stacks.application.search_service_stack import HEALTH
    from stacks.names import SEARCH_PORT

    command = HEALTH.replace(str(SEARCH_PORT), str(port))
    return subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False).returncode


def test_the_containers_health_check_passes_when_the_server_is_ready(server: Server) -> None:
    assert health_check(server.port) == 0


def test_the_containers_health_check_fails_when_nobody_answers() -> None:
    assert health_check(free_port()) != 0


@pytest.mark.parametrize("answer", [(503, {"ok": False}), None])
def test_the_containers_health_check_fails_while_the_server_is_not_ready(answer: tuple[int, object] | None) -> None:
    with Scripted([answer]) as scripted:
        assert health_check(scripted.port) != 0


def test_data_is_still_there_when_a_task_was_killed_and_its_successor_has_another_address(
    program: Path, tmp_path: Path
) -> None:
    """A new task has a new address, and the server remembers the old one in its data directory."""
    collection = Collection.read()
    with running(program, tmp_path / "data") as first:
        collection.ensure(client(first.url))
        written = client(first.url).upsert(
            collection.name, [{"id": "r-1", "name": "Laksa House", "kind": "restaurant", "popularity": 9}]
        )
        assert written == [""]
    with running(program, tmp_path / "data", peering_address="127.0.0.2") as second:
        server = client(second.url)
        assert server.alias(collection.alias) == collection.name
        assert server.search(collection.alias, {"q": "laksa", "query_by": collection.query_by})["found"] == 1
        # It takes writes too: it has found that it leads alone.
        assert server.upsert(
            collection.name, [{"id": "r-2", "name": "Bar", "kind": "restaurant", "popularity": 1}]
        ) == [""]
