"""Exit codes are a contract; so is what an execution's end is read as."""

import json

import pytest

from lambdas.release.history import Outcome
from stepship.executions.outcomes import result_of
from stepship.executions.report import next_steps
from stepship.machine import Description
from stepship.target import Target
from stepship.views.plain_lines import explanation

CODES = {
    "Deployed": 0,
    "NothingToDo": 0,
    "Planned": 0,
    "Rejected": 2,
    "RolledBack": 3,
    "RollbackFailed": 4,
    "Superseded": 5,
    "Stopped": 1,
}


def description(status: str, report: object = None, **more: str) -> Description:
    text = None if report is None else json.dumps(report)
    key = "output" if status == "SUCCEEDED" else "cause"
    return Description("arn:a:e", status, 0.0, 1.0, {"action": "deploy"}, **{key: text, **more})


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_has_its_exit_code(outcome: Outcome) -> None:
    status = "SUCCEEDED" if CODES[outcome] in (0, 5) else "FAILED"
    found = description("ABORTED") if outcome == Outcome.STOPPED else description(status, {"outcome": outcome})
    assert (result_of(found).outcome, result_of(found).exit_code) == (outcome, CODES[outcome])


@pytest.mark.parametrize(
    ("found", "outcome", "why"),
    [
        (description("RUNNING"), "Running", ""),
        (description("ABORTED"), "Stopped", "somebody stopped it"),
        (description("ABORTED", error="E", cause="c"), "Stopped", "somebody stopped it (E: c)"),
        (description("TIMED_OUT"), "Stopped", "it took longer than it may"),
        (description("FAILED", error="States.Runtime", cause="no JSON"), "Failed", "States.Runtime: no JSON"),
        (description("SUCCEEDED", ["a list"]), "Failed", "None: no more was said"),
    ],
)
def test_any_other_end_is_1_and_says_what_is_known(found: Description, outcome: str, why: str) -> None:
    result = result_of(found)
    assert (result.outcome, result.exit_code, result.why) == (outcome, 1, why)


LONG = {
    "outcome": "RolledBack",
    "step": "Check rollout",
    "errorType": "RolloutFailed",
    "message": "api: exit-code",
    "explanation": {
        "summary": "api: exit-code",
        "causes": [
            {"cause": each, "subject": "api", "weight": 1, "evidence": ["x" * 300], "hint": "h"} for each in "ab"
        ],
        "logLines": ["y" * 300] * 10,
        "done": ["All services are steady on what they ran before."],
    },
    "release": "r-1",
}


def test_a_cause_that_was_cut_anywhere_is_read_up_to_there() -> None:
    """Step Functions keeps 32,768 characters of a Cause: what is cut of the JSON is its end."""
    text = json.dumps(LONG)
    for length in range(len(text) + 1):
        found = Description("arn:a:e", "FAILED", 0.0, 1.0, {}, error="RolledBack", cause=text[:length])
        result = result_of(found)
        assert (result.outcome, result.exit_code, result.needs_recovery) == ("RolledBack", 3, False)
        assert list(explanation(result.report)) or length < text.index("summary") + 20
        if length > text.index('"explanation"'):
            assert (result.report["step"], result.report["message"]) == ("Check rollout", "api: exit-code")


def test_the_words_of_lambda_are_taken_out_of_the_report_of_a_last_step() -> None:
    said = json.dumps(
        {"errorMessage": "Record failure: no table", "errorType": "AwsError", "stackTrace": ["x" * 40_000]}
    )
    report = {"outcome": "RollbackFailed", "step": "Record failure", "errorType": "AwsError", "message": said}
    text = json.dumps(report)[:32_768]
    found = Description("arn:a:e", "FAILED", 0.0, 1.0, {}, error="RollbackFailed", cause=text)
    assert (result_of(found).exit_code, result_of(found).why) == (4, "Record failure: no table")


@pytest.mark.parametrize(
    ("found", "recovers"),
    [
        (description("ABORTED"), True),
        (description("TIMED_OUT"), True),
        (description("FAILED", error="States.Runtime", cause="x"), True),
        (description("FAILED", {"outcome": "RolledBack"}), False),
        (description("RUNNING"), False),
    ],
)
def test_a_recovery_is_waited_for_only_where_one_starts(found: Description, recovers: bool) -> None:
    assert result_of(found).needs_recovery is recovers


@pytest.mark.parametrize(
    ("report", "command"),
    [
        ({"outcome": "RolledBack"}, "stepship explain e --env dev"),
        ({"outcome": "RollbackFailed"}, "stepship rollback --env dev"),
        ({"outcome": "Superseded"}, "stepship watch --env dev"),
        ({"outcome": "Rejected", "errorType": "UnfinishedRollback"}, "stepship rollback --env dev"),
        ({"outcome": "Rejected", "errorType": "LockTimeout"}, "stepship status --env dev"),
        ({"outcome": "Rejected", "errorType": "ImageNotFound"}, ""),
    ],
)
def test_the_next_step_is_a_command(report: dict[str, str], command: str) -> None:
    status = "SUCCEEDED" if report["outcome"] == "Superseded" else "FAILED"
    steps = list(next_steps(result_of(description(status, report)), Target("shop", "dev", "--env dev")))
    assert steps[-1].endswith(command) if command else not steps, steps
