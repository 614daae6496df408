from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.chains import CHAINS, GATEWAY
from app.subgraphs import GatewaySubgraphs, NoKey, SubgraphFailed
from tests.workload.app.fakes import CANARY, NOW, Clock, make_settings, pool_id

POOL = {
    "id": pool_id(1),
    "address": "0x5c6ee304399dbdb9c8ef030ab642b10820db8f56",
    "name": "Balancer 80 BAL 20 WETH",
    "symbol": "B-80BAL-20WETH",
    "poolType": "Weighted",
    "swapFee": "0.01",
    "totalLiquidity": "29853183.75031243198766214417529437",
    "tokens": [
        {"address": "0xba1", "symbol": "BAL", "balance": "9433811.129870653", "weight": "0.8"},
        {"address": "0xc02", "symbol": "WETH", "balance": "2081.1", "weight": None},
    ],
}
META = {"block": {"number": 21_000_000}}
LIST = {"data": {"pools": [POOL], "meta": META}}


def subgraphs(answer: Callable[[httpx.Request], httpx.Response], **variables: str) -> GatewaySubgraphs:
    settings = make_settings(THEGRAPH_FANTOM_KEY="fantom-key", **variables)
    return GatewaySubgraphs(settings, Clock(), httpx.MockTransport(answer))


@pytest.mark.parametrize(("name", "key"), [("balancer", CANARY), ("fantom", "fantom-key")])
def test_a_question_goes_to_the_chains_subgraph_with_the_chains_key_in_a_header(name: str, key: str) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=LIST)

    subgraphs(answer).pools(CHAINS[name], 3)
    assert str(asked[0].url) == f"{GATEWAY}/{CHAINS[name].path}"
    assert asked[0].headers["authorization"] == f"Bearer {key}"
    body = json.loads(asked[0].content)
    assert (body["operationName"], body["variables"]) == ("ListPools", {"first": 3})
    assert "totalLiquidity" in body["query"]


@pytest.mark.parametrize("name", CHAINS)
def test_an_answer_becomes_pools_without_losing_a_digit(name: str) -> None:
    reading = subgraphs(lambda _: httpx.Response(200, json=LIST)).pools(CHAINS[name], 1)
    assert (reading.block, reading.read_at) == (21_000_000, NOW)
    assert reading.pools[0].model_dump(by_alias=True, mode="json") == POOL


def test_a_subgraph_that_tells_no_block_is_believed_all_the_same() -> None:
    answer = {"data": {"pools": [{**POOL, "tokens": None}], "meta": None}}
    reading = subgraphs(lambda _: httpx.Response(200, json=answer)).pools(CHAINS["fantom"], 1)
    assert (reading.block, reading.pools[0].tokens) == (None, ())


@pytest.mark.parametrize(("pool", "found"), [(POOL, 1), (None, 0)])
def test_one_pool_is_asked_for_by_its_id(pool: dict[str, Any] | None, found: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content)["variables"] == {"id": pool_id(1)}
        return httpx.Response(200, json={"data": {"pool": pool, "meta": META}})

    assert len(subgraphs(answer).pool(CHAINS["balancer"], pool_id(1)).pools) == found


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"no route, said {CANARY}")


FAILURES: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "unreachable": refuse,
    "HTTP error": lambda _: httpx.Response(401, text=f"bad key {CANARY}"),
    "GraphQL error": lambda _: httpx.Response(200, json={"errors": [{"message": f"auth error: {CANARY}"}]}),
    "errors that are none": lambda _: httpx.Response(200, json={"errors": [CANARY]}),
    "no JSON": lambda _: httpx.Response(200, text=CANARY),
    "another shape": lambda _: httpx.Response(200, json={"data": {"pools": [{"id": CANARY}]}}),
    "nothing": lambda _: httpx.Response(200, json={"data": None}),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_a_subgraph_does_wrong_is_one_error_without_the_key(failure: str) -> None:
    graphs, chain = subgraphs(FAILURES[failure]), CHAINS["balancer"]
    questions: list[Callable[[], object]] = [lambda: graphs.pools(chain, 1), lambda: graphs.pool(chain, pool_id(1))]
    for ask in questions:
        with pytest.raises(SubgraphFailed, match=r"^balancer: the subgraph gave no pools: ") as caught:
            ask()
        assert CANARY not in str(caught.value)
        assert caught.value.__suppress_context__


def test_without_a_key_nobody_is_asked() -> None:
    with pytest.raises(NoKey, match="balancer: there is no API key; THEGRAPH_BALANCER_KEY is empty or not set"):
        subgraphs(refuse, THEGRAPH_BALANCER_KEY="not-set").pools(CHAINS["balancer"], 1)
