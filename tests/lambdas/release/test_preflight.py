from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.codec import encode
from lambdas.release.errors import PreflightFailed
from lambdas.release.preflight import (
    MAX_DETAIL,
    MORE,
    Check,
    Home,
    Result,
    check_alarms,
    check_complete,
    check_found,
    check_gone,
    check_migration_network,
    check_room,
    check_service,
    check_target,
    check_task_definition,
    fail,
    judge_found_role,
    judge_role,
    look,
    ok,
    require,
    shown,
    skip,
)
from lambdas.release.rollout import DeploymentSettings, ServiceFacts
from lambdas.release.task_definition import TaskDefinition
from tests.lambdas.release.examples import arn, deployment, service

OK, FAIL, SKIP = Result.OK, Result.FAIL, Result.SKIP
AT_REST = service(deployment(arn("api", 1)))
MOVING = service(deployment(arn("api", 1), rollout_state="IN_PROGRESS"))

SERVICES: dict[str, tuple[ServiceFacts | None, bool, list[Result]]] = {
    "at rest": (AT_REST, False, [OK, OK, OK, OK]),
    "gone": (None, True, [FAIL]),
    "draining": (service(deployment(arn("api", 1)), status="DRAINING"), False, [FAIL, OK, OK, OK]),
    "another rollout, deploy": (MOVING, False, [OK, OK, FAIL, OK]),
    "another rollout, rollback or forced": (MOVING, True, [OK, OK, SKIP, OK]),
    "desired count 0": (service(deployment(arn("api", 1), desired=0, running=0)), False, [OK, OK, OK, SKIP]),
}


@pytest.mark.parametrize(("facts", "may_interrupt", "expected"), SERVICES.values(), ids=SERVICES)
def test_a_service_is_checked(facts: ServiceFacts | None, expected: list[Result], *, may_interrupt: bool) -> None:
    checks = check_service("api", facts, may_interrupt=may_interrupt)
    assert [check.result for check in checks] == expected
    assert {check.subject for check in checks} == {"api"}


OTHER_SETTINGS = {
    "CodeDeploy": (DeploymentSettings(controller="CODE_DEPLOY"), "CODE_DEPLOY deploys this service"),
    "another controller": (DeploymentSettings(controller="EXTERNAL"), "EXTERNAL deploys this service"),
    "blue/green": (DeploymentSettings(strategy="BLUE_GREEN"), "the strategy is BLUE_GREEN; ROLLING is what"),
    "canary": (DeploymentSettings(strategy="CANARY"), "the strategy is CANARY"),
    "one of tomorrow": (DeploymentSettings(strategy="SHADOW"), "the strategy is SHADOW"),
}


@pytest.mark.parametrize("may_interrupt", [True, False], ids=["forced", "not forced"])
@pytest.mark.parametrize(("settings", "said"), OTHER_SETTINGS.values(), ids=OTHER_SETTINGS)
def test_what_stepship_cannot_deploy_is_refused_whatever_force_says(
    settings: DeploymentSettings, said: str, *, may_interrupt: bool
) -> None:
    checks = check_service("api", replace(AT_REST, settings=settings), may_interrupt=may_interrupt)
    refused = [check for check in checks if check.result == FAIL]
    assert [check.check for check in refused] == ["deployment controller"]
    assert said in refused[0].detail


def test_of_a_service_of_another_controller_nothing_is_said_about_rollouts() -> None:
    """Its deployments are task sets: for ECS there is none, and that is no rollout under way."""
    bare = ServiceFacts("api", "c", desired=2, settings=DeploymentSettings(controller="EXTERNAL"))
    assert [c.check for c in check_service("api", bare, may_interrupt=False)] == [
        "service is ACTIVE",
        "deployment controller",
    ]


ROOM = {
    # desired, minimum, maximum, DAEMON: what has to be changed
    "the defaults": (2, None, None, False, ""),
    "none may start, none may stop": (2, 100, 100, False, "to 150 or more, or minimumHealthyPercent to 50 or less"),
    "rounded, one task": (1, 75, 125, False, "set maximumPercent to 200 or more, or minimumHealthyPercent to 0"),
    "rounded, two tasks": (2, 75, 125, False, "to 150 or more, or minimumHealthyPercent to 50 or less"),
    "the same of four": (4, 75, 125, False, ""),
    "three tasks": (3, 67, 133, False, "set maximumPercent to 134 or more, or minimumHealthyPercent to 66 or less"),
    "one may stop": (3, 66, 100, False, ""),
    "one may start": (3, 100, 134, False, ""),
    "only stopping": (1, 0, 100, False, ""),
    "nothing to move": (0, 100, 100, False, ""),
    "a daemon": (4, None, None, True, ""),
    "a daemon that may not stop": (4, 100, None, True, "set minimumHealthyPercent to 75 or less"),
}  # fmt: skip


@pytest.mark.parametrize(("desired", "minimum", "maximum", "daemon", "fix"), ROOM.values(), ids=ROOM)
def test_a_deployment_needs_room_for_a_task_to_start_or_to_stop(
    desired: int, minimum: int | None, maximum: int | None, fix: str, *, daemon: bool
) -> None:
    settings = DeploymentSettings(is_daemon=daemon, minimum_healthy_percent=minimum, maximum_percent=maximum)
    check = check_room("api", ServiceFacts("api", "c", desired=desired, settings=settings))
    assert (check.result, check.detail.endswith(fix)) == (FAIL if fix else OK, True)


@given(st.data())
def test_each_fix_makes_room_and_a_percent_less_does_not(data: st.DataObject) -> None:
    desired = data.draw(st.integers(1, 300))
    minimum = data.draw(st.integers(100 * (desired - 1) // desired + 1, 100))
    maximum = data.draw(st.integers(100, -(-100 * (desired + 1) // desired) - 1))

    def look(minimum: int, maximum: int) -> Check:
        settings = DeploymentSettings(minimum_healthy_percent=minimum, maximum_percent=maximum)
        return check_room("api", ServiceFacts("api", "c", desired=desired, settings=settings))

    refused = look(minimum, maximum)
    assert refused.result == FAIL
    found = re.search(r"maximumPercent to (\d+).*minimumHealthyPercent to (\d+)", refused.detail)
    assert found
    higher, lower = int(found[1]), int(found[2])
    assert look(minimum, higher).result == look(lower, maximum).result == OK
    assert look(minimum, higher - 1).result == look(lower + 1, maximum).result == FAIL


def test_a_field_that_a_new_revision_would_lose_is_named_with_the_fix() -> None:
    whole, unknown = replace(DEFINITION), replace(DEFINITION, lost=None)
    newer = replace(DEFINITION, lost=("containerDefinitions[0].newThing", "b", "c", "d", "e", "f"))
    assert check_complete("api", whole).result == OK
    assert check_complete("api", unknown).result == SKIP
    assert str(check_complete("api", newer)) == (
        "FAIL api: task definition is copied whole — v3-backend-dev-api:3 has containerDefinitions[0].newThing, b, c, "
        "d, e, …, which the SDK of this function would lose; give the functions a newer boto3 "
        "(lambdas/requirements.txt), or remove the field from the task definition"
    )


def test_a_revision_that_was_deregistered_is_told() -> None:
    inactive = TaskDefinition({**DEFINITION.document, "status": "INACTIVE"})
    assert "api:3, which was deregistered" in str(check_task_definition("api", "family", ["a"], inactive)[0])


DEFINITION = TaskDefinition(
    {"taskDefinitionArn": arn("api", 3), "containerDefinitions": [{"name": "a"}, {"name": "b"}]}
)


def test_a_task_definition_has_to_be_there() -> None:
    assert [str(check) for check in check_task_definition("api", "family", ["a"], None)] == [
        "FAIL api: task definition — family has no active revision; deploy its stack"
    ]


def test_a_task_definition_has_to_hold_the_container() -> None:
    assert [str(check) for check in check_task_definition("api", "family", ["x"], DEFINITION)] == [
        "OK api: task definition — v3-backend-dev-api:3",
        "FAIL api: container — x is not in family; it has a, b",
    ]
    assert [check.result for check in check_task_definition("api", "family", ["a"], DEFINITION)] == [OK, OK]


def test_each_of_several_containers_has_to_be_there() -> None:
    assert [str(check) for check in check_task_definition("api", "family", ["a", "b", "x"], DEFINITION)][1:] == [
        "OK api: container — a",
        "OK api: container — b",
        "FAIL api: container — x is not in family; it has a, b",
    ]


def test_a_release_s_revision_goes_back_as_it_was_whatever_its_containers_are_called() -> None:
    assert [str(check) for check in check_target("api", "family", ["a", "x"], arn("api", 3), DEFINITION)] == [
        "OK api: task definition — v3-backend-dev-api:3",
        "OK api: container — a",
        "SKIP api: container — x is not in family; it has a, b; it goes back as it was",
    ]


def test_a_release_s_revision_that_was_deregistered_has_to_be_copied_whole_and_one_that_was_deleted_is_gone() -> None:
    inactive = TaskDefinition({**DEFINITION.document, "status": "INACTIVE"}, (), ("newThing",))
    assert [c.result for c in check_target("api", "family", ["a"], arn("api", 3), inactive)] == [OK, OK, FAIL]
    (gone,) = check_target("api", "family", ["a"], arn("api", 3), None)
    assert str(gone) == (
        f"FAIL api: task definition — {arn('api', 3)} was deleted; deploy the image of the release instead"
    )


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com", True),
        ("123456789012.dkr-ecr.us-east-1.on.aws", True),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com.cn", True),
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com", False),
        ("999999999999.dkr.ecr.us-east-1.amazonaws.com", False),
        ("public.ecr.aws", False),
        ("nginx", False),
    ],
)
def test_images_are_looked_up_in_the_registry_of_the_own_account_and_region(host: str, *, own: bool) -> None:
    assert HOME.has_registry(host) is own


def test_what_may_not_be_looked_up_is_skipped_and_what_is_not_there_is_not_good() -> None:
    looks = {"a": True, "b": False, "c": None}
    found = {name: look(exists=exists, unseen="it is far away") for name, exists in looks.items()}
    assert [str(check) for check in check_found("api", "secret exists", found)] == [
        "OK api: secret exists — a",
        "FAIL api: secret exists — b does not exist",
        "SKIP api: secret exists — c: it is far away",
    ]


HOME = Home("us-east-1", "123456789012", "/v3-backend/dev/")
ROLE = "arn:aws:iam::123456789012:role"
ROLES: dict[str, tuple[str, str | None]] = {
    "below the path": (f"{ROLE}/v3-backend/dev/task", None),
    "deeper": (f"{ROLE}/v3-backend/dev/jobs/task", None),
    "of another path": (f"{ROLE}/v3-backend/prod/task", "widen [permissions] role_path, which is /v3-backend/dev/,"),
    "without a path": (f"{ROLE}/task", "is outside of what may be passed to tasks: widen [permissions] role_path"),
    "of another account": ("arn:aws:iam::999999999999:role/v3-backend/dev/task", "is of account 999999999999"),
    "a short name": ("task", None),
}


@pytest.mark.parametrize(("reference", "words"), ROLES.values(), ids=ROLES)
def test_a_role_is_judged_by_its_arn_first(reference: str, words: str | None) -> None:
    judged = judge_role(reference, HOME)
    assert (judged is None) is (words is None)
    assert judged is None or (judged.result == FAIL and str(words) in judged.detail)


@pytest.mark.parametrize("path", ["/", "/v3-backend/", "/v3-backend/dev/ta"])
def test_a_role_path_may_be_wider_or_the_beginning_of_names(path: str) -> None:
    assert judge_role(f"{ROLE}/v3-backend/dev/task", replace(HOME, role_path=path)) is None


FOUND_ROLES: dict[str, tuple[str, str | None, str, str]] = {
    "there": (f"{ROLE}/v3-backend/dev/t", f"{ROLE}/v3-backend/dev/t", OK, ""),
    "not there": (f"{ROLE}/v3-backend/dev/t", None, FAIL, "does not exist"),
    "there with another path": (f"{ROLE}/v3-backend/dev/t", f"{ROLE}/t", FAIL, f"the role of that name is {ROLE}/t"),
    "a short name": ("t", f"{ROLE}/v3-backend/dev/t", OK, ""),
    "a short name of another path": ("t", f"{ROLE}/t", FAIL, "widen [permissions] role_path"),
}


@pytest.mark.parametrize(("reference", "arn_", "result", "words"), FOUND_ROLES.values(), ids=FOUND_ROLES)
def test_a_role_that_iam_has_is_compared_with_what_is_named(
    reference: str, arn_: str | None, result: str, words: str
) -> None:
    found = judge_found_role(reference, arn_, HOME)
    assert found.result == result
    assert words in found.detail


def test_what_belongs_to_another_account_is_not_looked_up() -> None:
    assert HOME.elsewhere("999999999999") == "it is of account 999999999999 and is not looked up from here"
    assert HOME.elsewhere("123456789012") is None
    assert HOME.elsewhere("") is None


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


@pytest.mark.parametrize(
    ("mode", "has_network", "results"),
    [
        ("awsvpc", False, [Result.FAIL]),
        ("awsvpc", True, []),
        ("bridge", False, []),
        (None, False, []),
    ],
)
def test_a_migration_that_needs_a_network_has_one(mode: str | None, has_network: bool, results: list[Result]) -> None:
    definition = TaskDefinition({"networkMode": mode})
    checks = check_migration_network("migration", definition, has_network=has_network)
    assert [check.result for check in checks] == results
    assert all("give subnets and securityGroups in its catalog parameter" in check.detail for check in checks)
    assert check_migration_network("migration", None, has_network=False) == ()


def size_of(checks: tuple[Check, ...]) -> int:
    return sum(len(json.dumps(encode(check))) + 2 for check in checks)


def test_checks_that_fit_are_all_shown_in_their_order() -> None:
    checks = (ok("api", "a"), skip("api", "b", "why"), ok("worker", "c", "d"))
    assert shown(checks, 10_000, "dev") == checks
    assert shown(checks, size_of(checks), "dev") == checks
    assert shown((), 0, "dev") == ()


def test_what_does_not_fit_is_counted_and_what_did_not_pass_comes_first() -> None:
    checks = [ok("api", f"secret {n}", "x" * 3000) for n in range(900)]
    checks[700] = skip("api", "secret 700", "may not be looked up")
    found = shown(checks, 20_000, "dev")
    *kept, more = found
    assert size_of(found) <= 20_000
    assert len(kept) > 50
    assert max(len(each.detail) for each in kept) == MAX_DETAIL
    assert kept[-1] == checks[700]
    assert (more.check, more.result, more.detail) == (MORE, "OK", f"and {900 - len(kept)} more OK")


def test_others_that_are_left_out_are_counted_by_their_result() -> None:
    checks = [skip("api", f"secret {n}", "x" * 200) for n in range(90)] + [ok("api", "a")] * 3
    *kept, more = shown(checks, 2_000, "dev")
    assert (more.result, more.detail) == ("SKIP", f"and 3 more OK and {90 - len(kept)} more SKIP")


@given(
    details=st.lists(st.text(max_size=400), max_size=40),
    passed=st.lists(st.booleans(), min_size=40, max_size=40),
    room=st.integers(0, 30_000),
)
def test_checks_never_take_more_than_their_room(details: list[str], passed: list[bool], room: int) -> None:
    checks = [ok("a", "c", each) if good else skip("a", "c", each) for each, good in zip(details, passed, strict=False)]
    found = shown(checks, room, "dev")
    assert size_of(found) <= room
    if found and found[-1].check == MORE:
        said = sum(int(number) for number in re.findall(r"\d+", found[-1].detail))
        assert said + len(found) - 1 == len(checks)


def test_a_message_lists_as_many_failures_as_a_report_can_hold() -> None:
    checks = [fail(f"service-{n}", "secret exists", "s" * 2000) for n in range(300)]
    with pytest.raises(PreflightFailed) as refused:
        require(checks)
    said = str(refused.value)
    assert said.startswith("300 of 300 checks: FAIL service-0: secret exists")
    assert len(said) < 4_000
    listed = said.count("FAIL ")
    assert said.endswith(f"; and {300 - listed} more")


def test_a_way_back_leaves_a_deleted_service_out_and_says_why() -> None:
    assert check_gone("api", AT_REST) is None
    gone = [check_gone("api", None), *(check_gone("api", replace(AT_REST, status=s)) for s in ("DRAINING", "INACTIVE"))]
    assert [str(check) for check in gone] == [
        "SKIP api: not rolled back — ECS does not know it: it was deleted, or its catalog parameter is wrong",
        "SKIP api: not rolled back — it is DRAINING: it was deleted, and has nothing to return to",
        "SKIP api: not rolled back — it is INACTIVE: it was deleted, and has nothing to return to",
    ]
