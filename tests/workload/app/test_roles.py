"""Each role in a process of its own, as in a container: what it does on SIGTERM, and how it exits."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workload.app.fakes import CANARY, REGION
from tests.workload.app.stub import GIVE_UP_SECONDS, Stub, serving
from tests.workload.app.test_subgraphs import LIST, META, POOL

ROOT = Path(__file__).resolve().parents[3] / "workload"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


@pytest.fixture
def environment(stub: Stub, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "APP_ENVIRONMENT": "dev",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": stub.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "POOLS_TABLE": "pools",
        "JOBS_QUEUE_URL": f"{stub.url}/123456789012/jobs",
        "THEGRAPH_GATEWAY_URL": stub.url,
        "THEGRAPH_BALANCER_KEY": CANARY,
        "DRAIN_SECONDS": "2",
        "POLL_SECONDS": "1",
        "HEALTH_FILE": str(tmp_path / "health"),
    }


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def run(role: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", role],
            cwd=ROOT,
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Wait for the end; return the exit code and what was logged, in which no key may be."""
    output = process.communicate(timeout=GIVE_UP_SECONDS)[0]
    assert CANARY not in output
    return process.returncode, [json.loads(line) for line in output.splitlines()]


def healthy(environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "app", "health"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode


def ask(url: str) -> httpx.Response:
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            return httpx.get(url, timeout=GIVE_UP_SECONDS)
        except httpx.ConnectError:
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def test_the_api_answers_what_it_has_begun_and_then_exits_with_0(
    start: Start, stub: Stub, environment: dict[str, str]
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(_: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        assert go_on.wait(GIVE_UP_SECONDS)
        return dict(LIST)

    stub.answers = {"Query": lambda _: {"Items": []}, "ListPools": hold}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    api = start("api", PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    assert ask(f"{url}/health").status_code == 200
    assert healthy(environment) == 0
    found: list[httpx.Response] = []
    slow = threading.Thread(target=lambda: found.append(ask(f"{url}/pools?chain=balancer")))
    slow.start()
    assert asked.wait(GIVE_UP_SECONDS)
    api.terminate()
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while ask(f"{url}/health").status_code != 503:
        assert time.monotonic() < give_up_at
    assert healthy(environment) == 1
    go_on.set()
    slow.join()
    code, logs = ended(api)
    assert found[0].json()["pools"] == [POOL]
    assert stub.headers["authorization"] == f"Bearer {CANARY}"
    assert (code, logs[-1]["message"]) == (0, "stopped")


def test_the_worker_finishes_its_job_and_then_exits_with_0(
    start: Start, stub: Stub, environment: dict[str, str]
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    message = {"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": '{"job": "refresh-pools", "chain": "balancer"}'}

    def hold(_: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        assert go_on.wait(GIVE_UP_SECONDS)
        return {"data": {"pools": [POOL], "meta": META}}

    stub.answers = {"ReceiveMessage": lambda _: {"Messages": [message]}, "ListPools": hold}
    worker = start("worker")
    assert asked.wait(GIVE_UP_SECONDS)
    assert healthy(environment) == 0
    worker.terminate()
    go_on.set()
    code, logs = ended(worker)
    assert stub.operations() == ["ReceiveMessage", "ListPools", "BatchWriteItem", "DeleteMessage"]
    assert (code, [line["message"] for line in logs]) == (
        0,
        ["waiting for jobs", "refreshed 1 pools of balancer", "stopped"],
    )


def test_a_worker_that_waits_exits_with_0_after_one_poll(start: Start, stub: Stub) -> None:
    def poll(request: dict[str, Any]) -> dict[str, Any]:
        time.sleep(request["WaitTimeSeconds"])
        return {}

    stub.answers = {"ReceiveMessage": poll}
    worker = start("worker")
    stub.wait_for("ReceiveMessage")
    worker.terminate()
    assert ended(worker)[0] == 0


def test_the_scheduler_exits_with_0(start: Start, stub: Stub, environment: dict[str, str]) -> None:
    scheduler = start("scheduler")
    stub.wait_for("SendMessage", times=2)
    assert healthy(environment) == 0
    scheduler.terminate()
    code, logs = ended(scheduler)
    assert (code, logs[-1]["message"]) == (0, "stopped")
    bodies = [json.loads(request["MessageBody"]) for operation, request in stub.calls if operation == "SendMessage"]
    assert bodies == [{"job": "refresh-pools", "chain": chain} for chain in ("balancer", "fantom")]


def test_a_migration_says_what_it_did_and_exits_with_0(start: Start, stub: Stub) -> None:
    stub.answers = {"Query": lambda _: {"Items": []}}
    code, logs = ended(start("migrate"))
    assert code == 0
    assert [line["message"] for line in logs] == [
        "applied 0001 seed chains: 2 items changed",
        "applied 0002 expire pools: 0 items changed",
        "done: applied 0001 seed chains, 0002 expire pools",
    ]


def test_a_migration_that_is_stopped_says_so_last_and_exits_with_1(start: Start, stub: Stub) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(_: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        assert go_on.wait(GIVE_UP_SECONDS)
        return {}

    stub.answers = {"PutItem": hold}
    migrate = start("migrate")
    assert asked.wait(GIVE_UP_SECONDS)
    migrate.terminate()
    go_on.set()
    code, logs = ended(migrate)
    assert code == 1
    assert logs[-1]["message"].startswith("MigrationFailed: stopped before the end")
    assert stub.operations()[-1] == "UpdateItem"


def test_a_migration_whose_table_is_gone_names_it_last_and_exits_with_1(start: Start, stub: Stub) -> None:
    gone = {"status": 400, "__type": "ResourceNotFoundException", "message": "no table pools"}
    stub.answers = {"GetItem": lambda _: dict(gone)}
    code, logs = ended(start("migrate"))
    assert code == 1
    assert "ResourceNotFoundException" in logs[-1]["message"]
    assert "traceback" not in logs[-1]


@pytest.mark.parametrize("role", ["api", "worker", "scheduler", "migrate"])
def test_a_role_without_its_settings_says_what_is_missing_and_exits_with_1(start: Start, role: str) -> None:
    code, logs = ended(start(role, AWS_REGION="", THEGRAPH_BALANCER_KEY=f"{CANARY} and more"))
    assert code == 1
    assert logs[-1]["message"] == (
        "InvalidSettings: AWS_REGION: Field required; "
        "THEGRAPH_BALANCER_KEY: Value error, holds what cannot be an API key"
    )


def test_an_unknown_role_is_told_the_known_ones(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "app", "dance"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert all(role in done.stderr for role in ("api", "worker", "scheduler", "migrate", "health"))
