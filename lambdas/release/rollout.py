"""What ECS says about a service, and what it means for a rollout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lambdas.release.errors import ServiceChanged
from lambdas.release.stopped_task import Deaths, StoppedTask, deaths
from lambdas.release.verdicts import Status
from lambdas.release.wording import counted

STARTED = re.compile(r"has started \d+ tasks?: (?P<tasks>.+)$")
TASK_MENTION = re.compile(r"\(task ([0-9a-f-]+)\)")
ROLLING_BACK = re.compile(r"rolling back to deployment(?:Id)? (?P<deployment>[\w/-]+)")
"""In an event, and in the ``rolloutStateReason`` of the deployment that it leads to."""


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


@dataclass(frozen=True)
class ServiceDeployment:
    """What ECS says about a deployment of its own (DescribeServiceDeployments).

    Attributes
    ----------
    status
        PENDING, IN_PROGRESS, SUCCESSFUL, STOPPED, ROLLBACK_SUCCESSFUL, …
    failed_tasks, threshold
        How many failed tasks its circuit breaker has counted, and at how many it acts; None when it does not say, or
        when the service has none.
    """

    status: str
    reason: str = ""
    failed_tasks: int | None = None
    threshold: int | None = None

    @property
    def was_rolled_back(self) -> bool:
        """Whether ECS itself goes, or went, back to its last completed deployment."""
        return self.status.startswith("ROLLBACK")

    @property
    def message(self) -> str:
        """``ECS counts 3 failed tasks, and gives up at 3``; empty when it does not count."""
        if self.failed_tasks is None or self.threshold is None:
            return ""
        return f"ECS counts {counted(self.failed_tasks, 'failed task')}, and gives up at {self.threshold}"


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


def verdict_on(deployment: Deployment, status: Status, reason: str) -> Verdict:
    """Return a verdict with the tasks of the deployment that is being watched."""
    return Verdict(status, reason, deployment.running, deployment.desired)


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


def needs_stopped_tasks(facts: ServiceFacts | None, goal: Goal) -> bool:
    """Whether so many tasks are gone or failed that the stopped tasks have to tell why.

    A rollout in which nothing dies never asks. Worked example: 3 wanted, the limit is 2; 5 were started and 3 of them
    run or start, so 2 are gone: they died, or somebody scaled the service in, or Spot took them.
    """
    primary = facts.primary if facts and facts.status == "ACTIVE" else None
    if facts is None or primary is None or not _is_ours(primary, goal) or facts.is_settled:
        return False
    gone = facts.tasks_started_since(goal.started_at) - primary.running - primary.pending
    return max(gone, primary.failed_tasks) >= goal.failed_tasks_limit


def judge_rollout(
    facts: ServiceFacts | None,
    goal: Goal,
    now: float,
    stopped: Sequence[StoppedTask] | None = None,
    deployment: ServiceDeployment | None = None,
) -> Verdict:
    """Decide how a service's rollout stands.

    Parameters
    ----------
    facts
        None when ECS no longer knows the service.
    goal
        What was asked of ECS.
    now
        Unix seconds.
    stopped
        The stopped tasks of the target, when ``needs_stopped_tasks``; None when nobody could look.
    deployment
        ECS's own service deployment of ours, for who has put another task definition in its place.
    """
    if facts is None or facts.status != "ACTIVE":
        return Verdict(Status.FAILED, f"the service is {facts.status if facts else 'gone'}")
    primary = facts.primary
    if primary is None:
        return Verdict(Status.FAILED, "the service has no PRIMARY deployment: its deployments are not made by ECS")
    if not _is_ours(primary, goal):
        return _other_primary(facts, primary, goal, now, deployment)
    if primary.rollout_state == "FAILED":
        return verdict_on(
            primary, Status.FAILED, f"ECS gave the rollout up: {primary.rollout_reason or 'no reason given'}"
        )
    if facts.is_settled:
        return verdict_on(primary, Status.STEADY, "steady")
    dying = _what_dies(facts, primary, goal, None if stopped is None else deaths(stopped, goal.started_at))
    if dying:
        return verdict_on(primary, Status.FAILED, dying)
    draining = sum(d.running for d in facts.deployments if d is not primary)
    run = f"{primary.running} of {primary.desired} tasks run"
    if now >= goal.deadline:
        waited = round(now - goal.started_at)
        note = f", {counted(draining, 'old task')} still drain{'s' if draining == 1 else ''}" if draining else ""
        return verdict_on(primary, Status.FAILED, f"not steady after {waited} s: {run}{note}")
    note = f", {draining} old draining" if draining else ""
    return verdict_on(primary, Status.IN_PROGRESS, f"{run}{note}")


def _is_ours(primary: Deployment, goal: Goal) -> bool:
    return primary.task_definition == goal.target and primary.id != goal.replaced_deployment


def _what_dies(facts: ServiceFacts, primary: Deployment, goal: Goal, died: Deaths | None) -> str:
    """Say that too many tasks die by themselves; empty when they do not.

    ECS's own ``failedTasks`` knows what found no place at all, and not what dies without a health check after it has
    run (containers-roadmap#1206); and it counts interrupted tasks that never ran.
    """
    failed = primary.failed_tasks - (died.excused if died else 0)
    if failed >= goal.failed_tasks_limit:
        return f"{counted(failed, 'task')} failed to start or to stay healthy"
    if primary.running >= primary.desired:
        return ""
    if died is not None:
        return f"tasks keep dying: {died.message}" if len(died.own) >= goal.failed_tasks_limit else ""
    started, wanted = facts.tasks_started_since(goal.started_at), max(primary.desired, goal.desired)
    is_dying = started - wanted >= goal.failed_tasks_limit
    return f"tasks keep dying: {started} started for {wanted} wanted" if is_dying else ""


def _other_primary(
    facts: ServiceFacts, primary: Deployment, goal: Goal, now: float, deployment: ServiceDeployment | None
) -> Verdict:
    """Distinguish an outdated answer, a rollback by ECS, and somebody else's deployment."""
    why = _why_rolled_back(facts, primary, goal, deployment)
    if primary.id == goal.replaced_deployment and why is None:
        if now < goal.deadline:
            return verdict_on(primary, Status.IN_PROGRESS, "ECS does not show the new deployment yet")
        waited = round(now - goal.started_at)
        return verdict_on(primary, Status.FAILED, f"after {waited} s ECS still does not show the new deployment")
    if why is None and primary.task_definition == goal.previous:
        why = "its deployment circuit breaker, an alarm, or somebody else"
    if why is not None:
        # Its last completed deployment: older than ours says, when the one that we replace never completed.
        is_previous = primary.task_definition == goal.previous
        to = "the previous task definition" if is_previous else primary.task_definition.rsplit("/", 1)[-1]
        return verdict_on(primary, Status.FAILED, f"{ROLLED_BACK_BY_ECS} {to}: {why}")
    return verdict_on(
        primary, Status.SUPERSEDED, f"somebody else deployed {primary.task_definition.rsplit('/', 1)[-1]} meanwhile"
    )


ROLLED_BACK_BY_ECS = "ECS rolled back to"
"""How the verdict on a service begins that ECS has put back."""


def _why_rolled_back(
    facts: ServiceFacts, primary: Deployment, goal: Goal, deployment: ServiceDeployment | None
) -> str | None:
    """Return what ECS says about a rollback of its own to what is PRIMARY now; None when it says nothing."""
    events = [event.message for event in facts.events if event.at >= goal.started_at]
    said = [text for text in (*events, primary.rollout_reason) if ROLLING_BACK.search(text)]
    is_known = primary.id == goal.replaced_deployment or primary.task_definition == goal.previous
    if said and not is_known and not _leads_to(said, primary.id):
        # ECS did roll back, and then somebody else deployed.
        return None
    failed = (d for d in facts.deployments if d.task_definition == goal.target and d.rollout_state == "FAILED")
    reasons = (*(d.rollout_reason for d in failed if d is not primary), *said)
    if deployment is not None and deployment.was_rolled_back:
        reasons = (*reasons, deployment.reason or f"its service deployment is {deployment.status}")
    return next((reason for reason in reasons if reason), None)


def _leads_to(said: Iterable[str], deployment: str) -> bool:
    return any(found["deployment"] == deployment for text in said if (found := ROLLING_BACK.search(text)))


def is_rollback_of_ecs(facts: ServiceFacts, since: float) -> bool:
    """Whether what is PRIMARY now is where ECS itself went back to since then (unix seconds)."""
    primary = facts.primary
    events = (event.message for event in facts.events if event.at >= since)
    return primary is not None and _leads_to((primary.rollout_reason, *events), primary.id)


def judge_wave(verdicts: Mapping[str, Verdict]) -> Status:
    """Fold the verdicts of a wave: one failed or superseded service fails it, all steady end it."""
    found = {verdict.status for verdict in verdicts.values()}
    if found & {Status.FAILED, Status.SUPERSEDED}:
        return Status.FAILED
    return Status.STEADY if found <= {Status.STEADY} else Status.IN_PROGRESS


def firing(alarms: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the named alarms that are in ALARM."""
    return tuple(name for name in names if alarms.get(name) == "ALARM")
