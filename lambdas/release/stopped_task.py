"""Why a task stopped: ECS's stop code first, then the container that ended the task, then what ECS says of it.

What its sentences mean is in ``reasons.py``. The stop codes are those of the ECS API Reference, Task, ``stopCode``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from lambdas.release.reasons import ESSENTIAL_EXITED, INTERRUPTED, SCALED_IN, STOPPED_BY_USER, cause_of
from lambdas.release.wording import counted, shorten

SIGKILL, SIGTERM = 137, 143
"""128 + 9 and 128 + 15: what a container exits with that was killed, or that was asked to end and did so."""

MAX_REASON = 200
"""Characters of what ECS said in a verdict: every service of a wave has one in the execution's state."""

STOP_CODES = {
    "SpotInterruption": INTERRUPTED,
    "TerminationNotice": INTERRUPTED,
    "InfrastructureHealth": INTERRUPTED,
    "UserInitiated": STOPPED_BY_USER,
}
"""Stop codes that say it all: how the containers ended after that is of no interest."""

NOT_OF_ITS_OWN_MAKING = frozenset({INTERRUPTED, STOPPED_BY_USER, "capacity", "network", "throttled"})
"""What ends a task, or keeps one from starting, whatever the release is."""


@dataclass(frozen=True)
class StoppedContainer:
    """A container of a stopped task; ``essential`` is None where nobody has looked into the task definition."""

    name: str
    exit_code: int | None = None
    reason: str = ""
    essential: bool | None = None


@dataclass(frozen=True)
class StoppedTask:
    """A task that ECS stopped, with what it said about it.

    Attributes
    ----------
    stopped_at, started_at
        Unix seconds; 0 for a task that did not get so far.
    """

    task: str
    task_definition: str
    stopped_reason: str = ""
    stopped_at: float = 0.0
    containers: tuple[StoppedContainer, ...] = ()
    stop_code: str = ""
    started_at: float = 0.0


def with_essential(task: StoppedTask, essential: Mapping[str, bool]) -> StoppedTask:
    """Return the task with what its task definition says of its containers: DescribeTasks does not."""
    containers = tuple(replace(one, essential=essential.get(one.name, one.essential)) for one in task.containers)
    return replace(task, containers=containers)


class Ending(NamedTuple):
    """How a task ended.

    Attributes
    ----------
    cause
        One of ``explanation.CAUSES``; empty when nothing says it.
    said
        What was said, word for word; for an exit code a sentence of ours.
    container
        The container that ended the task; empty when none of them did.
    """

    cause: str
    said: str
    container: str = ""


def is_scaled_in(task: StoppedTask) -> bool:
    """Whether ECS stopped it because the service needs fewer tasks: not a word about the task itself."""
    return bool(SCALED_IN.match(task.stopped_reason)) and task.stop_code in ("", "ServiceSchedulerInitiated")


def ending_of(task: StoppedTask, deployed: str = "") -> Ending:
    """Say how a task ended.

    Parameters
    ----------
    deployed
        The name of the container whose image was deployed.
    """
    if task.stop_code in STOP_CODES:
        return Ending(STOP_CODES[task.stop_code], task.stopped_reason or f"stop code {task.stop_code}")
    if is_scaled_in(task):
        return Ending("", task.stopped_reason)
    if task.stop_code == "ServiceSchedulerInitiated":
        # Its exit codes only say how ECS ended it; what runs out of memory fails its health check because of that.
        return _ran_out(task, deployed) or Ending(cause_of(task.stopped_reason), task.stopped_reason)
    return _of_containers(task, deployed) if _is_exit(task) else _of_reasons(task, deployed)


def _is_exit(task: StoppedTask) -> bool:
    if cause_of(task.stopped_reason):
        return False
    if task.stop_code == "EssentialContainerExited" or ESSENTIAL_EXITED.match(task.stopped_reason):
        return True
    return not task.stop_code and not task.stopped_reason


def _ran_out(task: StoppedTask, deployed: str) -> Ending | None:
    """Name the container of which ECS says that it ran out of memory, the deployed one first; None for none."""
    ran_out = [container for container in task.containers if cause_of(container.reason) == "out-of-memory"]
    first = min(ran_out, key=lambda container: container.name != deployed, default=None)
    return Ending("out-of-memory", first.reason, first.name) if first else None


_FOLLOWS = {"health-check": 1, "start": 2}
"""Causes that follow from a more specific one beside them: the greater the number, the less it says."""


def _of_reasons(task: StoppedTask, deployed: str) -> Ending:
    """Read the reasons of a task that ECS ended, or could not start: what names a thing before what does not."""
    mine = sorted(task.containers, key=lambda container: container.name != deployed)
    said = [(task.stopped_reason, ""), *((container.reason, container.name) for container in mine)]
    found = [Ending(cause, text, name) for text, name in said if (cause := cause_of(text))]
    if found:
        return min(found, key=lambda ending: _FOLLOWS.get(ending.cause, 0))
    told = next((ending for ending in (Ending("", *one) for one in said) if ending.said), Ending("", task.stop_code))
    if task.stop_code == "TaskFailedToStart":
        return told._replace(cause="start")
    exited = _of_containers(task, deployed)
    # Without a stop code, and with a reason that nobody knows, 137 and 143 may be how ECS ended it.
    is_own = any(c.name == exited.container and _is_own_code(c.exit_code) for c in task.containers)
    return exited if is_own and not task.stop_code else told


def _of_containers(task: StoppedTask, deployed: str) -> Ending:
    """Read how the container ended that ended the task.

    Among the essential ones that is first one with a code of its own, then one that ECS says ran out of memory, then
    the deployed one, then another: the others were ended by ECS when it had exited.
    """
    essential = [c for c in task.containers if c.essential is not False] or list(task.containers)
    if not essential:
        return Ending("exit-code", task.stopped_reason or task.stop_code) if task.stop_code else Ending("", "")
    first = min(essential, key=lambda container: _place(container, deployed))
    cause = cause_of(first.reason)
    if cause:
        return Ending(cause, first.reason, first.name)
    if first.exit_code is None:
        said = task.stopped_reason or first.reason or task.stop_code
        return Ending("exit-code" if task.stop_code else "", said, first.name)
    if first.exit_code == SIGKILL:
        return Ending("out-of-memory", f"container {first.name} exited with {SIGKILL} (killed)", first.name)
    return Ending("exit-code", f"container {first.name} exited with {first.exit_code}", first.name)


def _place(container: StoppedContainer, deployed: str) -> tuple[bool, bool, bool, bool]:
    is_silent = container.exit_code is None and not container.reason
    says_why = container.exit_code is None and bool(cause_of(container.reason))
    ran_out = cause_of(container.reason) == "out-of-memory"
    return not (_is_own_code(container.exit_code) or says_why), not ran_out, is_silent, container.name != deployed


def _is_own_code(code: int | None) -> bool:
    return code not in (None, 0, SIGKILL, SIGTERM)


def died_by_itself(task: StoppedTask) -> bool:
    """Whether a stopped task speaks against the release.

    One that was scaled in, interrupted or stopped by a person does not, and neither does one that found no place, no
    network interface or a throttled API. One of which nothing is known, not even a stop code, counts: it is dead.
    """
    if is_scaled_in(task):
        return False
    cause = ending_of(task).cause
    if not cause:
        return not task.stop_code
    return cause not in NOT_OF_ITS_OWN_MAKING


class Deaths(NamedTuple):
    """Tasks of one task definition that stopped.

    Attributes
    ----------
    own
        Those that speak against the release, newest first.
    excused
        How many others never ran: ECS counts them among its failed tasks all the same, because a task that "doesn't
        transition to a RUNNING state" is one (ECS API Reference, Deployment, ``failedTasks``).
    """

    own: tuple[StoppedTask, ...] = ()
    excused: int = 0

    @property
    def said(self) -> str:
        """How the newest of them ended; empty when none did."""
        if not self.own:
            return ""
        return shorten(ending_of(self.own[0]).said or "ECS gave no reason", MAX_REASON)

    @property
    def message(self) -> str:
        """``2 tasks died: container main exited with 3``; empty when none did."""
        return f"{counted(len(self.own), 'task')} died: {self.said}" if self.own else ""


def deaths(stopped: Iterable[StoppedTask], since: float) -> Deaths:
    """Sort the tasks that stopped since then (unix seconds)."""
    found = sorted((task for task in stopped if task.stopped_at >= since), key=lambda task: -task.stopped_at)
    own = tuple(task for task in found if died_by_itself(task))
    never_ran = sum(1 for task in found if task not in own and not task.started_at)
    return Deaths(own, never_ran)
