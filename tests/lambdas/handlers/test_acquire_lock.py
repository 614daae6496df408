from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambdas.release.lock import Claim, Kind, Lock
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import FUNCTION_OF, Flow, Json, footprint, table_items, writes

DEPLOY = {"imageTag": "v1"}
ROLLBACK = {"action": "rollback"}


@pytest.fixture(autouse=True)
def _pushed(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")


def at_lock(simulated: SimulatedEnvironment, request: Json, name: str) -> Flow:
    """Start an execution, a second after the one before it, and walk to the lock."""
    simulated.aws.clock.sleep(1)
    return Flow(simulated, request, name).run_to("Acquire lock")


def lock_of(simulated: SimulatedEnvironment) -> Any:
    return simulated.table.read_lock()


def test_a_free_lock_is_taken_with_a_lease_that_outlives_the_function(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one")
    assert one.call()["status"] == "held"
    lock = lock_of(simulated)
    assert lock.holder.execution == one.arn
    assert lock.token == 1
    assert lock.lease_expires_at > simulated.aws.clock.now() + FUNCTION_OF["Acquire lock"].timeout_seconds - 1


def test_each_holder_gets_a_higher_token(simulated: SimulatedEnvironment) -> None:
    tokens = []
    for name in ("one", "two", "three"):
        flow = at_lock(simulated, {**DEPLOY, "dryRun": True}, name).run_to("Plan")
        tokens.append(flow.state["lock"]["token"])
        assert flow.run_to_end() == "Planned"
    assert tokens == [1, 2, 3]


def test_who_has_the_lock_keeps_its_token_when_asked_again(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one")
    assert one.call()["token"] == one.call()["token"] == 1


def test_a_busy_lock_is_a_verdict_with_the_time_to_wait(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Plan")
    two = at_lock(simulated, DEPLOY, "two")
    result = two.call()
    assert (result["status"], result["waitSeconds"]) == ("busy", 15)
    assert "held by one;" in result["reason"]
    assert lock_of(simulated).waiting_deploy.execution == two.arn
    assert lock_of(simulated).holder.execution == one.arn


def test_a_deploy_that_waits_gets_the_lock_when_it_is_free(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, {**DEPLOY, "dryRun": True}, "one").run_to("Plan")
    two = at_lock(simulated, DEPLOY, "two").run_to("Wait for lock")
    one.run_to_end()
    two.run_to("Plan")
    assert two.state["lock"]["token"] == 2
    assert lock_of(simulated).waiting_deploy is None


def test_a_newer_deploy_supersedes_the_one_that_waits_but_not_the_one_that_runs(
    simulated: SimulatedEnvironment,
) -> None:
    at_lock(simulated, DEPLOY, "one").run_to("Plan")
    two = at_lock(simulated, DEPLOY, "two").run_to("Wait for lock")
    three = at_lock(simulated, DEPLOY, "three").run_to("Wait for lock")
    assert two.run_to_end() == "Superseded"
    assert "took its place: three" in two.state["report"]["message"]
    assert lock_of(simulated).waiting_deploy.execution == three.arn


def test_a_rollback_goes_before_a_deploy_that_waits(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, {**DEPLOY, "dryRun": True}, "one").run_to("Plan")
    deploy = at_lock(simulated, DEPLOY, "two").run_to("Wait for lock")
    at_lock(simulated, ROLLBACK, "three").run_to("Wait for lock")
    one.run_to_end()
    assert deploy.run_to_end() == "Superseded"
    assert "newer rollback" in deploy.state["report"]["message"]


def test_who_waited_too_long_is_refused(simulated: SimulatedEnvironment) -> None:
    at_lock(simulated, DEPLOY, "one").run_to("Plan")
    two = at_lock(simulated, DEPLOY, "two").run_to("Wait for lock")
    two.wait(901)
    error = two.fails("Acquire lock")
    assert error.error_type == "LockTimeout"
    assert "wait_timeout_seconds = 900" in error.message
    assert "held by one;" in error.message


def test_a_lock_whose_holder_was_stopped_is_free_once_the_lease_is_over(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Plan")
    one.stop()
    two = at_lock(simulated, DEPLOY, "two")
    first = two.call()
    assert first["status"] == "busy"
    assert "was stopped" in first["reason"]
    two.wait(60)
    assert two.call()["status"] == "held"


def test_a_function_that_runs_once_more_after_its_execution_has_ended_takes_no_lock(
    simulated: SimulatedEnvironment,
) -> None:
    one = at_lock(simulated, DEPLOY, "one")
    one.stop()
    assert one.call()["status"] == "notNeeded"
    assert lock_of(simulated).holder is None


def test_a_lease_that_is_over_is_not_enough_while_its_holder_runs(simulated: SimulatedEnvironment) -> None:
    at_lock(simulated, DEPLOY, "one").run_to("Plan")
    two = at_lock(simulated, DEPLOY, "two")
    two.wait(800)
    assert two.call()["status"] == "busy"


def test_what_a_stopped_deployment_has_moved_is_rolled_back_before_the_next_deploy(
    simulated: SimulatedEnvironment,
) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Register task definitions")
    one.stop()
    two = at_lock(simulated, DEPLOY, "two")
    two.wait(120)
    result = two.call()
    assert result["status"] == "busy"
    assert "rolled back first" in result["reason"]


def test_a_recovery_takes_over_from_a_stopped_execution_and_inherits_its_journal(
    simulated: SimulatedEnvironment,
) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Register task definitions")
    one.stop()
    recovery = at_lock(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery")
    recovery.wait(120)
    result = recovery.call()
    assert result["status"] == "held"
    assert result["inherited"] is True
    assert result["token"] == 2
    assert recovery.call()["inherited"] is True, "a repeat still knows it"


def test_a_recovery_waits_until_the_stopped_function_can_write_no_more(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Register task definitions")
    one.stop()
    recovery = at_lock(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery")
    result = recovery.call()
    assert result["status"] == "busy"
    assert 0 < result["waitSeconds"] <= 15


def test_a_takeover_from_an_execution_that_runs_is_refused(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Plan")
    existing = footprint(simulated)
    error = at_lock(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery").fails()
    assert error.error_type == "RecoveryRefused"
    assert one.arn in error.message
    assert footprint(simulated) == existing


def test_a_takeover_from_an_execution_that_ended_by_itself_is_not_needed(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, {**DEPLOY, "dryRun": True}, "one")
    one.run_to_end()
    one.stop()
    recovery = at_lock(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery")
    start = len(simulated.aws.calls)
    assert recovery.call()["status"] == "notNeeded"
    assert writes(simulated.aws.calls[start:]) == []
    assert recovery.run_to_end() == "NothingToDo"


def test_a_second_recovery_of_the_same_execution_is_not_needed(simulated: SimulatedEnvironment) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Register task definitions")
    one.stop()
    request = {**ROLLBACK, "takeover": one.arn}
    first = at_lock(simulated, request, "recovery-1")
    first.wait(120)
    first.run_to("Plan")
    assert at_lock(simulated, request, "recovery-2").call()["status"] == "notNeeded"


@pytest.mark.parametrize(("seconds", "status"), [(200, "busy"), (7201, "held")], ids=["young", "forgotten"])
def test_an_execution_that_step_functions_does_not_know_is_alive_for_as_long_as_one_can_run(
    simulated: SimulatedEnvironment, seconds: int, status: str
) -> None:
    one = at_lock(simulated, DEPLOY, "one").run_to("Plan")
    client, key = simulated.aws.client("dynamodb"), {"pk": {"S": "lock"}, "sk": {"S": "lock"}}
    item = dict(table_items(simulated)["lock/lock"])
    gone = {name: {"S": value["S"].replace(one.arn, f"{one.arn}-gone")} for name, value in item.items() if "S" in value}
    client.put_item(TableName=simulated.identity.table, Item={**item, **gone, **key})
    simulated.aws.clock.sleep(seconds)
    assert at_lock(simulated, DEPLOY, "two").call()["status"] == status


def test_who_loses_the_race_for_the_item_looks_again(simulated: SimulatedEnvironment) -> None:
    """Both read the free lock; the other writes first."""
    one, two = at_lock(simulated, DEPLOY, "one"), at_lock(simulated, DEPLOY, "two")
    held = Lock(1, 1, Claim(one.arn, "deploy", one.started_at), simulated.aws.clock.now() + 60)
    raced: list[Any] = []

    def other_writes_first(event: Any) -> None:
        if event.detail.get("operation") == "GetItem" and not raced:
            raced.append(event)
            assert simulated.table.swap_lock(lock_of(simulated), held)

    simulated.aws.subscribe(other_writes_first)
    start = len(simulated.aws.calls)
    result = two.call()
    assert result["status"] == "busy"
    errors = [call.error for call in simulated.aws.calls[start:] if call.operation == "PutItem"]
    assert errors == ["ConditionalCheckFailedException", None]
    assert lock_of(simulated).holder.execution == one.arn


def test_who_loses_the_race_every_time_is_throttled_and_run_again(simulated: SimulatedEnvironment) -> None:
    two = at_lock(simulated, DEPLOY, "two")

    def other_writes_first(event: Any) -> None:
        if event.detail.get("operation") == "GetItem":
            assert simulated.table.swap_lock(lock_of(simulated), lock_of(simulated))

    simulated.aws.subscribe(other_writes_first)
    error = two.fails()
    assert error.error_type == "Throttled"
    assert "5 times" in error.message


def test_infrastructure_is_waited_for_until_its_lease_ends_and_step_functions_is_not_asked_about_it(
    simulated: SimulatedEnvironment,
) -> None:
    one = at_lock(simulated, DEPLOY, "one")
    holder = Claim("infra:octocat@1f3c", Kind.INFRASTRUCTURE, simulated.aws.clock.now() - 90)
    free = lock_of(simulated)
    simulated.table.swap_lock(
        free, replace(free, token=1, holder=holder, lease_expires_at=simulated.aws.clock.now() + 30)
    )
    start = len(simulated.aws.calls)
    busy = one.call()
    assert busy["status"] == "busy"
    # About itself alone.
    assert [call.operation for call in simulated.aws.calls[start:]].count("DescribeExecution") == 1
    assert busy["reason"].startswith("infra:octocat@1f3c has been deploying infrastructure for 90 s")
    one.wait(31)
    held = one.call()
    assert (held["status"], held["token"], held["deadHolders"]) == ("held", 2, [])


# --- a dead holder of whose end no event has told

STOPPED_IN_THE_MIDDLE = "Register task definitions"


def dead_holder(simulated: SimulatedEnvironment) -> Flow:
    one = at_lock(simulated, DEPLOY, "one").run_to(STOPPED_IN_THE_MIDDLE)
    one.stop()
    return one


def recoveries(simulated: SimulatedEnvironment) -> list[Any]:
    return [run for run in simulated.aws.runs if "-recovery-" in run.name]


def after_the_grace(simulated: SimulatedEnvironment) -> None:
    lock = lock_of(simulated)
    simulated.aws.clock.sleep(lock.lease_expires_at - simulated.aws.clock.now() + 60)


def test_whoever_waits_starts_the_recovery_that_no_event_has_started(simulated: SimulatedEnvironment) -> None:
    one = dead_holder(simulated)
    two = at_lock(simulated, DEPLOY, "two")
    after_the_grace(simulated)
    result = two.call()
    assert (result["status"], result["reason"]) == ("busy", "one was stopped; one-recovery-1 rolls it back first")
    (run,) = recoveries(simulated)
    request = json.loads(run.input_json)
    assert (request["action"], request["takeover"]) == ("rollback", one.arn)
    two.call()
    assert len(recoveries(simulated)) == 1, "StartExecution is idempotent by name and input"


def test_the_event_has_a_minute_to_come(simulated: SimulatedEnvironment) -> None:
    dead_holder(simulated)
    two = at_lock(simulated, DEPLOY, "two")
    lock = lock_of(simulated)
    simulated.aws.clock.sleep(lock.lease_expires_at - simulated.aws.clock.now() + 59)
    assert two.call()["status"] == "busy"
    assert recoveries(simulated) == []


@pytest.mark.parametrize("request_", [ROLLBACK, {**ROLLBACK, "takeover": "one"}], ids=["rollback", "recovery"])
def test_who_rolls_back_starts_no_recovery(simulated: SimulatedEnvironment, request_: dict[str, Any]) -> None:
    one = dead_holder(simulated)
    request = {key: one.arn if key == "takeover" else value for key, value in request_.items()}
    two = at_lock(simulated, request, "two")
    after_the_grace(simulated)
    assert two.call()["status"] == "held"
    assert recoveries(simulated) == []


def test_recoveries_that_end_without_rolling_back_are_not_started_for_ever(simulated: SimulatedEnvironment) -> None:
    dead_holder(simulated)
    two = at_lock(simulated, DEPLOY, "two")
    after_the_grace(simulated)
    for number in range(1, 4):
        assert f"one-recovery-{number} " in two.call()["reason"]
        recoveries(simulated)[-1].stop()
    assert two.call()["reason"].endswith("3 recoveries have ended without rolling it back: run a rollback")
    assert len(recoveries(simulated)) == 3
