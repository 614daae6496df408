from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, StepError
from tests.lambdas.handlers.surroundings import DEPLOY, change_definition, denied, deployed

HERE = "Check rollback"


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(recovery=False, circuit_breaker=False) as simulated:
        deployed(simulated, "v0", "zero")
        yield simulated


def during_rollback(simulated: SimulatedEnvironment, state: str) -> Flow:
    simulated.push("v1")
    flow = Flow(simulated, DEPLOY).run_to(state)
    flow.catch(StepError("KeyError", "a bug"))
    return flow.run_to(HERE)


def test_a_service_that_is_on_its_way_is_waited_for(simulated: SimulatedEnvironment) -> None:
    flow = during_rollback(simulated, "Check rollout")
    result = flow.call()
    assert result["status"] == "inProgress"
    assert result["services"]["worker"] == {"running": 2, "desired": 2}


def test_when_a_wave_is_back_the_next_one_follows(simulated: SimulatedEnvironment) -> None:
    flow = during_rollback(simulated, "Complete")
    while flow.call()["status"] == "inProgress":
        flow.wait(10)
    assert flow.call()["status"] == "nextWave"


def test_when_all_services_are_steady_the_rollback_is_done(simulated: SimulatedEnvironment) -> None:
    flow = during_rollback(simulated, "Check rollout")
    flow.wait(300)
    assert flow.call()["status"] == "steady"


def test_it_looks_again_by_itself_and_reads_a_revision_of_somebody_else_once(simulated: SimulatedEnvironment) -> None:
    flow = during_rollback(simulated, "Check rollout")
    digest = simulated.parameters()["/v3-backend/dev/images/api"].rsplit("@", 1)[-1]
    simulated.ecs_world.images.register(digest, ImageBehavior("slow"))
    before = flow.state["plan"]["services"]["worker"]["previous"]
    change_definition(simulated, "worker", lambda r: r.update(memory="1024"), revision=before, settle_seconds=0)
    start = len(simulated.aws.calls)
    assert flow.call()["status"] == "inProgress"
    calls = [call.operation for call in simulated.aws.calls[start:]]
    assert calls.count("DescribeTaskDefinition") == 1
    assert calls.count("DescribeServices") > 20


def test_nothing_that_moved_is_steady_at_once(simulated: SimulatedEnvironment) -> None:
    assert during_rollback(simulated, "Register task definitions").call()["status"] == "steady"


def test_a_rollback_that_takes_too_long_has_failed(simulated: SimulatedEnvironment) -> None:
    broken = {name: ImageBehavior("slow") for name in ("api",)}
    digest = simulated.parameters()["/v3-backend/dev/images/api"].rsplit("@", 1)[-1]
    flow = during_rollback(simulated, "Register task definitions")
    simulated.ecs_world.images.register(digest, broken["api"])
    simulated.aws.client("ecs").update_service(
        cluster="v3-backend-dev", service="v3-backend-dev-api", forceNewDeployment=True
    )
    flow.wait(600)
    error = flow.fails()
    assert error.error_type == "RollbackTimeout"
    assert "api: not steady after 6" in error.message
    assert "worker" not in error.message
    assert flow.run_to_end() == "RollbackFailed"


def test_a_rollback_on_which_ecs_gives_up_has_failed() -> None:
    with SimulatedEnvironment(recovery=False, circuit_breaker=True) as simulated:
        deployed(simulated, "v0", "zero")
        digest = simulated.parameters()["/v3-backend/dev/images/api"].rsplit("@", 1)[-1]
        simulated.push("v1")
        flow = Flow(simulated, DEPLOY).run_to("Check rollout")
        flow.catch(StepError("KeyError", "a bug"))
        simulated.ecs_world.images.register(digest, ImageBehavior("crash"))
        assert flow.run_to_end() == "RollbackFailed"
        assert flow.state["report"]["errorType"] == "KeyError"
        assert any("RollbackTimeout" in line for line in flow.state["report"]["explanation"]["done"])


@pytest.mark.parametrize("value", ["by hand", None])
def test_a_parameter_that_was_edited_while_everything_went_back_is_set_again(
    simulated: SimulatedEnvironment, value: str | None
) -> None:
    flow = during_rollback(simulated, "Check rollout")
    name, before = f"{simulated.identity.images_path}api", simulated.parameters()
    ssm = simulated.aws.client("ssm")
    if value is None:
        ssm.delete_parameter(Name=name)
    else:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    flow.wait(300)
    result = flow.call()
    assert (result["status"], result["parameters"]) == ("nextWave", [name])
    assert result["message"] == f"1 parameter changed meanwhile: {name}"
    assert flow.run_to_end() == "RolledBack"
    assert simulated.parameters() == before
    done = flow.state["report"]["explanation"]["done"]
    assert f"Set again what somebody had changed meanwhile: {name}." in done


def test_who_edits_a_parameter_again_and_again_keeps_no_rollback_from_ending(simulated: SimulatedEnvironment) -> None:
    flow = during_rollback(simulated, "Check rollout")
    for number in range(300):
        if flow.ended:
            break
        if flow.at == HERE:
            flow.wait(60)
            simulated.aws.client("ssm").put_parameter(
                Name=simulated.identity.tag_parameter, Value=f"by-hand-{number}", Type="String", Overwrite=True
            )
        flow.step()
    assert flow.at == "RolledBack"


def test_parameters_that_cannot_be_looked_up_make_no_failed_rollback(simulated: SimulatedEnvironment) -> None:
    flow = during_rollback(simulated, "Check rollout")
    flow.wait(300)
    simulated.aws.faults.add(denied("GetParameters"))
    assert flow.call()["status"] == "steady"
