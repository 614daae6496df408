from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.aws.events import EventBus
from lambdas.release.errors import AwsUnavailable
from simulator.engine.machine import SimulatedAws
from tests.lambdas.aws.conftest import Inside


class Refusing(EventBus):
    """The bus takes the call and not the event."""

    @property
    def client(self) -> Any:
        return self

    def put_events(self, **_: object) -> dict[str, object]:
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "not now"}]}


def test_an_event_carries_its_source_its_type_and_its_detail(aws: SimulatedAws, inside: Inside) -> None:
    inside(lambda: EventBus().put("DeploymentDeployed", {"outcome": "Deployed", "release": None}))
    (call,) = aws.calls
    (entry,) = call.params["Entries"]
    assert (entry["Source"], entry["DetailType"]) == ("stepship", "DeploymentDeployed")
    assert json.loads(entry["Detail"]) == {"outcome": "Deployed", "release": None}


def test_an_event_that_was_not_accepted_is_an_error() -> None:
    with pytest.raises(AwsUnavailable, match="not now"):
        Refusing().put("DeploymentDeployed", {})
