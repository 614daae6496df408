from __future__ import annotations

import pytest

from app.chains import CHAINS
from app.reading import FAILURE_SECONDS, MAX_POOLS, PoolsReader
from app.subgraphs import NoKey, SubgraphFailed
from app.table import PoolsTable
from tests.workload.app.fakes import Clock, FakeSubgraphs, make_pool, make_reading, pool_id

BALANCER = CHAINS["balancer"]
CACHE_SECONDS = 30


def test_pools_of_the_table_cost_no_question_to_the_subgraph(table: PoolsTable, clock: Clock) -> None:
    table.write(BALANCER, make_reading(make_pool(1)), pause=lambda _: None)
    subgraphs = FakeSubgraphs(AssertionError())
    reader = PoolsReader(table, subgraphs, clock, CACHE_SECONDS)
    assert (reader.pools(BALANCER, 5).source, reader.pool(BALANCER, pool_id(1)).source) == ("table", "table")


def test_without_pools_in_the_table_the_subgraph_is_asked_once_for_all(table: PoolsTable, clock: Clock) -> None:
    pools = [make_pool(number) for number in (1, 2, 3)]
    subgraphs = FakeSubgraphs(make_reading(*pools))
    reader = PoolsReader(table, subgraphs, clock, CACHE_SECONDS)
    for first in (1, 2, 100):
        found = reader.pools(BALANCER, first)
        assert (found.source, list(found.reading.pools)) == ("subgraph", pools[:first])
    assert subgraphs.asked == [("balancer", MAX_POOLS)]
    clock.now += CACHE_SECONDS
    reader.pools(BALANCER, 1)
    assert len(subgraphs.asked) == 2


def test_a_pool_that_the_table_lacks_is_asked_of_the_subgraph(table: PoolsTable, clock: Clock) -> None:
    table.write(BALANCER, make_reading(make_pool(1)), pause=lambda _: None)
    subgraphs = FakeSubgraphs(make_reading(make_pool(2)))
    found = PoolsReader(table, subgraphs, clock, CACHE_SECONDS).pool(BALANCER, pool_id(2))
    assert (found.source, subgraphs.asked) == ("subgraph", [("balancer", pool_id(2))])


def test_a_subgraph_that_fails_is_left_alone_for_a_moment(table: PoolsTable, clock: Clock) -> None:
    subgraphs = FakeSubgraphs(SubgraphFailed("balancer: no"))
    reader = PoolsReader(table, subgraphs, clock, CACHE_SECONDS)
    for _ in range(3):
        with pytest.raises(SubgraphFailed, match="balancer: no"):
            reader.pools(BALANCER, 1)
    assert len(subgraphs.asked) == 1
    clock.now += FAILURE_SECONDS
    subgraphs.answer = make_reading(make_pool(1))
    assert reader.pools(BALANCER, 1).reading.pools


def test_a_missing_key_is_told_each_time(table: PoolsTable, clock: Clock) -> None:
    reader = PoolsReader(table, FakeSubgraphs(NoKey("none")), clock, CACHE_SECONDS)
    for _ in range(2):
        with pytest.raises(NoKey):
            reader.pools(BALANCER, 1)
