from __future__ import annotations

from typing import Any

import pytest

from app.aws import AwsFailed
from app.chains import CHAINS
from app.table import BATCH_TRIES, KEEP_SECONDS, BatchNotWritten, PoolsTable
from tests.workload.app.fakes import NOW, Clock, make_pool, make_reading, pool_id

BALANCER, FANTOM = CHAINS["balancer"], CHAINS["fantom"]


def no_pause(seconds: float) -> None:
    raise AssertionError(f"there was nothing to wait {seconds} s for")


def test_what_was_written_is_read_with_the_largest_pool_first(table: PoolsTable) -> None:
    pools = [make_pool(number, liquidity=f"{number}.25") for number in range(60)]
    table.write(BALANCER, make_reading(*pools), pause=no_pause)
    assert table.pools(BALANCER) == make_reading(*reversed(pools))
    assert table.pool(BALANCER, pool_id(3)) == make_reading(make_pool(3, liquidity="3.25"))


def test_chains_do_not_see_each_others_pools(table: PoolsTable) -> None:
    table.write(BALANCER, make_reading(make_pool(1)), pause=no_pause)
    assert table.pools(FANTOM) is None
    assert table.pool(FANTOM, pool_id(1)) is None


def test_a_pool_that_no_refresh_brings_again_expires(table: PoolsTable, clock: Clock) -> None:
    table.write(BALANCER, make_reading(make_pool(1), make_pool(2)), pause=no_pause)
    clock.now += KEEP_SECONDS - 1
    table.write(BALANCER, make_reading(make_pool(2), read_at=int(clock.now)), pause=no_pause)
    found = table.pools(BALANCER)
    assert found
    assert len(found.pools) == 2
    clock.now += 1
    found = table.pools(BALANCER)
    assert found
    assert [pool.id for pool in found.pools] == [pool_id(2)]
    assert table.pool(BALANCER, pool_id(1)) is None


def test_a_reading_is_as_old_as_its_oldest_pool(table: PoolsTable) -> None:
    table.write(BALANCER, make_reading(make_pool(1), read_at=NOW, block=9), pause=no_pause)
    table.write(BALANCER, make_reading(make_pool(2), read_at=NOW - 60, block=8), pause=no_pause)
    table.write(BALANCER, make_reading(make_pool(3), read_at=NOW - 30, block=None), pause=no_pause)
    found = table.pools(BALANCER)
    assert found
    assert (found.read_at, found.block) == (NOW - 60, 8)


class BusyDynamoDb:
    """Leaves half of what it gets unprocessed, so many times."""

    def __init__(self, times: int) -> None:
        self.times, self.written = times, 0

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # noqa: N803 (boto3's name)
        items = RequestItems["pools"]
        self.times -= 1
        taken = len(items) if self.times < 0 else len(items) // 2
        self.written += taken
        left = items[taken:]
        return {"UnprocessedItems": {"pools": left} if left else {}}


def test_unprocessed_items_are_sent_again_ever_more_slowly(clock: Clock) -> None:
    dynamodb, pauses = BusyDynamoDb(times=2), list[float]()
    PoolsTable(dynamodb, "pools", clock).write(BALANCER, make_reading(*map(make_pool, range(20))), pause=pauses.append)
    assert dynamodb.written == 20
    assert pauses == [0.2, 0.4]


def test_items_that_stay_unprocessed_are_an_error(clock: Clock) -> None:
    table = PoolsTable(BusyDynamoDb(times=BATCH_TRIES), "pools", clock)
    with pytest.raises(BatchNotWritten):
        table.write(BALANCER, make_reading(*map(make_pool, range(20))), pause=lambda _: None)


def test_a_table_that_is_not_there_is_an_error_of_aws(dynamodb: Any, clock: Clock) -> None:
    table = PoolsTable(dynamodb, "gone", clock)
    for use in (
        lambda: table.pools(BALANCER),
        lambda: table.pool(BALANCER, pool_id(1)),
        lambda: table.write(BALANCER, make_reading(make_pool(1)), pause=no_pause),
        lambda: table.get("a", "b"),
        lambda: table.put({"pk": "a", "sk": "b"}),
        lambda: table.update(("a", "b"), "SET #x = :x", "attribute_not_exists(#x)", {":x": 1}),
    ):
        with pytest.raises(AwsFailed, match="ResourceNotFoundException"):
            use()


def test_an_update_happens_only_under_its_condition(table: PoolsTable) -> None:
    set_once = ("SET #holder = :me", "attribute_not_exists(#holder)")
    assert table.update(("a", "b"), *set_once, {":me": "first"}) is True
    assert table.update(("a", "b"), *set_once, {":me": "second"}) is False
    assert table.get("a", "b") == {"pk": "a", "sk": "b", "holder": "first"}
