"""One simulated ECS task: its timeline, decided when it is launched, and how it is stopped.

Pure: no moto, no clock. Time is a number of unix seconds that the caller passes in.

A timeline of a healthy service task, with the default behavior:

| second | transition | `lastStatus` |
|---|---|---|
| 0 | created | PROVISIONING |
| 8 | `pending` | PENDING |
| 20 | `running` | RUNNING |
| 30 | `healthy` | RUNNING |
| at `stop` | draining, if behind a load balancer | DEACTIVATING |
| + deregistration delay | `stopped` | STOPPED |

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.ecs.images import ImageBehavior

TransitionKind = Literal["pending", "running", "healthy", "unhealthy", "start_failed", "exited", "stopped"]

OUT_OF_MEMORY_EXIT_CODE = 137
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
ESSENTIAL_CONTAINER_EXITED = "Essential container in task exited"

SIGTERM_EXIT_CODE = 143
"""128 + SIGTERM: what a container exits with that obeys, unless its program says otherwise."""


@dataclass(frozen=True)
class Interruption:
    """What ends a task from outside: `stopCode` and `stoppedReason` of the ECS API."""

    code: str
    reason: str


INTERRUPTIONS: Mapping[str, Interruption] = {
    "spot": Interruption("SpotInterruption", "Your Spot Task was interrupted."),
    "host": Interruption("TerminationNotice", "Host EC2 (instance i-0a1b2c3d4e5f60718) terminated."),
    "maintenance": Interruption(
        "InfrastructureHealth",
        "Amazon ECS is performing maintenance on the underlying infrastructure hosting the task.",
    ),
    "user": Interruption("UserInitiated", "Task stopped by user"),
}
"""By the words of a scenario."""

PENDING_SHARE = 0.4
"""Which part of the start is PROVISIONING: the network interface; the rest is pull and start (PENDING)."""

SIGTERM_SECONDS = 2.0
"""From SIGTERM to STOPPED for a container that obeys. ECS would send SIGKILL after `stopTimeout` (30 s)."""


@dataclass(frozen=True)
class ContainerSpec:
    """One container of a task as it was resolved at launch: `image` as written, `digest` if it is known."""

    name: str
    image: str
    digest: str | None = None
    has_health_check: bool = False
    cpu: int = 0


@dataclass(frozen=True)
class TaskSpec:
    """What a launch resolved: everything a task needs to know about the world, so that it can be pure.

    Parameters
    ----------
    main
        The container whose image decides. The others live and die with it.
    start_failure
        Why the task cannot start whatever its image does (no such image, no such log group); None if it can.
    network
        The elastic network interface of the task, in the shape of `Task.attachments`.
    """

    task_definition_arn: str
    main: ContainerSpec
    behavior: ImageBehavior
    containers: tuple[ContainerSpec, ...] = ()
    start_failure: str | None = None
    cpu: str | None = None
    memory: str | None = None
    network: tuple[Mapping[str, Any], ...] = ()

    @property
    def all_containers(self) -> tuple[ContainerSpec, ...]:
        """The containers in the order of the task definition."""
        return self.containers or (self.main,)

    @property
    def has_health_check(self) -> bool:
        """Whether some container of the task defines a health check."""
        return any(container.has_health_check for container in self.all_containers)


@dataclass(frozen=True)
class Transition:
    """Something that happens to a task at a point in time (unix seconds)."""

    at: float
    kind: TransitionKind
    reason: str = ""
    exit_code: int | None = None


def service_timeline(
    spec: TaskSpec, created_at: float, *, is_checked: bool = True, crashes_now: bool = False
) -> list[Transition]:
    """What a service task will do if nobody stops it.

    Parameters
    ----------
    spec
        The resolved task.
    created_at
        Unix seconds.
    is_checked
        Whether a load balancer or a container health check looks at the task: without one, an `unhealthy`
        image goes unnoticed.
    crashes_now
        Whether a `flaky` image crashes this time.
    """
    behavior = spec.behavior
    timeline = _start(spec, created_at)
    if timeline[-1].kind == "start_failed":
        return timeline
    running_at = timeline[-1].at
    healthy_at = running_at + behavior.healthy_seconds
    crash_at: float | None = None
    if behavior.outcome in ("crash", "out_of_memory") or (behavior.outcome == "flaky" and crashes_now):
        crash_at = running_at + behavior.crash_seconds
    elif behavior.outcome == "unhealthy" and is_checked:
        unhealthy_at = running_at + behavior.unhealthy_seconds
        return [*timeline, Transition(unhealthy_at, "unhealthy")]
    elif behavior.crash_after_healthy_seconds is not None:
        crash_at = healthy_at + behavior.crash_after_healthy_seconds
    if crash_at is None or healthy_at < crash_at:
        timeline.append(Transition(healthy_at, "healthy"))
    if crash_at is not None:
        timeline.append(_exit(behavior, crash_at, default_exit_code=1))
    return timeline


def one_off_timeline(spec: TaskSpec, created_at: float) -> list[Transition]:
    """What a task of `RunTask` will do if nobody stops it. Arguments as in `service_timeline`."""
    behavior = spec.behavior
    timeline = _start(spec, created_at)
    if timeline[-1].kind == "start_failed" or behavior.hang:
        return timeline
    running_at = timeline[-1].at
    if behavior.outcome in ("crash", "out_of_memory"):
        timeline.append(_exit(behavior, running_at + behavior.crash_seconds, default_exit_code=1))
    else:
        timeline.append(_exit(behavior, running_at + behavior.run_seconds, default_exit_code=0))
    return timeline


def _start(spec: TaskSpec, created_at: float) -> list[Transition]:
    behavior = spec.behavior
    running_at = created_at + behavior.seconds_to_running
    pending = Transition(created_at + behavior.seconds_to_running * PENDING_SHARE, "pending")
    reason = spec.start_failure
    if reason is None and behavior.outcome == "cannot_pull":
        reason = behavior.reason or (
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): "
            f"failed to resolve ref {spec.main.image}: {spec.main.image}: not found"
        )
    elif reason is None and behavior.outcome == "secret_missing":
        reason = behavior.reason or (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
            "secret from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
        )
    if reason is not None:
        return [pending, Transition(running_at, "start_failed", reason)]
    return [pending, Transition(running_at, "running")]


def _exit(behavior: ImageBehavior, at: float, *, default_exit_code: int) -> Transition:
    if behavior.outcome == "out_of_memory":
        return Transition(at, "exited", OUT_OF_MEMORY, OUT_OF_MEMORY_EXIT_CODE)
    exit_code = default_exit_code if behavior.exit_code is None else behavior.exit_code
    return Transition(at, "exited", exit_code=exit_code)


@dataclass
class SimulatedTask:
    """A task and its remaining timeline. Statuses and codes are those of the ECS API; times are unix seconds."""

    id: str
    arn: str
    spec: TaskSpec
    created_at: float
    timeline: deque[Transition]
    started_by: str = ""
    group: str = ""
    tags: list[dict[str, str]] = field(default_factory=list)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    launch_type: str = "FARGATE"
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    health: str = "UNKNOWN"
    counted_healthy: bool = False
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None
    container_reason: str | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the task has reached STOPPED."""
        return self.last_status == "STOPPED"

    @property
    def is_wanted(self) -> bool:
        """Whether the scheduler still wants the task (`desiredStatus` RUNNING)."""
        return self.desired_status == "RUNNING"

    @property
    def next_at(self) -> float | None:
        """When the next transition is due (unix seconds), None if there is none."""
        return self.timeline[0].at if self.timeline else None

    def step(self) -> Transition:
        """Take the next transition and return it. An `unhealthy` one changes nothing but the health."""
        transition = self.timeline.popleft()
        match transition.kind:
            case "pending":
                self.last_status = "PENDING"
            case "running":
                self.last_status = "RUNNING"
                self.started_at = transition.at
            case "healthy":
                self.counted_healthy = True
                self.health = "HEALTHY" if self.spec.has_health_check else "UNKNOWN"
            case "unhealthy":
                self.counted_healthy = False
                self.health = "UNHEALTHY" if self.spec.has_health_check else "UNKNOWN"
            case "start_failed":
                self._stopped(transition.at, "TaskFailedToStart", transition.reason)
            case "exited":
                self.exit_code = transition.exit_code
                self.container_reason = transition.reason or None
                self._stopped(transition.at, "EssentialContainerExited", ESSENTIAL_CONTAINER_EXITED)
            case "stopped":
                if self.started_at is not None:
                    self.exit_code = transition.exit_code
                self._stopped(transition.at, self.stop_code or "", self.stopped_reason or "")
        return transition

    def stop(
        self, at: float, code: str, reason: str, *, drain_seconds: float = 0.0, exit_code: int = SIGTERM_EXIT_CODE
    ) -> None:
        """Begin to stop the task: its load balancer target drains, then it gets SIGTERM.

        Parameters
        ----------
        at
            Unix seconds.
        code
            `stopCode` of the ECS API.
        reason
            `stoppedReason` of the ECS API.
        drain_seconds
            The deregistration delay of the target group, 0 without a load balancer. AWS' default is 300:
            https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
        exit_code
            143 for a container that obeys SIGTERM, 137 for one that had to be killed.
        """
        if not self.is_wanted:
            return
        ran = self.started_at is not None
        drain_seconds = drain_seconds if ran else 0.0
        self.desired_status = "STOPPED"
        self.last_status = "DEACTIVATING" if drain_seconds else "STOPPING"
        self.counted_healthy = False
        self.stopping_at = at
        self.stop_code, self.stopped_reason = code, reason
        self.timeline = deque([Transition(at + drain_seconds + SIGTERM_SECONDS, "stopped", exit_code=exit_code)])

    def _stopped(self, at: float, code: str, reason: str) -> None:
        self.last_status = self.desired_status = "STOPPED"
        self.counted_healthy = False
        self.stopping_at = self.stopping_at if self.stopping_at is not None else at
        self.stopped_at = at
        self.stop_code, self.stopped_reason = code, reason
        self.timeline.clear()
