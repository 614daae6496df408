from __future__ import annotations

from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, Json, writes
from tests.lambdas.handlers.surroundings import DEPLOY, deployed, push

HERE = "Deploy wave"


def at_wave(simulated: SimulatedEnvironment, request: Json | None = None, name: str = "one") -> Flow:
    push(simulated, "v1")
    return Flow(simulated, request or DEPLOY, name).run_to(HERE)


def updated(simulated: SimulatedEnvironment, start: int) -> list[str]:
    return [str(call.params["service"]) for call in simulated.aws.calls[start:] if call.operation == "UpdateService"]


def test_the_first_wave_moves_alone(simulated: SimulatedEnvironment) -> None:
    flow = at_wave(simulated)
    start = len(simulated.aws.calls)
    result = flow.call()
    assert result["index"] == 0
    assert list(result["services"]) == ["api"]
    assert updated(simulated, start) == ["v3-backend-dev-api"]
    assert result["services"]["api"]["target"] == flow.state["registered"]["taskDefinitions"]["api"]


def test_the_next_wave_moves_when_the_one_before_is_steady(simulated: SimulatedEnvironment) -> None:
    flow = at_wave(simulated)
    flow.step()
    flow.run_to(HERE)
    start = len(simulated.aws.calls)
    result = flow.call()
    assert result["index"] == 1
    assert updated(simulated, start) == ["v3-backend-dev-scheduler", "v3-backend-dev-worker"]


def test_our_deployment_and_the_one_that_it_replaces_are_told_apart(simulated: SimulatedEnvironment) -> None:
    flow = at_wave(simulated)
    api = flow.call()["services"]["api"]
    assert api["replaced"] == flow.state["plan"]["services"]["api"]["deployment"]
    assert api["deployment"] not in (None, api["replaced"])


def test_a_service_that_is_there_already_is_left_alone(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one", services=["scheduler"])
    flow = at_wave(simulated, name="two")
    flow.step()
    flow.run_to(HERE)
    start = len(simulated.aws.calls)
    result = flow.call()
    assert updated(simulated, start) == ["v3-backend-dev-worker"]
    assert result["services"]["scheduler"]["replaced"] is None


def test_force_starts_new_tasks_of_the_same_task_definition_once(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    flow = at_wave(simulated, {**DEPLOY, "force": True}, "two")
    start = len(simulated.aws.calls)
    first = flow.call()["services"]["api"]
    assert first["replaced"] is not None
    second = flow.call()["services"]["api"]
    assert second["deployment"] == first["deployment"]
    assert updated(simulated, start) == ["v3-backend-dev-api"]
    assert flow.run_to_end() == "Deployed"


def test_each_wave_is_described_in_one_call(simulated: SimulatedEnvironment) -> None:
    flow = at_wave(simulated)
    start = len(simulated.aws.calls)
    flow.call()
    assert [call.operation for call in simulated.aws.calls[start:]] == [
        "UpdateItem",
        "DescribeServices",
        "UpdateService",
    ]


def test_a_service_that_was_deleted_since_is_named(simulated: SimulatedEnvironment) -> None:
    flow = at_wave(simulated)
    flow.state["plan"]["services"]["api"]["service"] = "deleted"
    start = len(simulated.aws.calls)
    error = flow.fails()
    assert error.error_type == "AwsError"
    assert "deleted is gone since it was planned" in error.message
    assert writes(simulated.aws.calls[start:]) == ["UpdateItem"]


def test_a_rollback_whose_revision_was_deregistered_since_goes_on_with_one_twin(
    simulated: SimulatedEnvironment,
) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    flow = Flow(simulated, {"action": "rollback"}, "back").run_to(HERE)
    (name, *_) = flow.state["plan"]["waves"][0]
    target = flow.state["registered"]["taskDefinitions"][name]
    simulated.aws.client("ecs").deregister_task_definition(taskDefinition=target)
    start = len(simulated.aws.calls)
    first, second = flow.call(), flow.call()
    moved, again = first["services"][name], second["services"][name]
    assert first["twins"] == second["twins"] == {name: moved["target"]}
    assert moved["target"] != target
    assert (again["deployment"], again["replaced"]) == (moved["deployment"], None)
    registered = [call for call in simulated.aws.calls[start:] if call.operation == "RegisterTaskDefinition"]
    assert len(registered) == 1
    assert flow.run_to_end() == "Deployed"
