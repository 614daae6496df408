"""What was deregistered is replaced by a twin: found before it is registered, at every point and by every road."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, StepError, writes
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, deployed, run_placeholder
from tests.simulator.quick import every_five_seconds

HERE = "Register task definitions"
SERVICES = ("api", "worker", "scheduler")
FAMILY = "v3-backend-dev-"
BUG = StepError("KeyError", "a bug")


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    """``v0`` is live; ECS's own circuit breaker is off, so that Stepship has to roll back."""
    with SimulatedEnvironment(settings=every_five_seconds(), recovery=False, circuit_breaker=False) as simulated:
        deployed(simulated, "v0", "zero")
        yield simulated


def revisions(simulated: SimulatedEnvironment, service: str, status: str = "ACTIVE") -> list[int]:
    ecs = simulated.aws.client("ecs")
    arns = ecs.list_task_definitions(familyPrefix=FAMILY + service, status=status)["taskDefinitionArns"]
    return sorted(int(arn.rpartition(":")[2]) for arn in arns)


def deregister(simulated: SimulatedEnvironment, *services: str, delete: bool = False) -> None:
    """Do what a clean-up job does that knows no mercy: nothing of the families stays ACTIVE."""
    ecs = simulated.aws.client("ecs")
    for service in services:
        gone = [f"{FAMILY}{service}:{number}" for number in revisions(simulated, service)]
        for name in gone:
            ecs.deregister_task_definition(taskDefinition=name)
        if delete:
            ecs.delete_task_definitions(taskDefinitions=gone)


def runs(simulated: SimulatedEnvironment) -> dict[str, tuple[str, str]]:
    """Return tag and revision of each service."""
    found = simulated.snapshot().services
    return {n: (simulated.tag_of(s["image"]), s["taskDefinition"].rpartition(":")[2]) for n, s in found.items()}


def content(simulated: SimulatedEnvironment, revision: str) -> Any:
    answer = simulated.aws.client("ecs").describe_task_definition(taskDefinition=revision, include=["TAGS"])
    changing = ("taskDefinitionArn", "revision", "status", "registeredAt", "deregisteredAt")
    kept = {key: value for key, value in answer["taskDefinition"].items() if key not in changing}
    return kept, sorted(map(str, answer["tags"]))


def at_register(simulated: SimulatedEnvironment, tag: str = "v1", **request: object) -> Flow:
    simulated.push(tag)
    return Flow(simulated, {"imageTag": tag, **request}, "one").run_to(HERE)


def test_what_a_rollback_needs_is_registered_before_the_first_service_moves(simulated: SimulatedEnvironment) -> None:
    deregister(simulated, "api")
    flow = at_register(simulated)
    result = flow.call()
    assert result["twins"] == {"api": result["taskDefinitions"]["api"].replace(":4", ":3")}
    assert content(simulated, f"{FAMILY}api:3") == content(simulated, f"{FAMILY}api:2")
    assert revisions(simulated, "api") == [3, 4]
    assert result["registered"] == 5


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_step_that_dies_after_any_registration_registers_nothing_twice(
    simulated: SimulatedEnvironment, nth: int
) -> None:
    deregister(simulated, "api", "worker")
    flow = at_register(simulated)
    dies = CallFault(CallAction.ERROR, operation="RegisterTaskDefinition", nth=nth, times=1, code="X", http_status=400)
    simulated.aws.faults.add(dies)
    flow.fails()
    first = flow.call()
    assert revisions(simulated, "api") == revisions(simulated, "worker") == [3, 4]
    again = flow.call()
    assert (again["twins"], again["taskDefinitions"]) == (first["twins"], first["taskDefinitions"])
    assert again["registered"] == 0


def test_without_a_clean_up_a_deploy_looks_at_nothing_more(simulated: SimulatedEnvironment) -> None:
    flow = at_register(simulated)
    start = len(simulated.aws.calls)
    assert flow.call()["twins"] == {}
    calls = [call.operation for call in simulated.aws.calls[start:]]
    assert calls.count("DescribeTaskDefinition") == len(SERVICES) + 1
    assert "DescribeServices" not in calls


@pytest.mark.parametrize("when", ["before the plan", "after the plan", "after the registration", "after the rollout"])
@pytest.mark.parametrize("state", ["Check rollout", "Complete"])
def test_whenever_they_are_deregistered_the_services_get_back(
    simulated: SimulatedEnvironment, when: str, state: str
) -> None:
    simulated.push("v1")
    before = {name: content(simulated, f"{FAMILY}{name}:2") for name in SERVICES}
    points = {"before the plan": "Plan", "after the plan": HERE, "after the registration": "Deploy wave"}
    flow = Flow(simulated, DEPLOY, "one").run_to(points.get(when, state))
    first_wave = ("api",) if when == "after the registration" else SERVICES
    if when == "after the registration":
        flow.step()  # the first wave has moved; what the second one gets must stay ACTIVE
    deregister(simulated, *first_wave)
    flow.run_to(state)
    flow.catch(BUG)
    assert flow.run_to_end() == "RolledBack"
    for name, (tag, revision) in runs(simulated).items():
        assert tag == "v0"
        assert content(simulated, f"{FAMILY}{name}:{revision}") == before[name]
    assert flow.state["restored"]["status"] == "steady"


def test_a_rollback_that_dies_between_registering_and_updating_registers_no_second_twin(
    simulated: SimulatedEnvironment,
) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    deregister(simulated, *SERVICES)
    flow.run_to("Roll back")
    start = len(simulated.aws.calls)
    # The revision of before is refused, its twin is registered, and then the function dies.
    function = f"{FAMILY}roll-back"
    dies = CallFault(CallAction.ERROR, operation="UpdateService", function=function, nth=2, code="X", http_status=400)
    simulated.aws.faults.add(dies)
    flow.fails()
    assert writes(simulated.aws.calls[start:]).count("RegisterTaskDefinition") == 1
    assert flow.run_to_end() == "RolledBack"
    assert {tag for tag, _ in runs(simulated).values()} == {"v0"}
    assert [revisions(simulated, name) for name in SERVICES] == [[4], [4], [4]]


def test_an_answer_of_roll_back_that_got_lost_is_no_change_by_somebody_else(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    deregister(simulated, *SERVICES)
    flow.run_to("Roll back")
    flow.call()  # its result is not kept: the state knows no twin
    flow.wait(300)
    assert flow.run_to_end() == "RolledBack"
    assert flow.state["rollback"]["overwritten"] == {}
    assert revisions(simulated, "worker") == revisions(simulated, "scheduler") == [4]


def test_a_twin_that_is_deregistered_too_is_replaced_again(simulated: SimulatedEnvironment) -> None:
    deregister(simulated, "api")
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    deregister(simulated, "api")
    assert flow.run_to_end() == "RolledBack"
    assert runs(simulated)["api"] == ("v0", "5")
    assert flow.state["rollback"]["twins"]["api"].endswith("api:5")


def test_a_revision_that_terraform_registered_meanwhile_with_the_same_content_is_taken(
    simulated: SimulatedEnvironment,
) -> None:
    ecs = simulated.aws.client("ecs")
    (kept, _) = content(simulated, f"{FAMILY}api:2")
    for member in ("compatibilities", "registeredBy"):
        kept.pop(member)
    kept["containerDefinitions"][0]["environment"].reverse()
    ecs.register_task_definition(**kept, tags=[{"key": "commit", "value": "newer"}])
    ecs.deregister_task_definition(taskDefinition=f"{FAMILY}api:2")
    result = at_register(simulated).call()
    assert result["twins"]["api"].endswith("api:3")


def test_a_forced_deploy_of_what_runs_goes_to_a_twin_once(simulated: SimulatedEnvironment) -> None:
    deregister(simulated, *SERVICES)
    flow = Flow(simulated, {"imageTag": "v0", "force": True}, "one")
    assert flow.run_to_end() == "Deployed"
    assert set(runs(simulated).values()) == {("v0", "3")}


def test_a_forced_deploy_of_what_runs_can_be_rolled_back(simulated: SimulatedEnvironment) -> None:
    deregister(simulated, *SERVICES)
    flow = Flow(simulated, {"imageTag": "v0", "force": True}, "one").run_to("Complete")
    flow.catch(BUG)
    assert flow.run_to_end() == "RolledBack"
    assert {tag for tag, _ in runs(simulated).values()} == {"v0"}


@pytest.mark.parametrize("request_", [{}, {"releaseId": "live"}, {"force": True}], ids=["plain", "live", "forced"])
def test_after_a_failed_rollback_a_rollback_gets_out(
    simulated: SimulatedEnvironment, request_: dict[str, object]
) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    flow.run_to("Roll back")
    flow.catch(BUG)
    assert flow.run_to_end() == "RollbackFailed"
    deregister(simulated, *SERVICES)
    flow = Flow(simulated, {**ROLLBACK, **request_}, "two")
    assert flow.run_to_end() == "Deployed"
    assert {tag for tag, _ in runs(simulated).values()} == {"v0"}


def test_a_rollback_leaves_a_service_where_it_is_though_that_is_inactive(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Check rollout")  # only the first wave has moved
    flow.catch(BUG)
    flow.run_to("Roll back")
    flow.catch(BUG)
    assert flow.run_to_end() == "RollbackFailed"
    deregister(simulated, *SERVICES)
    assert Flow(simulated, ROLLBACK, "two").run_to_end() == "Deployed"
    assert runs(simulated) == {"api": ("v0", "4"), "scheduler": ("v0", "2"), "worker": ("v0", "2")}


def test_a_stand_in_without_the_container_is_known_again(simulated: SimulatedEnvironment) -> None:
    """The placeholder of another family: its twin is one of that family."""
    arn = run_placeholder(simulated, "api")
    simulated.aws.client("ecs").deregister_task_definition(taskDefinition=arn)
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    assert flow.run_to_end() == "RolledBack"
    assert simulated.snapshot().services["api"]["taskDefinition"] == f"{FAMILY}api-placeholder:2"


def test_a_release_whose_revision_was_deleted_is_refused_with_the_fix(simulated: SimulatedEnvironment) -> None:
    release = simulated.table.live()
    assert release is not None
    deployed(simulated, "v1", "one")
    ecs = simulated.aws.client("ecs")
    ecs.deregister_task_definition(taskDefinition=f"{FAMILY}api:2")
    ecs.delete_task_definitions(taskDefinitions=[f"{FAMILY}api:2"])
    error = Flow(simulated, {**ROLLBACK, "releaseId": release.release_id}, "two").run_to("Plan").fails()
    assert error.error_type == "PreflightFailed"
    assert "api:2 was deleted; deploy the image of the release instead" in error.message


def test_what_was_deleted_while_it_ran_is_known_by_its_image(simulated: SimulatedEnvironment) -> None:
    """It can be described for as long as a service runs it: the twin is registered before the service moves."""
    deregister(simulated, "api", delete=True)
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    flow.run_to("Roll back")
    flow.catch(BUG)
    assert flow.run_to_end() == "RollbackFailed"
    assert Flow(simulated, ROLLBACK, "two").run_to_end() == "Deployed"
    assert runs(simulated)["api"] == ("v0", "3")


def test_what_has_only_the_image_of_what_was_deleted_is_said_to_differ(simulated: SimulatedEnvironment) -> None:
    ecs = simulated.aws.client("ecs")
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    (alike, _) = content(simulated, f"{FAMILY}api:2")
    for member in ("compatibilities", "registeredBy"):
        alike.pop(member)
    ecs.register_task_definition(**{**alike, "memory": "8192"})
    ecs.deregister_task_definition(taskDefinition=f"{FAMILY}api:2")
    ecs.delete_task_definitions(taskDefinitions=[f"{FAMILY}api:2"])
    assert flow.run_to_end() == "RolledBack"
    assert runs(simulated)["api"] == ("v0", "4")
    assert flow.state["rollback"]["deleted"] == ["api"]
    assert any(
        "api was deleted; it runs v3-backend-dev-api:4, which has the same image: its settings may differ" in said
        for said in flow.state["report"]["explanation"]["done"]
    )


def test_what_was_deleted_and_has_no_twin_is_one_clear_error_and_force_goes_forward(
    simulated: SimulatedEnvironment,
) -> None:
    simulated.push("v1", ImageBehavior())
    flow = Flow(simulated, DEPLOY, "one").run_to("Complete")
    flow.catch(BUG)
    deregister_all_but_the_newest(simulated, "api")
    assert flow.run_to_end() == "RollbackFailed"
    assert "api:2 of api was deleted, and none of the newest 10 revisions has" in str(flow.state["rollbackError"])
    forward = Flow(simulated, {"imageTag": "v1", "force": True}, "two")
    assert forward.run_to_end() == "Deployed"
    assert {tag for tag, _ in runs(simulated).values()} == {"v1"}


def deregister_all_but_the_newest(simulated: SimulatedEnvironment, service: str) -> None:
    ecs = simulated.aws.client("ecs")
    for number in revisions(simulated, service)[:-1]:
        name = f"{FAMILY}{service}:{number}"
        ecs.deregister_task_definition(taskDefinition=name)
        ecs.delete_task_definitions(taskDefinitions=[name])
