"""Whatever AWS leaves out of an answer, or adds to it: a gateway returns a domain type, or raises an error of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.aws.cloudwatch import Alarms
from lambdas.aws.ecr import ImageRegistry
from lambdas.aws.ecs import ContainerService
from lambdas.aws.events import EventBus
from lambdas.aws.executions import Executions
from lambdas.aws.gateway import client_of
from lambdas.aws.iam import Roles
from lambdas.aws.logs import ContainerLogs
from lambdas.aws.releases_table import FinalReport, ReleasesTable
from lambdas.aws.secrets import Secrets
from lambdas.aws.ssm import ParameterStore
from lambdas.release.errors import AwsError, StepshipError, leaves
from lambdas.release.history import DeploymentRecord, Report
from lambdas.release.image import FoundImage
from lambdas.release.lock import Claim, Lock
from lambdas.release.rollout import Goal, judge_rollout
from lambdas.release.task_definition import TaskDefinition, with_image
from lambdas.release.verdicts import Status
from stepship.errors import CommandError
from stepship.executions.history_events import to_event
from stepship.machine import Caller, Machine
from stepship.target import Target
from tests.robustness.answers import answering, made
from tests.robustness.refusals import attempt

KEY = SimpleNamespace(name="api", cluster="c", service="s")
ECS, TABLE = ContainerService(), ReleasesTable("t")
TIME = "2026-01-05T09:00:00Z"
ARN = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:one"
RECORD = DeploymentRecord(ARN, "deploy", "Deployed", TIME, TIME, None, None, None, None, Report("Deployed"))
DRAWS = range(40)


class Known(Caller):
    """A caller whose account is known: another test looks at STS."""

    arn = "arn:aws:sts::123456789012:assumed-role/r/s"


MACHINE = Machine(Target("v3-backend", "dev"), Known())


def use(found: TaskDefinition | None) -> None:
    """Ask a task definition all that handlers ask it."""
    if found is not None:
        _ = (found.arn, found.is_active, found.platform, found.role_arns, found.secret_references)
        _ = (found.log_groups, found.log_target("x"), found.image("x"))
        with_image(found, ["x"], "i", ECS.accepted_fields())


def judge_all() -> None:
    for facts in ECS.services([KEY]).values():
        judge_rollout(facts, Goal("x", "y", None, 0.0, 100.0, 2), 50.0)


CALLS: dict[str, Callable[[], Any]] = {
    "cloudwatch states": lambda: Alarms().states(["a"]),
    "ecr repository_uris": lambda: ImageRegistry().repository_uris(("xx",)),
    "ecr find": lambda: ImageRegistry().find("xx", "u", tag="t", digest=None),
    "ecr status": lambda: ImageRegistry().status("xx", "sha256:0"),
    "ecr scans": lambda: ImageRegistry().scans(FoundImage("xx", "u", "d", manifests=("sha256:0",))),
    "ecr findings": lambda: ImageRegistry().scans(FoundImage("xx", "u", "d", manifests=("sha256:0",)), named=True),
    "ecs services": judge_all,
    "ecs task_definition": lambda: use(ECS.task_definition("f")),
    "ecs register": lambda: ECS.register({"family": "f", "containerDefinitions": []}),
    "ecs update": lambda: ECS.update("c", "s", "t", force=False),
    "ecs run_task": lambda: ECS.run_task("c", "t", started_by="b", client_token="c", launch={}, network={}),
    "ecs find_task": lambda: ECS.find_task("c", "b"),
    "ecs task": lambda: ECS.task("c", "a"),
    "ecs stop_task": lambda: ECS.stop_task("c", "a", "r"),
    "ecs stopped_tasks": lambda: ECS.stopped_tasks("c", "s", "x"),
    "ecs service_deployment": lambda: ECS.service_deployment("c", "s", "ecs-svc/1"),
    "events put": lambda: EventBus().put("DeploymentDeployed", {}),
    "stepfunctions describe": lambda: Executions().describe(ARN),
    "stepfunctions refuse": lambda: Executions().refuse("token", "who", "why"),
    "iam arn": lambda: Roles().arn("r"),
    "logs group_exists": lambda: ContainerLogs().group_exists("x"),
    "logs last_lines": lambda: ContainerLogs().last_lines("g", "s", 5),
    "secretsmanager exists": lambda: Secrets().exists("s"),
    "ssm below": lambda: ParameterStore().below("/v3-backend/dev/services/"),
    "ssm exist": lambda: ParameterStore().exist(["/a"]),
    "ssm set_all": lambda: ParameterStore().set_all({"/a": "1", "/b": None}),
    "dynamodb read_lock": TABLE.read_lock,
    "dynamodb read_journal": TABLE.read_journal,
    "dynamodb swap_lock": lambda: TABLE.swap_lock(Lock(), Lock(holder=Claim(ARN, "deploy", 0.0))),
    "dynamodb renew": lambda: TABLE.renew(ARN, 1, 0.0, 0.0, "{}"),
    "dynamodb report": lambda: TABLE.report(FinalReport(RECORD)),
    "dynamodb record": lambda: TABLE.record(ARN, TIME),
    "dynamodb history": lambda: TABLE.history(5),
    "dynamodb history_since": lambda: TABLE.history_since(TIME),
    "dynamodb releases": lambda: TABLE.releases(5),
    "dynamodb live": TABLE.live,
    "dynamodb release_before": lambda: TABLE.release_before("r"),
    "dynamodb paused": TABLE.paused,
    "dynamodb approval_token": lambda: TABLE.approval_token(ARN),
    "sts arn": lambda: Caller().arn,
    "stepfunctions start": lambda: MACHINE.start("n", "{}"),
    "stepfunctions recent": MACHINE.recent,
    "stepfunctions description": lambda: MACHINE.describe(ARN),
    "stepfunctions events": lambda: [to_event("one", event) for event in MACHINE.events(ARN, 0)],
}


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client_of.cache_clear()
    yield
    client_of.cache_clear()


def outcome(act: Callable[[], Any]) -> StepshipError | None:
    """Return the error; whatever is no leaf of ours fails the test."""
    _, error = attempt(act, StepshipError, CommandError)
    if error is None:
        return None
    assert type(error) in (*leaves(), CommandError)
    assert str(error).strip()
    return error if isinstance(error, StepshipError) else None


@pytest.mark.parametrize("name", CALLS)
def test_answers_of_every_make_end_in_a_value_or_in_an_error_of_ours(name: str) -> None:
    service = name.partition(" ")[0]
    for seed in DRAWS:
        random = Random(f"{name}{seed}")  # noqa: S311 (a draw of a test, the same each time)
        missing = random.choice((0.0, 0.02, 0.1, 0.5))
        with answering(lambda model, r=random, m=missing: made(model.output_shape, r, m), service):  # type: ignore[misc]  # defaults bind the loop's values
            outcome(CALLS[name])


@pytest.mark.parametrize("name", CALLS)
def test_an_empty_answer_is_a_value_or_says_what_it_lacks(name: str) -> None:
    with answering(lambda _: {}, name.partition(" ")[0]):
        error = outcome(CALLS[name])
    assert error is None or isinstance(error, AwsError)
    assert error is None or "the answer" in str(error)


COUNTED = ("desiredCount", "runningCount", "pendingCount")
PRIMARY = {"id": "d", "status": "PRIMARY", "taskDefinition": "t:2", **dict.fromkeys(COUNTED, 0), "failedTasks": 0}
SERVICE = {"serviceName": "s", "status": "ACTIVE", "taskDefinition": "t:2", **dict.fromkeys(COUNTED, 0)}


@pytest.mark.parametrize("member", ["status", "taskDefinition", *COUNTED])
@pytest.mark.parametrize("of", ["service", "deployment"])
def test_a_count_that_is_not_there_is_no_count_of_none(member: str, of: str) -> None:
    """Without its numbers a service of which nothing runs would look steady."""
    service, primary = {**SERVICE, "runningCount": 0, "desiredCount": 3}, dict(PRIMARY)
    del (service if of == "service" else primary)[member]
    with (
        answering(lambda _: {"services": [{**service, "deployments": [primary]}]}, "ecs"),
        pytest.raises(AwsError, match=rf"services\[0\].*the answer has no {member}"),
    ):
        ECS.services([KEY])


def test_without_a_rollout_state_the_counts_decide() -> None:
    for running, status in ((2, Status.IN_PROGRESS), (3, Status.STEADY)):
        counts = {"desiredCount": 3, "runningCount": running, "pendingCount": 0}
        service = {**SERVICE, **counts, "deployments": [{**PRIMARY, **counts}]}
        with answering(lambda _, s=service: {"services": [s]}, "ecs"):  # type: ignore[misc]  # a default binds the loop's value
            facts = ECS.services([KEY])["api"]
        assert judge_rollout(facts, Goal("t:2", "t:1", None, 0.0, 100.0, 2), 50.0).status == status


def test_a_service_that_nobody_asked_about_is_left_out() -> None:
    with answering(lambda _: {"services": [{**SERVICE, "serviceName": "other"}]}, "ecs"):
        assert ECS.services([KEY]) == {}


def test_an_argument_that_is_not_sent_is_not_quoted_either() -> None:
    container = {"name": "x", "environment": [{"name": "PASSWORD", "value": ["canary, type: b"]}]}
    with pytest.raises(AwsError, match=r"environment\[0\].value") as raised:
        ECS.register({"family": "f", "containerDefinitions": [container]})
    assert "canary" not in str(raised.value)
