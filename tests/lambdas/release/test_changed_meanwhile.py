"""What somebody else did to the services while a deployment was under way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambdas.release.errors import ServiceChanged
from lambdas.release.rollback import changed_by_others, is_back, keep_infrastructure, with_twins
from lambdas.release.rollout import ServiceFacts, check_unchanged
from lambdas.release.task_definition import TaskDefinition
from tests.lambdas.release.examples import arn, deployment, pinned, plan, service

PLAN = plan(("api",))
API = replace(PLAN.services["api"], deployment="ecs-svc/planned", previous_image=pinned(1))
PLAN = replace(PLAN, services={"api": API})
OLD, OURS, OTHERS = arn("api", 1), arn("api", 2), arn("api", 3)


def runs(task_definition: str, deployment_id: str = "ecs-svc/new") -> ServiceFacts:
    return service(deployment(task_definition, id=deployment_id))


def check(facts: ServiceFacts) -> None:
    check_unchanged("api", facts, planned_deployment=API.deployment, expected=(API.previous, OURS))


def definition(image: str) -> TaskDefinition:
    containers = [{"name": API.container, "image": image}]
    return TaskDefinition({"taskDefinitionArn": OTHERS, "containerDefinitions": containers})


@pytest.mark.parametrize(
    "facts",
    [runs(OLD), runs(OURS), runs(OTHERS, "ecs-svc/planned"), service()],
    ids=["as planned", "ours already", "planned on what a stopped deployment left", "no PRIMARY"],
)
def test_a_service_that_is_as_planned_may_be_deployed(facts: ServiceFacts) -> None:
    check(facts)


def test_a_service_that_somebody_else_deployed_since_is_not_overwritten_without_a_word() -> None:
    with pytest.raises(ServiceChanged, match=r"api: somebody else deployed .*:3 since it was planned"):
        check(runs(OTHERS))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [(runs(OLD), []), (runs(OURS), []), (runs(OTHERS), ["api"]), (service(status="INACTIVE"), []), (service(), [])],
    ids=["back", "ours", "somebody else's", "deleted", "no PRIMARY"],
)
def test_what_is_neither_ours_nor_what_was_before_is_somebody_elses(facts: ServiceFacts, expected: list[str]) -> None:
    assert list(changed_by_others(PLAN, {"api": facts}, {"api": OURS})) == expected


def test_an_infrastructure_change_with_the_code_of_before_stays() -> None:
    kept = keep_infrastructure(PLAN, {"api": definition(pinned(1))}, {})
    assert kept.services["api"].previous == OTHERS
    assert is_back(kept.services["api"], runs(OTHERS))


@pytest.mark.parametrize("found", [definition(pinned(2)), None], ids=["the new code", "deleted meanwhile"])
def test_a_change_that_carries_other_code_goes_back(found: TaskDefinition | None) -> None:
    assert keep_infrastructure(PLAN, {"api": found}, {}) == PLAN


def test_what_has_the_content_of_before_is_back_where_the_image_of_before_is_not_known() -> None:
    """The placeholder of an application may have no container of that name."""
    unknown = replace(PLAN, services={"api": replace(API, previous_image=None)})
    before, other = definition(pinned(1)), definition(pinned(2))
    assert keep_infrastructure(unknown, {"api": before}, {"api": before}).services["api"].previous == OTHERS
    assert keep_infrastructure(unknown, {"api": other}, {"api": before}) == unknown
    assert keep_infrastructure(unknown, {"api": other}, {"api": None}) == unknown


@pytest.mark.parametrize(
    ("facts", "returns_to"),
    [(runs(OURS), OTHERS), (runs(OTHERS), OTHERS), (runs(OLD), OLD), (None, OLD), (service(status="INACTIVE"), OLD)],
    ids=["moved", "on the twin", "still there, or put back by ECS", "gone", "deleted"],
)
def test_a_service_returns_to_the_twin_unless_it_never_left(facts: ServiceFacts | None, returns_to: str) -> None:
    seen = {"api": facts} if facts else {}
    wanted = with_twins(PLAN, seen, {"api": OTHERS, "somebody": OURS})
    assert wanted.services["api"].previous == returns_to
    assert changed_by_others(wanted, {"api": runs(OTHERS)}, {}) == (
        {} if returns_to == OTHERS else {"api": runs(OTHERS)}
    )
