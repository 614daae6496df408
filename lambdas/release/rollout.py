"""What ECS says about a service, and what it means for a rollout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lambdas.release.errors import ServiceChanged
from lambdas.release.explanation import StoppedTask
from lambdas.release.verdicts import Status

STARTED = re.compile(r"has started \d+ tasks?: (?P<tasks>.+)$")
SCALED_IN = "Scaling activity initiated by"
"""How ECS begins the reason of a task that it stopped because the service needs fewer."""

TASK_MENTION = re.compile(r"\(task ([0-9a-f-]+)\)")


@dataclass(frozen=True)
class Deployment:
    """One entry of a service's ``deployments``; counts are numbers of tasks."""

    id: str
    status: str
    task_definition: str
    desired: int = 0
    pending: int = 0
    running: int = 0
    failed_tasks: int = 0
    rollout_state: str | None = None
    rollout_reason: str = ""


@dataclass(frozen=True)
class Event:
    """One service event; ``at`` in unix seconds."""

    at: float
    message: str


@dataclass(frozen=True)
class DeploymentSettings:
    """How a service is deployed: ``deploymentController`` and ``deploymentConfiguration`` of the ECS API.

    Attributes
    ----------
    controller
        ECS, CODE_DEPLOY or EXTERNAL.
    strategy
        ROLLING, BLUE_GREEN, LINEAR or CANARY.
    minimum_healthy_percent, maximum_percent
        Of the desired count; None stands for ECS's default.
    """

    controller: str = "ECS"
    strategy: str = "ROLLING"
    is_daemon: bool = False
    minimum_healthy_percent: int | None = None
    maximum_percent: int | None = None

    @property
    def minimum(self) -> int:
        """Percent; ECS's default is 100, and 0 for DAEMON (ECS API Reference, DeploymentConfiguration)."""
        default = 0 if self.is_daemon else 100
        return default if self.minimum_healthy_percent is None else self.minimum_healthy_percent

    @property
    def maximum(self) -> int:
        """Percent; ECS's default is 200, and 100 for DAEMON (ECS API Reference, DeploymentConfiguration)."""
        default = 100 if self.is_daemon else 200
        return default if self.maximum_percent is None else self.maximum_percent


@dataclass(frozen=True)
class ServiceFacts:
    """A service as DescribeServices shows it; ``events`` newest first."""

    name: str
    cluster: str
    status: str = "ACTIVE"
    task_definition: str = ""
    desired: int = 0
    running: int = 0
    pending: int = 0
    deployments: tuple[Deployment, ...] = ()
    events: tuple[Event, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    launch: Mapping[str, Any] = field(default_factory=dict)
    settings: DeploymentSettings = DeploymentSettings()

    @property
    def primary(self) -> Deployment | None:
        """The deployment that ECS works towards."""
        return next((d for d in self.deployments if d.status == "PRIMARY"), None)

    @property
    def is_settled(self) -> bool:
        """Whether no rollout is under way."""
        primary = self.primary
        if primary is None or any(d.running for d in self.deployments if d is not primary):
            return False
        if primary.rollout_state is not None:
            return primary.rollout_state == "COMPLETED"
        return len(self.deployments) == 1 and self.running == self.desired and self.pending == 0

    def tasks_started_since(self, at: float) -> int:
        """Count the tasks that ECS says it started since then.

        ``failedTasks`` forgets its count once one task runs (ECS API Reference, Deployment), so tasks
        that start and die in turn show only here.
        """
        started = (STARTED.search(event.message) for event in self.events if event.at >= at)
        return sum(len(TASK_MENTION.findall(match["tasks"])) for match in started if match)


def check_unchanged(name: str, facts: ServiceFacts, *, planned_deployment: str | None, expected: Sequence[str]) -> None:
    """Check that a service still is what the plan has seen, before it gets a task definition made from that.

    Parameters
    ----------
    planned_deployment
        The id of the PRIMARY deployment at planning time: while it is PRIMARY, nobody has deployed since.
    expected
        The task definition ARNs that it may run otherwise: the planned one, and what this deployment gives it.

    Raises
    ------
    ServiceChanged
        Names the service and what it runs now.
    """
    primary = facts.primary
    if primary is None or primary.id == planned_deployment:
        return
    if primary.task_definition not in expected:
        other = primary.task_definition.rsplit("/", 1)[-1]
        raise ServiceChanged(f"{name}: somebody else deployed {other} since it was planned; start again")


@dataclass(frozen=True)
class Verdict:
    """What a look at one service means.

    Attributes
    ----------
    status
        ``superseded`` when somebody else deployed the service meanwhile.
    reason
        One sentence.
    running, desired
        Tasks of the deployment that is being watched.
    """

    status: Status
    reason: str
    running: int = 0
    desired: int = 0


@dataclass(frozen=True)
class Goal:
    """What one service should become.

    Attributes
    ----------
    target, previous
        Task definition ARNs.
    replaced_deployment
        The id of the deployment that was PRIMARY before ours; DescribeServices may show it for a
        moment after UpdateService has answered.
    started_at, deadline
        Unix seconds.
    failed_tasks_limit
        So many failed tasks end the rollout.
    desired
        The desired count when the rollout began; a scale-in since makes no started task a failed one.
    """

    target: str
    previous: str
    replaced_deployment: str | None
    started_at: float
    deadline: float
    failed_tasks_limit: int
    desired: int = 0


def judge_rollout(facts: ServiceFacts | None, goal: Goal, now: float) -> Verdict:
    """Decide how a service's rollout stands.

    Parameters
    ----------
    facts
        None when ECS no longer knows the service.
    goal
        What was asked of ECS.
    now
        Unix seconds.
    """
    if facts is None or facts.status != "ACTIVE":
        return Verdict(Status.FAILED, f"the service is {facts.status if facts else 'gone'}")
    primary = facts.primary
    if primary is None:
        return Verdict(Status.FAILED, "the service has no PRIMARY deployment: its deployments are not made by ECS")
    if primary.task_definition != goal.target or primary.id == goal.replaced_deployment:
        return _other_primary(facts, primary, goal, now)
    if primary.rollout_state == "FAILED":
        return _verdict(
            Status.FAILED, primary, f"ECS gave the rollout up: {primary.rollout_reason or 'no reason given'}"
        )
    if facts.is_settled:
        return _verdict(Status.STEADY, primary, "steady")
    if primary.failed_tasks >= goal.failed_tasks_limit:
        return _verdict(Status.FAILED, primary, f"{primary.failed_tasks} tasks failed to start or to stay healthy")
    started = facts.tasks_started_since(goal.started_at)
    wanted = max(primary.desired, goal.desired)
    if primary.running < primary.desired and started - wanted >= goal.failed_tasks_limit:
        return _verdict(Status.FAILED, primary, f"tasks keep dying: {started} started for {wanted} wanted")
    if now >= goal.deadline:
        waited = round(now - goal.started_at)
        return _verdict(
            Status.FAILED, primary, f"not steady after {waited} s: {primary.running} of {primary.desired} tasks run"
        )
    draining = sum(d.running for d in facts.deployments if d is not primary)
    note = f", {draining} old draining" if draining else ""
    return _verdict(Status.IN_PROGRESS, primary, f"{primary.running} of {primary.desired} tasks run{note}")


def _other_primary(facts: ServiceFacts, primary: Deployment, goal: Goal, now: float) -> Verdict:
    """Distinguish an outdated answer, a rollback by ECS, and somebody else's deployment."""
    why = _why_rolled_back(facts, goal)
    is_replaced = primary.id == goal.replaced_deployment
    if is_replaced and why is None:
        if now < goal.deadline:
            return _verdict(Status.IN_PROGRESS, primary, "ECS does not show the new deployment yet")
        waited = round(now - goal.started_at)
        return _verdict(Status.FAILED, primary, f"after {waited} s ECS still does not show the new deployment")
    if is_replaced or primary.task_definition == goal.previous:
        why = why or "its deployment circuit breaker, an alarm, or somebody else"
        return _verdict(Status.FAILED, primary, f"ECS rolled back to the previous task definition: {why}")
    return _verdict(
        Status.SUPERSEDED, primary, f"somebody else deployed {primary.task_definition.rsplit('/', 1)[-1]} meanwhile"
    )


def _why_rolled_back(facts: ServiceFacts, goal: Goal) -> str | None:
    """Return what ECS says about a rollback of its own; None when it says nothing."""
    for ours in facts.deployments:
        if ours.task_definition == goal.target and ours.rollout_state == "FAILED" and ours.rollout_reason:
            return ours.rollout_reason
    for event in facts.events:
        if event.at >= goal.started_at and "rolling back" in event.message:
            return event.message
    return None


def _verdict(status: Status, primary: Deployment, reason: str) -> Verdict:
    return Verdict(status, reason, primary.running, primary.desired)


def judge_wave(verdicts: Mapping[str, Verdict]) -> Status:
    """Fold the verdicts of a wave: one failed or superseded service fails it, all steady end it."""
    found = {verdict.status for verdict in verdicts.values()}
    if found & {Status.FAILED, Status.SUPERSEDED}:
        return Status.FAILED
    return Status.STEADY if found <= {Status.STEADY} else Status.IN_PROGRESS


@dataclass(frozen=True)
class Watch:
    """What the bake expects of one service.

    Attributes
    ----------
    target
        The task definition it was verified on.
    since
        Unix seconds of the first steady moment.
    desired
        The desired count at that moment.
    failed_tasks_limit
        So many replaced tasks end the bake.
    """

    target: str
    since: float
    desired: int
    failed_tasks_limit: int


def tasks_replaced(facts: ServiceFacts, watch: Watch) -> int:
    """Count the starts since the first steady moment that were not for a growing service.

    Worked example: 2 tasks at the first steady moment; scaled to 4, two starts are the scaling; a third
    start replaced a task.
    """
    grown = max(0, facts.desired - watch.desired)
    return max(0, facts.tasks_started_since(watch.since) - grown)


def tasks_died(stopped: Sequence[StoppedTask], since: float) -> int:
    """Count the tasks that ended since then, and not because the service was scaled in.

    The wording is in the ECS Developer Guide, "Stopped tasks error messages".
    """
    return sum(1 for task in stopped if task.stopped_at >= since and not task.stopped_reason.startswith(SCALED_IN))


def judge_health(facts: ServiceFacts | None, watch: Watch, died: int | None = None) -> Verdict:
    """Decide how a steady service fares: tasks that ECS has to replace are failures, scaling is not.

    Parameters
    ----------
    died
        ``tasks_died``, when somebody has looked; None takes ``tasks_replaced`` for it, which a service that
        was scaled out and in again makes look worse than it is.
    """
    if facts is None or facts.status != "ACTIVE":
        return Verdict(Status.FAILED, f"the service is {facts.status if facts else 'gone'}")
    primary = facts.primary
    if primary is None or primary.task_definition != watch.target:
        other = facts.task_definition.rsplit("/", 1)[-1]
        return Verdict(
            Status.SUPERSEDED, f"somebody else deployed {other} during the bake", facts.running, facts.desired
        )
    replaced = tasks_replaced(facts, watch) if died is None else died
    if replaced >= watch.failed_tasks_limit:
        return _verdict(Status.FAILED, primary, f"ECS had to replace {replaced} tasks during the bake")
    if replaced and facts.running < facts.desired:
        return _verdict(Status.IN_PROGRESS, primary, f"{facts.running} of {facts.desired} tasks run")
    return _verdict(Status.STEADY, primary, f"{facts.running} of {facts.desired} tasks run")


def firing(alarms: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the named alarms that are in ALARM."""
    return tuple(name for name in names if alarms.get(name) == "ALARM")
