"""With IAM enforced everything works, and nothing does that a statement of a step's role was taken away for.

It goes on in the account in which the story has ended, or deploys the stacks itself when it is run alone.
``STEPSHIP_E2E_STATEMENTS=all`` takes away every statement, one after the other; else a few of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from statemachine.steps import STEPS
from tests.e2e.cloud import ACCOUNT, REGION, Cloud, Json
from tests.e2e.emulator import Emulator, Refusal
from tests.e2e.infrastructure import deploy_stacks, synthesise
from tests.e2e.observation import Observer
from tests.e2e.roads import Roads, listed

NOT_SHOWN = {
    "logs:PutLogEvents": "the emulator writes the functions' own logs itself; tests/least_privilege covers it",
}
"""Statements that the emulator never asks for, by an action in them."""

CLEANED_UP = ("ecs:RegisterTaskDefinition", "ecs:TagResource", "iam:PassRole")
IN_PROCESS = {
    # A migration that still runs when its deployment is given up.
    ("plan", "ecs:ListTasks"),
    ("roll_back", "ecs:ListTasks"),
    ("roll_back", "ecs:StopTask"),
    # The emulator lists no service deployment, so nobody asks for one.
    ("check_rollout", "ecs:DescribeServiceDeployments"),
    # A rollback to a release by name asks whether its services run it already.
    ("register_task_definitions", "ecs:DescribeServices"),
    # A revision that somebody deregisters in the middle of a deployment.
    ("deploy_wave", "ecs:DescribeTaskDefinition"),
    *((handler, action) for handler in ("deploy_wave", "roll_back") for action in CLEANED_UP),
}
"""Statements, by handler and an action, whose roads tests/least_privilege drives in process and nobody here."""


class Shows(Enum):
    """How the lack of a permission is seen."""

    FAILS = "the deployment ends otherwise, and says that something was not allowed"
    TOLD = "it ends as ever, because a look is worth having and not worth failing for; its report says what is missing"
    LOGGED = "it ends as ever: nobody is kept from deploying, or from rolling back, by an event or a last look"


@dataclass(frozen=True)
class Taken:
    """One statement, and what is seen without it.

    Attributes
    ----------
    handler, action
        Whose statement, and an action that only this statement of it has.
    road
        A deployment that needs it.
    shows
        How that is seen.
    also
        Another statement that the road must do without, to get to where this one is needed.
    sample
        Whether it is taken away in every run.
    """

    handler: str
    action: str
    road: Callable[[Roads], Json]
    shows: Shows = Shows.FAILS
    also: tuple[str, str] | None = None
    sample: bool = False

    def __str__(self) -> str:
        return f"{self.handler} {self.action}"


TAKEN = (
    Taken("verify_image", "ssm:GetParametersByPath", Roads.dry_run),
    Taken("verify_image", "ecr:DescribeImages", Roads.dry_run),
    Taken("verify_image", "ecs:DescribeTaskDefinition", Roads.dry_run_of_an_index),
    Taken("acquire_lock", "dynamodb:PutItem", Roads.dry_run),
    Taken("acquire_lock", "states:DescribeExecution", Roads.outrank),
    Taken("acquire_lock", "states:SendTaskFailure", Roads.outrank),
    Taken("acquire_lock", "states:StartExecution", Roads.recover_without_an_event),
    Taken("plan", "ssm:GetParametersByPath", Roads.dry_run),
    Taken("plan", "ssm:GetParameters", Roads.dry_run),
    Taken("plan", "secretsmanager:DescribeSecret", Roads.dry_run, Shows.TOLD, sample=True),
    Taken("plan", "iam:GetRole", Roads.dry_run),
    Taken("plan", "ecs:DescribeTaskDefinition", Roads.dry_run),
    Taken("plan", "ecs:DescribeServices", Roads.dry_run),
    Taken("plan", "ecr:DescribeImages", Roads.roll_back),
    Taken("plan", "dynamodb:GetItem", Roads.dry_run),
    Taken("request_approval", "dynamodb:PutItem", Roads.deploy),
    Taken("request_approval", "events:PutEvents", Roads.deploy, Shows.LOGGED),
    Taken("update_image_tag", "dynamodb:UpdateItem", Roads.deploy),
    Taken("update_image_tag", "ssm:PutParameter", Roads.deploy, sample=True),
    Taken("update_image_tag", "ecs:DescribeServices", Roads.deploy),
    Taken("register_task_definitions", "dynamodb:UpdateItem", Roads.deploy),
    Taken("register_task_definitions", "ecs:DescribeTaskDefinition", Roads.deploy),
    Taken("register_task_definitions", "ecs:RegisterTaskDefinition", Roads.deploy),
    Taken("register_task_definitions", "ecs:TagResource", Roads.deploy, sample=True),
    Taken("register_task_definitions", "iam:PassRole", Roads.deploy, sample=True),
    Taken("run_migration", "dynamodb:UpdateItem", Roads.deploy),
    Taken("run_migration", "ecs:DescribeTaskDefinition", Roads.migration_fails, Shows.TOLD),
    Taken("run_migration", "ecs:RunTask", Roads.deploy, sample=True),
    Taken("run_migration", "ecs:DescribeTasks", Roads.deploy),
    Taken("run_migration", "iam:PassRole", Roads.deploy),
    Taken("run_migration", "ecs:ListTasks", Roads.deploy),
    Taken("run_migration", "logs:GetLogEvents", Roads.migration_fails, Shows.TOLD),
    Taken("deploy_wave", "dynamodb:UpdateItem", Roads.deploy),
    Taken("deploy_wave", "ecs:UpdateService", Roads.deploy, sample=True),
    Taken("check_rollout", "ecs:DescribeServices", Roads.deploy),
    Taken("check_rollout", "ecs:ListTasks", Roads.crash, Shows.TOLD),
    Taken("check_rollout", "ecs:DescribeTasks", Roads.crash, Shows.TOLD),
    Taken("check_rollout", "ecs:DescribeTaskDefinition", Roads.deploy),
    Taken("check_rollout", "logs:GetLogEvents", Roads.crash, Shows.TOLD),
    Taken("check_health", "ecs:DescribeServices", Roads.deploy),
    Taken("check_health", "ecs:ListTasks", Roads.superseded_while_watched, Shows.TOLD),
    Taken("check_health", "ecs:DescribeTasks", Roads.superseded_while_watched, Shows.TOLD),
    Taken("check_health", "ecs:DescribeTaskDefinition", Roads.deploy),
    Taken("check_health", "logs:GetLogEvents", Roads.superseded_while_watched, Shows.TOLD),
    Taken("complete", "dynamodb:PutItem", Roads.deploy),
    Taken("complete", "ssm:GetParameters", Roads.deploy, Shows.TOLD),
    Taken("complete", "states:DescribeExecution", Roads.recover),
    Taken("complete", "events:PutEvents", Roads.deploy, Shows.LOGGED),
    Taken("roll_back", "dynamodb:UpdateItem", Roads.crash),
    Taken("roll_back", "ssm:PutParameter", Roads.crash),
    Taken("roll_back", "ecs:UpdateService", Roads.crash),
    Taken("roll_back", "ecs:DescribeTaskDefinition", Roads.crash_beside_infrastructure),
    Taken("check_rollback", "ssm:GetParameters", Roads.crash, Shows.LOGGED),
    Taken("check_rollback", "ecs:DescribeServices", Roads.crash),
    Taken("check_rollback", "ecs:DescribeTaskDefinition", Roads.crash_beside_infrastructure),
    Taken("record_failure", "dynamodb:PutItem", Roads.migration_fails),
    Taken(
        "record_failure",
        "states:DescribeExecution",
        Roads.recover_from_migration,
        also=("deploy_wave", "dynamodb:UpdateItem"),
    ),
    Taken("record_failure", "events:PutEvents", Roads.migration_fails, Shows.LOGGED),
    Taken("record_outcome", "dynamodb:PutItem", Roads.dry_run),
    Taken("record_outcome", "states:DescribeExecution", Roads.look_after_an_ended_one),
    Taken("record_outcome", "events:PutEvents", Roads.dry_run, Shows.LOGGED),
)

CHOSEN = [each for each in TAKEN if each.sample or os.environ.get("STEPSHIP_E2E_STATEMENTS") == "all"]


@pytest.fixture(scope="module")
def roads(
    emulator: Emulator, cloud: Cloud, observer: Observer, workplace: Path, now_and_later: tuple[Path, Path]
) -> Iterator[Roads]:
    """The account of the story's end, with IAM enforced."""
    roads = Roads(cloud, observer)
    if not cloud.client("stepfunctions").list_state_machines()["stateMachines"]:
        synthesise(cloud, now_and_later[1], workplace / "alone")
        cloud.aws("iam", "create-service-linked-role", "--aws-service-name", "ecs.amazonaws.com")
        cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(workplace / "alone"))
        deploy_stacks(cloud, workplace / "alone", "--all")
        roads.deploy()
    emulator.enforce(on=True)
    yield roads
    emulator.enforce(on=False)


@pytest.fixture
def refusals(emulator: Emulator) -> Callable[[], list[Refusal]]:
    """What IAM has refused since the test began."""
    before = len(emulator.refusals())
    return lambda: emulator.refusals()[before:]


def outcome(ended: Json) -> str:
    """Return how an execution has ended, and which last step it could not do."""
    undone = {"Failure not recorded", "Outcome not recorded"} & set(ended["path"])
    end = str(ended["output"]["outcome"] if ended["status"] == "SUCCEEDED" else ended.get("error"))
    return ": ".join((end, *undone))


def test_every_statement_of_every_step_is_on_the_list(roads: Roads) -> None:
    deployed = {
        (step.handler, frozenset(listed(each["Action"]))) for step in STEPS for each in roads.statements(step.handler)
    }
    named = {
        (handler, actions)
        for handler, actions in deployed
        if sum(each.handler == handler and each.action in actions for each in TAKEN) == 1
        or actions & set(NOT_SHOWN)
        or any((handler, action) in IN_PROCESS for action in actions)
    }
    assert named == deployed
    assert len(TAKEN) + len(IN_PROCESS) + len(STEPS) == len(deployed), "a statement of each step is its own log"


ENDS: dict[Callable[[Roads], Json], str] = {
    Roads.deploy: "Deployed",
    Roads.crash: "RolledBack",
    Roads.superseded_while_watched: "RolledBack",
    Roads.crash_beside_infrastructure: "RolledBack",
    Roads.migration_fails: "RolledBack",
    Roads.dry_run: "Planned",
    Roads.dry_run_of_an_index: "Planned",
    Roads.roll_back: "Deployed",
    Roads.outrank: "Deployed",
    Roads.look_after_an_ended_one: "NothingToDo",
    Roads.recover: "Deployed",
    Roads.recover_without_an_event: "Deployed",
    # The other statement that is taken away is what it fails for.
    Roads.recover_from_migration: "RollbackFailed",
}
"""How each road ends while everything is allowed that it needs."""


@pytest.mark.parametrize(
    "road",
    # The last one goes back to the release before the first.
    [Roads.deploy, Roads.crash, Roads.outrank],
    ids=["one-that-is-good", "one-that-crashes", "a-rollback-that-outranks"],
)
def test_a_deployment_needs_no_more_than_it_may(
    road: Callable[[Roads], Json], roads: Roads, refusals: Callable[[], list[Refusal]]
) -> None:
    assert (outcome(road(roads)), refusals()) == (ENDS[road], [])


@pytest.mark.parametrize("taken", CHOSEN, ids=str)
def test_a_statement_that_is_taken_away_is_missed(
    taken: Taken, roads: Roads, refusals: Callable[[], list[Refusal]]
) -> None:
    with roads.without(taken.handler, taken.action) as actions:
        if taken.also:
            with roads.without(*taken.also):
                ended = taken.road(roads)
        else:
            ended = taken.road(roads)
    refused = refusals()
    roads.repair()

    session = f"/{roads.role_of(taken.handler)}/"
    also = f"/{roads.role_of(taken.also[0])}/" if taken.also else session
    assert {each.action for each in refused if session in each.session} & actions
    assert not [each for each in refused if session not in each.session and also not in each.session]
    told = json.dumps(ended, default=str)
    assert ("not authorized" in told or "may not look it up" in told) == (taken.shows is not Shows.LOGGED)
    assert (outcome(ended) == ENDS[taken.road]) == (taken.shows is not Shows.FAILS)
