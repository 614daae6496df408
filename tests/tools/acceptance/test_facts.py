"""What looks at AWS where its documents are silent: its calls are ones that botocore sends, its conclusions are right.

Nothing here can tell what AWS answers; it can only be answered in each way, and seen what is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from tools.acceptance.facts import observations
from tools.acceptance.facts.definition import Case, cases, policies_are_valid, request, retries, wrong
from tools.acceptance.facts.unverified import CHECKS, OtherwiseError
from tools.acceptance.world.account import Account, Run

DEFINITION = json.loads(
    (Path(__file__).parents[3] / "statemachine" / "deployment.asl.json").read_text(encoding="utf-8")
)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OLD, NEW = (f"arn:aws:ecs:eu-west-1:111122223333:task-definition/accept-a1b2c3-dev-worker:{n}" for n in (1, 2))

Answer = dict[str, Any]


class ScriptedWorld:
    """A world whose calls are checked by botocore, and answered from a table.

    Parameters
    ----------
    answers
        Operation to its answers, one after the other; the last one stays. What is not in it is answered with nothing.
    """

    def __init__(self, **answers: list[Answer]) -> None:
        self.account, self.run = Account("111122223333", "eu-west-1"), Run("a1b2c3")
        self.calls: list[str] = []
        self.answers = answers
        self.cloud = SimpleNamespace(
            client=self.client,
            repository=self.run.app,
            machine="arn:aws:states:eu-west-1:111122223333:stateMachine:accept-a1b2c3-dev-deploy",
            push=lambda _: "sha256:" + "a" * 64,
            wait_until=self.wait_until,
            describe=lambda arn: self.client("stepfunctions").describe_execution(executionArn=arn),
        )
        self.observer = SimpleNamespace(
            names=SimpleNamespace(service=lambda name: f"{self.run.prefix}-{name}"),
            task_definition=lambda _: {
                "family": f"{self.run.prefix}-worker",
                "containerDefinitions": [],
                "revision": 1,
            },
        )
        self.coordinator = f"{self.run.prefix}-deployment-coordinator"

    def client_as(self, service: str, credentials: Answer) -> Any:
        assert credentials == {"AccessKeyId": "x"}
        return self.client(service)

    def worker(self) -> Answer:
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}
        return {"taskDefinition": OLD, "networkConfiguration": network}

    def wait_until(self, look: Callable[[], Any], what: str) -> Any:
        for _ in range(5):
            seen = look()
            if seen is not None:
                return seen
        raise AssertionError(what)

    def client(self, service: str) -> Any:
        client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="-", aws_secret_access_key="-")

        def answer(model: Any, **_: Any) -> tuple[AWSResponse, Answer]:
            self.calls.append(model.name)
            script = self.answers.get(model.name, [{}])
            given = script.pop(0) if len(script) > 1 else script[0]
            return AWSResponse("https://fake", 400 if "Error" in given else 200, {}, None), {
                **given,
                "ResponseMetadata": {},
            }

        client.meta.events.register("before-call", answer)
        return client


FakeWorld: Any = ScriptedWorld
"""Taken for a ``World``, of which it has what is asked for here."""


def deployments(*statuses: str, **more: Any) -> dict[str, list[Answer]]:
    """Return the answers about one service deployment that goes through these."""
    listed = {"serviceDeploymentArn": "arn:sd/1", "createdAt": NOW}
    described = [{"serviceDeployments": [{"serviceDeploymentArn": "arn:sd/1", "status": s, **more}]} for s in statuses]
    return {
        "ListServiceDeployments": [{"serviceDeployments": [listed]}],
        "DescribeServiceDeployments": described,
        "RegisterTaskDefinition": [{"taskDefinition": {"taskDefinitionArn": NEW}}],
        "DescribeServices": [{"services": [{"taskDefinition": OLD, "deployments": [{"rolloutState": "COMPLETED"}]}]}],
    }


def error(code: str) -> Answer:
    return {"Error": {"Code": code, "Message": f"{code} it is"}}


WAITS = {"lifecycleHookDetails": [{"hookId": "ecs-pause-1", "status": "AWAITING_ACTION"}]}


@pytest.mark.parametrize(("tasks", "seen"), [([], []), (["arn:t/1"], ["arn:t/1"])])
def test_stopped_tasks_are_asked_for_by_who_started_them_alone(tasks: list[str], seen: list[str]) -> None:
    world = FakeWorld(
        ListTasks=[{"taskArns": ["arn:t/1"]}, {"taskArns": tasks}],
        DescribeTasks=[{"tasks": [{"startedBy": "stepship/r"}]}],
    )

    assert observations.stopped_tasks_by_started_by(world) == seen


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"imageDetails": [{"imageDigest": "sha256:1"}]}, True),
        ({"imageDetails": []}, False),
        (error("ImageNotFoundException"), False),
    ],
)
def test_an_archived_image_is_there_or_not(answer: Answer, *, seen: bool) -> None:
    assert observations.archived_image_by_id(FakeWorld(DescribeImages=[answer])) is seen
    assert observations.archived_image_by_id_and_filter(FakeWorld(DescribeImages=[answer])) is seen


def test_a_filter_that_is_refused_beside_ids_shows_nothing() -> None:
    refused = FakeWorld(DescribeImages=[error("InvalidParameterException")])

    assert observations.archived_image_by_id_and_filter(refused) is False


@pytest.mark.parametrize(("told", "kept"), [("2026-11-27T12:00:00.123Z", True), ("2026-11-27T12:00:09.000Z", False)])
def test_the_start_time_after_a_redrive_is_compared_to_the_second(told: str, *, kept: bool) -> None:
    world = FakeWorld(
        CreateRole=[{"Role": {"Arn": "arn:aws:iam::111122223333:role/a"}}],
        CreateStateMachine=[{"stateMachineArn": "arn:m"}],
        StartExecution=[{"executionArn": "arn:e"}],
        DescribeExecution=[
            {"status": "RUNNING", "startDate": NOW},
            {"status": "FAILED", "startDate": NOW},
            {"status": "FAILED", "startDate": NOW},
            {"status": "SUCCEEDED", "startDate": NOW, "output": json.dumps({"at": told})},
        ],
    )

    assert observations.start_time_is_kept_by_redrive(world) is kept
    assert world.calls[-2:] == ["DeleteStateMachine", "DeleteRole"]


@pytest.mark.parametrize(
    ("code", "denied"), [("AccessDeniedException", True), ("ServiceDeploymentNotFoundException", False)]
)
def test_a_call_that_finds_nothing_was_not_denied(code: str, *, denied: bool) -> None:
    world = FakeWorld(
        CreateRole=[{"Role": {"Arn": "arn:aws:iam::111122223333:role/accept"}}],
        AssumeRole=[error("AccessDenied"), {"Credentials": {"AccessKeyId": "x"}}],
        ContinueServiceDeployment=[error(code)],
    )

    assert observations.continue_on_arn_is_denied(world) is denied
    assert world.calls.count("AssumeRole") == 2
    assert world.calls[-1] == "DeleteRole"


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("REPORT RequestId: 1 Duration: 3.14 ms Init Duration: 812.50 ms", 0.8125),
        ('{"type":"platform.report","record":{"metrics":{"initDurationMs": 1500.0,"Init Duration":0}}}', 1.5),
    ],
)
def test_the_longest_init_is_read_of_text_and_of_json(message: str, seconds: float) -> None:
    world = FakeWorld(
        DescribeLogGroups=[{"logGroups": [{"logGroupName": "/aws/lambda/accept-a1b2c3-dev-plan"}]}],
        FilterLogEvents=[{"events": [{"message": message}]}],
    )

    assert observations.longest_init_seconds(world) == seconds


def test_a_rolling_service_pauses_does_not_or_is_refused() -> None:
    assert observations.rolling_service_pauses(
        FakeWorld(**deployments("IN_PROGRESS", lifecycleStage="POST_SCALE_UP", **WAITS))
    )
    assert not observations.rolling_service_pauses(FakeWorld(**deployments("IN_PROGRESS", "SUCCESSFUL")))
    assert not observations.rolling_service_pauses(FakeWorld(CreateService=[error("InvalidParameterException")]))


def test_the_rollout_state_is_read_when_the_deployment_is_over() -> None:
    assert (
        observations.rollout_state_under_deferred(FakeWorld(**deployments("IN_PROGRESS", "SUCCESSFUL"))) == "COMPLETED"
    )


def test_the_stage_of_a_pause_is_what_it_shows() -> None:
    world = FakeWorld(**deployments("IN_PROGRESS", lifecycleStage="POST_TEST_TRAFFIC_SHIFT", **WAITS))

    assert observations.stage_of_pre_production_pause(world) == "POST_TEST_TRAFFIC_SHIFT"
    assert world.calls[-1] == "DeleteService"


def test_which_definition_a_service_shows_around_a_rollback() -> None:
    answers = deployments("SUCCESSFUL")
    paused = {"serviceDeployments": [{"serviceDeploymentArn": "arn:sd/2", "status": "IN_PROGRESS", **WAITS}]}
    over = {"serviceDeployments": [{"serviceDeploymentArn": "arn:sd/2", "status": "ROLLBACK_SUCCESSFUL"}]}
    answers["DescribeServiceDeployments"] += [paused, paused, over]
    old, new = ({"services": [{"taskDefinition": arn}]} for arn in (OLD, NEW))
    answers["DescribeServices"] = [old, old, new, old]
    world = FakeWorld(**answers)

    assert observations.definitions_around_blue_green_rollback(world) == ("new", "old")
    assert "StopServiceDeployment" in world.calls


@pytest.mark.parametrize(
    ("update", "fate"), [({}, "STOPPED"), (error("ClientException"), "refused: ClientException it is")]
)
def test_the_fate_of_a_paused_deployment_is_its_end_or_that_the_next_was_refused(update: Answer, fate: str) -> None:
    answers = deployments("SUCCESSFUL")
    paused = {"serviceDeployments": [{"serviceDeploymentArn": "arn:sd/2", "status": "IN_PROGRESS", **WAITS}]}
    over = {"serviceDeployments": [{"serviceDeploymentArn": "arn:sd/2", "status": "STOPPED"}]}
    answers["DescribeServiceDeployments"] += [paused, over]
    answers["UpdateService"] = [{}, update]

    assert observations.fate_of_paused_deployment(FakeWorld(**answers)) == fate


def test_the_time_until_a_deployment_is_listed_is_measured() -> None:
    answers = deployments("SUCCESSFUL")
    first = answers["ListServiceDeployments"][0]
    another = {"serviceDeployments": [{"serviceDeploymentArn": "arn:sd/2", "createdAt": NOW}]}
    answers["ListServiceDeployments"] = [first, first, first, another]

    assert observations.seconds_until_deployment_is_listed(FakeWorld(**answers)) < observations.LISTED_SECONDS


def test_a_check_says_what_it_has_seen_and_what_to_change() -> None:
    check = next(each for each in CHECKS if each.name == "archived-image-by-id")

    check.look(FakeWorld(DescribeImages=[{"imageDetails": []}]))
    with pytest.raises(OtherwiseError, match=r"seen: True; to change: lambdas/aws/ecr\.py"):
        check.look(FakeWorld(DescribeImages=[{"imageDetails": [{"imageDigest": "sha256:1"}]}]))


# The definition and the policies.


def test_there_is_a_case_for_every_way_out_of_every_state() -> None:
    every = list(cases(DEFINITION))
    drawn = {
        (name, target)
        for name, state in DEFINITION["States"].items()
        for target in [
            *(each["Next"] for each in (*state.get("Choices", ()), *state.get("Catch", ()))),
            *(state[key] for key in ("Next", "Default") if key in state),
        ]
    }

    assert {(each.state, each.expected["nextState"]) for each in every if "nextState" in each.expected} == drawn
    assert {each.state for each in every} == set(DEFINITION["States"])
    retried = {
        (name, error)
        for name, s in DEFINITION["States"].items()
        for r in s.get("Retry", ())
        for error in r["ErrorEquals"]
    }
    assert {(each.state, each.expected["error"]) for each in retries(DEFINITION)} == retried


def test_what_is_asked_is_what_botocore_sends() -> None:
    client = FakeWorld().client("stepfunctions")

    for case in (*cases(DEFINITION), *retries(DEFINITION)):
        client.test_state(**request(DEFINITION, case))


def test_an_answer_that_is_otherwise_says_where() -> None:
    case = Case("Healthy?", "no rule fits", {"status": "SUCCEEDED", "nextState": "Roll back"})

    assert wrong({"status": "SUCCEEDED", "nextState": "Roll back", "output": "{}"}, case) == ""
    assert "Healthy?, no rule fits: " in wrong({"status": "SUCCEEDED", "nextState": "Complete"}, case)


@pytest.mark.parametrize(
    ("kind", "good"), [("WARNING", True), ("SUGGESTION", True), ("ERROR", False), ("SECURITY_WARNING", False)]
)
def test_a_policy_with_errors_is_told_by_role_and_finding(kind: str, *, good: bool) -> None:
    role = {"LogicalResourceId": "R", "PhysicalResourceId": "accept-a1b2c3-dev-plan", "ResourceType": "AWS::IAM::Role"}
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    finding = {"findingType": kind, "issueCode": "PASS_ROLE", "findingDetails": "it is wrong"}
    world = FakeWorld(
        ListStackResources=[{"StackResourceSummaries": [role]}],
        GetRole=[{"Role": {"AssumeRolePolicyDocument": document}}],
        ListRolePolicies=[{"PolicyNames": ["grants"]}],
        GetRolePolicy=[{"PolicyDocument": document}],
        ValidatePolicy=[{"findings": [finding]}],
    )

    if good:
        policies_are_valid(world)
        return
    with pytest.raises(AssertionError):
        policies_are_valid(world)
