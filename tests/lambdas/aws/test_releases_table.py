from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambdas.aws.gateway import ATTEMPTS
from lambdas.aws.releases_table import FinalReport, ReleasesTable
from lambdas.release.codec import encode
from lambdas.release.errors import AwsError, AwsUnavailable, LeaseLost, StepshipError, Throttled
from lambdas.release.history import DeploymentRecord, Outcome, Release, Report
from lambdas.release.lock import Claim, Lock
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

TABLE = ReleasesTable("releases")
ENTERED = 1767603600.0
PREFIX = "arn:aws:states:us-east-1:123456789012:execution:m"
ONE, TWO = (Claim(f"{PREFIX}:{name}", "deploy", at) for name, at in (("one", 100.0), ("two", 200.0)))


@pytest.fixture(autouse=True)
def _table(aws: SimulatedAws) -> None:
    aws.client("dynamodb").create_table(
        TableName="releases",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )


def record(claim: Claim, outcome: str = Outcome.DEPLOYED, started_at: str = "2026-01-05T09:00:00Z") -> DeploymentRecord:
    return DeploymentRecord(
        execution=claim.execution,
        action="deploy",
        outcome=outcome,
        started_at=started_at,
        ended_at="2026-01-05T09:10:00Z",
        requested_by="cli:ada",
        reason=None,
        release_id="r-1",
        image_tag="v1",
        report=Report(outcome),
        durations={"Plan": 1.5},
    )


def release(name: str) -> Release:
    return Release(name, "v1", {"api": "arn:1"}, {"api": "repo@sha256:1"}, "2026-01-05T09:10:00Z", ONE.execution)


def hold(claim: Claim, token: int = 1, journal: str | None = None) -> Lock:
    before = TABLE.read_lock()
    lock = Lock(token=token, holder=claim, lease_expires_at=500.5, journal=journal)
    assert TABLE.swap_lock(before, lock)
    return TABLE.read_lock()


# --- the lock


def test_a_new_table_has_a_free_lock() -> None:
    assert TABLE.read_lock() == Lock()


@pytest.mark.parametrize(
    "lock",
    [
        Lock(token=3),
        Lock(token=3, holder=ONE, lease_expires_at=1767603630.06),
        Lock(token=3, holder=ONE, waiting_deploy=TWO, waiting_rollback=replace(TWO, kind="rollback")),
        Lock(token=3, waiting_deploy=TWO, journal='{"plan": 1}'),
        Lock(token=3, journal=""),
    ],
)
def test_a_lock_is_read_as_it_was_written(lock: Lock) -> None:
    assert TABLE.swap_lock(TABLE.read_lock(), lock)
    assert TABLE.read_lock() == replace(lock, version=1)


def test_only_who_read_the_newest_version_may_write() -> None:
    stale = TABLE.read_lock()
    held = hold(ONE)
    assert not TABLE.swap_lock(stale, Lock(token=9, holder=TWO))
    assert TABLE.read_lock() == held


def test_a_lock_is_read_consistently(aws: SimulatedAws, inside: Inside) -> None:
    inside(TABLE.read_lock)
    assert aws.calls[-1].params["ConsistentRead"] is True


def test_a_lease_is_renewed_by_its_holder() -> None:
    hold(ONE)
    TABLE.renew(ONE.execution, 1, 900.25, ENTERED)
    assert TABLE.read_lock().lease_expires_at == 900.25
    assert TABLE.read_lock().journal is None


def test_a_journal_is_written_with_the_lease_and_kept_by_the_next_renewal() -> None:
    hold(ONE)
    TABLE.renew(ONE.execution, 1, 900.0, ENTERED, "plan")
    TABLE.renew(ONE.execution, 1, 950.0, ENTERED)
    assert TABLE.read_lock().journal == "plan"


@pytest.mark.parametrize(("claim", "token"), [(TWO, 1), (ONE, 2), (TWO, 2), (ONE, 0)])
def test_nobody_else_renews_it(claim: Claim, token: int) -> None:
    held = hold(ONE)
    with pytest.raises(LeaseLost, match=f"token {token}"):
        TABLE.renew(claim.execution, token, 900.0, ENTERED, "plan")
    assert TABLE.read_lock() == held


def test_a_late_run_of_an_earlier_step_cannot_renew_it() -> None:
    hold(ONE)
    TABLE.renew(ONE.execution, 1, 900.0, ENTERED)
    TABLE.renew(ONE.execution, 1, 950.0, ENTERED + 30)
    with pytest.raises(LeaseLost, match="a later step has begun"):
        TABLE.renew(ONE.execution, 1, 990.0, ENTERED, "plan")
    assert (TABLE.read_lock().lease_expires_at, TABLE.read_lock().journal) == (950.0, None)


def test_clocks_of_two_hosts_may_be_a_little_apart() -> None:
    hold(ONE)
    TABLE.renew(ONE.execution, 1, 900.0, ENTERED)
    TABLE.renew(ONE.execution, 1, 950.0, ENTERED - 0.5)
    assert TABLE.read_lock().lease_expires_at == 950.0


def test_a_new_holder_begins_with_steps_of_its_own() -> None:
    read = hold(ONE)
    TABLE.renew(ONE.execution, 1, 900.0, ENTERED)
    assert TABLE.swap_lock(replace(read, version=read.version + 1), replace(read, token=2, holder=TWO))
    TABLE.renew(TWO.execution, 2, 950.0, ENTERED - 60)
    assert TABLE.read_lock().lease_expires_at == 950.0


def test_the_dead_holder_before_is_known_until_the_lock_is_free() -> None:
    assert TABLE.swap_lock(Lock(), Lock(token=1, holder=ONE, dead_holders=(TWO.execution,)))
    assert TABLE.read_lock().dead_holders == (TWO.execution,)
    TABLE.report(FinalReport(record(ONE), token=1))
    assert TABLE.read_lock().dead_holders == ()


def test_a_free_lock_cannot_be_renewed() -> None:
    with pytest.raises(LeaseLost):
        TABLE.renew(ONE.execution, 0, 900.0, ENTERED)
    assert TABLE.read_lock() == Lock()


def test_a_renewal_makes_a_write_that_was_decided_before_it_fail() -> None:
    read = hold(ONE)
    TABLE.renew(ONE.execution, 1, 900.0, ENTERED)
    assert not TABLE.swap_lock(read, Lock(holder=TWO))


# --- reports


def test_a_report_is_record_release_live_pointer_and_free_lock() -> None:
    hold(ONE, journal="plan")
    assert TABLE.report(FinalReport(record(ONE), release=release("r-1"), token=1))
    assert TABLE.record(ONE.execution, "2026-01-05T09:00:00Z") == record(ONE)
    assert TABLE.live() == release("r-1")
    lock = TABLE.read_lock()
    assert (lock.holder, lock.journal, lock.lease_expires_at, lock.token) == (None, None, 0.0, 1)


def test_who_waits_is_not_forgotten_when_the_lock_is_freed() -> None:
    assert TABLE.swap_lock(TABLE.read_lock(), Lock(token=1, holder=ONE, waiting_deploy=TWO))
    TABLE.report(FinalReport(record(ONE), token=1))
    assert TABLE.read_lock().waiting_deploy == TWO


def test_a_report_without_the_lock_leaves_it_alone() -> None:
    held = hold(TWO)
    assert TABLE.report(FinalReport(record(ONE, Outcome.REJECTED)))
    assert TABLE.read_lock() == held


def test_the_second_report_of_an_execution_changes_nothing() -> None:
    hold(ONE)
    TABLE.report(FinalReport(record(ONE), release=release("r-1"), token=1))
    held = hold(TWO, token=2)
    again = FinalReport(record(ONE, Outcome.ROLLED_BACK), release=release("r-2"), token=1)
    assert not TABLE.report(again)
    assert TABLE.live() == release("r-1")
    assert TABLE.read_lock() == held
    kept = TABLE.record(ONE.execution, "2026-01-05T09:00:00Z")
    assert kept is not None
    assert kept.outcome == Outcome.DEPLOYED


@pytest.mark.parametrize(("holder", "token"), [(TWO, 1), (ONE, 2), (None, 1)])
def test_a_report_without_a_lease_writes_nothing_at_all(holder: Claim | None, token: int) -> None:
    if holder:
        hold(holder)
    before = TABLE.read_lock()
    with pytest.raises(LeaseLost):
        TABLE.report(FinalReport(record(ONE), stopped=(record(TWO),), release=release("r-1"), token=token))
    assert TABLE.history(9) == ()
    assert TABLE.live() is None
    assert TABLE.release("r-1") is None
    assert TABLE.read_lock() == before


def test_the_records_of_stopped_executions_are_written_with_it() -> None:
    stopped = tuple(record(replace(TWO, execution=f"{PREFIX}:s{n}"), Outcome.STOPPED) for n in range(3))
    hold(ONE)
    assert TABLE.report(FinalReport(record(ONE), stopped=stopped, token=1))
    found = TABLE.history(9)
    assert len(found) == 4
    assert all(one in found for one in (record(ONE), *stopped))


def test_a_stopped_execution_that_had_written_its_own_record_keeps_it() -> None:
    own = record(TWO, Outcome.ROLLED_BACK)
    TABLE.report(FinalReport(own))
    hold(ONE)
    other = record(replace(TWO, execution=f"{PREFIX}:three"), Outcome.STOPPED)
    assert TABLE.report(FinalReport(record(ONE), stopped=(record(TWO, Outcome.STOPPED), other), token=1))
    assert TABLE.record(TWO.execution, own.started_at) == own
    assert TABLE.record(other.execution, other.started_at) == other
    assert TABLE.read_lock().holder is None


class Cancelling(ReleasesTable):
    """A table whose transactions are cancelled."""

    def __init__(self, reasons: list[dict[str, Any]]) -> None:
        super().__init__("releases")
        self.reasons = reasons

    @property
    def client(self) -> Any:
        return self

    def transact_write_items(self, **_: object) -> None:
        from botocore.exceptions import ClientError

        answer = {
            "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
            "ResponseMetadata": {"HTTPStatusCode": 400},
            "CancellationReasons": self.reasons,
        }
        raise ClientError(answer, "TransactWriteItems")


NONE, FAILED = {"Code": "None"}, {"Code": "ConditionalCheckFailed"}


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ([NONE, {"Code": "TransactionConflict"}], Throttled),
        ([{"Code": "ThrottlingError"}, NONE], Throttled),
        ([{"Code": "ProvisionedThroughputExceeded"}, NONE], Throttled),
        ([NONE, FAILED], LeaseLost),
        ([{"Code": "TransactionConflict"}, FAILED], LeaseLost),
        ([], AwsError),
    ],
)
def test_why_a_transaction_was_cancelled_decides(reasons: list[Any], expected: type[StepshipError]) -> None:
    with pytest.raises(expected):
        Cancelling(reasons).report(FinalReport(record(ONE), token=1))


@pytest.mark.parametrize("lock", [NONE, FAILED])
def test_a_record_that_is_there_outweighs_every_other_reason(lock: dict[str, str]) -> None:
    assert Cancelling([FAILED, lock]).report(FinalReport(record(ONE), token=1)) is False


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_a_lost_answer_is_found_out_by_trying_again(aws: SimulatedAws, inside: Inside, times: int) -> None:
    hold(ONE)
    final = FinalReport(record(ONE), release=release("r-1"), token=1)
    aws.faults.add(CallFault(CallAction.LOST, operation="TransactWriteItems", times=times))

    if times == ATTEMPTS:
        with pytest.raises(AwsUnavailable):
            inside(lambda: TABLE.report(final))
    # On AWS botocore's own repeat has the same token and the first answer; moto does not keep tokens.
    inside(lambda: TABLE.report(final))
    assert len(TABLE.history(9)) == 1
    assert TABLE.live() == release("r-1")


# --- history, releases, approvals


def test_the_history_is_newest_first_and_limited() -> None:
    for number in range(5):
        TABLE.report(
            FinalReport(record(replace(ONE, execution=f"{PREFIX}:{number}"), started_at=f"2026-01-0{number + 1}"))
        )
    assert [each.started_at for each in TABLE.history(3)] == ["2026-01-05", "2026-01-04", "2026-01-03"]


def test_the_release_before_is_the_next_older_verified_one() -> None:
    for name in ("r-1", "r-2", "r-3"):
        TABLE.report(FinalReport(record(replace(ONE, execution=f"{PREFIX}:{name}")), release=release(name)))
    assert TABLE.release_before("r-3") == release("r-2")
    assert TABLE.release_before("r-1") is None
    assert TABLE.live() == release("r-3")
    assert TABLE.release("r-9") is None


def test_an_approval_is_kept_with_its_end_and_asked_again_without_harm() -> None:
    assert TABLE.approval_token(ONE.execution) is None
    TABLE.ask_approval(ONE.execution, "token-1", 1000.9)
    TABLE.ask_approval(ONE.execution, "token-2", 1000.9)
    assert TABLE.approval_token(ONE.execution) == "token-2"
    assert TABLE.approval_token(TWO.execution) is None


def broken(aws: SimulatedAws, pk: str, sk: str, document: dict[str, str] | None = None) -> None:
    item = {"pk": {"S": pk}, "sk": {"S": sk}} | ({"document": document} if document else {})
    aws.client("dynamodb").put_item(TableName="releases", Item=item)


@pytest.mark.parametrize("document", [None, {"S": "{"}, {"N": "1"}, {"S": "{}"}, {"S": "null"}], ids=str)
def test_one_item_that_cannot_be_read_hides_no_other_and_is_named(
    aws: SimulatedAws, document: dict[str, str] | None
) -> None:
    for number in (1, 3):
        claim = replace(ONE, execution=f"{PREFIX}:{number}")
        TABLE.report(FinalReport(record(claim, started_at=f"2026-01-0{number}"), release=release(f"r-{number}")))
    broken(aws, "history", "2026-01-02#bad", document)
    broken(aws, "release", "r-2", document)
    for found in (TABLE.history(2), TABLE.history_since("2026-01-01")):
        assert [each.started_at for each in found] == ["2026-01-03", "2026-01-01"]
        (said,) = found.unreadable
        assert said.startswith("table releases, item history / 2026-01-02#bad")
    for listed in (TABLE.releases(2), TABLE.older_releases("r-4", 2)):
        assert [each.release_id for each in listed] == ["r-3", "r-1"]
        (said,) = listed.unreadable
        assert said.startswith("table releases, item release / r-2")
    assert TABLE.release_before("r-3") == release("r-1")
    with pytest.raises(AwsError, match="item release / r-2"):
        TABLE.release("r-2")


def test_a_record_whose_time_is_none_cannot_be_read(aws: SimulatedAws) -> None:
    document = {**encode(record(ONE)), "endedAt": "soon"}
    broken(aws, "history", "2026-01-05#one", {"S": json.dumps(document)})
    assert TABLE.history(5) == ()
    assert "document cannot be read (Invalid isoformat string: 'soon')" in TABLE.history(5).unreadable[0]


def test_a_history_is_read_over_the_pages_of_a_query() -> None:
    """DynamoDB answers 1 MB at a time, whatever was asked for."""
    report = Report(Outcome.DEPLOYED, message="x" * 30_000)
    for number in range(60):
        at = f"2026-01-05T09:{number:02}:00Z"
        claim = replace(ONE, execution=f"{PREFIX}:{number}")
        TABLE.report(FinalReport(replace(record(claim, started_at=at), report=report)))
    assert len(TABLE.history(50)) == 50
    assert len({each.execution for each in TABLE.history(100)}) == 60
    assert len(TABLE.history_since("2026-01-05T09:10:00Z")) == 50
