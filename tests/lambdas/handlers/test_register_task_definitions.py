from __future__ import annotations

import json
from typing import Any

from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json, footprint, writes
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, change_definition, deployed, run_placeholder

HERE = "Register task definitions"
SIDECAR = {
    "name": "proxy",
    "image": "public.ecr.aws/proxy:1",
    "essential": False,
    "environment": [{"name": "PORT", "value": "8080"}],
}


def at_register(simulated: SimulatedEnvironment, request: Json | None = None, tag: str = "v1") -> Flow:
    simulated.push(tag)
    return Flow(simulated, request or {"imageTag": tag}, f"register-{tag}").run_to(HERE)


def described(simulated: SimulatedEnvironment, arn: str) -> Any:
    answer = simulated.aws.client("ecs").describe_task_definition(taskDefinition=arn, include=["TAGS"])
    return answer["taskDefinition"], answer["tags"]


def test_each_service_gets_a_revision_with_the_new_image(simulated: SimulatedEnvironment) -> None:
    flow = at_register(simulated)
    result = flow.call()
    arns = result["taskDefinitions"]
    assert sorted(arns) == ["api", "scheduler", "worker"]
    assert result["registered"] == 4, "the migration's too"
    image = flow.state["plan"]["services"]["api"]["image"]
    for arn in (*arns.values(), result["migration"]):
        assert arn.endswith(":2")
        definition, _ = described(simulated, arn)
        assert definition["containerDefinitions"][0]["image"] == image


def test_what_runs_before_the_first_deploy_is_no_model_for_the_application(simulated: SimulatedEnvironment) -> None:
    run_placeholder(simulated, "api")
    flow = at_register(simulated)
    new, _ = described(simulated, flow.call()["taskDefinitions"]["api"])
    assert new["family"] == "v3-backend-dev-api"
    assert "command" not in new["containerDefinitions"][0]
    assert new["containerDefinitions"][0]["secrets"], "the registered family's own"
    assert new["containerDefinitions"][0]["image"] == flow.state["plan"]["services"]["api"]["image"]


def test_everything_but_the_image_is_kept_sidecars_and_tags_too(simulated: SimulatedEnvironment) -> None:
    def add(new: Json) -> None:
        new["containerDefinitions"].append(SIDECAR)
        new["volumes"] = [{"name": "scratch"}]
        new["ephemeralStorage"] = {"sizeInGiB": 50}
        new["enableFaultInjection"] = True
        new["tags"] = [{"key": "team", "value": "platform"}, {"key": "app", "value": "v3-backend"}]

    change_definition(simulated, "api", add)
    flow = at_register(simulated)
    old, old_tags = described(simulated, flow.state["plan"]["services"]["api"]["previous"])
    new, new_tags = described(simulated, flow.call()["taskDefinitions"]["api"])
    changing = ("taskDefinitionArn", "revision", "registeredAt", "containerDefinitions")
    assert {k: v for k, v in new.items() if k not in changing} == {k: v for k, v in old.items() if k not in changing}
    main, proxy = new["containerDefinitions"]
    assert proxy == old["containerDefinitions"][1]
    assert {k: v for k, v in main.items() if k != "image"} == {
        k: v for k, v in old["containerDefinitions"][0].items() if k != "image"
    }
    assert sorted(map(str, new_tags)) == sorted(map(str, old_tags))
    assert len(new_tags) == 2


def test_the_running_revision_is_copied_and_not_the_newest_one(simulated: SimulatedEnvironment) -> None:
    """A revision that nobody deployed is an infrastructure deploy that is not done yet."""
    ecs, flow = simulated.aws.client("ecs"), at_register(simulated)
    old, _ = described(simulated, "v3-backend-dev-api:1")
    ecs.register_task_definition(
        family="v3-backend-dev-api",
        containerDefinitions=old["containerDefinitions"],
        networkMode="awsvpc",
        cpu="4096",
        memory="8192",
    )
    new, _ = described(simulated, flow.call()["taskDefinitions"]["api"])
    assert new["cpu"] == "256"


def test_a_service_that_runs_the_image_already_keeps_its_revision(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one", services=["api"])
    flow = Flow(simulated, DEPLOY, "two").run_to(HERE)
    result = flow.call()
    assert result["taskDefinitions"]["api"].endswith(":2")
    assert result["registered"] == 2, "scheduler and worker; the migration's revision is there already"


def test_what_a_killed_try_has_registered_is_used(simulated: SimulatedEnvironment) -> None:
    flow = at_register(simulated)
    simulated.aws.faults.add(
        CallFault(CallAction.ERROR, operation="RegisterTaskDefinition", nth=3, times=4, code="ServerException")
    )
    assert flow.fails().error_type == "AwsUnavailable"
    assert flow.call()["registered"] == 2
    assert len(footprint(simulated)["revisions"]) == 8


def test_two_services_of_one_family_do_not_register_the_same_twice(simulated: SimulatedEnvironment) -> None:
    """A repeat of the whole step registers nothing at all."""
    flow = at_register(simulated)
    first = flow.call()
    second = flow.call()
    assert second["registered"] == 0
    assert second["taskDefinitions"] == first["taskDefinitions"]
    assert second["migration"] == first["migration"]


def test_a_rollback_registers_nothing_while_its_revisions_are_active(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["registered"]["taskDefinitions"]
    deployed(simulated, "v2", "two")
    flow = Flow(simulated, ROLLBACK, "three").run_to(HERE)
    start = len(simulated.aws.calls)
    result = flow.call()
    assert result["taskDefinitions"] == first
    assert (result["registered"], result["migration"]) == (0, None)
    assert writes(simulated.aws.calls[start:]) == ["UpdateItem"]


def test_a_rollback_registers_a_revision_again_that_was_deregistered(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["registered"]["taskDefinitions"]
    deployed(simulated, "v2", "two")
    simulated.aws.client("ecs").deregister_task_definition(taskDefinition=first["worker"])
    flow = Flow(simulated, ROLLBACK, "three").run_to(HERE)
    result = flow.call()
    assert result["registered"] == 1
    assert result["taskDefinitions"]["worker"].endswith(":4")
    assert result["taskDefinitions"]["api"] == first["api"]
    old, old_tags = described(simulated, first["worker"])
    new, new_tags = described(simulated, result["taskDefinitions"]["worker"])
    assert new["containerDefinitions"] == old["containerDefinitions"]
    assert new_tags == old_tags
    assert flow.call()["registered"] == 0, "a repeat finds it"
    assert flow.run_to_end() == "Deployed"


def test_a_task_definition_that_is_gone_since_it_was_planned_is_named(simulated: SimulatedEnvironment) -> None:
    flow = at_register(simulated)
    gone = CallFault(
        CallAction.ERROR, operation="DescribeTaskDefinition", times=2, code="ClientException", http_status=400
    )
    simulated.aws.faults.add(gone)  # neither as the newest of its family, nor by its revision
    error = flow.fails()
    assert error.error_type == "AwsError"
    assert "v3-backend-dev-api:1 of api was deleted, and none of the newest 10 revisions has" in error.message


def test_a_service_costs_one_look_and_one_registration(simulated: SimulatedEnvironment) -> None:
    flow = at_register(simulated)
    start = len(simulated.aws.calls)
    flow.call()
    operations = [call.operation for call in simulated.aws.calls[start:]]
    assert operations.count("RegisterTaskDefinition") == 4
    assert operations.count("DescribeTaskDefinition") == 4


def test_two_containers_of_a_service_move_together_forward_and_back(simulated: SimulatedEnvironment) -> None:
    client, name = simulated.aws.client("ssm"), simulated.identity.services_path + "api"
    entry = json.loads(client.get_parameter(Name=name)["Parameter"]["Value"])
    entry["containers"] = [entry["container"], "nightly"]
    client.put_parameter(Name=name, Value=json.dumps(entry), Overwrite=True)
    nightly = {"name": "nightly", "essential": False}

    def add(new: Json) -> None:
        new["containerDefinitions"] += [SIDECAR, {**nightly, "image": new["containerDefinitions"][0]["image"]}]

    def images() -> list[str]:
        running = simulated.live.snapshot("v3-backend-dev")["v3-backend-dev-api"].images
        return [running[each] for each in ("v3-backend-api", "nightly", "proxy")]

    change_definition(simulated, "api", add)
    simulated.push("v0")
    simulated.push("v1")
    assert simulated.run({"imageTag": "v0"}, "zero").output["outcome"] == "Deployed"
    before = images()
    assert before[0] == before[1] != before[2]
    assert simulated.run({"imageTag": "v0"}, "again").output["outcome"] == "NothingToDo"
    assert simulated.run({"imageTag": "v1"}, "one").output["outcome"] == "Deployed"
    after = images()
    assert after[0] == after[1] != before[0]
    assert after[2] == before[2]
    assert simulated.run(ROLLBACK, "back").output["outcome"] == "Deployed"
    assert images() == before


def test_a_container_that_has_another_image_than_the_first_is_put_right(simulated: SimulatedEnvironment) -> None:
    simulated.push("v0")
    simulated.push("v1")
    assert simulated.run({"imageTag": "v0"}, "zero").output["outcome"] == "Deployed"
    client, name = simulated.aws.client("ssm"), simulated.identity.services_path + "api"
    entry = json.loads(client.get_parameter(Name=name)["Parameter"]["Value"])
    change_definition(simulated, "api", lambda new: new["containerDefinitions"].append(SIDECAR))
    client.put_parameter(Name=name, Value=json.dumps({**entry, "containers": ["proxy"]}), Overwrite=True)
    assert simulated.run({"imageTag": "v0"}, "again").output["outcome"] == "Deployed"
    running = simulated.live.snapshot("v3-backend-dev")["v3-backend-dev-api"].images
    assert running["proxy"] == running["v3-backend-api"]
