"""How ``Plan`` plans a rollback and a recovery."""

from __future__ import annotations

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed, put_alarm, refused, with_alarms


def test_a_rollback_returns_to_the_verified_release_before_the_live_one(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["releaseId"] == first.state["report"]["release"]
    assert plan["imageTag"] == "v1"
    assert plan["services"]["api"]["target"].endswith("api:2")
    assert plan["waves"] == [["scheduler", "worker"], ["api"]], "the last wave goes back first"
    assert plan["migration"]["needed"] is False
    assert plan["onFailure"] == "noRollbackPossible"


def test_a_rollback_to_a_named_release_can_itself_be_rolled_back(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["report"]["release"]
    deployed(simulated, "v2", "two")
    plan = Flow(simulated, {**ROLLBACK, "releaseId": first}, "three").run_to("Plan").call()
    assert plan["releaseId"] == first
    assert plan["onFailure"] == "rollBack"


def test_a_rollback_repairs_the_live_release_when_a_service_is_not_on_it(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    live = deployed(simulated, "v2", "two").state["report"]["release"]
    simulated.aws.client("ecs").update_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-api", taskDefinition="v3-backend-dev-api:2"
    )
    simulated.aws.clock.sleep(300)
    plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["releaseId"] == live
    assert plan["services"]["api"]["target"].endswith("api:3")
    assert plan["services"]["worker"]["target"] == plan["services"]["worker"]["previous"]


def test_a_rollback_ignores_the_alarm_that_is_the_reason_for_it() -> None:
    with with_alarms("errors") as simulated:
        put_alarm(simulated, "errors", "OK")
        deployed(simulated, "v1", "one")
        deployed(simulated, "v2", "two")
        put_alarm(simulated, "errors", "ALARM")
        plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["rollout"]["alarms"] == []


@pytest.mark.parametrize(
    ("releases", "request_", "about"),
    [
        (0, {}, "no release was verified yet"),
        (1, {}, "there is none before"),
        (1, {"releaseId": "r-unknown"}, "no verified release r-unknown"),
    ],
)
def test_a_release_that_is_not_there_is_named(
    simulated: SimulatedEnvironment, releases: int, request_: Json, about: str
) -> None:
    for number in range(releases):
        deployed(simulated, f"v{number}", f"flow-{number}")
    error = Flow(simulated, {**ROLLBACK, **request_}, "back").run_to("Plan").fails()
    assert error.error_type == "ReleaseNotFound"
    assert about in error.message


def test_a_rollback_to_an_image_that_was_removed_is_not_good(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one")
    image = first.state["plan"]["services"]["api"]["image"].rsplit("@", 1)[-1]
    deployed(simulated, "v2", "two")
    simulated.aws.client("ecr").batch_delete_image(repositoryName="v3-backend", imageIds=[{"imageDigest": image}])
    message = refused(Flow(simulated, ROLLBACK, "three").run_to("Plan"))
    assert f"FAIL api: image — v3-backend no longer has {image}" in message


def test_a_rollback_to_a_task_definition_that_was_deleted_is_not_good(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    flow = Flow(simulated, ROLLBACK, "three").run_to("Plan")
    gone = CallFault(
        CallAction.ERROR,
        operation="DescribeTaskDefinition",
        nth=4,  # the first three are what runs now
        code="ClientException",
        message="Unable to describe task definition.",
        http_status=400,
    )
    simulated.aws.faults.add(gone)
    assert "v3-backend-dev-scheduler:2 was deleted" in refused(flow)


def test_a_failed_deployment_that_was_stopped_is_planned_the_other_way_round(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", ImageBehavior("crash"))
    one = Flow(simulated, DEPLOY, "one").run_to("Check rollout")
    one.stop()
    simulated.aws.clock.sleep(120)
    plan = Flow(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery").run_to("Plan").call()
    assert plan["recovers"] is True
    assert plan["releaseId"] is None
    assert plan["services"]["api"]["target"] == one.state["plan"]["services"]["api"]["previous"]
    assert {each["target"] for each in plan["parameters"]} == {None}
    assert plan["onFailure"] == "noRollbackPossible"
