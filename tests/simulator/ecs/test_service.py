"""The pure rollout model, second by second: no moto, no AWS."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from simulator.ecs.deployments import CircuitBreaker, ServiceSettings
from simulator.ecs.images import ImageBehavior
from simulator.ecs.service import ServiceRollout, retry_seconds
from simulator.ecs.tasks import ContainerSpec, SimulatedTask, TaskSpec, Transition

HEALTHY = ImageBehavior()
CRASH = ImageBehavior(outcome="crash", exit_code=3)
BREAKER = CircuitBreaker(enable=True, rollback=True)


@dataclass
class Host:
    """Task definition `v1` behaves as `images["v1"]` says."""

    images: dict[str, ImageBehavior]
    has_health_check: bool = True
    transitions: list[tuple[str, str]] = field(default_factory=list)

    def resolve(self, task_definition: str, at: float) -> TaskSpec:  # noqa: ARG002 (the protocol has it)
        main = ContainerSpec("app", f"image:{task_definition}", has_health_check=self.has_health_check)
        return TaskSpec(task_definition, main, self.images.get(task_definition, HEALTHY))

    def record(self, task: SimulatedTask, transition: Transition) -> None:
        self.transitions.append((task.id, transition.kind))


def make_service(
    images: dict[str, ImageBehavior], settings: ServiceSettings, *, has_health_check: bool = True
) -> ServiceRollout:
    arn = "arn:aws:ecs:eu-central-1:123456789012:service/c/api"
    return ServiceRollout("api", arn, "c", settings, Host(images, has_health_check))


def steady_on_v1(v2: ImageBehavior, settings: ServiceSettings, *, has_health_check: bool = True) -> ServiceRollout:
    """A service that has been on v1 for 100 seconds and got v2 just now."""
    service = make_service({"v2": v2}, settings, has_health_check=has_health_check)
    service.update(0, task_definition="v1")
    service.advance(100)
    assert service.primary.rollout_state == "COMPLETED"
    service.update(100, task_definition="v2")
    return service


def messages(service: ServiceRollout) -> list[str]:
    return [event.message for event in reversed(service.events)]


def test_a_healthy_rollout_goes_step_by_step() -> None:
    service = make_service({}, ServiceSettings(desired_count=2))
    service.update(0, task_definition="v1")
    seen = []
    for second in (0, 8, 20, 29, 30):
        service.advance(second)
        deployment = service.primary
        seen.append((second, deployment.pending_count, deployment.running_count, deployment.rollout_state))
    assert seen == [
        (0, 2, 0, "IN_PROGRESS"),
        (8, 2, 0, "IN_PROGRESS"),
        (20, 0, 2, "IN_PROGRESS"),
        (29, 0, 2, "IN_PROGRESS"),
        (30, 0, 2, "COMPLETED"),
    ]
    assert messages(service)[-1] == "(service api) has reached a steady state."


def test_old_tasks_drain_before_the_rollout_completes() -> None:
    settings = ServiceSettings(desired_count=2, target_group="tg", drain_seconds=30)
    service = steady_on_v1(HEALTHY, settings)
    service.advance(130)  # the new tasks are healthy
    assert [(each.status, each.running_count) for each in service.deployments] == [("PRIMARY", 2), ("ACTIVE", 0)]
    assert {task.last_status for task in service.deployments[1].tasks} == {"DEACTIVATING"}
    service.advance(161)
    assert service.primary.rollout_state == "IN_PROGRESS"
    service.advance(162)  # 30 s of draining, 2 s of SIGTERM
    assert [each.rollout_state for each in service.deployments] == ["COMPLETED"]


@pytest.mark.parametrize(
    ("minimum", "maximum", "least_healthy", "most_wanted"),
    [(100, 200, 4, 8), (50, 150, 2, 6), (0, 100, 0, 4), (100, 150, 4, 6), (50, 100, 2, 4)],
)
def test_minimum_and_maximum_percent_hold_at_every_moment(
    minimum: int, maximum: int, least_healthy: int, most_wanted: int
) -> None:
    settings = ServiceSettings(desired_count=4, minimum_healthy_percent=minimum, maximum_percent=maximum)
    service = steady_on_v1(HEALTHY, settings)
    healthy, wanted = [], []
    for second in range(100, 400):
        service.advance(second)
        tasks = [task for each in service.deployments for task in each.wanted]
        healthy.append(sum(task.counted_healthy for task in tasks))
        wanted.append(len(tasks))
    assert service.primary.rollout_state == "COMPLETED"
    assert (min(healthy), max(wanted)) == (least_healthy, most_wanted)


def test_minimum_and_maximum_of_100_percent_never_move() -> None:
    settings = ServiceSettings(desired_count=1, minimum_healthy_percent=100, maximum_percent=100)
    service = steady_on_v1(HEALTHY, settings)
    service.advance(10_000)
    assert service.primary.rollout_state == "IN_PROGRESS"
    assert service.deployments[1].running_count == 1


@pytest.mark.parametrize(("desired", "threshold"), [(1, 3), (6, 3), (10, 5), (25, 13), (400, 200), (1000, 200)])
def test_breaker_threshold_is_half_of_desired_within_3_and_200(desired: int, threshold: int) -> None:
    assert CircuitBreaker(enable=True).threshold(desired) == threshold


def test_breaker_threshold_can_be_configured() -> None:
    assert CircuitBreaker(threshold_type="COUNT", threshold_value=7).threshold(100) == 7
    assert CircuitBreaker(threshold_type="UNBOUNDED_PERCENT", threshold_value=10).threshold(10) == 1


@pytest.mark.parametrize(("rounds", "seconds"), [(1, 10), (2, 20), (3, 40), (7, 640), (8, 1280), (9, 1620), (99, 1620)])
def test_restarts_are_throttled_up_to_27_minutes(rounds: int, seconds: int) -> None:
    assert retry_seconds(rounds) == seconds


@pytest.mark.parametrize(
    "behavior",
    [
        CRASH,
        ImageBehavior(outcome="out_of_memory"),
        ImageBehavior(outcome="cannot_pull"),
        ImageBehavior(outcome="secret_missing"),
        ImageBehavior(outcome="unhealthy"),
        ImageBehavior(outcome="no_capacity"),
    ],
    ids=lambda behavior: behavior.outcome,
)
def test_the_breaker_rolls_back_to_the_last_completed_deployment(behavior: ImageBehavior) -> None:
    service = steady_on_v1(behavior, ServiceSettings(desired_count=2, breaker=BREAKER))
    failed_id = service.primary.id
    at = 100
    while service.primary.task_definition == "v2":
        at += 1
        service.advance(at)
        assert at < 1000
    primary, failed = service.primary, service.deployments[1]
    assert (primary.task_definition, primary.rollout_state) == ("v1", "IN_PROGRESS")
    assert primary.rollout_state_reason == (
        f"ECS deployment circuit breaker: rolling back to deploymentId {primary.id}."
    )
    assert (failed.id, failed.status, failed.rollout_state) == (failed_id, "ACTIVE", "FAILED")
    assert failed.rollout_state_reason == "ECS deployment circuit breaker: tasks failed to start."
    service.advance(at + 100)
    assert [(each.id, each.rollout_state) for each in service.deployments] == [(primary.id, "COMPLETED")]
    assert f"(service api) (deployment {failed_id}) deployment failed: tasks failed to start." in messages(service)
    assert f"(service api) rolling back to deployment {primary.id}." in messages(service)


def test_the_breaker_without_rollback_leaves_the_old_tasks_and_stops_launching() -> None:
    settings = ServiceSettings(desired_count=2, breaker=CircuitBreaker(enable=True))
    service = steady_on_v1(CRASH, settings)
    service.advance(1000)
    launched = len(service.tasks)
    service.advance(5000)
    assert service.primary.rollout_state == "FAILED"
    assert service.deployments[1].running_count == 2
    assert len(service.tasks) == launched


def test_the_first_deployment_has_nothing_to_roll_back_to() -> None:
    service = make_service({"v1": CRASH}, ServiceSettings(desired_count=1, breaker=BREAKER))
    service.update(0, task_definition="v1")
    service.advance(1000)
    assert [each.rollout_state for each in service.deployments] == ["FAILED"]


def test_without_the_breaker_ecs_retries_for_ever_and_ever_slower() -> None:
    service = steady_on_v1(ImageBehavior(outcome="cannot_pull"), ServiceSettings(desired_count=1))
    service.advance(100 + 86_400)
    assert service.primary.rollout_state == "IN_PROGRESS"
    starts = [task.created_at for task in service.tasks if task.spec.task_definition_arn == "v2"]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps[:3] == [30, 40, 60]  # 20 s to fail, then 10, 20, 40 s of pause
    assert gaps[-1] == 1640
    assert any("unable to consistently start tasks" in message for message in messages(service))


def test_a_crash_after_running_without_any_health_check_never_trips_the_breaker() -> None:
    service = steady_on_v1(CRASH, ServiceSettings(desired_count=1, breaker=BREAKER), has_health_check=False)
    service.advance(3000)
    assert (service.primary.rollout_state, service.primary.failed_tasks) == ("IN_PROGRESS", 0)
    assert service.deployments[1].running_count == 1


def test_an_unhealthy_image_goes_unnoticed_without_any_health_check() -> None:
    settings = ServiceSettings(desired_count=1)
    service = steady_on_v1(ImageBehavior(outcome="unhealthy"), settings, has_health_check=False)
    service.advance(1000)
    assert service.primary.rollout_state == "COMPLETED"


@pytest.mark.parametrize(
    ("target_group", "reason"),
    [("tg-arn", "Task failed ELB health checks in (target-group tg-arn)"), ("", "Task failed container health checks")],
)
def test_an_unhealthy_task_is_stopped_in_the_words_of_ecs(target_group: str, reason: str) -> None:
    settings = ServiceSettings(desired_count=1, target_group=target_group, container_port=8080)
    service = steady_on_v1(ImageBehavior(outcome="unhealthy"), settings)
    service.advance(155)
    stopped = [task for task in service.tasks if task.spec.task_definition_arn == "v2" and task.is_stopped]
    assert [(task.stop_code, task.stopped_reason) for task in stopped] == [("ServiceSchedulerInitiated", reason)]
    if target_group:
        expected = (
            "(service api) (port 8080) is unhealthy in (target-group tg-arn) due to (reason Health checks failed)"
        )
        assert expected in messages(service)


def test_a_flaky_image_recovers() -> None:
    service = steady_on_v1(ImageBehavior(outcome="flaky", crashes=2), ServiceSettings(desired_count=1, breaker=BREAKER))
    service.advance(1000)
    assert service.primary.task_definition == "v2"
    assert (service.primary.rollout_state, service.primary.failed_tasks) == ("COMPLETED", 0)


def test_a_task_may_crash_after_the_rollout_completed() -> None:
    service = steady_on_v1(
        ImageBehavior(crash_after_healthy_seconds=60), ServiceSettings(desired_count=1, breaker=BREAKER)
    )
    service.advance(150)
    assert service.primary.rollout_state == "COMPLETED"
    service.advance(195)
    crashed = [task for task in service.tasks if task.stop_code == "EssentialContainerExited"]
    assert len(crashed) == 1
    assert (service.primary.rollout_state, service.primary.pending_count) == ("COMPLETED", 1)


def test_a_second_update_supersedes_the_first() -> None:
    service = steady_on_v1(ImageBehavior(outcome="slow"), ServiceSettings(desired_count=2))
    service.advance(110)
    service.update(110, task_definition="v3")
    assert [(each.task_definition, each.status) for each in service.deployments] == [
        ("v3", "PRIMARY"),
        ("v2", "ACTIVE"),
        ("v1", "ACTIVE"),
    ]
    service.advance(200)
    assert [(each.task_definition, each.rollout_state) for each in service.deployments] == [("v3", "COMPLETED")]


def test_desired_count_zero_completes_without_tasks() -> None:
    service = steady_on_v1(CRASH, ServiceSettings(desired_count=0, breaker=BREAKER))
    assert (service.primary.task_definition, service.primary.rollout_state) == ("v2", "COMPLETED")


@pytest.mark.parametrize("desired", [1, 5])
def test_desired_count_may_change_during_a_rollout(desired: int) -> None:
    service = steady_on_v1(HEALTHY, ServiceSettings(desired_count=3))
    service.advance(110)
    service.update(110, settings=ServiceSettings(desired_count=desired))
    service.advance(400)
    assert (service.primary.rollout_state, service.primary.running_count) == ("COMPLETED", desired)
    assert len(service.deployments) == 1


def test_the_same_task_definition_deploys_again_only_by_force() -> None:
    service = make_service({}, ServiceSettings(desired_count=1))
    service.update(0, task_definition="v1")
    service.advance(100)
    first = service.primary.id
    service.update(100, task_definition="v1")
    assert service.primary.id == first
    service.update(100, task_definition="v1", force=True)
    assert service.primary.id != first


def test_a_stopped_task_is_replaced_and_not_counted_as_failed() -> None:
    service = make_service({}, ServiceSettings(desired_count=1, breaker=BREAKER))
    service.update(0, task_definition="v1")
    service.advance(100)
    service.stop_task(service.tasks[0], 100, "by hand")
    service.advance(200)
    assert [task.stop_code for task in service.tasks] == ["UserInitiated", None]
    assert (service.primary.failed_tasks, service.primary.running_count) == (0, 1)


def test_the_same_calls_give_the_same_service_however_often_somebody_looks() -> None:
    def story(step: int) -> list[tuple[str, float, str]]:
        service = steady_on_v1(CRASH, ServiceSettings(desired_count=3, breaker=BREAKER, target_group="tg"))
        for second in range(100, 500, step):
            service.advance(second)
        service.advance(500)
        return [(event.id, event.at, event.message) for event in service.events]

    assert story(1) == story(7) == story(399)
