"""What holds a deploy back, over the whole machine: approvals, freeze windows, a stopped line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.release.gates import PausedDeploys
from simulator.engine.runs import Run
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.simulator.quick import few_looks

ASKING = "Wait for approval"


@contextmanager
def asking(*, requester_may_approve: bool = False, windows: tuple[str, ...] = ()) -> Iterator[SimulatedEnvironment]:
    """An environment that asks a person; ``v1`` is deployed, ``v2`` is pushed."""
    dev = few_looks()
    approval = replace(dev.approval, required=True, requester_may_approve=requester_may_approve)
    with SimulatedEnvironment(
        settings=replace(dev, approval=approval, freeze=replace(dev.freeze, windows=windows))
    ) as simulated:
        simulated.push("v1")
        answer(simulated, simulated.start({"imageTag": "v1"}, "first"), {"approvedBy": "anna"})
        simulated.push("v2")
        yield simulated


@contextmanager
def frozen(*windows: str) -> Iterator[SimulatedEnvironment]:
    dev = few_looks()
    with SimulatedEnvironment(settings=replace(dev, freeze=replace(dev.freeze, windows=windows))) as simulated:
        simulated.push("v1")
        yield simulated


def answer(simulated: SimulatedEnvironment, run: Run, output: object) -> Run:
    """Wait for the question, say yes, and wait for the end."""
    simulated.aws.wait_for(lambda: run.ended or run.state == ASKING)
    simulated.aws.clock.sleep(5)
    token = simulated.table.approval_token(run.arn)
    simulated.aws.client("stepfunctions").send_task_success(taskToken=token, output=json.dumps(output))
    simulated.settle()
    return run


def cause(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.cause or "{}")
    return found


MONDAY = "mon 00:00 - mon 23:59"


def test_a_yes_is_recorded_with_who_said_it_and_why() -> None:
    with asking() as simulated:
        run = answer(
            simulated, simulated.start({"imageTag": "v2"}, "second"), {"approvedBy": "anna", "reason": "tested it"}
        )
        record = simulated.records()["second"]
    assert run.state == "Deployed"
    assert (record.approved_by, record.approval_reason) == ("anna", "tested it")


@pytest.mark.parametrize("output", [{}, "yes", {"approvedBy": ""}, [1]])
def test_a_yes_from_nobody_changes_nothing(output: object) -> None:
    with asking() as simulated:
        before = simulated.snapshot().services
        run = answer(simulated, simulated.start({"imageTag": "v2"}, "second"), output)
        assert simulated.snapshot().services == before
    assert run.state == "Rejected"
    assert cause(run)["errorType"] == "ApprovalRejected"
    assert "stepship approve" in cause(run)["message"]


@pytest.mark.parametrize(("may", "end"), [(False, "Rejected"), (True, "Deployed")])
def test_who_asked_may_not_approve_unless_the_config_says_so(may: bool, end: str) -> None:
    with asking(requester_may_approve=may) as simulated:
        request = {"imageTag": "v2", "requestedBy": "ben"}
        run = answer(simulated, simulated.start(request, "second"), {"approvedBy": "ben"})
    assert run.state == end


def test_a_no_says_who_and_why() -> None:
    with asking() as simulated:
        run = simulated.start({"imageTag": "v2"}, "second")
        simulated.aws.wait_for(lambda: run.state == ASKING)
        simulated.aws.clock.sleep(5)
        simulated.aws.client("stepfunctions").send_task_failure(
            taskToken=simulated.table.approval_token(run.arn),
            error="ApprovalRejected",
            cause='{"rejectedBy": "anna", "reason": "the sale begins tonight"}',
        )
        simulated.settle()
        assert simulated.records()["second"].report.message == "rejected by anna: the sale begins tonight"
    assert run.state == "Rejected"


def test_nobodys_answer_is_a_no() -> None:
    with asking() as simulated:
        run = simulated.run({"imageTag": "v2"}, "second")
    assert run.state == "Rejected"
    assert "nobody answered within" in cause(run)["message"]


def test_a_rollback_does_not_wait_for_a_person_who_is_asked_about_a_deploy() -> None:
    with asking() as simulated:
        answer(simulated, simulated.start({"imageTag": "v2"}, "second"), {"approvedBy": "anna"})
        open_question = simulated.start({"imageTag": "v1"}, "third")
        simulated.aws.wait_for(lambda: open_question.state == ASKING)
        simulated.aws.clock.sleep(5)
        asked_at = simulated.aws.clock.now()
        back = simulated.run({"action": "rollback"}, "back")
        assert back.started_at is not None
        tags = {simulated.tag_of(service["image"]) for service in simulated.snapshot().services.values()}
    assert (open_question.state, back.state) == ("Rejected", "Deployed")
    assert "a rollback goes before an unanswered question" in cause(open_question)["message"]
    assert tags == {"v1"}
    assert open_question.ended_at is not None
    assert open_question.ended_at - asked_at < 60


def test_a_deploy_in_a_freeze_window_is_rejected_with_its_end() -> None:
    with frozen(MONDAY) as simulated:
        run = simulated.run({"imageTag": "v1"}, "one")
        assert {simulated.tag_of(s["image"]) for s in simulated.snapshot().services.values()} == {"placeholder"}
    assert run.state == "Rejected"
    assert cause(run)["errorType"] == "Frozen"
    assert "dev is frozen until 2026-01-05 23:59 Etc/UTC" in cause(run)["message"]


def test_a_reason_goes_past_a_freeze_and_is_kept() -> None:
    with frozen(MONDAY) as simulated:
        run = simulated.run({"imageTag": "v1", "overrideFreeze": "fixes the outage"}, "one")
        assert simulated.records()["one"].override_freeze == "fixes the outage"
    assert run.state == "Deployed"


def test_a_dry_run_in_a_freeze_window_says_so_and_plans() -> None:
    with frozen(MONDAY) as simulated:
        run = simulated.run({"imageTag": "v1", "dryRun": True}, "one")
    assert run.state == "Planned"
    (check,) = (check for check in run.output["plan"]["checks"] if check["check"] == "freeze")
    assert check["result"] == "SKIP"
    assert "frozen until" in check["detail"]


def test_a_rollback_is_never_frozen() -> None:
    with frozen(MONDAY) as simulated:
        simulated.push("v2")
        for tag in ("v1", "v2"):
            simulated.run({"imageTag": tag, "overrideFreeze": "to have something to go back from"}, tag)
        assert simulated.run({"action": "rollback"}, "back").state == "Deployed"


def test_a_freeze_that_begins_while_a_person_is_asked_holds() -> None:
    with asking(windows=("mon 10:00 - mon 18:00",)) as simulated:
        run = simulated.start({"imageTag": "v2"}, "second")
        simulated.aws.wait_for(lambda: run.state == ASKING)
        until_ten = datetime(2026, 1, 5, 10, 0, 5, tzinfo=UTC).timestamp() - simulated.aws.clock.now()
        assert 0 < until_ten < simulated.settings.approval.timeout_seconds
        simulated.aws.clock.sleep(until_ten)
        answer(simulated, run, {"approvedBy": "anna"})
    assert run.state == "Rejected"
    assert cause(run)["errorType"] == "Frozen"


def test_a_stopped_line_holds_deploys_and_lets_rollbacks_pass() -> None:
    with SimulatedEnvironment(settings=few_looks()) as simulated:
        for tag in ("v1", "v2"):
            simulated.push(tag)
            simulated.run({"imageTag": tag}, tag)
        simulated.table.pause(PausedDeploys("anna", "checkout is down", simulated.aws.clock.now()))
        simulated.push("v3")
        held = simulated.run({"imageTag": "v3"}, "held")
        forced = simulated.run({"imageTag": "v3", "force": True, "overrideFreeze": "no"}, "forced")
        back = simulated.run({"action": "rollback"}, "back")
        simulated.table.resume()
        again = simulated.run({"imageTag": "v3"}, "again")
    assert (held.state, forced.state, back.state, again.state) == ("Rejected", "Rejected", "Deployed", "Deployed")
    assert cause(held)["errorType"] == "DeploysPaused"
    assert "paused by anna" in cause(held)["message"]
    assert "checkout is down" in cause(held)["message"]
