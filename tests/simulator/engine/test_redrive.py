"""Redrive of an execution that ended badly, and what else Step Functions does at its limits."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from simulator.clock import START
from simulator.engine.machine import SimulatedAws
from simulator.engine.runs import Consistency, NotRedrivableError, Run, StopAt
from tests.simulator.engine.toys import DONE, machine, run_machine, simulated, task

COUNT = {
    "count.$": "$$.Execution.RedriveCount",
    "started.$": "$$.Execution.StartTime",
    "entered.$": "$$.State.EnteredTime",
    "state.$": "$",
}


class Broken(Exception):
    """A domain error of a toy."""


class Flaky:
    """A function that fails the first so many times."""

    def __init__(self, failures: int) -> None:
        self.failures, self.events = failures, []  # type: ignore[var-annotated]

    def __call__(self, event: dict[str, Any], _context: object) -> dict[str, Any]:
        self.events.append(event)
        if len(self.events) <= self.failures:
            raise Broken("not yet")
        return {"tries": len(self.events)}


def test_a_failed_task_runs_again_with_its_own_input(aws: SimulatedAws) -> None:
    first, second = Flaky(0), Flaky(1)
    aws.functions.update(first=first, second=second)
    definition = machine(
        First=task("first", ResultPath="$.first", Next="Second"), Second=task("second", Parameters=COUNT, Next="End")
    )
    run = run_machine(aws, {**definition, "States": {**definition["States"], "End": DONE}}, {"given": 1})
    assert (run.status, run.error) == ("FAILED", "Broken")
    aws.clock.sleep(3600)
    run.redrive()
    aws.run_until_idle()
    assert run.status == "SUCCEEDED"
    assert (len(first.events), len(second.events)) == (1, 2)
    before, after = second.events
    assert before["state"] == after["state"] == {"given": 1, "first": {"tries": 1}}
    assert (before["count"], after["count"]) == (0, 1)
    assert before["started"] == after["started"] == "2026-01-05T09:00:00.000Z"
    assert after["entered"] > before["entered"]
    assert run.path == ["First", "Second", "Second", "End"]
    assert [each.status for each in run.earlier] == ["FAILED"]
    kinds = [event["type"] for event in aws.history(run)]
    assert kinds.count("ExecutionStarted") == kinds.count("ExecutionRedriven") == 1
    assert [event["id"] for event in aws.history(run)] == list(range(1, len(kinds) + 1))


def test_the_start_may_be_that_of_the_redrive() -> None:
    for aws in simulated(consistency=Consistency(redrive_renews_start=True)):
        second = Flaky(1)
        aws.functions["second"] = second
        run = run_machine(aws, machine(Second=task("second", Parameters=COUNT)))
        aws.clock.sleep(3600)
        run.redrive()
        aws.run_until_idle()
        assert second.events[0]["started"] < second.events[1]["started"]


def test_a_fail_state_fails_again(aws: SimulatedAws) -> None:
    run = run_machine(
        aws, machine(Skip={"Type": "Pass", "Next": "No"}, No={"Type": "Fail", "Error": "E", "Cause": "C"})
    )
    run.redrive()
    aws.run_until_idle()
    assert (run.status, run.error, run.cause) == ("FAILED", "E", "C")
    assert run.path == ["Skip", "No", "No"]


def test_a_stopped_wait_starts_again_and_so_does_the_timeout(aws: SimulatedAws) -> None:
    definition = {**machine(Rest={"Type": "Wait", "Seconds": 80, "End": True}), "TimeoutSeconds": 100}
    aws.deploy_machine("toy", definition)
    run = aws.start({}, "run")
    aws.clock.call_at(START + 70, run.stop)
    aws.run_until_idle()
    run.redrive()
    aws.run_until_idle()
    assert run.status == "SUCCEEDED"
    assert aws.clock.now() == START + 150


def test_retries_begin_anew(aws: SimulatedAws) -> None:
    flaky = Flaky(4)
    aws.functions["f"] = flaky
    retry = [{"ErrorEquals": ["Broken"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    run = run_machine(aws, machine(Only=task("f", Retry=retry)))
    assert (run.status, len(flaky.events)) == ("FAILED", 3)
    run.redrive()
    aws.run_until_idle()
    assert (run.status, len(flaky.events)) == ("SUCCEEDED", 5)


def test_one_that_timed_out_goes_on_where_it_was(aws: SimulatedAws) -> None:
    aws.functions["f"] = Flaky(0)
    states = machine(Only=task("f", Next="Rest"), Rest={"Type": "Wait", "SecondsPath": "$.tries", "Next": "Long"})
    states["States"]["Long"] = {"Type": "Wait", "Seconds": 99, "End": True}
    run = run_machine(aws, {**states, "TimeoutSeconds": 10})
    assert (run.status, run.state) == ("TIMED_OUT", "Long")
    run.redrive()
    aws.run_until_idle()
    assert (run.status, run.path) == ("TIMED_OUT", ["Only", "Rest", "Long", "Long"])


def test_it_can_be_stopped_again(aws: SimulatedAws) -> None:
    aws.deploy_machine("toy", machine(Rest={"Type": "Wait", "Seconds": 80, "End": True}))
    run = aws.start({}, "run", stop=StopAt("Rest"))
    aws.run_until_idle()
    run.stop_at(StopAt("Rest", nth=2))
    run.redrive()
    aws.run_until_idle()
    assert (run.status, run.redrive_count) == ("ABORTED", 1)


def test_one_that_succeeded_or_is_old_is_not_redrivable(aws: SimulatedAws) -> None:
    good = run_machine(aws, machine(Done=DONE), name="good")
    with pytest.raises(NotRedrivableError, match="good is SUCCEEDED"):
        good.redrive()
    bad = run_machine(aws, machine(No={"Type": "Fail"}), name="bad")
    aws.clock.sleep(14 * 24 * 3600 + 1)
    with pytest.raises(NotRedrivableError, match="14 days"):
        bad.redrive()


def looks(aws: SimulatedAws, *moments: float) -> list[dict[str, Any]]:
    """Let functions describe the execution ``run`` at these times after the start; returns what they saw."""
    seen: list[dict[str, Any]] = []

    def look(_event: object, _context: object) -> None:
        arn = next(run.arn for run in aws.runs if run.name == "run")
        try:
            seen.append(boto3.client("stepfunctions").describe_execution(executionArn=arn))
        except ClientError as error:
            seen.append({"status": error.response["Error"]["Code"]})

    aws.functions["look"] = look
    arn = aws.deploy_machine("looks", machine(Look=task("look")))
    for moment in moments:
        aws.start({}, f"look-{moment}".replace(".", "-"), at=START + moment, machine=arn)
    return seen


def resting(aws: SimulatedAws) -> Run:
    aws.deploy_machine("toy", machine(Rest={"Type": "Wait", "Seconds": 80, "End": True}))
    run = aws.start({}, "run")
    aws.clock.call_at(START + 10, run.stop)
    aws.clock.call_at(START + 20, run.redrive)
    return run


def test_an_execution_is_unknown_for_a_moment(aws: SimulatedAws) -> None:
    resting(aws)
    seen = looks(aws, 0.5, 1, 11, 21)
    aws.run_until_idle()
    assert [each["status"] for each in seen] == ["ExecutionDoesNotExist", "RUNNING", "ABORTED", "RUNNING"]
    assert [each["redriveCount"] for each in seen[1:]] == [0, 0, 1]
    assert seen[2]["redriveStatus"] == "REDRIVABLE"
    assert {each["startDate"].timestamp() for each in seen[1:]} == {START}
    assert seen[3]["redriveDate"].timestamp() == START + 20


def test_an_end_and_a_redrive_may_be_seen_late() -> None:
    for aws in simulated(consistency=Consistency(stale_seconds=5)):
        resting(aws)
        seen = looks(aws, 11, 16, 21, 26)
        aws.run_until_idle()
        assert [each["status"] for each in seen] == ["RUNNING", "ABORTED", "ABORTED", "RUNNING"]
        assert "stopDate" not in seen[0]
        assert seen[2]["stopDate"].timestamp() == START + 10
        assert [each["redriveCount"] for each in seen] == [0, 0, 0, 1]


def test_a_choice_on_a_missing_path_is_a_runtime_error(aws: SimulatedAws) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.x", "StringEquals": "a", "Next": "Done"}],
        "Default": "Done",
    }
    run = run_machine(aws, machine(Judge=choice, Done=DONE))
    assert (run.status, run.error) == ("FAILED", "States.Runtime")
    said = "Invalid path '$.x': The choice state's condition path references an invalid value."
    assert said in str(run.cause)


def test_is_present_may_ask_for_a_missing_path(aws: SimulatedAws) -> None:
    choices = [{"Variable": "$.x", "IsPresent": True, "Next": "No"}]
    judge = {"Type": "Choice", "Choices": choices, "Default": "Done"}
    run = run_machine(aws, machine(Judge=judge, No={"Type": "Fail"}, Done=DONE))
    assert run.path == ["Judge", "Done"]


def big(bytes_: int) -> dict[str, str]:
    return {"text": "x" * (bytes_ - len(json.dumps({"text": ""}, separators=(",", ":"))))}


@pytest.mark.parametrize(("names", "ends"), [("States.ALL", "FAILED"), ("States.DataLimitExceeded", "SUCCEEDED")])
def test_what_parameters_make_is_measured_and_caught_by_its_own_name(aws: SimulatedAws, names: str, ends: str) -> None:
    called = Flaky(0)
    aws.functions["f"] = called
    twice = {"one.$": "$", "two.$": "$"}
    catch = [{"ErrorEquals": [names], "ResultPath": "$", "Next": "Caught"}]
    run = run_machine(aws, machine(Only=task("f", Parameters=twice, Catch=catch), Caught=DONE), big(140_000))
    assert (run.status, called.events) == (ends, [])
    assert run.error == ("States.DataLimitExceeded" if ends == "FAILED" else None)


def test_parameters_may_make_just_as_much_as_allowed(aws: SimulatedAws) -> None:
    aws.functions["f"] = lambda _event, _context: {}
    frame = len(json.dumps({"one": {}}, separators=(",", ":"))) - 2
    only = machine(Only=task("f", Parameters={"one.$": "$"}))
    assert run_machine(aws, only, big(262_144 - frame), name="just").status == "SUCCEEDED"
    assert run_machine(aws, only, big(262_145 - frame), name="over").error == "States.DataLimitExceeded"
