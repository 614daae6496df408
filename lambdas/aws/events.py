"""EventBridge: one event for each outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AwsUnavailable

SOURCE = "stepship"


class EventBus(Gateway):
    """The account's default event bus."""

    service: ClassVar[str] = "events"

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Publish one event.

        Raises
        ------
        AwsUnavailable
            EventBridge took the call but not the event.
        """
        entry = {"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail)}
        answer = self.call("put_events", Entries=[entry])
        if answer.get("FailedEntryCount"):
            said = [entry["ErrorMessage"] for entry in answer.get("Entries", ()) if entry.get("ErrorMessage")]
            raise AwsUnavailable(f"events:put_events: {'; '.join(said) or 'not accepted'}")
