"""Executions in the simulated AWS: moto's interpreter in virtual time."""

import importlib
import json
import os
import random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.awslambda_simple.models import lambda_simple_backends
from moto.stepfunctions.responses import StepFunctionResponse

from simulator.clock import START
from simulator.engine.machine import SimulatedAws
from simulator.engine.runs import StopAt
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault, FunctionAction, FunctionFault
from statemachine.events import EventKind
from tests.simulator.engine.toys import (
    DONE,
    approval,
    asked,
    history,
    keys,
    machine,
    put,
    put_all,
    run_machine,
    simulated,
    task,
)

# --- stopping

TOY_STATES = ["Write", "Wait", "Choose", "Pass", "Write again", "Done"]


def toy(aws: SimulatedAws) -> dict[str, Any]:
    """Return a machine with a state of each kind."""
    aws.functions["write"] = lambda event, _: put(event["key"])
    choice = {"Variable": "$.a", "IsPresent": True, "Next": "Pass"}
    return {
        "StartAt": "Write",
        "States": {
            "Write": task("write", Parameters={"key": "first"}, ResultPath=None, Next="Wait"),
            "Wait": {"Type": "Wait", "Seconds": 60, "Next": "Choose"},
            "Choose": {"Type": "Choice", "Choices": [choice], "Default": "Done"},
            "Pass": {"Type": "Pass", "Next": "Write again"},
            "Write again": task("write", Parameters={"key": "second"}, ResultPath=None, Next="Done"),
            "Done": DONE,
        },
    }


@pytest.mark.parametrize("when", ["entered", "exited"])
@pytest.mark.parametrize("state", TOY_STATES)
def test_stop_at_each_state(aws: SimulatedAws, state: str, when: Any) -> None:
    aws.deploy_machine("toy", toy(aws))
    run = aws.start({"a": 1}, "run", stop=StopAt(state, when, error="Stopped", cause="by a test"))
    aws.run_until_idle()
    assert (run.status, run.error, run.cause) == ("ABORTED", "Stopped", "by a test")
    assert run.path == TOY_STATES[: TOY_STATES.index(state) + 1]
    assert (run.states[-1].exited_at is not None) == (when == "exited")
    assert aws.events[-1].kind is EventKind.EXECUTION_ENDED
    assert history(aws, run.arn)[-1] == "ExecutionAborted"
    completed = TOY_STATES.index(state) + (when == "exited")
    assert keys(aws) == ({"first"} if completed >= 1 else set()) | ({"second"} if completed >= 5 else set())
    described = aws.client("stepfunctions").describe_execution(executionArn=run.arn)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Stopped", "by a test")


@pytest.mark.parametrize(("lambda_finishes", "written"), [(True, {"0", "1", "2"}), (False, {"0"})])
def test_stop_while_a_function_runs(aws: SimulatedAws, lambda_finishes: bool, written: set[str]) -> None:
    aws.functions["f"] = lambda *_: put_all(3)
    aws.deploy_machine("toy", machine(Only=task("f", Next="Done"), Done=DONE))
    run = aws.start({}, "run")

    def stop_at_the_first_call(event: Any) -> None:
        if event.kind is EventKind.AWS_CALL:
            run.stop(lambda_finishes=lambda_finishes)

    aws.subscribe(stop_at_the_first_call)
    aws.run_until_idle()
    assert (run.status, run.path) == ("ABORTED", ["Only"])
    assert keys(aws) == written
    kinds = [event.kind for event in aws.events]
    ended = kinds.index(EventKind.EXECUTION_ENDED)
    assert kinds[ended:].count(EventKind.LAMBDA_RETURNED) == int(lambda_finishes)
    assert history(aws, run.arn)[-1] == "ExecutionAborted"


def test_stop_at_a_time_through_the_api(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", toy(aws))
    run = aws.start({"a": 1}, "run")
    sfn = aws.client("stepfunctions")
    aws.clock.call_at(START + 30, lambda: sfn.stop_execution(executionArn=run.arn, error="E", cause="C"))
    aws.run_until_idle()
    assert (run.status, run.error, run.cause, run.path, run.ended_at) == (
        "ABORTED", "E", "C", ["Write", "Wait"], START + 30,
    )  # fmt: skip
    run.stop("too late")
    assert run.error == "E"


def test_stop_before_it_began(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", toy(aws))
    run = aws.start({}, "run")
    run.stop()
    aws.run_until_idle()
    assert (run.status, run.path) == ("ABORTED", [])


# --- starting


def test_a_later_start(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", machine(Done=DONE))
    run = aws.start({}, "run", at=START + 500)
    assert run.status == "NOT_STARTED"
    aws.run_until_idle()
    assert (run.status, run.started_at) == ("SUCCEEDED", START + 500)


def test_start_is_idempotent_by_name_and_input_while_it_runs(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", machine(Wait={"Type": "Wait", "Seconds": 60, "Next": "Done"}, Done=DONE))
    run = aws.start({"a": 1}, "run")
    assert aws.start({"a": 1}, "run") is run
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        aws.start({"a": 2}, "run")
    aws.run_until_idle()
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        aws.start({"a": 1}, "run")
    assert len(aws.runs) == 1


@pytest.mark.parametrize(
    ("given", "name", "error"),
    [("x" * 262_143, "run", "ValidationException"), ({}, "a b", "InvalidName"), ({}, "x" * 81, "ValidationException")],
)
def test_what_start_refuses(aws: SimulatedAws, given: object, name: str, error: str) -> None:
    aws.deploy_machine("toy", machine(Done=DONE))
    with pytest.raises(ClientError) as caught:
        aws.start(given, name)
    assert caught.value.response["Error"]["Code"] == error
    assert not aws.runs


def test_the_largest_input_is_accepted(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", machine(Done=DONE))
    run = aws.start("x" * (262_144 - 2), "run")  # and two quotation marks
    assert run.status == "RUNNING"


def test_what_cannot_run_in_virtual_time_is_refused(aws: SimulatedAws) -> None:
    with pytest.raises(NotImplementedError, match="Parallel"):
        aws.deploy_machine("toy", machine(Both={"Type": "Parallel", "Branches": [], "End": True}))


# --- observers, several executions


def story(seed: int = 0) -> tuple[list[tuple[Any, ...]], set[str]]:
    """Let three executions overlap, with faults and stops, and return all that happened."""
    for aws in simulated(seed=seed):
        aws.functions["write"] = lambda event, _: put_all(3, event["name"])
        retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 3, "MaxAttempts": 2, "JitterStrategy": "FULL"}]
        write = task("write", Parameters={"name.$": "$$.Execution.Name"}, ResultPath=None, Retry=retry, Next="Wait")
        wait = {"Type": "Wait", "Seconds": 2, "Next": "Again"}
        aws.deploy_machine("toy", machine(Write=write, Wait=wait, Again={**write, "Next": "Done"}, Done=DONE))
        aws.faults.add(CallFault(CallAction.ERROR, nth=4, times=3, code="InternalServerError"))
        aws.faults.add(CallFault(CallAction.LOST, nth=11))
        aws.faults.add(FunctionFault(FunctionAction.KILL, nth=5, after_calls=1))
        for number in range(3):
            aws.start({"n": number}, f"run-{number}", at=START + number * 0.03)
        aws.clock.call_at(START + 4, aws.runs[1].stop)
        aws.run_until_idle()
        events = [(e.at, e.kind, e.execution, e.state, e.function, e.error, str(e.detail)) for e in aws.events]
        return events, keys(aws)
    raise AssertionError


def test_overlapping_executions_interleave_in_the_same_way_each_time() -> None:
    first = story()
    executions = [event[2] for event in first[0]]
    assert executions != sorted(executions), "they should overlap"
    for _ in range(5):
        assert story() == first


def test_observers_are_told_what_happens_in_order(aws: SimulatedAws) -> None:
    told: list[Any] = []
    aws.subscribe(told.append)
    aws.functions["write"] = lambda *_: put("x")
    run_machine(aws, machine(Only=task("write")))
    assert [(round(event.at - START, 2), str(event.kind)) for event in told] == [
        (0, "execution started"),
        (0, "state entered"),
        (0, "lambda invoked"),
        (0.02, "aws call"),
        (0.02, "lambda returned"),
        (0.02, "state exited"),
        (0.02, "execution ended"),
    ]
    assert {event.execution for event in told} == {"run"}
    assert told == aws.events


def test_an_observer_starts_an_execution_when_another_ends(aws: SimulatedAws) -> None:
    def rule(event: Any) -> None:
        if event.kind is EventKind.EXECUTION_ENDED and event.status == "ABORTED":
            aws.start({"takeover": event.detail["executionArn"]}, "rollback")

    aws.subscribe(rule)
    aws.deploy_machine("toy", toy(aws))
    run = aws.start({"a": 1}, "run", stop=StopAt("Wait"))
    aws.run_until_idle()
    assert [each.status for each in aws.runs] == ["ABORTED", "SUCCEEDED"]
    assert json.loads(aws.runs[1].input_json) == {"takeover": run.arn}


def test_the_end_of_an_execution_is_told_as_eventbridge_would(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", machine(Wait={"Type": "Wait", "Seconds": 5, "Next": "Done"}, Done=DONE))
    run = aws.start({"a": 1}, "run")
    aws.run_until_idle()
    detail = aws.events[-1].detail
    assert detail.items() >= {
        "executionArn": run.arn, "stateMachineArn": run.machine_arn, "name": "run", "status": "SUCCEEDED",
        "startDate": int(START * 1000), "stopDate": int(START * 1000) + 5000,
        "input": '{"a": 1}', "output": '{"a": 1}', "error": None, "cause": None,
    }.items()  # fmt: skip


def test_the_history_has_virtual_times(aws: SimulatedAws) -> None:
    wait = {"Type": "Wait", "Seconds": 5, "Next": "Done"}
    run = run_machine(aws, machine(Wait=wait, Done=DONE))
    events = aws.client("stepfunctions").get_execution_history(executionArn=run.arn)["events"]
    assert [event["timestamp"].timestamp() - START for event in events] == [0, 0, 5, 5, 5, 5]


# --- the world


def seams() -> list[object]:
    """Return what is replaced while a world is active: a sample of each kind."""
    parser = "moto.stepfunctions.parser"
    modules = [f"{parser}.backend.execution", f"{parser}.asl.component.program.program", f"{parser}.models"]
    return [
        lambda_simple_backends.backend,
        StepFunctionResponse.stop_execution,
        *(dict(vars(importlib.import_module(name))) for name in modules),
    ]


def test_a_world_begins_empty_and_leaves_nothing_behind() -> None:
    session, environment, generator = boto3.DEFAULT_SESSION, dict(os.environ), random.getstate()
    before = seams()
    for aws in simulated():
        run_machine(aws, toy(aws), {"a": 1})
        assert os.environ["AWS_ACCESS_KEY_ID"] != environment.get("AWS_ACCESS_KEY_ID")
    assert (boto3.DEFAULT_SESSION, dict(os.environ)) == (session, environment)
    assert random.getstate() == generator
    assert seams() == before
    for aws in simulated():
        assert keys(aws) == set()
        assert aws.client("stepfunctions").list_state_machines()["stateMachines"] == []


def test_leaving_a_world_while_executions_run() -> None:
    for aws in simulated():
        tokens = asked(aws, approval())
        aws.wait_for(tokens.__len__)
    for aws in simulated():
        assert run_machine(aws, toy(aws), {"a": 1}).status == "SUCCEEDED"


def test_only_one_world_at_a_time(aws: SimulatedAws) -> None:
    del aws
    with pytest.raises(RuntimeError, match="another simulated world"):
        SimulatedAws().__enter__()
