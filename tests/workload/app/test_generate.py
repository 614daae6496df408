from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, graphql_sync

from app.chains import CHAINS
from app.subgraph.generate import HERE, OUTPUT
from app.subgraph.prepare import ENVIRONMENT, ROOT, fingerprint, prepare
from tests.workload.app.fakes import CANARY
from tests.workload.app.stub import Stub, serving


@pytest.fixture
def gateway() -> Iterator[Stub]:
    """A gateway whose subgraphs have the schema of the repository."""
    schema = build_schema((HERE / "schema" / "balancer.graphql").read_text())
    with serving() as stub:
        stub.answers = {
            "IntrospectionQuery": lambda request: dict(graphql_sync(schema, request["query"]).formatted),
        }
        yield stub


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for chain in CHAINS.values():
        (folder / chain.secret).write_text(f"{CANARY}\n")
    return folder


def generate(output: Path, keys: Path, stub: Stub, schema: str = "network") -> subprocess.CompletedProcess[str]:
    python = ENVIRONMENT / "bin" / "python"
    options = {"schema": schema, "output": output, "secrets": keys, "gateway": stub.url}
    done = subprocess.run(
        [str(python), "-m", "app.subgraph.generate", *(f"--{name}={value}" for name, value in options.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert CANARY not in done.stdout + done.stderr
    return done


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}


def test_the_network_and_the_repository_give_the_same_clients(tmp_path: Path, keys: Path, gateway: Stub) -> None:
    done = generate(tmp_path / "generated", keys, gateway)
    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "generated") == files(OUTPUT)
    assert not [name for name, text in files(tmp_path / "generated").items() if CANARY in text]


def test_the_key_goes_into_a_header(tmp_path: Path, keys: Path, gateway: Stub) -> None:
    generate(tmp_path / "generated", keys, gateway)
    assert len(gateway.calls) == len(CHAINS)
    assert gateway.headers["authorization"] == f"Bearer {CANARY}"


def test_the_repository_needs_neither_a_key_nor_the_network(tmp_path: Path, gateway: Stub) -> None:
    assert generate(tmp_path / "generated", tmp_path / "nowhere", gateway, schema="repository").returncode == 0
    assert gateway.calls == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no build secret thegraph_fantom"),
        ("", "the build secret thegraph_fantom is empty or not set"),
        ("not-set\n", "the build secret thegraph_fantom is empty or not set"),
        (f"{CANARY} {CANARY}", "the build secret thegraph_fantom holds what cannot be an API key"),
    ],
)
def test_a_key_that_is_none_fails_the_build_and_is_named(
    tmp_path: Path, keys: Path, gateway: Stub, content: str | None, problem: str
) -> None:
    path = keys / "thegraph_fantom"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    done = generate(tmp_path / "generated", keys, gateway)
    assert done.returncode == 1
    assert done.stderr.startswith(f"no client was generated: fantom: {problem}")


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "HTTP error": ({"status": 401}, "HTTP status code: 401"),
    "GraphQL error": ({"errors": [{"message": f"auth error: {CANARY}"}]}, "auth error: ***"),
    "nothing": ({}, "Invalid data key in introspection result"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_gateway_that_refuses_fails_the_build_with_its_reason(
    tmp_path: Path, keys: Path, gateway: Stub, refusal: str
) -> None:
    answer, problem = REFUSALS[refusal]
    gateway.answers = {"IntrospectionQuery": lambda _: dict(answer)}
    done = generate(tmp_path / "generated", keys, gateway)
    assert done.returncode == 1
    assert f"balancer: no client from {CHAINS['balancer'].url(gateway.url)}; " in done.stderr
    assert problem in done.stderr


def test_a_gateway_out_of_reach_fails_the_build(tmp_path: Path, keys: Path) -> None:
    with serving() as stub:
        pass
    done = generate(tmp_path / "generated", keys, stub)
    assert done.returncode == 1
    assert "ConnectError" in done.stderr


def test_a_schema_without_what_the_queries_ask_for_fails_the_build(tmp_path: Path, keys: Path, gateway: Stub) -> None:
    text = (HERE / "schema" / "balancer.graphql").read_text().replace("  swapFee: BigDecimal!\n", "")
    schema = build_schema(text)
    gateway.answers = {"IntrospectionQuery": lambda request: dict(graphql_sync(schema, request["query"]).formatted)}
    done = generate(tmp_path / "generated", keys, gateway)
    assert done.returncode == 1
    assert "Cannot query field 'swapFee' on type 'Pool'" in done.stderr


def test_clients_that_are_new_are_not_made_again() -> None:
    before = fingerprint()
    assert prepare() is False
    assert fingerprint() == before
