from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse

from lambdas.aws.ecs import ContainerService, _facts, lost_members
from lambdas.aws.gateway import client_of
from lambdas.release.errors import AwsError, Throttled
from lambdas.release.rollout import DeploymentSettings, ServiceDeployment
from simulator.ecs.backend import live_ecs
from simulator.ecs.ecr import push_image
from simulator.ecs.images import ImageBehavior
from simulator.engine.local_lambda import ACCOUNT, REGION
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

ECS = ContainerService()
SEEN_SECONDS = 15
"""After so long ECS shows a task that RunTask has started."""

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
BREAKER = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}


@dataclass(frozen=True)
class Key:
    """What names a service."""

    name: str
    service: str
    cluster: str = "c"


def register(aws: SimulatedAws, family: str = "f", **more: Any) -> str:
    answer = aws.client("ecs").register_task_definition(
        family=family,
        containerDefinitions=[{"name": "main", "image": "busybox", "essential": True}],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        **more,
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def create(aws: SimulatedAws, count: int, cluster: str = "c", **more: Any) -> list[Key]:
    client = aws.client("ecs")
    client.create_cluster(clusterName=cluster)
    arn = register(aws)
    keys = [Key(f"s{number:02}", f"service-{number:02}", cluster) for number in range(count)]
    for key in keys:
        client.create_service(
            cluster=cluster,
            serviceName=key.service,
            taskDefinition=arn,
            desiredCount=1,
            networkConfiguration=NETWORK,
            **{"launchType": "FARGATE", "deploymentConfiguration": BREAKER, **more},
        )
    return keys


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_services_are_described_ten_at_a_time(aws: SimulatedAws, inside: Inside, count: int, sizes: list[int]) -> None:
    keys = create(aws, count)
    facts = inside(lambda: ECS.services(keys))
    assert list(facts) == [key.name for key in keys]
    assert [len(call.params["services"]) for call in aws.calls] == sizes


def test_each_cluster_is_asked_for_its_own_services(aws: SimulatedAws, inside: Inside) -> None:
    keys = [*create(aws, 2, "c"), *[Key(f"d-{key.name}", key.service, "d") for key in create(aws, 2, "d")]]
    assert sorted(inside(lambda: ECS.services(keys))) == ["d-s00", "d-s01", "s00", "s01"]
    assert [call.params["cluster"] for call in aws.calls] == ["c", "d"]


def test_a_service_that_ecs_does_not_know_is_missing(aws: SimulatedAws) -> None:
    (key,) = create(aws, 1)
    assert list(ECS.services([key, Key("gone", "gone")])) == [key.name]


def test_the_facts_of_a_service_are_those_that_ecs_shows(aws: SimulatedAws) -> None:
    (key,) = create(aws, 1)
    facts = ECS.services([key])["s00"]
    assert (facts.name, facts.cluster, facts.status, facts.desired, facts.running) == (
        "service-00",
        "c",
        "ACTIVE",
        1,
        0,
    )
    assert facts.launch == {"launchType": "FARGATE"}
    assert facts.network["awsvpcConfiguration"]["subnets"] == ["subnet-1"]
    assert facts.primary is not None
    assert facts.primary.task_definition.endswith("f:1")
    assert not facts.is_settled
    aws.clock.sleep(60)
    facts = ECS.services([key])["s00"]
    assert facts.is_settled
    assert facts.running == 1
    assert facts.tasks_started_since(0) == 1


def test_capacity_providers_take_the_place_of_the_launch_type(aws: SimulatedAws) -> None:
    from lambdas.aws.ecs import _facts

    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    described = {
        "serviceName": "s",
        "status": "ACTIVE",
        "taskDefinition": "f:1",
        **dict.fromkeys(("desiredCount", "runningCount", "pendingCount"), 0),
        "launchType": "FARGATE",
        "capacityProviderStrategy": strategy,
    }
    assert _facts("c", described).launch == {"capacityProviderStrategy": strategy}


def test_a_task_definition_is_found_by_family_and_by_arn_with_its_tags(aws: SimulatedAws) -> None:
    arn = register(aws, tags=[{"key": "team", "value": "a"}])
    newest = register(aws)
    by_arn = ECS.task_definition(arn)
    assert by_arn is not None
    assert by_arn.tags == ({"key": "team", "value": "a"},)
    by_family = ECS.task_definition("f")
    assert by_family is not None
    assert by_family.arn == newest


def test_a_task_definition_that_is_not_there_is_none(aws: SimulatedAws) -> None:
    assert ECS.task_definition("nothing") is None
    assert ECS.task_definition("arn:aws:ecs:us-east-1:123456789012:task-definition/nothing:7") is None


def test_a_deregistered_revision_is_still_described(aws: SimulatedAws) -> None:
    arn = register(aws)
    aws.client("ecs").deregister_task_definition(taskDefinition=arn)
    found = ECS.task_definition(arn)
    assert found is not None
    assert not found.is_active


def test_the_accepted_fields_are_those_of_botocores_own_model() -> None:
    fields = ECS.accepted_fields()
    assert {"family", "containerDefinitions", "tags", "runtimePlatform", "enableFaultInjection"} <= fields
    assert not {"taskDefinitionArn", "revision", "status", "registeredAt"} & fields


def test_an_update_returns_the_id_of_the_new_deployment(aws: SimulatedAws) -> None:
    (key,) = create(aws, 1)
    before = ECS.services([key])["s00"].primary
    new = register(aws)
    deployment = ECS.update("c", key.service, new, force=False)
    after = ECS.services([key])["s00"].primary
    assert before is not None
    assert after is not None
    assert deployment == after.id != before.id
    assert ECS.update("c", key.service, new, force=False) == deployment
    assert ECS.update("c", key.service, new, force=True) != deployment


def test_an_update_of_a_deleted_service_is_an_aws_error(aws: SimulatedAws) -> None:
    create(aws, 1)
    with pytest.raises(AwsError, match="ServiceNotFoundException"):
        ECS.update("c", "gone", register(aws), force=False)


def run(arn: str, release: str = "r-1") -> tuple[str | None, str]:
    return ECS.run_task(
        "c",
        arn,
        started_by=f"stepship/{release}",
        client_token=release,
        launch={"launchType": "FARGATE"},
        network=NETWORK,
    )


def test_a_task_is_started_once_per_token_and_found_by_who_started_it(aws: SimulatedAws) -> None:
    create(aws, 0)
    arn = register(aws)
    assert ECS.find_task("c", "stepship/r-1") is None
    task, reason = run(arn)
    assert reason == ""
    assert run(arn) == (task, ""), "ECS may not show it yet"
    assert ECS.find_task("c", "stepship/r-1") is None
    aws.clock.sleep(SEEN_SECONDS)
    assert ECS.find_task("c", "stepship/r-1") == ECS.running_task("c", "stepship/r-1") == task
    assert ECS.find_task("c", "stepship/r-2") is None
    aws.clock.sleep(120)
    assert run(arn) == (task, ""), "also when it has stopped"
    assert ECS.running_task("c", "stepship/r-1") is None


@pytest.mark.parametrize("stopped", [[], ["arn:aws:ecs:us-east-1:123456789012:task/c/1"]])
def test_a_stopped_task_is_found_where_ecs_looks_for_it_by_who_started_it(
    aws: SimulatedAws, stopped: list[str]
) -> None:
    def answer(params: Any, **_: Any) -> Any:
        if "STOPPED" in str(params["body"]):
            return AWSResponse("", 200, {}, None), {"taskArns": stopped}
        return None

    create(aws, 0)
    events = client_of("ecs").meta.events
    events.register_first("before-call.ecs.ListTasks", answer)
    try:
        assert ECS.find_task("c", "stepship/r-1") == next(iter(stopped), None)
    finally:
        events.unregister("before-call.ecs.ListTasks", answer)


def test_a_task_that_is_gone_needs_no_stop(aws: SimulatedAws) -> None:
    create(aws, 0)
    ECS.stop_task("c", "arn:aws:ecs:us-east-1:123456789012:task/c/gone", "given up")


def test_a_task_has_a_status_and_an_end(aws: SimulatedAws) -> None:
    create(aws, 0)
    task, _ = run(register(aws))
    assert task
    assert ECS.task("c", task) is None, "ECS does not show it at once"
    aws.clock.sleep(SEEN_SECONDS)
    found = ECS.task("c", task)
    assert found is not None
    assert found[0] != "STOPPED"
    aws.clock.sleep(120)
    found = ECS.task("c", task)
    assert found is not None
    status, stopped = found
    assert status == "STOPPED"
    assert [(each.name, each.exit_code) for each in stopped.containers] == [("main", 0)]
    assert stopped.stopped_at > 0


def test_a_task_that_ecs_forgot_is_none(aws: SimulatedAws) -> None:
    create(aws, 0)
    task, _ = run(register(aws))
    aws.clock.sleep(2 * 3600)
    assert ECS.task("c", str(task)) is None


def test_stopping_a_task_twice_is_fine(aws: SimulatedAws) -> None:
    create(aws, 0)
    task, _ = run(register(aws))
    for _ in range(2):
        ECS.stop_task("c", str(task), "too long")
    aws.clock.sleep(60)
    found = ECS.task("c", str(task))
    assert found is not None
    assert found[1].stopped_reason == "too long"


def test_a_task_that_finds_no_place_says_why(aws: SimulatedAws) -> None:
    client = aws.client("ecr")
    client.create_repository(repositoryName="app")
    digest = push_image(client, "app", "v1", ImageBehavior("no_capacity"))
    create(aws, 0)
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/app@{digest}"
    arn = aws.client("ecs").register_task_definition(
        family="m", containerDefinitions=[{"name": "main", "image": image, "memory": 128}], networkMode="awsvpc"
    )["taskDefinition"]["taskDefinitionArn"]
    task, reason = run(arn)
    assert task is None
    assert "Capacity is unavailable" in reason


def test_stopped_tasks_are_those_of_one_task_definition_newest_first(aws: SimulatedAws) -> None:
    client = aws.client("ecr")
    client.create_repository(repositoryName="app")
    digest = push_image(client, "app", "v1", ImageBehavior("crash", exit_code=7))
    (key,) = create(aws, 1)
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/app@{digest}"
    arn = aws.client("ecs").register_task_definition(
        family="f", containerDefinitions=[{"name": "main", "image": image, "memory": 128}], networkMode="awsvpc"
    )["taskDefinition"]["taskDefinitionArn"]
    assert ECS.stopped_tasks("c", key.service, arn) == ()
    ECS.update("c", key.service, arn, force=False)
    aws.clock.sleep(300)
    stopped = ECS.stopped_tasks("c", key.service, arn)
    assert len(stopped) > 1
    assert [task.stopped_at for task in stopped] == sorted((task.stopped_at for task in stopped), reverse=True)
    assert {task.task_definition for task in stopped} == {arn}
    assert stopped[0].containers[0].exit_code == 7
    assert ECS.stopped_tasks("c", key.service, register(aws)) == ()


def test_stopped_tasks_are_read_to_the_last_page(aws: SimulatedAws, inside: Inside) -> None:
    """ListTasks gives a hundred a page, in no promised order: here the newest are on the last."""
    (key,) = create(aws, 1)
    arn = ECS.services([key])["s00"].task_definition
    client = aws.client("ecs")
    client.update_service(cluster="c", service=key.service, desiredCount=60)
    for count in (0, 60, 0, 60, 0):
        aws.clock.sleep(60)
        client.update_service(cluster="c", service=key.service, desiredCount=count)
    aws.clock.sleep(60)
    start = len(aws.calls)
    stopped = inside(lambda: ECS.stopped_tasks("c", key.service, arn))
    assert len(stopped) == 180
    assert stopped[0].stopped_at > stopped[-1].stopped_at + 200
    assert {task.stop_code for task in stopped} == {"ServiceSchedulerInitiated"}
    assert [call.operation for call in aws.calls[start:]] == ["ListTasks"] * 2 + ["DescribeTasks"] * 2


def test_ecs_says_how_it_counts_a_deployment_of_its_own(aws: SimulatedAws) -> None:
    client = aws.client("ecr")
    client.create_repository(repositoryName="app")
    digest = push_image(client, "app", "v1", ImageBehavior("cannot_pull"))
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    (key,) = create(aws, 1, deploymentConfiguration=breaker)
    aws.clock.sleep(60)
    first = ECS.services([key])["s00"].primary
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/app@{digest}"
    arn = aws.client("ecs").register_task_definition(
        family="f", networkMode="awsvpc", containerDefinitions=[{"name": "main", "image": image, "memory": 128}]
    )["taskDefinition"]["taskDefinitionArn"]
    ours = ECS.update("c", key.service, arn, force=False)
    assert first is not None
    assert ours is not None
    assert ECS.service_deployment("c", key.service, ours) is None  # the list still begins with the one before
    aws.clock.sleep(5)
    assert ECS.service_deployment("c", key.service, ours) == ServiceDeployment("IN_PROGRESS", "", 0, 3)
    assert ECS.service_deployment("c", key.service, first.id) == ServiceDeployment("SUCCESSFUL", "", 0, 3)
    aws.clock.sleep(300)
    found = ECS.service_deployment("c", key.service, ours)
    assert found is not None
    assert (found.status, found.failed_tasks, found.threshold) == ("ROLLBACK_SUCCESSFUL", 3, 3)
    assert found.was_rolled_back
    assert ECS.service_deployment("c", key.service, "ecs-svc/0") is None


def test_a_service_without_a_circuit_breaker_has_no_threshold(aws: SimulatedAws) -> None:
    (key,) = create(aws, 1)
    aws.clock.sleep(60)
    primary = ECS.services([key])["s00"].primary
    assert primary is not None
    found = ECS.service_deployment("c", key.service, primary.id)
    assert found is not None
    assert (found.status, found.message) == ("SUCCESSFUL", "")


# --- what an answer has and the SDK has not

MODEL = botocore.session.get_session().get_service_model("ecs")
ANSWERED = MODEL.operation_model("DescribeTaskDefinition").output_shape
ACCEPTED = MODEL.operation_model("RegisterTaskDefinition").input_shape

LOST: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({"taskDefinition": {"family": "f", "revision": 3, "containerDefinitions": [{"name": "a"}]}}, []),
    "what AWS adds itself": ({"taskDefinition": {"registeredBy": "x", "status": "ACTIVE", "compatibilities": []}}, []),
    "a member": ({"taskDefinition": {"newThing": {"a": 1}}}, ["newThing"]),
    "a member that is no": ({"taskDefinition": {"newThing": False}}, ["newThing"]),
    "a member that is not there": ({"taskDefinition": {"newThing": None}}, []),
    "a member of a container": (
        {"taskDefinition": {"containerDefinitions": [{"name": "a"}, {"name": "b", "newThing": "x"}]}},
        ["containerDefinitions[1].newThing"],
    ),
    "deep inside": (
        {
            "taskDefinition": {
                "volumes": [{"efsVolumeConfiguration": {"fileSystemId": "fs", "authorizationConfig": {"newThing": 1}}}]
            }
        },
        ["volumes[0].efsVolumeConfiguration.authorizationConfig.newThing"],
    ),
    "keys of a map are free": (
        {"taskDefinition": {"containerDefinitions": [{"dockerLabels": {"newThing": "x"}, "logConfiguration": {
            "options": {"newThing": "x"}, "newThing": []}}]}},
        ["containerDefinitions[0].logConfiguration.newThing"],
    ),
    "an object where there was a word": ({"taskDefinition": {"cpu": {"units": 1}}}, ["cpu"]),
    "a list where there was an object": ({"taskDefinition": {"runtimePlatform": [1]}}, ["runtimePlatform"]),
    "of a tag": ({"taskDefinition": {}, "tags": [{"key": "a", "newThing": "b"}]}, ["tags[0].newThing"]),
    "beside the definition, as tags once came": ({"taskDefinition": {}, "newThings": []}, ["newThings"]),
    "of several": (
        {"taskDefinition": {"a": 1, "containerDefinitions": [{"b": 1}, {"c": 1}]}},
        ["a", "containerDefinitions[0].b", "containerDefinitions[1].c"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "lost"), LOST.values(), ids=LOST)
def test_what_a_copy_would_not_have_is_named(answer: dict[str, Any], lost: list[str]) -> None:
    assert lost_members(json.dumps(answer).encode(), ANSWERED, ACCEPTED) == lost


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"null"])
def test_an_answer_that_is_none_loses_nothing(body: bytes) -> None:
    assert lost_members(body, ANSWERED, ACCEPTED) == []


def test_a_member_that_can_be_read_and_not_written_is_lost_too() -> None:
    class Shape:
        type_name = "structure"

        def __init__(self, **members: Any) -> None:
            self.members = members

    tags = ACCEPTED.members["tags"]
    answered = Shape(taskDefinition=Shape(a=Shape(), b=Shape()), tags=tags)
    body = json.dumps({"taskDefinition": {"a": {}, "b": {}}}).encode()
    assert lost_members(body, answered, Shape(a=Shape(), tags=tags)) == ["b"]


def test_a_described_definition_says_what_it_lost(aws: SimulatedAws, inside: Inside) -> None:
    arn = register(aws)
    described = inside(lambda: ECS.task_definition(arn))
    assert described.lost == ()
    live_ecs(ACCOUNT, REGION).task_definitions.carry_newer_field(arn, "containerDefinitions.newThing", {"on": True})
    for _ in range(2):
        described = inside(lambda: ECS.task_definition(arn))
        assert described.lost == ("containerDefinitions[0].newThing",)
        assert "newThing" not in described.containers[0]


# --- how a service is deployed


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, DeploymentSettings("ECS", "ROLLING", False, 100, 200)),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 75, "maximumPercent": 125, "strategy": "CANARY"}},
            DeploymentSettings("ECS", "CANARY", False, 75, 125),
        ),
        (
            {"deploymentController": {"type": "CODE_DEPLOY"}},
            DeploymentSettings("CODE_DEPLOY", "ROLLING", False, 100, 200),
        ),
    ],
    ids=["the defaults", "its own", "CodeDeploy"],
)
def test_a_service_says_how_it_is_deployed(
    aws: SimulatedAws, inside: Inside, more: dict[str, Any], expected: DeploymentSettings
) -> None:
    keys = create(aws, 1, **more)
    assert inside(lambda: ECS.services(keys))["s00"].settings == expected


def test_what_an_older_service_or_another_controller_does_not_say_is_no_error() -> None:
    described = {
        "serviceName": "s",
        "status": "ACTIVE",
        "desiredCount": 1,
        "runningCount": 1,
        "pendingCount": 0,
        "deploymentController": {"type": "EXTERNAL"},
    }
    facts = _facts("c", described)
    assert (facts.task_definition, facts.primary) == ("", None)
    assert facts.settings == DeploymentSettings("EXTERNAL")
    old = _facts("c", {**described, "deploymentController": None, "taskDefinition": "t"})
    assert (old.settings, old.settings.minimum, old.settings.maximum) == (DeploymentSettings(), 100, 200)
    daemon = _facts("c", {**described, "schedulingStrategy": "DAEMON", "deploymentConfiguration": {}}).settings
    assert (daemon.minimum, daemon.maximum) == (0, 100)


# --- what ECS refuses


@pytest.mark.parametrize("delete", [False, True], ids=["deregistered", "deleted"])
def test_a_revision_that_is_not_active_is_not_taken(aws: SimulatedAws, inside: Inside, *, delete: bool) -> None:
    (key,) = create(aws, 1)
    arn = register(aws)
    assert inside(lambda: ECS.offer("c", key.service, arn, force=False)).is_taken
    aws.client("ecs").deregister_task_definition(taskDefinition=arn)
    if delete:
        aws.client("ecs").delete_task_definitions(taskDefinitions=[arn])
    assert not inside(lambda: ECS.offer("c", key.service, arn, force=False)).is_taken
    with pytest.raises(AwsError, match=r"TaskDefinition is inactive \(f:2\)"):
        inside(lambda: ECS.update("c", key.service, arn, force=True))


def test_another_refusal_is_an_error(aws: SimulatedAws, inside: Inside) -> None:
    create(aws, 1)
    with pytest.raises(AwsError, match="ServiceNotFoundException"):
        inside(lambda: ECS.offer("c", "nobody", register(aws), force=False))
    aws.faults.add(
        CallFault(CallAction.ERROR, operation="UpdateService", code="ClientException", message="x", http_status=400)
    )
    with pytest.raises(AwsError, match="ClientException: x"):
        inside(lambda: ECS.offer("c", "service-00", register(aws), force=False))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Too many concurrent attempts to create a new revision of the specified family.", Throttled),
        ("Container list cannot be empty.", AwsError),
    ],
)
def test_a_race_for_a_revision_is_throttling(
    aws: SimulatedAws, inside: Inside, message: str, error: type[Exception]
) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, code="ClientException", message=message, http_status=400, times=9))
    with pytest.raises(error, match=message):
        inside(lambda: ECS.register({"family": "f", "containerDefinitions": []}))
