"""What ``Verify image`` says to inputs that break the contract. They write nothing, so one environment serves all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lambdas.request_schema import schema
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, StepError

DIGEST = f"sha256:{'0' * 64}"
JUNK = "x" * 300_000
TAKEOVER = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:gone"


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(recovery=False) as simulated:
        simulated.push("v1")
        yield simulated


def nested(depth: int) -> Any:
    value: Any = "junk"
    for _ in range(depth):
        value = {"a": [value]}
    return value


BAD_INPUTS: list[tuple[str, Any, str]] = [
    ("not an object: text", "deploy v1", "input"),
    ("not an object: list", [{"imageTag": "v1"}], "input"),
    ("not an object: number", 7, "input"),
    ("not an object: null", None, "input"),
    ("not an object: true", True, "input"),
    ("empty", {}, "imageTag"),
    ("unknown field", {"imageTag": "v1", "imagetag": "v1"}, "imagetag"),
    ("unknown field of 300 KB", {JUNK: 1}, "unknown field"),
    ("unknown action", {"action": "destroy", "imageTag": "v1"}, "action"),
    ("action: not a text", {"action": ["deploy"], "imageTag": "v1"}, "action"),
    ("imageTag: number", {"imageTag": 1}, "imageTag"),
    ("imageTag: null", {"imageTag": None}, "imageTag"),
    ("imageTag: list", {"imageTag": ["v1"]}, "imageTag"),
    ("imageTag: empty", {"imageTag": ""}, "imageTag"),
    ("imageTag: 300 KB", {"imageTag": JUNK}, "imageTag"),
    ("imageTag: nested", {"imageTag": nested(50)}, "imageTag"),
    ("imageTag: a newline behind it", {"imageTag": "v1\n"}, "imageTag"),
    ("imageTag: shell", {"imageTag": "$(reboot)"}, "imageTag"),
    ("imageDigest: short", {"imageDigest": "sha256:abc"}, "imageDigest"),
    ("imageDigest: capitals", {"imageDigest": DIGEST.replace("0", "A")}, "imageDigest"),
    ("imageDigest: number", {"imageDigest": 5}, "imageDigest"),
    ("services: text", {"imageTag": "v1", "services": "api"}, "services"),
    ("services: empty", {"imageTag": "v1", "services": []}, "services"),
    ("services: twice", {"imageTag": "v1", "services": ["api", "api"]}, "services"),
    ("services: numbers", {"imageTag": "v1", "services": [1]}, "services"),
    ("services: nested", {"imageTag": "v1", "services": [nested(20)]}, "services"),
    ("services: 101", {"imageTag": "v1", "services": [f"s{n}" for n in range(101)]}, "services"),
    ("services: 300 KB", {"imageTag": "v1", "services": [JUNK]}, "services"),
    ("runMigration: text", {"imageTag": "v1", "runMigration": "false"}, "runMigration"),
    ("dryRun: text", {"imageTag": "v1", "dryRun": "true"}, "dryRun"),
    ("dryRun: number", {"imageTag": "v1", "dryRun": 1}, "dryRun"),
    ("force: null", {"imageTag": "v1", "force": None}, "force"),
    ("environment: another", {"imageTag": "v1", "environment": "production"}, "environment"),
    ("environment: list", {"imageTag": "v1", "environment": ["dev"]}, "environment"),
    ("requestedBy: too long", {"imageTag": "v1", "requestedBy": "x" * 257}, "requestedBy"),
    ("requestedBy: empty", {"imageTag": "v1", "requestedBy": ""}, "requestedBy"),
    ("reason: 300 KB", {"imageTag": "v1", "reason": JUNK}, "reason"),
    ("reason: object", {"imageTag": "v1", "reason": {"a": JUNK}}, "reason"),
    ("takeover: no ARN", {"action": "rollback", "takeover": "one"}, "takeover"),
    ("takeover: of a deploy", {"imageTag": "v1", "takeover": TAKEOVER}, "takeover"),
    ("takeover and releaseId", {"action": "rollback", "takeover": TAKEOVER, "releaseId": "r-1"}, "takeover"),
    ("releaseId: of a deploy", {"imageTag": "v1", "releaseId": "r-1"}, "releaseId"),
    ("releaseId: empty", {"action": "rollback", "releaseId": ""}, "releaseId"),
    ("rollback to a tag", {"action": "rollback", "imageTag": "v1"}, "imageTag"),
    ("rollback to a digest", {"action": "rollback", "imageDigest": DIGEST}, "imageDigest"),
    ("rollback of some services", {"action": "rollback", "services": ["api"]}, "services"),
]


@pytest.mark.parametrize(("value", "field"), [pytest.param(value, field, id=name) for name, value, field in BAD_INPUTS])
def test_a_bad_input_is_refused_with_the_name_of_its_field(
    shared: SimulatedEnvironment, value: Any, field: str
) -> None:
    flow = Flow(shared, {"imageTag": "v1"}, name=f"bad-{len(shared.aws.runs)}")
    flow.request = flow.state = value
    start = len(shared.aws.calls)
    error = flow.fails()
    assert error.error_type == "InvalidInput"
    assert field in error.message
    assert len(error.message) < 1000
    assert shared.aws.calls[start:] == [], "it was refused before anything was asked of AWS"


@pytest.mark.parametrize(
    "request_", [{"imageTag": "v1", field: value["examples"][0]} for field, value in schema()["properties"].items()]
)
def test_every_example_of_the_schema_has_the_right_type(shared: SimulatedEnvironment, request_: dict[str, Any]) -> None:
    flow = Flow(shared, request_, name=f"example-{len(shared.aws.runs)}")
    message = ""
    try:
        flow.call()
    except StepError as error:  # an example may name a tag that was not pushed, or be for a rollback
        message = error.message
    assert "breaks the rule" not in message


def test_300_kb_of_junk_end_as_rejected_with_a_short_record(shared: SimulatedEnvironment) -> None:
    flow = Flow(shared, {"imageTag": "v1"}, name="junk")
    flow.request = flow.state = {"imageTag": "v1", "reason": JUNK, "requestedBy": ["x"] * 10_000}
    assert flow.run_to_end() == "Rejected"
    assert len(json.dumps(flow.state)) < 5000
    record = shared.table.record(flow.arn, "2026-01-05T09:00:30Z") or shared.table.history(1)[0]
    assert record.outcome == "Rejected"
    assert len(record.reason or "") <= 256
    assert len(record.requested_by or "") <= 256
