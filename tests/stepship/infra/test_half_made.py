"""What the deletion of a half-made stack leaves has names that the next creation wants: it is deleted, or named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambdas.aws.gateway import Answer, KnownErrors
from lambdas.release.errors import AccessDenied, AwsError
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.errors import CommandError
from stepship.infra.cloudformation import CloudFormation, Resource
from stepship.infra.layout import Step
from stepship.infra.repair import Allowed, StackRepair
from stepship.infra.resources import POLL_SECONDS, WAIT_SECONDS, Resources
from tests.stepship.infra_environment import make_stack, moto_stack, statuses

STEP = Step("dynamodb", "v3-backend-dev-dynamodb", "data")
TABLE = Resource("Table", "AWS::DynamoDB::Table", "v3-backend-dev-data")
BUCKET = Resource("Logs", "AWS::S3::Bucket", "v3-backend-dev-logs-4kq2")


class Leaving(CloudFormation):
    """A CloudFormation that keeps resources from a deletion, and tells it by its events."""

    def left_behind(self, stack_id: str) -> list[Resource]:
        assert stack_id.startswith("arn:aws:cloudformation:")
        return [TABLE, BUCKET]


@dataclass
class Deleted(Resources):
    """Notes what is deleted."""

    error: Exception | None = None
    names: list[str] = field(default_factory=list)

    def delete(self, kind: str, identifier: str, sleep: Callable[[float], None]) -> None:
        sleep(POLL_SECONDS)
        if self.error:
            raise self.error
        self.names.append(f"{kind} {identifier}")


def repair(resources: Resources, *, production: bool = False) -> StackRepair:
    allowed = Allowed(production, frozenset({"dynamodb"}))
    return StackRepair(Leaving(), allowed, lambda _seconds: None, resources)


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("status", ["ROLLBACK_FAILED", "CREATE_FAILED"])
def test_names_that_a_half_made_stack_leaves_are_freed(
    simulated: SimulatedEnvironment, status: str, production: bool
) -> None:
    make_stack(STEP.stack, status)
    resources, said = Deleted(), list[str]()
    repair(resources, production=production).prepare(STEP, said.append)
    assert resources.names == ["AWS::DynamoDB::Table v3-backend-dev-data"]
    assert said[-1] == "its deletion has left v3-backend-dev-data (AWS::DynamoDB::Table); deleting it"


@pytest.mark.parametrize("status", ["DELETE_FAILED", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_what_a_whole_stack_leaves_is_never_deleted(simulated: SimulatedEnvironment, status: str) -> None:
    """DELETE_FAILED: it was whole once, and its data are somebody's."""
    make_stack(STEP.stack, status)
    resources = Deleted()
    repair(resources, production=True).prepare(STEP, lambda _: None)
    assert (resources.names, statuses()) == ([], {})


def test_what_may_not_be_deleted_is_named_and_the_second_creation_does_not_begin(
    simulated: SimulatedEnvironment,
) -> None:
    make_stack(STEP.stack, "ROLLBACK_FAILED")
    with pytest.raises(CommandError, match=r"v3-backend-dev-data \(AWS::DynamoDB::Table\): no right.*run this again"):
        repair(Deleted(AccessDenied("no right"))).prepare(STEP, lambda _: None)


def test_the_events_say_what_a_deletion_has_left(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack)
    stack, cloudformation = moto_stack(STEP.stack), CloudFormation()
    for status, name in (("DELETE_SKIPPED", "one"), ("DELETE_COMPLETE", "two"), ("DELETE_SKIPPED", "one")):
        stack._add_stack_event(status)
        event = stack.events[-1]
        event.logical_resource_id = event.physical_resource_id = name
        event.resource_type = TABLE.kind
    facts = cloudformation.stack(STEP.stack)
    assert facts is not None
    assert facts.id.startswith("arn:aws:cloudformation:")
    assert cloudformation.left_behind(facts.id) == [Resource("one", TABLE.kind, "one")]


@dataclass
class Asynchronous(Resources):
    """Cloud Control as its API Reference has it: a request, and its progress."""

    answers: list[Mapping[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def call(self, operation: str, *, known: KnownErrors | None = None, **request: Any) -> Answer:
        assert request
        self.asked.append(operation)
        event = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if event.get("Code"):
            raise (known or {})[event["Code"]]("gone")
        return Answer({"ProgressEvent": {"RequestToken": "t", **event}}, operation)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([{"OperationStatus": "SUCCESS"}], 1),
        ([{"OperationStatus": "PENDING"}, {"OperationStatus": "IN_PROGRESS"}, {"OperationStatus": "SUCCESS"}], 3),
        ([{"OperationStatus": "FAILED", "ErrorCode": "NotFound"}], 1),
        ([{"Code": "ResourceNotFoundException"}], 1),
    ],
)
def test_a_deletion_is_waited_for(answers: list[Mapping[str, Any]], asked: int) -> None:
    resources, slept = Asynchronous(answers), list[float]()
    resources.delete(TABLE.kind, TABLE.physical_id, slept.append)
    assert (len(resources.asked), slept) == (asked, [POLL_SECONDS] * (asked - 1))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"OperationStatus": "FAILED", "StatusMessage": "it is protected"}, "it is protected"),
        ({"OperationStatus": "CANCEL_COMPLETE"}, "CANCEL_COMPLETE"),
        ({"OperationStatus": "IN_PROGRESS"}, f"{WAIT_SECONDS // 60} minutes"),
    ],
)
def test_a_deletion_that_fails_says_why(event: Mapping[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        Asynchronous([event]).delete(TABLE.kind, TABLE.physical_id, lambda _seconds: None)
