"""One simulated ECS service: a discrete-event model of the rolling update.

Pure: no moto, no clock, no randomness. The caller says what happened (`update`, `stop_task`) and until when time
has passed (`advance`); the model asks its `ServiceHost` what a task definition means at the moment of a launch.
Everything happens in time order, ids are hashes of counters: the same calls give the same service, byte for byte.

How the numbers work, for 4 desired tasks, `minimumHealthyPercent` 50 and `maximumPercent` 150:

* never fewer than ceil(4 x 50 %) = 2 healthy tasks, never more than floor(4 x 150 %) = 6 wanted ones;
* a new deployment starts 6 - 4 = 2 tasks at once and, because it wants 2 more, stops 2 old ones to make room.

Rules and their source
----------------------
Rolling update, minimum and maximum
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
Circuit breaker: threshold, stages, rollback to the last COMPLETED deployment
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
Throttled restarts: growing pauses up to 27 minutes, only for tasks that never reach RUNNING
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
A task without any health check that crashes after RUNNING is not counted in `failedTasks`, so that the breaker
never sees it
    https://github.com/aws/containers-roadmap/issues/1206
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from hashlib import sha256

from simulator.ecs.deployments import Deployment, ServiceEvent, ServiceHost, ServiceSettings
from simulator.ecs.tasks import Interruption, SimulatedTask, TaskSpec, service_timeline

MAXIMUM_EVENTS = 100
"""DescribeServices returns the 100 newest events."""

FIRST_RETRY_SECONDS = 10.0
MAXIMUM_RETRY_SECONDS = 27 * 60.0
RELAUNCH_SECONDS = 5.0
"""Pause before a task that had reached RUNNING is replaced: the scheduler's own pace, not documented."""

ROUNDS_BEFORE_WARNING = 3
"""After so many failed rounds ECS adds its "unable to consistently start tasks" event."""


def retry_seconds(failed_rounds: int) -> float:
    """Pause before tasks are launched again after launches that never reached RUNNING.

    Doubles with each round: 10, 20, 40, … up to 27 minutes. The maximum is documented, the curve is not.
    """
    return min(FIRST_RETRY_SECONDS * 2.0 ** max(0, min(failed_rounds, 20) - 1), MAXIMUM_RETRY_SECONDS)


@dataclass
class ServiceRollout:
    """The live state of one service.

    Parameters
    ----------
    name, arn, cluster
        Of the service; task ARNs are derived from its ARN.
    settings
        Replaced as a whole by `update`.
    """

    name: str
    arn: str
    cluster: str
    settings: ServiceSettings
    host: ServiceHost
    deployments: list[Deployment] = field(default_factory=list)
    events: deque[ServiceEvent] = field(default_factory=lambda: deque(maxlen=MAXIMUM_EVENTS))
    tasks: list[SimulatedTask] = field(default_factory=list)
    history: list[Deployment] = field(default_factory=list)
    last_completed: str | None = None
    is_steady: bool = False
    _launches: Counter[str] = field(default_factory=Counter)
    _ids: Counter[str] = field(default_factory=Counter)

    @property
    def primary(self) -> Deployment:
        """The deployment that ECS is moving to."""
        return self.deployments[0]

    @property
    def next_at(self) -> float | None:
        """When something happens next (unix seconds) if nobody interferes."""
        times = [task.next_at for task in self._live if task.next_at is not None]
        if self._missing > 0 and self.primary.retry_at > 0:
            times.append(self.primary.retry_at)
        return min(times, default=None)

    @property
    def _live(self) -> list[SimulatedTask]:
        return [task for each in self.deployments for task in each.tasks]

    @property
    def _missing(self) -> int:
        if not self.deployments or self.primary.rollout_state == "FAILED":
            return 0
        return self.settings.desired_count - len(self.primary.wanted)

    def update(
        self,
        at: float,
        *,
        task_definition: str | None = None,
        settings: ServiceSettings | None = None,
        force: bool = False,
    ) -> None:
        """CreateService or UpdateService: a new deployment if the task definition changes or `force` asks for it."""
        if settings is not None:
            self.settings = settings
            self.is_steady = False
        if self.deployments:
            self.primary.updated_at = at
            unchanged = task_definition in (None, self.primary.task_definition)
            task_definition = task_definition or self.primary.task_definition
        else:
            unchanged = False
        if task_definition is not None and (force or not unchanged):
            self._deploy(task_definition, at)
        self._reconcile(at)

    def stop_task(self, task: SimulatedTask, at: float, reason: str, code: str = "UserInitiated") -> None:
        """StopTask on a task of the service, or the end of what it runs on: ECS replaces it.

        It counts as failed only when it never ran: such a task "doesn't transition to a RUNNING state".
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
        """
        if not task.is_wanted:
            return
        deployment = self.deployment_of(task)
        task.stop(at, code, reason, drain_seconds=self._drain_seconds)
        self.is_steady = False
        if task.started_at is None and deployment is not None and deployment.status == "PRIMARY":
            self._count_failure(deployment, at)
        self._reconcile(at)

    def interrupt(self, at: float, interruption: Interruption, tasks: int) -> None:
        """Take the oldest tasks of the PRIMARY deployment away, those that run first."""
        wanted = sorted(self.primary.wanted, key=lambda task: (task.started_at is None, task.created_at))
        for task in wanted[:tasks]:
            self.stop_task(task, at, interruption.reason, interruption.code)

    def advance(self, until: float) -> None:
        """Let everything happen that is due up to and including `until` (unix seconds), in time order."""
        while (at := self.next_at) is not None and at <= until:
            for task in self._live:
                if task.next_at is not None and task.next_at <= at:
                    self._step(task, at)
            if self.primary.retry_at <= at:
                self.primary.retry_at = 0.0
            self._reconcile(at)

    def forget_stopped(self, before: float) -> None:
        """Drop tasks that stopped before this time: ECS shows a stopped task for at least an hour."""
        self.tasks = [task for task in self.tasks if task.stopped_at is None or task.stopped_at >= before]

    def deployment_of(self, task: SimulatedTask) -> Deployment | None:
        """The deployment that launched a task, None when it is gone."""
        return next((each for each in self.deployments if each.id == task.started_by), None)

    # What a task does to its service

    def _step(self, task: SimulatedTask, at: float) -> None:
        deployment = self.deployment_of(task)
        was_healthy = task.counted_healthy
        transition = task.step()
        self.host.record(task, transition)
        if transition.kind == "running" and self.settings.target_group:
            self._event(at, f"registered 1 targets in (target-group {self.settings.target_group})")
        elif transition.kind == "healthy" and deployment:
            deployment.failed_rounds = 0
            if self.settings.breaker.reset_on_healthy_task:
                deployment.failed_tasks, deployment.is_proven = 0, True
        elif transition.kind == "unhealthy":
            self._stop_unhealthy(task, at)
            self._failed(deployment, task, at, counts=True)
        elif transition.kind in ("start_failed", "exited"):
            self.is_steady = False
            # A task that had been healthy is a crash during or after the bake, not a failed start.
            is_checked = bool(self.settings.target_group) or task.spec.has_health_check
            never_ran = task.started_at is None
            self._failed(deployment, task, at, counts=not was_healthy and (never_ran or is_checked))

    def _stop_unhealthy(self, task: SimulatedTask, at: float) -> None:
        self.is_steady = False
        if group := self.settings.target_group:
            self._event(
                at,
                f"(port {self.settings.container_port}) is unhealthy in (target-group {group}) "
                "due to (reason Health checks failed)",
            )
            reason = f"Task failed ELB health checks in (target-group {group})"
        else:
            reason = "Task failed container health checks"
        self._stop(task, at, reason)

    def _failed(self, deployment: Deployment | None, task: SimulatedTask, at: float, *, counts: bool) -> None:
        if deployment is None or deployment.status != "PRIMARY" or deployment.rollout_state == "FAILED":
            return
        if task.started_at is None:
            self._throttle(deployment, at)
        else:
            deployment.retry_at = max(deployment.retry_at, at + RELAUNCH_SECONDS)
        self._count_failure(deployment, at, counts=counts)

    def _throttle(self, deployment: Deployment, at: float) -> None:
        if deployment.last_failed_at != at:
            # Tasks that fail at the same moment are one round: four wrong pulls are one reason to wait longer.
            deployment.failed_rounds += 1
            deployment.last_failed_at = at
            if deployment.failed_rounds == ROUNDS_BEFORE_WARNING:
                self._event(
                    at,
                    "is unable to consistently start tasks successfully. For more information, see the "
                    "Troubleshooting section of the Amazon ECS Developer Guide.",
                )
        deployment.retry_at = at + retry_seconds(deployment.failed_rounds)

    def _count_failure(self, deployment: Deployment, at: float, *, counts: bool = True) -> None:
        if not counts or deployment.is_proven or deployment.rollout_state != "IN_PROGRESS":
            return
        deployment.failed_tasks += 1
        deployment.counted_failures += 1
        deployment.updated_at = at
        breaker = self.settings.breaker
        if breaker.enable and deployment.failed_tasks >= breaker.threshold(self.settings.desired_count):
            self._trip(deployment, at)

    def _trip(self, deployment: Deployment, at: float) -> None:
        deployment.rollout_state, deployment.finished_at = "FAILED", at
        deployment.rollout_state_reason = "ECS deployment circuit breaker: tasks failed to start."
        self._event(at, f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
        # A rollback that fails as well stays FAILED: ECS does not go back further.
        if self.settings.breaker.rollback and self.last_completed and not deployment.is_rollback:
            back = self._deploy(self.last_completed, at)
            back.is_rollback, deployment.back_to = True, back
            back.rollout_state_reason = f"ECS deployment circuit breaker: rolling back to deploymentId {back.id}."
            self._event(at, f"rolling back to deployment {back.id}.")

    # What the scheduler does

    def _deploy(self, task_definition: str, at: float) -> Deployment:
        source = next((each.id for each in self.deployments if each.rollout_state == "COMPLETED"), None)
        for old in self.deployments:
            old.status = "ACTIVE"
            if old.rollout_state == "IN_PROGRESS":
                old.is_replaced, old.finished_at = True, at
        deployment = Deployment(f"ecs-svc/{self._digits('deployment')}", task_definition, at, at, source=source)
        self.history.append(deployment)
        deployment.rollout_state_reason = f"ECS deployment {deployment.id} in progress."
        self.deployments.insert(0, deployment)
        self.is_steady = False
        return deployment

    def _reconcile(self, at: float) -> None:
        if not self.deployments:
            return
        # Stopping an old task may make room for a new one, so go on until nothing moves.
        while self._launch(at) or self._stop_surplus(at):
            pass
        for each in self.deployments:
            each.tasks = [task for task in each.tasks if not task.is_stopped]
        self._warn_of_deadlock(at)
        primary = self.primary
        healthy = sum(task.counted_healthy for task in primary.wanted)
        is_drained = not any(each.tasks for each in self.deployments[1:])
        arrived = healthy == len(primary.wanted) == self.settings.desired_count and is_drained
        # A deployment leaves with its last task; a FAILED one stays to be seen until its successor has arrived.
        self.deployments = [primary] + [
            each for each in self.deployments[1:] if each.tasks or (each.rollout_state == "FAILED" and not arrived)
        ]
        if not arrived or primary.rollout_state == "FAILED":
            return
        if primary.rollout_state == "IN_PROGRESS":
            primary.rollout_state = "COMPLETED"
            primary.rollout_state_reason = f"ECS deployment {primary.id} completed."
            primary.updated_at = primary.finished_at = at
            self.last_completed = primary.task_definition
            self._event(at, f"(deployment {primary.id}) deployment completed.")
        if not self.is_steady:
            self.is_steady = True
            self._event(at, "has reached a steady state.")

    def _launch(self, at: float) -> bool:
        primary = self.primary
        count = min(self._missing, self._room)
        if count <= 0 or primary.retry_at > at:
            return False
        launched = []
        for _ in range(count):
            spec = self.host.resolve(primary.task_definition, at)
            if spec.behavior.outcome == "no_capacity":
                self._event(
                    at,
                    "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again "
                    "later or in a different availability zone. For more information, see the Troubleshooting "
                    "section of the Amazon ECS Developer Guide.",
                )
                self._throttle(primary, at)
                self._count_failure(primary, at)
                break
            launched.append(self._launch_one(primary, spec, at))
        if launched:
            names = " ".join(f"(task {task.id})" for task in launched)
            self._event(at, f"has started {len(launched)} tasks: {names}.")
        # A task that cannot be placed may trip the breaker: then there is a new PRIMARY to launch for.
        return bool(launched) or self.primary is not primary

    def _launch_one(self, deployment: Deployment, spec: TaskSpec, at: float) -> SimulatedTask:
        self._ids["task"] += 1
        task_id = _hash(f"{self.arn}/task/{self._ids['task']}")[:32]
        image = spec.main.digest or spec.main.image
        self._launches[image] += 1
        timeline = service_timeline(
            spec,
            at,
            is_checked=bool(self.settings.target_group) or spec.has_health_check,
            crashes_now=self._launches[image] <= spec.behavior.crashes,
        )
        arn_prefix = self.arn.split(":service/")[0]
        task = SimulatedTask(
            id=task_id,
            arn=f"{arn_prefix}:task/{self.cluster}/{task_id}",
            spec=spec,
            created_at=at,
            timeline=deque(timeline),
            started_by=deployment.id,
            group=f"service:{self.name}",
        )
        deployment.tasks.append(task)
        self.tasks.append(task)
        self.is_steady = False
        return task

    @property
    def _room(self) -> int:
        return self.settings.maximum_wanted - sum(len(each.wanted) for each in self.deployments)

    def _stop_surplus(self, at: float) -> bool:
        primary, settings = self.primary, self.settings
        old = [task for each in reversed(self.deployments[1:]) for task in each.wanted]
        # Old tasks that are not healthy help nobody and hold back the new ones.
        stopping = [task for task in old if not task.counted_healthy]
        healthy_old = [task for task in old if task.counted_healthy]
        healthy = len(healthy_old) + sum(task.counted_healthy for task in primary.wanted)
        surplus = healthy - max(settings.desired_count, settings.minimum_healthy)
        if self._missing > 0 and self._room <= 0:
            surplus = max(surplus, min(self._missing, healthy - settings.minimum_healthy))
        stopping += healthy_old[: max(0, surplus)]
        # Scaling in takes the tasks that are not healthy yet first, then the youngest.
        excess = len(primary.wanted) - settings.desired_count
        if excess > 0:
            by_use = sorted(primary.wanted, key=lambda task: (task.counted_healthy, -task.created_at))
            stopping += by_use[:excess]
        for task in stopping:
            self._stop(task, at, f"Scaling activity initiated by (deployment {primary.id})")
        if stopping:
            names = " ".join(f"(task {task.id})" for task in stopping)
            if settings.target_group:
                self._event(at, f"has begun draining connections on {len(stopping)} tasks.")
            self._event(at, f"has stopped {len(stopping)} running tasks: {names}.")
        return bool(stopping)

    def _stop(self, task: SimulatedTask, at: float, reason: str) -> None:
        task.stop(at, "ServiceSchedulerInitiated", reason, drain_seconds=self._drain_seconds)

    @property
    def _drain_seconds(self) -> float:
        return self.settings.drain_seconds if self.settings.target_group else 0.0

    def _warn_of_deadlock(self, at: float) -> None:
        """Say, once for a deployment, that the percentages let no task start and none stop."""
        primary = self.primary
        if self._missing <= 0 or self._room > 0 or primary.is_stuck:
            return
        if all(task.counted_healthy for task in self._live):
            primary.is_stuck = True
            self._event(
                at,
                "was unable to stop or start tasks during a deployment because of the service deployment "
                "configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            )

    def _event(self, at: float, message: str) -> None:
        self._ids["event"] += 1
        digest = _hash(f"{self.arn}/event/{self._ids['event']}")
        event_id = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
        self.events.appendleft(ServiceEvent(event_id, at, f"(service {self.name}) {message}"))

    def _digits(self, kind: str) -> str:
        self._ids[kind] += 1
        return f"{int(_hash(f'{self.arn}/{kind}/{self._ids[kind]}')[:15], 16):019d}"


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
