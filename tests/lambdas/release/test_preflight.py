from __future__ import annotations

import pytest

from lambdas.release.errors import PreflightFailed
from lambdas.release.preflight import (
    Result,
    check_alarms,
    check_found,
    check_service,
    check_task_definition,
    fail,
    ok,
    require,
    skip,
)
from lambdas.release.rollout import ServiceFacts
from lambdas.release.task_definition import TaskDefinition
from tests.lambdas.release.examples import arn, deployment, service

OK, FAIL, SKIP = Result.OK, Result.FAIL, Result.SKIP
AT_REST = service(deployment(arn("api", 1)))
MOVING = service(deployment(arn("api", 1), rollout_state="IN_PROGRESS"))

SERVICES: dict[str, tuple[ServiceFacts | None, bool, list[Result]]] = {
    "at rest": (AT_REST, False, [OK, OK, OK]),
    "gone": (None, True, [FAIL]),
    "draining": (service(deployment(arn("api", 1)), status="DRAINING"), False, [FAIL, OK, OK]),
    "another rollout, deploy": (MOVING, False, [OK, FAIL, OK]),
    "another rollout, rollback or forced": (MOVING, True, [OK, SKIP, OK]),
    "desired count 0": (service(deployment(arn("api", 1), desired=0, running=0)), False, [OK, OK, SKIP]),
}


@pytest.mark.parametrize(("facts", "may_interrupt", "expected"), SERVICES.values(), ids=SERVICES)
def test_a_service_is_checked(facts: ServiceFacts | None, expected: list[Result], *, may_interrupt: bool) -> None:
    checks = check_service("api", facts, may_interrupt=may_interrupt)
    assert [check.result for check in checks] == expected
    assert {check.subject for check in checks} == {"api"}


DEFINITION = TaskDefinition(
    {"taskDefinitionArn": arn("api", 3), "containerDefinitions": [{"name": "a"}, {"name": "b"}]}
)


def test_a_task_definition_has_to_be_there() -> None:
    assert [str(check) for check in check_task_definition("api", "family", "a", None)] == [
        "FAIL api: task definition — family has no active revision; deploy its stack"
    ]


def test_a_task_definition_has_to_hold_the_container() -> None:
    assert [str(check) for check in check_task_definition("api", "family", "x", DEFINITION)] == [
        "OK api: task definition — v3-backend-dev-api:3",
        "FAIL api: container — x is not in family; it has a, b",
    ]
    assert [check.result for check in check_task_definition("api", "family", "a", DEFINITION)] == [OK, OK]


def test_what_may_not_be_looked_up_is_skipped_and_what_is_not_there_is_not_good() -> None:
    checks = check_found("api", "secret exists", ["a", "b", "c", "d"], {"a": True, "b": False, "c": None})
    assert [str(check) for check in checks] == [
        "OK api: secret exists — a",
        "FAIL api: secret exists — b does not exist",
        "SKIP api: secret exists — c: may not be looked up from here",
        "SKIP api: secret exists — d: may not be looked up from here",
    ]


def test_an_alarm_has_to_exist_and_be_quiet() -> None:
    states = {"a": "OK", "b": "ALARM", "c": "INSUFFICIENT_DATA"}
    assert [check.result for check in check_alarms(["a", "b", "c", "d"], states, forced=False)] == [OK, FAIL, OK, FAIL]


def test_a_forced_deploy_goes_past_an_alarm_that_fires_already_but_not_past_one_that_does_not_exist() -> None:
    firing, missing = check_alarms(["a", "b"], {"a": "ALARM"}, forced=True)
    assert str(firing) == "SKIP a: alarm — it is firing already, so it does not count for this forced deployment"
    assert missing.result == FAIL


def test_one_check_that_is_not_good_refuses_and_all_of_them_are_named() -> None:
    checks = [
        ok("api", "one"),
        fail("api", "two", "do this"),
        skip("api", "three", "why"),
        fail("worker", "four", "do that"),
    ]
    with pytest.raises(PreflightFailed) as refused:
        require(checks)
    assert str(refused.value) == "2 of 4 checks: FAIL api: two — do this; FAIL worker: four — do that"


def test_checks_that_passed_or_were_not_made_let_through() -> None:
    require([ok("api", "one"), skip("api", "two", "why")])
    require([])
