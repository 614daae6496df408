from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from statemachine.graph import check, mermaid, transitions, with_diagram
from statemachine.steps import STEPS

FOLDER = Path(__file__).parents[2] / "statemachine"
DEFINITION: dict[str, Any] = json.loads((FOLDER / "deployment.asl.json").read_text())
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}

FIRST_WRITE = "Update image tag"


def after(start: str, *, errors: bool) -> set[str]:
    """Return the states that can follow a state, by results alone or by errors too."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        state = STATES[waiting.pop()]
        state = state if errors else {**state, "Catch": ()}
        for target, _ in transitions(state):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def test_the_committed_definition_is_the_rendered_one() -> None:
    from statemachine.render import render

    assert render("dev") == DEFINITION, "run `make asl`"


def test_the_committed_definition_is_the_deployed_one(templates: dict[str, dict[str, Any]]) -> None:
    from statemachine.render import function_arn, written_out

    resources = templates["dev"]["Resources"]
    arns = {
        name: function_arn(resource["Properties"]["FunctionName"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    (machine,) = (each for each in resources.values() if each["Type"] == "AWS::StepFunctions::StateMachine")
    deployed = json.loads(written_out(machine["Properties"]["DefinitionString"], arns))
    assert deployed == DEFINITION


@pytest.mark.parametrize("page", ["statemachine/README.md", "docs/explanation/architecture.md"])
def test_the_diagram_of_a_page_is_of_the_committed_definition(page: str) -> None:
    text = (FOLDER.parent / page).read_text(encoding="utf-8")
    assert with_diagram(text, mermaid(DEFINITION)) == text, "run `make asl`"


def test_the_graph_is_sound() -> None:
    assert check(DEFINITION) == []


def test_there_is_one_task_per_step() -> None:
    assert {step.state for step in STEPS} == set(TASKS)


def test_the_whole_execution_has_a_timeout() -> None:
    assert DEFINITION["TimeoutSeconds"] == 7200


@pytest.mark.parametrize("name", TASKS)
def test_each_task_is_bounded_retried_and_caught(name: str) -> None:
    task = TASKS[name]
    assert {"TimeoutSeconds", "TimeoutSecondsPath"} & task.keys()
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    throttled = next(retry for retry in task["Retry"] if "Throttled" in retry["ErrorEquals"])
    assert "Lambda.TooManyRequestsException" in throttled["ErrorEquals"]
    transient = next(retry for retry in task["Retry"] if "AwsUnavailable" in retry["ErrorEquals"])
    assert "Lambda.ServiceException" in transient["ErrorEquals"]
    assert throttled["MaxAttempts"] > transient["MaxAttempts"]
    assert {throttled["JitterStrategy"], transient["JitterStrategy"]} == {"FULL"}


WAY_BACK = {"Roll back", "Check rollback", "Record failure", "Record outcome"}


@pytest.mark.parametrize("name", sorted(WAY_BACK))
def test_a_step_of_the_way_back_is_tried_again_whatever_it_failed_of(name: str) -> None:
    *others, whatever = TASKS[name]["Retry"]
    assert (whatever["ErrorEquals"], whatever["MaxAttempts"]) == (["States.ALL"], 3)
    hopeless = [each["ErrorEquals"] for each in others if each["MaxAttempts"] == 0]
    assert hopeless == ([["LeaseLost", "NothingToReturnTo"]] if name == "Roll back" else [])


@pytest.mark.parametrize("name", sorted(TASKS.keys() - WAY_BACK))
def test_nothing_but_transient_errors_is_retried(name: str) -> None:
    retried = {error for retry in TASKS[name]["Retry"] for error in retry["ErrorEquals"]}
    ours = {error for error in retried if "." not in error}
    assert ours <= {"Throttled", "AwsUnavailable", "ScanInProgress"}
    assert "States.ALL" not in retried
    assert "States.TaskFailed" not in retried


@pytest.mark.parametrize("name", TASKS)
def test_no_error_gets_lost(name: str) -> None:
    for catcher in TASKS[name]["Catch"]:
        # `Verify image` has no valid input to keep: its error becomes the whole state.
        assert catcher["ResultPath"].startswith("$")
        assert catcher["ResultPath"] is not None


def test_a_caught_error_never_ends_as_a_success_of_the_deployment() -> None:
    for name, task in TASKS.items():
        for catcher in task["Catch"]:
            reached = {catcher["Next"], *after(catcher["Next"], errors=False)}
            ends = {each for each in reached if STATES[each]["Type"] == "Succeed"}
            # `Record failure` says Deployed when `Complete` had taken effect and only its answer was lost;
            # `Record outcome` says NothingToDo, Planned or Superseded from its own record, Rejected otherwise.
            allowed = {"Deployed"} if "Record failure" in reached else {"NothingToDo", "Planned", "Superseded"}
            assert ends <= allowed, name


def test_from_the_first_write_on_any_error_leads_to_the_way_back() -> None:
    acting = {FIRST_WRITE, *after(FIRST_WRITE, errors=False)} & set(TASKS)
    returning = {"Roll back", "Check rollback", "Record failure"}
    for name in acting - returning:
        assert TASKS[name]["Catch"][-1]["Next"] == "Roll back", name


def test_before_the_first_write_any_error_frees_the_lock() -> None:
    asking = set(TASKS) - {FIRST_WRITE, *after(FIRST_WRITE, errors=False)} - {"Record outcome"}
    assert asking == {"Verify image", "Acquire lock", "Plan", "Wait for approval"}
    for name in asking:
        assert [catcher["Next"] for catcher in TASKS[name]["Catch"]] == ["Record outcome"], name


def test_who_lost_the_lease_touches_nothing_any_more() -> None:
    looking = {"Check rollout", "Check health"}
    acting = {FIRST_WRITE, *after(FIRST_WRITE, errors=False)} & set(TASKS)
    for name in acting - looking - {"Roll back", "Check rollback", "Record failure"}:
        lost = next(catcher for catcher in TASKS[name]["Catch"] if "LeaseLost" in catcher["ErrorEquals"])
        assert lost["Next"] == "Record failure", name


def test_the_ends_are_those_of_the_contract() -> None:
    ends = {kind: {name for name, state in STATES.items() if state["Type"] == kind} for kind in ("Succeed", "Fail")}
    assert ends["Succeed"] == {"Deployed", "NothingToDo", "Planned", "Superseded"}
    assert ends["Fail"] == {"Rejected", "RolledBack", "RollbackFailed"}
    for name in ends["Fail"]:
        assert STATES[name]["Error"] == name
