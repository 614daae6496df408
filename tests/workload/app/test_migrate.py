from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from app.aws import AwsFailed
from app.chains import CHAINS
from app.migrate import CLAIM_SECONDS, WAIT_SECONDS, Apply, Migration, MigrationFailed, Migrator, load
from app.migrations import m0002_expire_pools
from app.table import KEEP_SECONDS, PoolsTable
from tests.workload.app.fakes import NOW, Clock, FakeStop, make_pool, make_reading


@pytest.fixture
def migrator(table: PoolsTable, clock: Clock) -> Callable[..., Migrator]:
    def make(me: str = "me", stop: FakeStop | None = None) -> Migrator:
        return Migrator(table, clock, stop or FakeStop(), me)

    return make


class Recorded:
    """Migrations that write down when they are applied, and do what a test says."""

    def __init__(self) -> None:
        self.applied: list[int] = []

    def migrations(self, count: int, **act: Apply) -> list[Migration]:
        def apply_of(version: int) -> Apply:
            def apply(table: PoolsTable, keep_going: Callable[[], None]) -> int:
                self.applied.append(version)
                keep_going()
                return act[f"m{version}"](table, keep_going) if f"m{version}" in act else 1

            return apply

        return [Migration(version, f"step {version}", apply_of(version)) for version in range(1, count + 1)]


def state(table: PoolsTable) -> dict[str, Any]:
    item = table.get("migrations", "state")
    return {key: value for key, value in item.items() if key not in {"pk", "sk"}}


def test_migrations_are_applied_once_and_in_order(table: PoolsTable, migrator: Any) -> None:
    recorded = Recorded()
    assert list(map(str, migrator().migrate(recorded.migrations(2)))) == ["0001 step 1", "0002 step 2"]
    assert migrator().migrate(recorded.migrations(2)) == []
    assert list(map(str, migrator().migrate(recorded.migrations(3)))) == ["0003 step 3"]
    assert recorded.applied == [1, 2, 3]
    assert state(table) == {"version": 3}


def test_a_table_ahead_of_the_release_is_left_alone(migrator: Any, table: PoolsTable) -> None:
    recorded = Recorded()
    migrator().migrate(recorded.migrations(3))
    assert migrator().migrate(recorded.migrations(2)) == []
    assert state(table) == {"version": 3}


def test_a_migration_that_fails_is_begun_again_by_the_next_run(migrator: Any, table: PoolsTable) -> None:
    recorded = Recorded()

    def fail(*_: object) -> int:
        raise AwsFailed("throttled")

    with pytest.raises(AwsFailed):
        migrator().migrate(recorded.migrations(2, m2=fail))
    assert state(table) == {"version": 1}
    migrator("other").migrate(recorded.migrations(2))
    assert recorded.applied == [1, 2, 2]


def test_of_two_at_once_one_applies_and_the_other_waits_until_it_is_done(migrator: Any) -> None:
    recorded = Recorded()
    claimed, go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> int:
        claimed.set()
        assert go_on.wait(60)
        return 1

    first = threading.Thread(target=migrator("first").migrate, args=[recorded.migrations(2, m1=hold)])
    first.start()
    assert claimed.wait(60)

    def let_the_first_finish(_: float) -> None:
        go_on.set()
        first.join()

    stop = FakeStop(let_the_first_finish)
    assert migrator("second", stop).migrate(recorded.migrations(2)) == []
    assert (recorded.applied, len(stop.waits)) == ([1, 2], 1)


def test_a_claim_whose_owner_died_runs_out(table: PoolsTable, migrator: Any, clock: Clock) -> None:
    table.put({"pk": "migrations", "sk": "state", "holder": "dead", "claimedUntil": NOW + CLAIM_SECONDS})
    waited = FakeStop(lambda seconds: setattr(clock, "now", clock.now + seconds))
    assert len(migrator("me", waited).migrate(Recorded().migrations(1))) == 1
    assert clock.now == NOW + CLAIM_SECONDS + 2


def test_a_claim_that_stays_is_not_waited_for_forever(table: PoolsTable, migrator: Any, clock: Clock) -> None:
    table.put({"pk": "migrations", "sk": "state", "holder": "busy", "claimedUntil": NOW + 10**6})
    waited = FakeStop(lambda seconds: setattr(clock, "now", clock.now + seconds))
    with pytest.raises(MigrationFailed, match=f"another migration has held the table for {WAIT_SECONDS} s"):
        migrator("me", waited).migrate(Recorded().migrations(1))
    assert state(table)["holder"] == "busy"


def test_a_long_migration_keeps_its_claim(table: PoolsTable, migrator: Any, clock: Clock) -> None:
    def long(_: PoolsTable, keep_going: Callable[[], None]) -> int:
        for _second in range(3 * CLAIM_SECONDS):
            clock.now += 1
            keep_going()
            assert state(table)["claimedUntil"] > clock.now
        return 1

    migrator().migrate(Recorded().migrations(1, m1=long))


@pytest.mark.parametrize("notices", ["while it works", "at its end"])
def test_a_migration_that_was_taken_over_writes_no_version(
    table: PoolsTable, migrator: Any, clock: Clock, notices: str
) -> None:
    recorded = Recorded()

    def freeze(_: PoolsTable, keep_going: Callable[[], None]) -> int:
        clock.now += CLAIM_SECONDS + 1
        migrator("other").migrate(recorded.migrations(2))
        if notices == "while it works":
            keep_going()
        return 1

    with pytest.raises(MigrationFailed, match="another migration has taken over"):
        migrator("slow").migrate(recorded.migrations(3, m1=freeze))
    assert state(table) == {"version": 2}


def test_whoever_is_to_stop_stops_between_two_items_and_frees_the_table(table: PoolsTable, migrator: Any) -> None:
    stop = FakeStop()

    def stopped(_: PoolsTable, keep_going: Callable[[], None]) -> int:
        stop.set()
        keep_going()
        raise AssertionError

    with pytest.raises(MigrationFailed, match="stopped before the end"):
        migrator("me", stop).migrate(Recorded().migrations(2, m2=stopped))
    assert state(table) == {"version": 1}


def test_whoever_is_to_stop_does_not_wait_for_another(table: PoolsTable, migrator: Any) -> None:
    table.put({"pk": "migrations", "sk": "state", "holder": "busy", "claimedUntil": NOW + 10**6})
    stop = FakeStop()
    stop.set()
    with pytest.raises(MigrationFailed, match="stopped while another migration was running"):
        migrator("me", stop).migrate(Recorded().migrations(1))


def test_the_migrations_in_the_repository_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in load()] == list(range(1, len(load()) + 1))
    assert len(load()) >= 2


def test_the_migrations_in_the_repository_can_be_repeated(table: PoolsTable, migrator: Any, dynamodb: Any) -> None:
    table.write(CHAINS["fantom"], make_reading(make_pool(1)), pause=lambda _: None)
    migrator().migrate(load())
    once = dynamodb.scan(TableName="pools")["Items"]
    for migration in load():
        migration.apply(table, lambda: None)
    assert dynamodb.scan(TableName="pools")["Items"] == once


def test_pools_without_a_time_to_live_get_the_one_that_they_would_have_had(table: PoolsTable) -> None:
    table.write(CHAINS["fantom"], make_reading(make_pool(1)), pause=lambda _: None)
    table.put({"pk": "pools#balancer", "sk": "0x1", "readAt": NOW - 10})
    assert m0002_expire_pools.apply(table, lambda: None) == 1
    assert table.get("pools#balancer", "0x1")["expiresAt"] == NOW - 10 + KEEP_SECONDS
    assert m0002_expire_pools.apply(table, lambda: None) == 0
