"""A stack that is stuck is freed, as AWS documents it; in production nothing is deleted without a word.

moto has no ContinueUpdateRollback: what follows that call is what a test says, and not what CloudFormation does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.errors import CommandError
from stepship.infra.cloudformation import CloudFormation, StackFacts
from stepship.infra.layout import Step
from stepship.infra.repair import WAIT_SECONDS, Allowed, StackRepair
from stepship.infra.stuck import Remedy, verdict
from tests.stepship.infra_environment import make_stack, moto_stack, set_status, statuses

STEP = Step("network", "v3-backend-dev-network", "infrastructure")

VERDICTS = {
    None: Remedy.NONE,
    "CREATE_COMPLETE": Remedy.NONE,
    "UPDATE_COMPLETE": Remedy.NONE,
    "UPDATE_ROLLBACK_COMPLETE": Remedy.NONE,
    "IMPORT_COMPLETE": Remedy.NONE,
    "REVIEW_IN_PROGRESS": Remedy.DELETE,
    "CREATE_FAILED": Remedy.DELETE,
    "ROLLBACK_COMPLETE": Remedy.DELETE,
    "ROLLBACK_FAILED": Remedy.DELETE,
    "DELETE_FAILED": Remedy.DELETE,
    "UPDATE_ROLLBACK_FAILED": Remedy.CONTINUE_ROLLBACK,
    "UPDATE_FAILED": Remedy.ACTION_NEEDED,
    "CREATE_IN_PROGRESS": Remedy.WAIT,
    "ROLLBACK_IN_PROGRESS": Remedy.WAIT,
    "DELETE_IN_PROGRESS": Remedy.WAIT,
    "UPDATE_IN_PROGRESS": Remedy.WAIT,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Remedy.WAIT,
    "UPDATE_ROLLBACK_IN_PROGRESS": Remedy.WAIT,
}
IN_PRODUCTION = {
    "REVIEW_IN_PROGRESS": Remedy.DELETE,
    # It holds nothing: the second creation is not stopped.
    "ROLLBACK_COMPLETE": Remedy.DELETE,
    "ROLLBACK_FAILED": Remedy.ACTION_NEEDED,
    "DELETE_FAILED": Remedy.ACTION_NEEDED,
    "UPDATE_ROLLBACK_FAILED": Remedy.CONTINUE_ROLLBACK,
}


@pytest.mark.parametrize(("status", "remedy"), VERDICTS.items())
def test_each_status_has_its_remedy(status: str | None, remedy: Remedy) -> None:
    assert verdict(status, "network", production=False).remedy == remedy


@pytest.mark.parametrize(("status", "remedy"), IN_PRODUCTION.items())
def test_production_is_asked_before_anything_is_deleted(status: str, remedy: Remedy) -> None:
    found = verdict(status, "network", production=True)
    assert found.remedy == remedy
    assert ("--recreate network" in found.reason) == (remedy == Remedy.ACTION_NEEDED)
    assert verdict(status, "network", production=True, recreate=True).remedy != Remedy.ACTION_NEEDED


def repair(
    simulated: SimulatedEnvironment, allowed: Allowed | None = None, cloudformation: CloudFormation | None = None
) -> StackRepair:
    return StackRepair(
        cloudformation or CloudFormation(), allowed or Allowed(production=False), simulated.aws.clock.sleep
    )


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_a_stack_that_was_never_made_is_deleted(simulated: SimulatedEnvironment, status: str) -> None:
    make_stack(STEP.stack, status)
    said: list[str] = []
    repair(simulated).prepare(STEP, said.append)
    assert statuses() == {}
    assert said[0].endswith("; deleting it")


def test_production_keeps_what_was_never_wholly_made(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "ROLLBACK_FAILED")
    with pytest.raises(CommandError, match=r"this is production.*--recreate network"):
        repair(simulated, Allowed(production=True)).prepare(STEP, print)
    assert statuses() == {"network": "ROLLBACK_FAILED"}
    repair(simulated, Allowed(production=True, recreate=frozenset({"network"}))).prepare(STEP, print)
    assert statuses() == {}


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_stack_that_can_be_deployed_is_left_alone(simulated: SimulatedEnvironment, status: str) -> None:
    make_stack(STEP.stack, status)
    said: list[str] = []
    repair(simulated).prepare(STEP, said.append)
    assert (statuses(), said) == ({"network": status}, [])


def test_a_stack_that_is_on_its_way_is_waited_for(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "UPDATE_IN_PROGRESS")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        set_status(
            STEP.stack, {1: "UPDATE_IN_PROGRESS", 2: "UPDATE_ROLLBACK_IN_PROGRESS"}.get(len(waits), "UPDATE_COMPLETE")
        )

    said: list[str] = []
    StackRepair(CloudFormation(), Allowed(production=False), sleep).prepare(STEP, said.append)
    assert said == [f"CloudFormation is at it ({each}_IN_PROGRESS); waiting" for each in ("UPDATE", "UPDATE_ROLLBACK")]
    assert waits == [5.0, 5.0, 5.0]


def test_waiting_for_cloudformation_is_bounded(
    simulated: SimulatedEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepship.infra.repair.POLL_SECONDS", 300.0)
    make_stack(STEP.stack, "DELETE_IN_PROGRESS")
    begin = simulated.aws.clock.now()
    with pytest.raises(CommandError, match=r"for 3 hours \(DELETE_IN_PROGRESS\)"):
        repair(simulated).prepare(STEP, lambda _: None)
    assert simulated.aws.clock.now() - begin == pytest.approx(WAIT_SECONDS, abs=600)


def test_what_a_person_has_switched_off_a_person_ends(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "UPDATE_FAILED")
    with pytest.raises(CommandError, match="cdk rollback"):
        repair(simulated).prepare(STEP, print)


@dataclass
class Continued(CloudFormation):
    """CloudFormation with the call that moto lacks; answers with the next status."""

    answers: list[str]
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def continue_rollback(self, name: str, skip: Any) -> None:
        self.asked.append((name, list(skip)))
        set_status(name, self.answers.pop(0))


def test_a_rollback_that_failed_is_continued(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "UPDATE_ROLLBACK_FAILED")
    cloudformation = Continued(["UPDATE_ROLLBACK_COMPLETE"])
    repair(simulated, cloudformation=cloudformation).prepare(STEP, print)
    assert cloudformation.asked == [(STEP.stack, [])]
    assert statuses() == {"network": "UPDATE_ROLLBACK_COMPLETE"}


def test_a_rollback_that_fails_again_says_of_what_and_how_to_skip_it(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "UPDATE_ROLLBACK_FAILED")
    moto_stack(STEP.stack).resource_map["Topic"].status = "UPDATE_FAILED"
    cloudformation = Continued(["UPDATE_ROLLBACK_FAILED"])
    with pytest.raises(CommandError) as error:
        repair(simulated, cloudformation=cloudformation).prepare(STEP, print)
    assert len(cloudformation.asked) == 1
    assert "its rollback failed again" in str(error.value)


def test_only_what_was_named_is_skipped(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "UPDATE_ROLLBACK_FAILED")
    cloudformation = Continued(["UPDATE_ROLLBACK_COMPLETE"])
    said: list[str] = []
    allowed = Allowed(production=True, skip=("network/Topic", "api-service/Service"))
    repair(simulated, allowed, cloudformation).prepare(STEP, said.append)
    assert cloudformation.asked == [(STEP.stack, ["Topic"])]
    assert said == ["an update could not be rolled back; continuing the rollback, without Topic"]


class Undeletable(CloudFormation):
    """A stack that cannot be deleted."""

    def delete(self, name: str, **_: object) -> None:
        set_status(name, "DELETE_FAILED")

    def failures(self, *_: object, **__: object) -> list[str]:
        return ["Bucket (AWS::S3::Bucket): The bucket you tried to delete is not empty"]


def test_what_cannot_be_deleted_is_tried_once_and_explained(simulated: SimulatedEnvironment) -> None:
    make_stack(STEP.stack, "ROLLBACK_COMPLETE")
    with pytest.raises(CommandError, match=r"it is still DELETE_FAILED: Bucket .* is not empty"):
        repair(simulated, cloudformation=Undeletable()).prepare(STEP, print)


def test_a_stack_that_is_not_there_needs_nothing(simulated: SimulatedEnvironment) -> None:
    assert CloudFormation().stack("v3-backend-dev-nobody") is None
    repair(simulated).prepare(STEP, print)


def test_facts_tell_whether_cloudformation_is_at_it() -> None:
    moving = {status: StackFacts(status).is_moving for status in VERDICTS if status}
    assert {status for status, is_moving in moving.items() if is_moving} == {
        status for status, remedy in VERDICTS.items() if remedy == Remedy.WAIT
    }
