"""boto3 calls against the simulated ECS."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.ecs.backend import live_ecs
from simulator.ecs.images import ImageBehavior
from tests.simulator.ecs.ecs_fixtures import ACCOUNT, NETWORK, START, Account, account, simulated_account

__all__ = ["account"]  # a fixture is found by its name in the module

CRASH = ImageBehavior(outcome="crash", exit_code=3, logs=("Traceback", "KeyError: 'DB'"))


def rollout_states(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Status, revision and rollout state of each deployment."""
    return [(each["status"], each["taskDefinition"][-1], each["rolloutState"]) for each in service["deployments"]]


def error_of(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_deploy_becomes_steady_in_virtual_time(account: Account) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(60)
    account.ecs.update_service(cluster="c", service="api", taskDefinition=account.register(account.push("v2")))
    assert rollout_states(account.service()) == [("PRIMARY", "2", "IN_PROGRESS"), ("ACTIVE", "1", "COMPLETED")]
    account.wait(60)
    service = account.service()
    assert rollout_states(service) == [("PRIMARY", "2", "COMPLETED")]
    assert (service["runningCount"], service["pendingCount"], service["desiredCount"]) == (2, 0, 2)
    assert service["events"][0]["message"] == "(service api) has reached a steady state."
    assert service["events"][0]["createdAt"].timestamp() == START + 60 + 32  # SIGTERM takes the old tasks 2 s


def test_a_crashing_image_is_rolled_back_and_explained(account: Account) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(60)
    account.ecs.update_service(cluster="c", service="api", taskDefinition=account.register(account.push("v2", CRASH)))
    account.wait(60)
    service = account.service()
    assert rollout_states(service) == [
        ("PRIMARY", "1", "IN_PROGRESS"),
        ("ACTIVE", "2", "FAILED"),
        ("ACTIVE", "1", "COMPLETED"),
    ]
    assert service["taskDefinition"].endswith("api:1")
    task = account.tasks(serviceName="api", desiredStatus="STOPPED")[0]
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["startedBy"] == service["deployments"][1]["id"]
    assert task["containers"][0]["exitCode"] == 3
    assert account.log_lines(task) == [(84.998, "Traceback"), (84.999, "KeyError: 'DB'")]
    account.wait(60)
    assert rollout_states(account.service()) == [("PRIMARY", "1", "COMPLETED")]


@pytest.mark.parametrize(
    ("behavior", "stop_code", "stopped_reason", "exit_code", "container_reason"),
    [
        (
            ImageBehavior(outcome="out_of_memory"),
            "EssentialContainerExited",
            "Essential container in task exited",
            137,
            "OutOfMemoryError: Container killed due to memory usage",
        ),
        (ImageBehavior(outcome="cannot_pull"), "TaskFailedToStart", "CannotPullContainerError: ", None, None),
        (ImageBehavior(outcome="secret_missing"), "TaskFailedToStart", "ResourceInitializationError: ", None, None),
        (
            ImageBehavior(outcome="unhealthy"),
            "ServiceSchedulerInitiated",
            "Task failed ELB health checks in (target-group arn:tg)",
            143,
            None,
        ),
    ],
    ids=lambda value: getattr(value, "outcome", ""),
)
def test_stopped_tasks_speak_as_on_aws(
    account: Account,
    behavior: ImageBehavior,
    stop_code: str,
    stopped_reason: str,
    exit_code: int | None,
    container_reason: str | None,
) -> None:
    balancer = {"targetGroupArn": "arn:tg", "containerName": "app-api", "containerPort": 8080}
    account.create_service(account.register(account.push("v1", behavior)), loadBalancers=[balancer])
    account.wait(90)
    task = account.tasks(serviceName="api", desiredStatus="STOPPED")[0]
    container = task["containers"][0]
    assert task["stopCode"] == stop_code
    assert task["stoppedReason"].startswith(stopped_reason)
    assert (container.get("exitCode"), container.get("reason")) == (exit_code, container_reason)


def test_capacity_that_is_missing_is_an_event(account: Account) -> None:
    account.create_service(account.register(account.push("v1", ImageBehavior(outcome="no_capacity"))))
    account.wait(5)
    service = account.service()
    assert "was unable to place a task. Reason: Capacity is unavailable at this time" in service["events"][0]["message"]
    assert (service["runningCount"], service["pendingCount"]) == (0, 0)


def test_one_image_behaves_differently_in_each_container(account: Account) -> None:
    image = account.push("v1", per_container={"app-worker": CRASH})
    account.create_service(account.register(image, family="api"), name="api")
    account.create_service(account.register(image, family="worker"), name="worker")
    account.wait(60)
    assert account.service("api")["deployments"][0]["rolloutState"] == "COMPLETED"
    assert account.service("worker")["deployments"][0]["failedTasks"] > 0


def test_an_image_that_nobody_pushed_cannot_be_pulled(account: Account) -> None:
    missing = account.push("v1").rpartition("@")[0] + "@sha256:" + "0" * 64
    account.create_service(account.register(missing))
    account.wait(25)
    assert account.tasks(desiredStatus="STOPPED")[0]["stoppedReason"].startswith("CannotPullContainerError")


def test_a_tag_is_resolved_when_the_task_starts(account: Account) -> None:
    digest = account.push("latest", content="one").rpartition("@")[2]
    repository = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/app"
    account.create_service(account.register(f"{repository}:latest"))
    account.wait(60)
    assert {each["containers"][0]["imageDigest"] for each in account.tasks()} == {digest}


def test_an_image_for_another_machine_does_not_run(account: Account) -> None:
    platform: dict[str, Any] = {"runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}}
    single = account.register(account.push("v1"), family="api", **platform)
    index = account.register(account.push("v2", index=True), family="worker", **platform)
    account.create_service(single, name="api")
    account.create_service(index, name="worker")
    account.wait(22)
    api = account.tasks(serviceName="api", desiredStatus="STOPPED")[0]
    worker = account.tasks(serviceName="worker", desiredStatus="STOPPED")[0]
    assert account.log_lines(api)[0][1].endswith("exec format error")
    assert "does not contain descriptor matching platform 'linux/amd64'" in worker["stoppedReason"]


def test_a_missing_log_group_stops_the_start(account: Account) -> None:
    account.create_service(account.register(account.push("v1"), log_group="/nobody-made-this"))
    account.wait(25)
    task = account.tasks(desiredStatus="STOPPED")[0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")


def test_a_sidecar_neither_decides_nor_logs(account: Account) -> None:
    main = {"name": "app", "image": account.push("v1", CRASH), "essential": True}
    sidecar = {"name": "envoy", "image": "public.ecr.aws/envoy:1", "essential": True}
    arn = account.register("", containerDefinitions=[sidecar, main])
    account.create_service(arn)
    account.wait(26)
    task = account.tasks(desiredStatus="STOPPED")[0]
    assert {each["name"]: each["exitCode"] for each in task["containers"]} == {"envoy": 143, "app": 3}


def test_a_one_off_task_runs_and_ends(account: Account) -> None:
    behavior = ImageBehavior(run_seconds=30, logs=("migrated 3 tables",))
    task = account.run(account.register(account.push("v1", behavior)), startedBy="release-1")
    assert (task["lastStatus"], task["desiredStatus"]) == ("PROVISIONING", "RUNNING")
    account.wait(25)
    running = account.task(task["taskArn"])
    assert (running["lastStatus"], running["startedAt"].timestamp()) == ("RUNNING", START + 20)
    assert [each["taskArn"] for each in account.tasks(startedBy="release-1")] == [task["taskArn"]]
    account.wait(30)
    ended = account.task(task["taskArn"])
    assert (ended["lastStatus"], ended["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert ended["containers"][0]["exitCode"] == 0
    assert account.log_lines(ended) == [(49.999, "migrated 3 tables")]
    assert account.tasks(startedBy="release-1") == []


def test_a_one_off_task_that_hangs_is_stopped_with_137(account: Account) -> None:
    task = account.run(account.register(account.push("v1", ImageBehavior(hang=True))))
    account.wait(3000)
    assert account.task(task["taskArn"])["lastStatus"] == "RUNNING"
    account.ecs.stop_task(cluster="c", task=task["taskArn"], reason="too long")
    account.wait(5)
    stopped = account.task(task["taskArn"])
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "too long")
    assert stopped["containers"][0]["exitCode"] == 137


def test_a_client_token_starts_one_task(account: Account) -> None:
    arn = account.register(account.push("v1"))
    first = account.run(arn, clientToken="release-1", startedBy="release-1")
    second = account.run(arn, clientToken="release-1", startedBy="release-1")
    assert first["taskArn"] == second["taskArn"]
    code, _ = error_of(
        account.ecs.run_task,
        cluster="c",
        taskDefinition=arn,
        networkConfiguration=NETWORK,
        clientToken="release-1",
        startedBy="somebody else",
    )
    assert code == "ConflictException"


def test_stopped_tasks_are_forgotten_after_an_hour(account: Account) -> None:
    task = account.run(account.register(account.push("v1", ImageBehavior(run_seconds=1))))
    account.wait(21 + 3600)
    assert account.task(task["taskArn"])["lastStatus"] == "STOPPED"
    account.wait(1)
    answer = account.ecs.describe_tasks(cluster="c", tasks=[task["taskArn"]])
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": task["taskArn"], "reason": "MISSING"}])


FULL: dict[str, Any] = {
    "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    "ephemeralStorage": {"sizeInGiB": 50},
    "pidMode": "task",
    "ipcMode": "task",
    "proxyConfiguration": {"type": "APPMESH", "containerName": "app-api", "properties": []},
    "inferenceAccelerators": [{"deviceName": "d", "deviceType": "eia1.medium"}],
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:x == y"}],
    "enableFaultInjection": True,
    "taskRoleArn": "arn:aws:iam::123456789012:role/task",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
}


def test_a_task_definition_keeps_every_field(account: Account) -> None:
    tags = [{"key": "team", "value": "v3"}]
    arn = account.register(account.push("v1"), tags=tags, **FULL)
    answer = account.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    assert {key: answer["taskDefinition"][key] for key in FULL} == FULL
    assert answer["tags"] == tags
    assert "tags" not in account.ecs.describe_task_definition(taskDefinition=arn)


def test_revisions_only_grow(account: Account) -> None:
    image = account.push("v1")
    first, second = account.register(image), account.register(image)
    for arn in (first, second):
        account.ecs.deregister_task_definition(taskDefinition=arn)
    account.ecs.delete_task_definitions(taskDefinitions=[second])
    third = account.register(image)
    assert [each.rpartition(":")[2] for each in (first, second, third)] == ["1", "2", "3"]
    assert account.ecs.describe_task_definition(taskDefinition=first)["taskDefinition"]["status"] == "INACTIVE"
    assert account.ecs.describe_task_definition(taskDefinition="api")["taskDefinition"]["taskDefinitionArn"] == third
    assert account.ecs.list_task_definitions(familyPrefix="api")["taskDefinitionArns"] == [third]


def test_an_inactive_task_definition_is_refused(account: Account) -> None:
    old, new = account.register(account.push("v1")), account.register(account.push("v2"))
    account.create_service(new)
    account.ecs.deregister_task_definition(taskDefinition=old)
    refused = "TaskDefinition is inactive"
    update = account.ecs.update_service
    assert error_of(update, cluster="c", service="api", taskDefinition=old) == ("ClientException", refused)
    run = account.ecs.run_task
    assert error_of(run, cluster="c", taskDefinition=old) == ("InvalidParameterException", refused)


def test_what_a_service_runs_goes_on_and_may_scale_after_it_was_deregistered(account: Account) -> None:
    arn = account.register(account.push("v1"))
    account.create_service(arn)
    account.wait(60)
    account.ecs.deregister_task_definition(taskDefinition=arn)
    account.ecs.update_service(cluster="c", service="api", desiredCount=4)
    account.wait(60)
    assert account.service()["runningCount"] == 4
    force = {"cluster": "c", "service": "api", "taskDefinition": arn, "forceNewDeployment": True}
    assert error_of(account.ecs.update_service, **force)[0] == "ClientException"


def test_what_is_deleted_stays_until_nothing_uses_it(account: Account) -> None:
    arn, other = account.register(account.push("v1")), account.register(account.push("v2"))
    account.create_service(arn, deploymentConfiguration={})
    account.wait(60)
    refused = account.ecs.delete_task_definitions(taskDefinitions=[arn])
    assert (refused["taskDefinitions"], refused["failures"][0]["arn"]) == ([], arn)
    account.ecs.deregister_task_definition(taskDefinition=arn)
    account.ecs.delete_task_definitions(taskDefinitions=[arn])
    assert account.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["status"] == "DELETE_IN_PROGRESS"
    account.wait(600)
    assert account.service()["runningCount"] == 2
    account.ecs.update_service(cluster="c", service="api", taskDefinition=other)
    account.wait(600)
    account.service()
    assert error_of(account.ecs.describe_task_definition, taskDefinition=arn)[0] == "ClientException"


@pytest.mark.parametrize("tag", [("aws:stack", "x"), ("AWS:stack", "x"), ("stack", "aws:x")])
def test_tags_of_aws_are_refused(account: Account, tag: tuple[str, str]) -> None:
    tags = [{"key": tag[0], "value": tag[1]}]
    said = error_of(account.register, image=account.push("v1"), tags=tags)
    assert said == ("InvalidParameterException", "Tag keys and values must not begin with aws:")


def test_the_sdk_drops_a_member_that_it_does_not_know(account: Account) -> None:
    arn = account.register(account.push("v1"))
    account.live.task_definitions.carry_newer_field(arn, "newThing", 1)
    account.live.task_definitions.carry_newer_field(arn, "containerDefinitions.newThing", 1)
    raw = account.live.task_definitions.describe(arn)
    assert (raw["newThing"], raw["containerDefinitions"][0]["newThing"]) == (1, 1)
    parsed = account.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert "newThing" not in parsed
    assert "newThing" not in parsed["containerDefinitions"][0]


@pytest.mark.parametrize("percentages", [(100, 100), (75, 125)])
def test_percentages_without_room_are_a_deployment_that_never_moves(
    account: Account, percentages: tuple[int, int]
) -> None:
    account.create_service(
        account.register(account.push("v1")),
        desired=1,
        deploymentConfiguration={"minimumHealthyPercent": percentages[0], "maximumPercent": percentages[1]},
    )
    account.wait(60)
    account.ecs.update_service(cluster="c", service="api", taskDefinition=account.register(account.push("v2")))
    account.wait(7200)
    service = account.service()
    assert rollout_states(service) == [("PRIMARY", "2", "IN_PROGRESS"), ("ACTIVE", "1", "COMPLETED")]
    assert service["events"][0]["message"] == (
        "(service api) was unable to stop or start tasks during a deployment because of the service deployment "
        "configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )
    account.ecs.update_service(
        cluster="c", service="api", deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100}
    )
    account.wait(120)
    assert rollout_states(account.service()) == [("PRIMARY", "2", "COMPLETED")]


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_another_controller_keeps_its_service_to_itself(account: Account, controller: str) -> None:
    arn = account.register(account.push("v1"))
    account.create_service(arn, deploymentController={"type": controller})
    account.wait(60)
    service = account.service()
    assert (service["deployments"], service["taskSets"][0]["taskDefinition"]) == ([], arn)
    assert ("taskDefinition" in service) is (controller == "CODE_DEPLOY")
    update = {"cluster": "c", "service": "api"}
    for change in ({"taskDefinition": arn}, {"forceNewDeployment": True}):
        code, message = error_of(account.ecs.update_service, **update, **change)
        assert (code, controller in message) == ("InvalidParameterException", True)
    account.ecs.update_service(**update, desiredCount=3)


def test_the_limits_of_the_api_hold(account: Account) -> None:
    names = [f"s{number}" for number in range(11)]
    assert error_of(account.ecs.describe_services, cluster="c", services=names) == (
        "InvalidParameterException",
        "service names can have at most 10 items.",
    )
    answer = account.ecs.describe_services(cluster="c", services=["nobody"])
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]
    assert error_of(account.ecs.update_service, cluster="c", service="nobody")[0] == "ServiceNotFoundException"
    assert error_of(account.ecs.describe_services, cluster="no", services=["s"])[0] == "ClusterNotFoundException"


def test_lists_have_pages(account: Account) -> None:
    arn = account.register(account.push("v1"))
    for number in range(12):
        account.create_service(arn, name=f"s{number:02d}", desired=0)
    pages = account.ecs.get_paginator("list_services").paginate(cluster="c")
    assert [len(page["serviceArns"]) for page in pages] == [10, 2]


def test_services_and_tasks_carry_tags(account: Account) -> None:
    account.create_service(account.register(account.push("v1")), tags=[{"key": "a", "value": "1"}])
    arn = account.service()["serviceArn"]
    account.ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    answer = account.ecs.describe_services(cluster="c", services=["api"], include=["TAGS"])["services"][0]
    assert {each["key"]: each["value"] for each in answer["tags"]} == {"a": "1", "b": "2"}
    assert "tags" not in account.service()


def test_a_changed_network_starts_a_deployment_and_a_changed_count_does_not(account: Account) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(60)
    account.ecs.update_service(cluster="c", service="api", desiredCount=3)
    assert len(account.service()["deployments"]) == 1
    network = {"awsvpcConfiguration": {"subnets": ["subnet-2"]}}
    account.ecs.update_service(cluster="c", service="api", networkConfiguration=network)
    assert len(account.service()["deployments"]) == 2


def test_a_deleted_service_drains(account: Account) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(60)
    account.ecs.delete_service(cluster="c", service="api", force=True)
    assert account.service()["status"] == "DRAINING"
    account.wait(10)
    assert account.service()["status"] == "INACTIVE"
    code, _ = error_of(account.ecs.update_service, cluster="c", service="api", desiredCount=1)
    assert code == "ServiceNotActiveException"


def test_a_snapshot_sees_what_the_api_says(account: Account) -> None:
    image = account.push("v1")
    arn = account.register(image)
    account.create_service(arn)
    account.wait(60)
    snapshot = account.live.snapshot("c")["api"]
    assert (snapshot.task_definition, snapshot.images) == (arn, {"app-api": image})
    assert (snapshot.running, snapshot.desired, snapshot.rollout_state) == (2, 2, "COMPLETED")
    assert account.ecs.describe_clusters(clusters=["c"])["clusters"][0]["runningTasksCount"] == 2


def test_two_runs_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")

    def story() -> tuple[Any, ...]:
        with simulated_account() as account:
            account.create_service(account.register(account.push("v1")))
            account.wait(60)
            bad = account.register(account.push("v2", CRASH))
            account.ecs.update_service(cluster="c", service="api", taskDefinition=bad)
            account.wait(200)
            task = account.run(bad)
            return account.service(), account.tasks(desiredStatus="STOPPED"), task["taskArn"]

    assert story() == story()


def test_outside_of_installed_moto_is_itself_again() -> None:
    with pytest.raises(TypeError, match="not installed"):
        live_ecs(ACCOUNT, "eu-central-1")


@pytest.mark.parametrize(
    ("kind", "stop_code", "reason"),
    [
        ("spot", "SpotInterruption", "Your Spot Task was interrupted."),
        ("host", "TerminationNotice", "Host EC2 (instance i-"),
        ("maintenance", "InfrastructureHealth", "Amazon ECS is performing maintenance on the underlying"),
        ("user", "UserInitiated", "Task stopped by user"),
    ],
)
def test_an_interrupted_task_says_what_took_it_and_is_replaced(
    account: Account, kind: str, stop_code: str, reason: str
) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(60)
    account.live.interrupt("c", "api", kind, 1)
    assert account.service()["runningCount"] == 1
    account.wait(60)
    (task,) = account.tasks(serviceName="api", desiredStatus="STOPPED")
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == (stop_code, 143)
    assert task["stoppedReason"].startswith(reason)
    deployment = account.service()["deployments"][0]
    assert (deployment["runningCount"], deployment["failedTasks"]) == (2, 0)


def test_a_task_that_is_interrupted_before_it_runs_counts_as_failed(account: Account) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(5)
    account.live.interrupt("c", "api", "spot", 1)
    assert account.service()["deployments"][0]["failedTasks"] == 1


def test_stopped_tasks_come_a_hundred_a_page(account: Account) -> None:
    account.create_service(account.register(account.push("v1")), desired=70)
    for count in (0, 70, 0):
        account.wait(60)
        account.ecs.update_service(cluster="c", service="api", desiredCount=count)
    account.wait(60)
    first = account.ecs.list_tasks(cluster="c", serviceName="api", desiredStatus="STOPPED")
    second = account.ecs.list_tasks(
        cluster="c", serviceName="api", desiredStatus="STOPPED", nextToken=first["nextToken"]
    )
    assert (len(first["taskArns"]), len(second["taskArns"])) == (100, 40)
    assert "nextToken" not in second


def service_deployments(account: Account) -> list[dict[str, Any]]:
    """What ListServiceDeployments lists, described."""
    listed = account.ecs.list_service_deployments(cluster="c", service="api")["serviceDeployments"]
    arns = [each["serviceDeploymentArn"] for each in listed]
    found: list[dict[str, Any]] = account.ecs.describe_service_deployments(serviceDeploymentArns=arns)[
        "serviceDeployments"
    ]
    assert [each["status"] for each in found] == [each["status"] for each in listed]
    return found


def test_a_service_deployment_counts_failures_and_is_known_a_little_later(account: Account) -> None:
    account.create_service(account.register(account.push("v1")))
    account.wait(60)
    (first,) = service_deployments(account)
    number = account.service()["deployments"][0]["id"].rpartition("/")[2]
    assert first["targetServiceRevision"]["arn"].endswith(f":service-revision/c/api/{number}")
    assert (first["status"], first["targetServiceRevision"]["runningTaskCount"]) == ("SUCCESSFUL", 2)
    assert first["deploymentCircuitBreaker"] == {"status": "MONITORING_COMPLETE", "failureCount": 0, "threshold": 3}
    account.ecs.update_service(cluster="c", service="api", taskDefinition=account.register(account.push("v2", CRASH)))
    assert len(service_deployments(account)) == 1
    account.wait(5)
    second, _ = service_deployments(account)
    assert (second["status"], second["deploymentCircuitBreaker"]["status"]) == ("IN_PROGRESS", "MONITORING")
    assert second["sourceServiceRevisions"][0]["arn"].endswith(f"/{number}")
    account.wait(300)
    second, _ = service_deployments(account)
    assert second["status"] == "ROLLBACK_SUCCESSFUL"
    assert second["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}
    assert second["rollback"]["serviceRevisionArn"].endswith(
        account.service()["deployments"][0]["id"].rpartition("/")[2]
    )


def test_a_deployment_that_is_replaced_is_stopped(account: Account) -> None:
    account.create_service(account.register(account.push("v1")), deploymentConfiguration={})
    account.wait(60)
    account.ecs.update_service(cluster="c", service="api", taskDefinition=account.register(account.push("v2")))
    account.wait(5)
    account.ecs.update_service(cluster="c", service="api", taskDefinition=account.register(account.push("v3")))
    account.wait(5)
    assert [each["status"] for each in service_deployments(account)] == ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]
    assert service_deployments(account)[0]["deploymentCircuitBreaker"]["status"] == "DISABLED"


def test_a_service_deployment_that_nobody_knows_is_missing(account: Account) -> None:
    answer = account.ecs.describe_service_deployments(
        serviceDeploymentArns=["arn:aws:ecs:x:1:service-deployment/c/s/1"]
    )
    assert (answer["serviceDeployments"], answer["failures"][0]["reason"]) == ([], "MISSING")
    with pytest.raises(account.ecs.exceptions.InvalidParameterException):
        account.ecs.describe_service_deployments(serviceDeploymentArns=["a"] * 21)
