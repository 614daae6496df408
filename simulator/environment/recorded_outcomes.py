"""What every service ran when an execution's ending was written: what the ending says is true of that moment.

The write frees the lock, and whoever waits for it may move services at once. A function that dies after its write, and
runs again, ends its execution when they have long moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from lambdas.aws.releases_table import LOCK_KEY
from simulator.engine.local_lambda import ACCOUNT, REGION
from simulator.faults.api_call import ApiCall
from statemachine.events import Event, EventKind


def lock_holder(table: str) -> str | None:
    """Return the ARN of who has the lock, read from the table itself: a call would take the handlers' time."""
    item = (
        dynamodb_backends[ACCOUNT][REGION]
        .tables[table]
        .get_item(DynamoType(LOCK_KEY["pk"]), DynamoType(LOCK_KEY["sk"]))
    )
    found = item.attrs.get("holderExecution") if item is not None else None
    return None if found is None else str(found.value)


class Endings:
    """Images of the services at the end of executions.

    Parameters
    ----------
    table
        Name of the releases table.
    machine
        ARN of the environment's state machine; others of the account have executions too.
    images
        Looks at the services: name to image. It must not wait.
    """

    def __init__(self, table: str, machine: str, images: Callable[[], Mapping[str, str]]) -> None:
        self._table, self._machine, self._images = table, machine, images
        self._written: dict[str, Mapping[str, str]] = {}
        self.ran: dict[str, Mapping[str, str]] = {}
        """Execution to service to image; of all that have ended."""

    def on_effect(self, call: ApiCall) -> None:
        """Look when whoever has the lock writes more than one item at once: the last such write is its ending."""
        if call.operation != "TransactWriteItems" or call.service != "dynamodb":
            return
        if (lock_holder(self._table) or "").rpartition(":")[2] == call.execution:
            self._written[call.execution] = dict(self._images())

    def on_event(self, event: Event) -> None:
        """Keep what ran at its ending; now, for one that never had the lock. A redrive that writes none keeps it."""
        if event.kind == EventKind.EXECUTION_ENDED and event.detail["stateMachineArn"] == self._machine:
            before = self.ran.get(event.execution) if event.detail["redriveCount"] else None
            self.ran[event.execution] = self._written.pop(event.execution, {}) or before or dict(self._images())
