"""The DynamoDB table of an environment: the lock, the history, the releases, open approvals.

======== ============================ ==========================================================
pk       sk                           what
======== ============================ ==========================================================
lock     lock                         the lock item: holder, token, lease, who waits, the journal
history  <start>#<execution name>     one record per deployment
release  <release id>                 one verified release
live     live                         which release is live
approval <execution ARN>              the task token that an approval is waiting for
paused   paused                       that somebody has paused all deploys
======== ============================ ==========================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from lambdas.aws.gateway import Answer, Gateway
from lambdas.release.codec import decode, encode
from lambdas.release.errors import AwsError, LeaseLost, StepshipError, Throttled
from lambdas.release.gates import PausedDeploys
from lambdas.release.history import DeploymentRecord, Listed, Release, check_times
from lambdas.release.lock import Claim, Lock
from lambdas.release.plan import Plan

LOCK_KEY = {"pk": {"S": "lock"}, "sk": {"S": "lock"}}
LIVE_KEY = {"pk": {"S": "live"}, "sk": {"S": "live"}}
PAUSED_KEY = {"pk": {"S": "paused"}, "sk": {"S": "paused"}}
T = TypeVar("T")
CLOCK_SKEW_SECONDS = 1.0
"""How far the clocks of two hosts of Step Functions may be apart."""
CLAIMS = ("holder", "waitingDeploy", "waitingRollback", "newest")


class _Conflict(StepshipError):
    """The item is no longer what was read; stays inside this module."""


class _Cancelled(StepshipError):
    """The transaction was cancelled; stays inside this module."""


@dataclass(frozen=True)
class _Pointer:
    """Which release is live."""

    release_id: str


@dataclass(frozen=True)
class _Question:
    """The token of an open approval."""

    task_token: str


@dataclass(frozen=True)
class FinalReport:
    """All that is written, in one transaction, when an execution ends.

    Attributes
    ----------
    record
        The deployment's own record.
    stopped
        Records of stopped executions: they cannot write their own any more.
    release
        The release that is live from now on; None when the live release stays.
    token
        The fencing token when this execution holds the lock; None when it does not.
    keep_journal
        The services may be on different releases: the next rollback finds in the journal how to restore them.
    """

    record: DeploymentRecord
    stopped: tuple[DeploymentRecord, ...] = ()
    release: Release | None = None
    token: int | None = None
    keep_journal: bool = False


class ReleasesTable(Gateway):
    """The one table of an environment."""

    service: ClassVar[str] = "dynamodb"

    def __init__(self, table: str) -> None:
        self.table = table

    def read_lock(self) -> Lock:
        """Read the lock; a new table has an empty one."""
        item = self._get(LOCK_KEY)
        if not item:
            return Lock()
        claims = {key: self._decoded(Claim, item, key) if key in item else None for key in CLAIMS}
        return Lock(
            version=int(_number(item, "version")),
            token=int(_number(item, "token")),
            holder=claims["holder"],
            lease_expires_at=_number(item, "leaseExpiresAt") if "leaseExpiresAt" in item else 0.0,
            waiting_deploy=claims["waitingDeploy"],
            waiting_rollback=claims["waitingRollback"],
            newest=claims["newest"],
            journal=item["journal"]["S"] if "journal" in item else None,
            dead_holders=tuple(item["deadHolders"]["SS"]) if "deadHolders" in item else (),
        )

    def read_journal(self) -> Plan | None:
        """Return the plan of a deployment that was not rolled back; None when there is none."""
        item = self._get(LOCK_KEY)
        return self._decoded(Plan, item, "journal") if "journal" in item else None

    def swap_lock(self, read: Lock, write: Lock) -> bool:
        """Write the lock if nobody has written since it was read; False when somebody has."""
        item: dict[str, Any] = {
            **LOCK_KEY,
            "version": {"N": str(read.version + 1)},
            "token": {"N": str(write.token)},
            "leaseExpiresAt": {"N": repr(write.lease_expires_at)},
        }
        claims = (write.holder, write.waiting_deploy, write.waiting_rollback, write.newest)
        for key, claim in zip(CLAIMS, claims, strict=True):
            if claim:
                item[key] = {"S": json.dumps(encode(claim))}
                if key == "holder":
                    item["holderExecution"] = {"S": claim.execution}
        if write.journal is not None:
            item["journal"] = {"S": write.journal}
        if write.dead_holders:
            item["deadHolders"] = {"SS": list(write.dead_holders)}
        try:
            self.call(
                "put_item",
                known={"ConditionalCheckFailedException": _Conflict},
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR version = :read",
                ExpressionAttributeValues={":read": {"N": str(read.version)}},
            )
        except _Conflict:
            return False
        return True

    def renew(
        self, execution: str, token: int, lease_expires_at: float, entered_at: float, journal: str | None = None
    ) -> None:
        """Renew the lease; every step that writes calls this first.

        Parameters
        ----------
        lease_expires_at
            Unix seconds; no sooner than this function's own end.
        entered_at
            When the execution entered this step's state (unix seconds). Lambda may run a function once more, late:
            one of a state that the execution has left must not write any more.
        journal
            The plan whose writes are about to begin; None keeps what is there.

        Raises
        ------
        LeaseLost
            Another execution holds the lock, or this one has begun a later step.
        """
        update = "SET leaseExpiresAt = :lease, enteredAt = :entered" + (
            ", journal = :journal" if journal is not None else ""
        )
        values: dict[str, Any] = {
            ":lease": {"N": repr(lease_expires_at)},
            ":me": {"S": execution},
            ":token": {"N": str(token)},
            ":one": {"N": "1"},
            ":entered": {"N": repr(entered_at)},
            ":latest": {"N": repr(entered_at + CLOCK_SKEW_SECONDS)},
        }
        if journal is not None:
            values[":journal"] = {"S": journal}
        self.call(
            "update_item",
            known={
                "ConditionalCheckFailedException": lambda text: LeaseLost(
                    f"token {token} is not the lock's, or a later step has begun: {text}"
                )
            },
            TableName=self.table,
            Key=LOCK_KEY,
            UpdateExpression=f"{update} ADD version :one",
            ConditionExpression="holderExecution = :me AND #token = :token"
            " AND (attribute_not_exists(enteredAt) OR enteredAt <= :latest)",
            ExpressionAttributeNames={"#token": "token"},
            ExpressionAttributeValues=values,
        )

    def report(self, final: FinalReport) -> bool:
        """Do as ``put_on_record``; False when this execution's record was there already."""
        return self.put_on_record(final) is not None

    def put_on_record(self, final: FinalReport) -> tuple[DeploymentRecord, ...] | None:
        """Write the record, the live release and the free lock, all or nothing.

        Returns
        -------
        tuple or None
            Those of ``final.stopped`` that were not on record yet; None when this execution's record was there
            already: a repeat changes nothing.

        Raises
        ------
        LeaseLost
            Another execution holds the lock; nothing was written.
        """
        items = {"record": self._put_record(final.record)}
        stopped = {f"stopped {record.execution}": self._put_record(record) for record in final.stopped}
        items.update(stopped)
        if final.release:
            items["release"] = self._put(
                {"pk": {"S": "release"}, "sk": {"S": final.release.release_id}}, encode(final.release)
            )
            items["live"] = self._put(LIVE_KEY, {"releaseId": final.release.release_id})
        if final.token is not None:
            items["lock"] = self._free_lock(final.record.execution, final.token, keep_journal=final.keep_journal)
        while True:
            reasons = self._transact(items)
            if reasons is None:
                return tuple(record for record in final.stopped if f"stopped {record.execution}" in items)
            if "record" in reasons and reasons["record"] == "ConditionalCheckFailed":
                return None
            if reasons.get("lock") == "ConditionalCheckFailed":
                raise LeaseLost(f"token {final.token} is not the lock's: nothing was recorded")
            written = [name for name in stopped if reasons.get(name) == "ConditionalCheckFailed"]
            if not written:
                raise Throttled(f"dynamodb:transact_write_items: {reasons}")
            # That execution had written its own record before it was stopped.
            for name in written:
                del items[name]

    def record(self, execution: str, started_at: str) -> DeploymentRecord | None:
        """Return the record of an execution."""
        return self._read(DeploymentRecord, _history_key(execution, started_at))

    def history(self, limit: int) -> Listed[DeploymentRecord]:
        """Return the newest records first: so many of those that can be read."""
        return self._newest(DeploymentRecord, "history", limit)

    def release(self, release_id: str) -> Release | None:
        """Return a verified release."""
        return self._read(Release, {"pk": {"S": "release"}, "sk": {"S": release_id}})

    def live(self) -> Release | None:
        """Return the live release; None before the first."""
        pointer = self._read(_Pointer, LIVE_KEY)
        return self.release(pointer.release_id) if pointer else None

    def older_releases(self, release_id: str, limit: int) -> Listed[Release]:
        """Return the verified releases that are older than this one by their ids, newest first."""
        return self._newest(Release, "release", limit, "sk < :than", {":than": {"S": release_id}})

    def release_before(self, release_id: str) -> Release | None:
        """Return the verified release that is the next older one by its id."""
        return next(iter(self.older_releases(release_id, 1)), None)

    def ask_approval(self, execution: str, task_token: str, expires_at: float) -> None:
        """Keep the token that Step Functions waits for; it expires with the question (unix seconds)."""
        item = {
            "pk": {"S": "approval"},
            "sk": {"S": execution},
            "document": {"S": json.dumps({"taskToken": task_token})},
            "expiresAt": {"N": str(int(expires_at))},
        }
        self.call("put_item", TableName=self.table, Item=item)

    def approval_token(self, execution: str) -> str | None:
        """Return the token of an open approval."""
        question = self._read(_Question, {"pk": {"S": "approval"}, "sk": {"S": execution}})
        return question.task_token if question else None

    def paused(self) -> PausedDeploys | None:
        """Return who has paused all deploys; None when nobody has."""
        return self._read(PausedDeploys, PAUSED_KEY)

    def pause(self, paused: PausedDeploys) -> None:
        """Let no deploy pass until ``resume``."""
        item = {**PAUSED_KEY, "document": {"S": json.dumps(encode(paused))}}
        self.call("put_item", TableName=self.table, Item=item)

    def resume(self) -> None:
        """Let deploys pass again; no effect when they are not paused."""
        self.call("delete_item", TableName=self.table, Key=PAUSED_KEY)

    def _get(self, key: dict[str, Any]) -> Answer:
        answer = self.call("get_item", TableName=self.table, Key=key, ConsistentRead=True)
        return Answer(answer.get("Item") or {}, f"table {self.table}, item {key['pk']['S']} / {key['sk']['S']}")

    def _read(self, kind: type[T], key: dict[str, Any]) -> T | None:
        item = self._get(key)
        return self._decoded(kind, item, "document") if item else None

    def _decoded(self, kind: type[T], item: Answer, attribute: str) -> T:
        """Read an attribute that holds JSON. Another version, or somebody by hand, may have written the item."""
        text = item[attribute]["S"]
        try:
            found = decode(kind, json.loads(text))
            if isinstance(found, DeploymentRecord):
                check_times(found)
        except (TypeError, ValueError, RecursionError) as error:
            fix = "correct the item, or delete it if it is not needed"
            raise AwsError(f"{item.place}: {attribute} cannot be read ({error}); {fix}") from error
        return found

    def _newest(
        self,
        kind: type[T],
        pk: str,
        limit: int | None = None,
        condition: str | None = None,
        values: Mapping[str, dict[str, str]] | None = None,
    ) -> Listed[T]:
        """Query a partition, newest first, until ``limit`` items could be read or there are no more.

        An answer ends at 1 MB, whatever was asked for (DynamoDB Developer Guide, "Paginating table query results").
        """
        found: list[T] = []
        unreadable: list[str] = []
        following: dict[str, Any] = {}
        while True:
            if limit is not None:
                following["Limit"] = limit - len(found)
            answer = self.call(
                "query",
                TableName=self.table,
                KeyConditionExpression="pk = :pk" + (f" AND {condition}" if condition else ""),
                ExpressionAttributeValues={":pk": {"S": pk}, **(values or {})},
                ScanIndexForward=False,
                ConsistentRead=True,
                **following,
            )
            for item in answer["Items"]:
                try:
                    found.append(self._decoded(kind, self._item(item), "document"))
                except AwsError as error:
                    unreadable.append(str(error))
            if "LastEvaluatedKey" not in answer or (limit is not None and len(found) >= limit):
                return Listed(found, unreadable)
            following = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _item(self, item: Answer) -> Answer:
        """Say in messages which item it is."""
        return Answer(item, f"table {self.table}, item {item['pk']['S']} / {item['sk']['S']}")

    def _put(self, key: dict[str, Any], document: Any) -> dict[str, Any]:
        return {"Put": {"TableName": self.table, "Item": {**key, "document": {"S": json.dumps(document)}}}}

    def _put_record(self, record: DeploymentRecord) -> dict[str, Any]:
        item = self._put(_history_key(record.execution, record.started_at), encode(record))
        item["Put"]["ConditionExpression"] = "attribute_not_exists(pk)"
        return item

    def _free_lock(self, execution: str, token: int, *, keep_journal: bool) -> dict[str, Any]:
        gone = ["holder", "holderExecution", "deadHolders", "leaseExpiresAt", *([] if keep_journal else ["journal"])]
        return {
            "Update": {
                "TableName": self.table,
                "Key": LOCK_KEY,
                "UpdateExpression": f"REMOVE {', '.join(gone)} ADD version :one",
                "ConditionExpression": "holderExecution = :me AND #token = :token",
                "ExpressionAttributeNames": {"#token": "token"},
                "ExpressionAttributeValues": {
                    ":me": {"S": execution},
                    ":token": {"N": str(token)},
                    ":one": {"N": "1"},
                },
            }
        }

    def _transact(self, items: dict[str, dict[str, Any]]) -> dict[str, str] | None:
        """Run the transaction; returns why it was cancelled, by the item's name, or None."""
        try:
            self.call(
                "transact_write_items",
                known={"TransactionCanceledException": _Cancelled},
                TransactItems=list(items.values()),
            )
        except _Cancelled as error:
            response = getattr(error.__cause__, "response", {})
            cancelled: list[dict[str, str]] = response.get("CancellationReasons", [])
            if not cancelled:
                raise AwsError(str(error)) from error
            codes = (str(reason.get("Code", "None")) for reason in cancelled)
            return {name: code for name, code in zip(items, codes, strict=True) if code != "None"}
        return None

    def history_since(self, since: str) -> Listed[DeploymentRecord]:
        """Return the records of the deployments that started since then (ISO 8601, UTC), newest first."""
        return self._newest(DeploymentRecord, "history", None, "sk >= :since", {":since": {"S": since}})

    def releases(self, limit: int) -> Listed[Release]:
        """Return the newest verified releases first."""
        return self._newest(Release, "release", limit)


def _number(item: Answer, attribute: str) -> float:
    """Return a number of an item; DynamoDB writes 1.5 and 1E+3 too."""
    return float(item[attribute]["N"])


def _history_key(execution: str, started_at: str) -> dict[str, Any]:
    return {"pk": {"S": "history"}, "sk": {"S": f"{started_at}#{execution.rsplit(':', 1)[-1]}"}}
