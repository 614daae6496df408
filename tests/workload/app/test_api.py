from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import uvicorn

from app.api import Api, DrainingServer
from app.chains import CHAINS
from app.migrate import Migrator, load
from app.reading import PoolsReader
from app.settings import Settings
from app.stop import Stop
from app.subgraphs import GatewaySubgraphs, NoKey, SubgraphFailed, Subgraphs
from app.table import PoolsTable
from tests.workload.app.fakes import CANARY, Clock, FakeSubgraphs, make_pool, make_reading, make_settings, pool_id

Get = Callable[[str], httpx.Response]
GetFrom = Callable[..., Get]


@pytest.fixture
def get_from(table: PoolsTable, clock: Clock) -> GetFrom:
    """Serve with these subgraphs, and return what sends a GET."""

    def serve(subgraphs: Subgraphs, settings: Settings | None = None, draining: Stop | None = None) -> Get:
        reader = PoolsReader(table, subgraphs, clock, 30)
        app = Api(settings or make_settings(BUILT_AT="2026-11-22T08:00:00Z"), table, reader, draining or Stop()).app

        async def get(path: str) -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.get(path)

        return lambda path: asyncio.run(get(path))

    return serve


NOTHING = FakeSubgraphs(make_reading())


@pytest.mark.parametrize("path", ["/", "/version"])
def test_it_says_what_runs(get_from: GetFrom, path: str) -> None:
    answer = get_from(NOTHING)(path)
    assert (answer.status_code, answer.json()) == (
        200,
        {"service": "api", "environment": "dev", "gitSha": "abc", "builtAt": "2026-11-22T08:00:00Z"},
    )


def test_it_is_healthy_while_every_upstream_fails(get_from: GetFrom, dynamodb: Any) -> None:
    dynamodb.delete_table(TableName="pools")
    answer = get_from(FakeSubgraphs(SubgraphFailed("down")))("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_says_when_it_is_about_to_end(get_from: GetFrom) -> None:
    draining = Stop()
    get = get_from(NOTHING, draining=draining)
    draining.set()
    assert (get("/health").status_code, get("/version").status_code) == (503, 200)


def test_pools_come_with_where_and_when_they_are_from(get_from: GetFrom) -> None:
    answer = get_from(FakeSubgraphs(make_reading(make_pool(1), make_pool(2))))("/pools?chain=fantom&first=1")
    assert answer.json() == {
        "chain": "fantom",
        "source": "subgraph",
        "block": 7,
        "readAt": "2027-01-15T08:00:00Z",
        "pools": [
            {
                "id": pool_id(1),
                "address": "0x0000000000000000000000000000000000000001",
                "name": "Pool 1",
                "symbol": "B-50WETH-50BAL",
                "poolType": "Weighted",
                "swapFee": "0.003",
                "totalLiquidity": "1000.5",
                "tokens": [{"address": "0xa", "symbol": "WETH", "balance": "1.000000000000000001", "weight": "0.5"}],
            }
        ],
    }


def test_twenty_pools_are_listed_unless_another_number_is_asked_for(get_from: GetFrom) -> None:
    get = get_from(FakeSubgraphs(make_reading(*map(make_pool, range(100)))))
    assert [len(get(f"/pools?chain=balancer{more}").json()["pools"]) for more in ("", "&first=100")] == [20, 100]


def test_one_pool_is_found_by_its_id_in_upper_or_lower_case(get_from: GetFrom, table: PoolsTable) -> None:
    table.write(CHAINS["balancer"], make_reading(make_pool(171)), pause=lambda _: None)
    answer = get_from(NOTHING)(f"/pools/balancer/{pool_id(171).replace('ab', 'AB')}").json()
    assert (answer["source"], answer["pool"]["id"]) == ("table", pool_id(171))


def test_a_pool_that_is_nowhere_is_not_found(get_from: GetFrom) -> None:
    answer = get_from(NOTHING)(f"/pools/balancer/{pool_id(1)}")
    assert (answer.status_code, answer.json()) == (404, {"error": {"message": f"balancer has no pool {pool_id(1)}"}})


def test_the_chains_are_what_the_migrations_have_written(get_from: GetFrom, table: PoolsTable, clock: Clock) -> None:
    assert get_from(NOTHING)("/chains").json() == {"chains": []}
    Migrator(table, clock, Stop(), "me").migrate(load())
    assert get_from(NOTHING)("/chains").json() == {
        "chains": [
            {"name": "balancer", "title": "Balancer v2", "network": "ethereum", "chainId": 1},
            {"name": "fantom", "title": "Beethoven X", "network": "fantom", "chainId": 250},
        ]
    }


@pytest.mark.parametrize(
    ("path", "field", "message"),
    [
        ("/pools", "chain", "must be one of balancer, fantom"),
        ("/pools?chain=bitcoin", "chain", "must be one of balancer, fantom"),
        ("/pools?chain=balancer&first=0", "first", "must be a whole number from 1 to 100"),
        ("/pools?chain=balancer&first=101", "first", "must be a whole number from 1 to 100"),
        ("/pools?chain=balancer&first=1.5", "first", "must be a whole number from 1 to 100"),
        ("/pools?chain=balancer&first=1e9", "first", "must be a whole number from 1 to 100"),
        ("/pools?chain=balancer&first=", "first", "must be a whole number from 1 to 100"),
        (f"/pools/bitcoin/{pool_id(1)}", "chain", "must be one of balancer, fantom"),
        ("/pools/balancer/0x12", "id", "a pool's id is 0x and 64 hexadecimal digits"),
        (f"/pools/balancer/{pool_id(1)}0", "id", "a pool's id is 0x and 64 hexadecimal digits"),
    ],
)
def test_a_wrong_parameter_is_named(get_from: GetFrom, path: str, field: str, message: str) -> None:
    answer = get_from(NOTHING)(path)
    assert (answer.status_code, answer.json()) == (400, {"error": {"message": message, "field": field}})


def test_a_path_that_is_none_is_told_in_json(get_from: GetFrom) -> None:
    answer = get_from(NOTHING)("/nothing")
    assert (answer.status_code, answer.json()) == (404, {"error": {"message": "GET /nothing: Not Found"}})


def test_a_subgraph_that_fails_is_a_bad_gateway_without_its_words(get_from: GetFrom) -> None:
    answer = get_from(FakeSubgraphs(SubgraphFailed("its own words")))("/pools?chain=balancer")
    assert answer.status_code == 502
    assert answer.json() == {"error": {"message": "the subgraph gave no pools; try again later"}}


def test_a_table_that_fails_is_a_bad_gateway(get_from: GetFrom, dynamodb: Any) -> None:
    dynamodb.delete_table(TableName="pools")
    answer = get_from(NOTHING)("/pools?chain=balancer")
    assert answer.status_code == 502
    assert answer.json() == {"error": {"message": "the table gave no pools; try again later"}}


def test_without_a_key_pools_are_unavailable_and_it_says_which_variable_is_missing(get_from: GetFrom) -> None:
    answer = get_from(FakeSubgraphs(NoKey("balancer: there is no API key; X is empty")))("/pools?chain=balancer")
    assert answer.status_code == 503
    assert answer.json() == {"error": {"message": "balancer: there is no API key; X is empty"}}


def test_a_bug_shows_nothing_of_itself(get_from: GetFrom) -> None:
    answer = get_from(FakeSubgraphs(ZeroDivisionError(CANARY)))("/pools?chain=balancer")
    assert answer.status_code == 500
    assert answer.json() == {"error": {"message": "an unexpected error; it is in the log"}}


@pytest.mark.parametrize("text", [CANARY, f"Bearer {CANARY}"])
def test_a_subgraph_that_quotes_the_key_gives_it_to_nobody(get_from: GetFrom, clock: Clock, text: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"errors": [{"message": text}]}))
    get = get_from(GatewaySubgraphs(make_settings(), clock, transport))
    for path in ("/pools?chain=balancer", f"/pools/balancer/{pool_id(1)}"):
        answer = get(path)
        assert answer.status_code == 502
        assert CANARY not in f"{answer.text} {answer.headers}"


def draining_server(clock: Clock) -> tuple[DrainingServer, Stop]:
    draining = Stop()
    return DrainingServer(uvicorn.Config(Api, log_config=None), draining, 5, clock), draining


def ends(server: DrainingServer) -> bool:
    return asyncio.run(server.on_tick(1))


def test_the_server_serves_on_for_a_while_after_the_signal(clock: Clock) -> None:
    server, draining = draining_server(clock)
    assert (ends(server), draining.is_set()) == (False, False)
    server.handle_exit(15, None)
    assert (ends(server), draining.is_set()) == (False, True)
    clock.now += 5
    assert ends(server) is True


def test_a_second_signal_ends_the_wait(clock: Clock) -> None:
    server, _ = draining_server(clock)
    server.handle_exit(15, None)
    server.handle_exit(15, None)
    assert ends(server) is True
