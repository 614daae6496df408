"""moto's interpreter in virtual time: what the product's definition relies on."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.clock import START, DeadlockError
from simulator.engine.machine import SimulatedAws, SimulationTooLongError
from simulator.faults.faults import FunctionAction, FunctionFault
from tests.simulator.engine.toys import (
    DONE,
    approval,
    asked,
    history,
    keys,
    machine,
    put_all,
    run_machine,
    simulated,
    task,
)


class LeaseLost(Exception):
    """A domain error of a toy."""


def fail(error: type[Exception]) -> Any:
    """Return a handler that raises."""

    def handler(_event: object, _context: object) -> None:
        message = "because"
        raise error(message)

    return handler


def test_catch_by_the_class_name_of_the_exception(aws: SimulatedAws) -> None:
    aws.functions["f"] = fail(LeaseLost)
    catch = [
        {"ErrorEquals": ["Exception"], "Next": "Wrong"},
        {"ErrorEquals": ["LeaseLost"], "Next": "Right", "ResultPath": "$.error"},
    ]
    run = run_machine(aws, machine(Only=task("f", Catch=catch), Wrong=DONE, Right=DONE), {"a": 1})
    assert run.path == ["Only", "Right"]
    assert run.output["a"] == 1
    assert run.output["error"]["Error"] == "LeaseLost"
    assert json.loads(run.output["error"]["Cause"])["errorMessage"] == "because"


def test_catch_with_result_path_root_replaces_the_whole_state(aws: SimulatedAws) -> None:
    aws.functions["f"] = fail(LeaseLost)
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$"}]
    run = run_machine(aws, machine(Only=task("f", Catch=catch), Caught=DONE), {"a": 1})
    assert set(run.output) == {"Error", "Cause"}


def test_states_all_does_not_catch_a_runtime_error_as_on_aws(aws: SimulatedAws) -> None:
    aws.functions["f"] = lambda event, _: event
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    only = task("f", Catch=catch, Parameters={"x.$": "$.missing"})
    run = run_machine(aws, machine(Only=only, Caught=DONE))
    assert (run.status, run.error) == ("FAILED", "States.Runtime")


def test_states_task_failed_catches_an_exception(aws: SimulatedAws) -> None:
    aws.functions["f"] = fail(LeaseLost)
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}]
    assert run_machine(aws, machine(Only=task("f", Catch=catch), Caught=DONE)).path == ["Only", "Caught"]


def test_a_fail_state_with_a_cause_path_that_is_an_intrinsic_function(aws: SimulatedAws) -> None:
    rejected = {"Type": "Fail", "Error": "Rejected", "CausePath": "States.JsonToString($.report)"}
    run = run_machine(aws, machine(Only=rejected), {"report": {"outcome": "rejected", "step": "Plan"}})
    assert (run.status, run.error) == ("FAILED", "Rejected")
    assert json.loads(run.cause or "") == {"outcome": "rejected", "step": "Plan"}
    assert run.states[0].exited_at is None


def test_retry_sleeps_in_virtual_time(aws: SimulatedAws) -> None:
    aws.functions["f"] = lambda *_: "ok"
    aws.faults.add(FunctionFault(FunctionAction.SERVICE_ERROR, times=2))
    retry = [{"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": 3}]
    run = run_machine(aws, machine(Only=task("f", Retry=retry)))
    assert run.output == "ok"
    assert aws.clock.now() - START == pytest.approx(3)


def test_jitter_is_the_same_in_each_world_of_a_seed() -> None:
    def elapsed(seed: int) -> float:
        for aws in simulated(seed=seed):
            aws.functions["f"] = fail(ValueError)
            retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 100, "JitterStrategy": "FULL"}]
            run_machine(aws, machine(Only=task("f", Retry=retry)))
            return aws.clock.now()
        raise AssertionError

    assert elapsed(1) == elapsed(1) != elapsed(2)


def test_a_wait_takes_virtual_time(aws: SimulatedAws) -> None:
    wait = {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "Done"}
    run = run_machine(aws, machine(Wait=wait, Done=DONE), {"seconds": 5})
    assert (run.states[0].entered_at, run.states[0].exited_at) == (START, START + 5)


def test_wait_until_a_timestamp(aws: SimulatedAws) -> None:
    wait = {"Type": "Wait", "Timestamp": "2026-01-05T10:00:00Z", "Next": "Done"}
    run_machine(aws, machine(Wait=wait, Done=DONE))
    assert aws.clock.now() == START + 3600


def test_the_context_object_has_names_and_virtual_times(aws: SimulatedAws) -> None:
    aws.functions["f"] = lambda event, _: event
    parameters = {
        "id.$": "$$.Execution.Id", "name.$": "$$.Execution.Name", "input.$": "$$.Execution.Input",
        "started.$": "$$.Execution.StartTime", "entered.$": "$$.State.EnteredTime", "state.$": "$$.State.Name",
        "machine.$": "$$.StateMachine.Name", "retries.$": "$$.State.RetryCount",
    }  # fmt: skip
    wait = {"Type": "Wait", "Seconds": 60, "Next": "Only"}
    run = run_machine(aws, machine(Wait=wait, Only=task("f", Parameters=parameters)), {"a": 1})
    assert run.output == {
        "id": run.arn, "name": "run", "input": {"a": 1},
        "started": "2026-01-05T09:00:00.000Z", "entered": "2026-01-05T09:01:00.000Z", "state": "Only",
        "machine": "toy", "retries": 0,
    }  # fmt: skip


@pytest.mark.parametrize("given", [[1, 2], "x", 5, None, {}])
def test_any_json_is_an_execution_input(aws: SimulatedAws, given: object) -> None:
    aws.functions["f"] = lambda event, _: {"got": event}
    aws.deploy_machine("toy", machine(Only=task("f", Parameters={"all.$": "$"})))
    run = aws.start(given, "run")
    aws.run_until_idle()
    assert run.output == {"got": {"all": given}}


def test_a_result_beyond_256_kib_is_an_error_that_states_all_does_not_catch(aws: SimulatedAws) -> None:
    aws.functions["f"] = lambda *_: "x" * 300_000
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    run = run_machine(aws, machine(Only=task("f", Catch=catch), Caught=DONE))
    assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")


# --- timeouts


def test_the_timeout_of_a_task_counts_virtual_time_and_its_function_goes_on(aws: SimulatedAws) -> None:
    aws.functions["slow"] = lambda *_: put_all(100)  # 2 s
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}]
    run = run_machine(aws, machine(Only=task("slow", TimeoutSeconds=1, Catch=catch), Caught=DONE))
    assert run.path == ["Only", "Caught"]
    assert run.ended_at == START + 1
    assert len(keys(aws)) == 100
    assert aws.clock.now() == pytest.approx(START + 2)
    assert "LambdaFunctionSucceeded" not in history(aws, run.arn)


def test_the_timeout_of_the_execution_ends_it_as_timed_out(aws: SimulatedAws) -> None:
    definition = machine(Wait={"Type": "Wait", "Seconds": 1000, "Next": "Done"}, Done=DONE) | {"TimeoutSeconds": 600}
    run = run_machine(aws, definition)
    assert (run.status, run.path, run.ended_at) == ("TIMED_OUT", ["Wait"], START + 600)
    assert history(aws, run.arn)[-1] == "ExecutionTimedOut"
    described = aws.client("stepfunctions").describe_execution(executionArn=run.arn)
    assert (described["status"], described["stopDate"].timestamp()) == ("TIMED_OUT", START + 600)


def test_an_execution_that_never_ends_is_an_error(aws: SimulatedAws) -> None:
    loop = {"Type": "Wait", "Seconds": 60, "Next": "Again"}
    aws.deploy_machine("toy", machine(Loop=loop, Again={"Type": "Pass", "Next": "Loop"}))
    aws.start({}, "run")
    with pytest.raises(SimulationTooLongError, match="run in Loop"):
        aws.run_until_idle(limit_seconds=3600)


# --- task tokens


def test_a_task_token_is_answered_with_success(aws: SimulatedAws) -> None:
    tokens = asked(aws, approval(TimeoutSeconds=3600))
    sfn = aws.client("stepfunctions")
    aws.clock.call_at(START + 100, lambda: sfn.send_task_success(taskToken=tokens[0], output='{"by": "me"}'))
    aws.run_until_idle()
    assert (aws.runs[0].path, aws.runs[0].output) == (["Approve", "Done"], {"by": "me"})
    assert aws.clock.now() == START + 100
    with pytest.raises(ClientError, match="TaskTimedOut"):
        sfn.send_task_success(taskToken=tokens[0], output="{}")
    with pytest.raises(ClientError, match="InvalidToken"):
        sfn.send_task_success(taskToken="never seen", output="{}")


def test_a_task_token_is_answered_with_failure_and_its_cause(aws: SimulatedAws) -> None:
    tokens = asked(aws, approval())
    aws.wait_for(lambda: tokens)
    aws.client("stepfunctions").send_task_failure(taskToken=tokens[0], error="Rejected", cause="not today")
    aws.run_until_idle()
    assert aws.runs[0].output["error"] == {"Error": "Rejected", "Cause": "not today"}


@pytest.mark.parametrize("limit", [{"TimeoutSeconds": 3600}, {"TimeoutSecondsPath": "$.limit"}])
def test_a_task_token_times_out_in_virtual_time(aws: SimulatedAws, limit: dict[str, Any]) -> None:
    tokens = asked(aws, approval(**limit))
    aws.run_until_idle()
    assert aws.runs[0].output["error"]["Error"] == "States.Timeout"
    assert aws.clock.now() == START + 3600
    with pytest.raises(ClientError, match="TaskTimedOut"):
        aws.client("stepfunctions").send_task_success(taskToken=tokens[0], output="{}")


def test_a_task_token_that_nobody_answers_is_a_deadlock_and_can_still_be_answered(aws: SimulatedAws) -> None:
    tokens = asked(aws, approval())
    with pytest.raises(DeadlockError, match="waits for an event"):
        aws.run_until_idle()
    aws.client("stepfunctions").send_task_success(taskToken=tokens[0], output="1")
    aws.run_until_idle()
    assert aws.runs[0].status == "SUCCEEDED"
