"""What the attempts say: our own machine's parts, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import config
from lambdas.release.policies import HOLD_SECONDS
from tools.benchmarks.dollars import CLOUDWATCH_REQUEST, LAMBDA_GB_SECOND, LAMBDA_REQUEST, TRANSITION, Bill, bill
from tools.benchmarks.goals import Goal
from tools.benchmarks.peers.attempts import Attempt

FOLLOWING = ("sts:GetCallerIdentity", "states:DescribeExecution", "states:GetExecutionHistory", "dynamodb:Query")
"""What ``stepship deploy`` calls to show a deployment to a person; with ``--no-wait`` nobody does."""

WAITING = ("check-rollout", "check-rollback")
"""Ends of the names of the functions that wait for ECS."""

MEMORY_GB = 0.25
"""Of every function; a test compares it with the template."""


@dataclass(frozen=True)
class Machine:
    """One deployment of ours, taken apart.

    Attributes
    ----------
    execution_seconds
        From the execution's start to its end.
    overhead_seconds
        Of it, what was neither ECS rolling out nor the bake; with the mean detection in place of this run's, so that
        no luck is in it.
    function_seconds
        Of it, in functions other than those that wait for ECS.
    """

    transitions: int
    execution_seconds: float
    overhead_seconds: float
    function_seconds: float
    invocations: int
    bill: Bill


def take_apart(attempt: Attempt) -> Machine:
    """Take an attempt of Stepship apart by its history and the emulator's record."""
    entered = [event for event in attempt.events if event["type"].endswith("StateEntered")]
    total = _seconds(attempt.events[0], attempt.events[-1])
    baked = sum(_durations(attempt.events, "Bake"))
    functions = [each["seconds"] for each in attempt.functions if not each["name"].endswith(WAITING)]
    return Machine(
        transitions=len(entered),
        execution_seconds=total,
        overhead_seconds=total - (attempt.rollout_seconds or 0.0) - baked + _luck(attempt),
        function_seconds=sum(functions),
        invocations=len(attempt.functions),
        bill=bill(len(entered), attempt.functions, attempt.calls),
    )


def _luck(attempt: Attempt) -> float:
    """Return by how much the mean detection is longer than the one that this run met; negative after bad luck."""
    return (attempt.mean_detection_seconds or 0.0) - (attempt.detection_seconds or 0.0)


def production_dollars(machine: Machine) -> float:
    """Return what the deploy would cost with the config of production, when the rollout takes all the time it may.

    Every further visit of ``Check rollout`` and ``Check health`` is a Wait, a Task and a Choice, one request, and one
    DescribeAlarms. For the whole rollout a function is paid that waits and looks; a look of the bake takes a second of
    one, where a warm one takes a tenth. Worked example: 1200 s by 31 and 600 s by 30 are 59 visits of $0.000075 +
    $0.0000002 + $0.00001, and 1220 s of $0.0000033: $0.0091.
    """
    rollout = config.load("production").rollout
    looks_of_bake = rollout.bake_seconds / rollout.bake_poll_seconds
    visits = rollout.timeout_seconds / (HOLD_SECONDS + rollout.poll_seconds) + looks_of_bake
    waited = (rollout.timeout_seconds + looks_of_bake) * MEMORY_GB * LAMBDA_GB_SECOND
    return machine.bill.total + visits * (3 * TRANSITION + LAMBDA_REQUEST + CLOUDWATCH_REQUEST) + waited


def _durations(events: Sequence[Mapping[str, Any]], state: str) -> list[float]:
    """Return the seconds of each visit to a state."""
    found, entered = [], None
    for event in events:
        if event.get("stateEnteredEventDetails", {}).get("name") == state:
            entered = event
        elif event.get("stateExitedEventDetails", {}).get("name") == state and entered:
            found.append(_seconds(entered, event))
            entered = None
    return found


def _seconds(begin: Mapping[str, Any], end: Mapping[str, Any]) -> float:
    return float((end["timestamp"] - begin["timestamp"]).total_seconds())


def machine_calls(attempt: Attempt) -> int:
    """Count the calls without those that only show a deployment to a person."""
    return sum(count for operation, count in attempt.calls.items() if operation not in FOLLOWING)


OF_PEER = " of the best peer's"
"""The unit of a ratio."""

DETECTION = Goal(
    "detection",
    0.5,
    OF_PEER,
    "Both look every second, so half a second passes in the mean for both. fabfuel needs one process for each service, "
    "and has no more to do than that for one; looking more often would be paid with the account's 20 DescribeServices.",
)
FAILED = Goal(
    "time to failed",
    0.5,
    OF_PEER,
    "Both look every second. Stepship counts failed tasks before ECS gives up, and gathers stopped reasons and log "
    "lines before it says so.",
)
CALLS = Goal(
    "AWS calls per service",
    1.0,
    OF_PEER,
    "Lock, journal, history, pinned parameters and the preflight are calls that no peer makes, and a deployment of one "
    "service makes as many of them as one of ten; the rest is one DescribeTaskDefinition, one RegisterTaskDefinition, "
    "one UpdateService and one pinned parameter for each service.",
)
OVERHEAD = Goal(
    "overhead of the machine, functions warm",
    5.0,
    " s",
    "Nine functions run one after the other, and the emulator works between two states, on the same cores.",
    1,
)
OVERHEAD_COLD = Goal(
    "overhead of the machine, all functions cold",
    5.0,
    " s",
    "Nine functions start one after the other, each importing boto3; here each is a new process that unpacks the "
    "asset, on the cores that the emulator uses too.",
    1,
)
_MOST = "Most of it is functions that wait for a rollout of twenty minutes, and their returns to the machine."
DOLLARS = Goal("cost of a deploy, as configured for production", 0.01, " dollars", _MOST, 4)


def goals(attempts: Sequence[Attempt], cold: Machine, ours: str, yardsticks: Sequence[str]) -> list[str]:
    """Return the verdict line of every goal, each for the number of services that is worst for us.

    Parameters
    ----------
    cold
        A deployment of ours in which every function started cold.
    ours, yardsticks
        Names of tools.
    """

    def worst(pick: Callable[[Attempt], float | None], *, crashes: bool) -> float:
        ratios = []
        for services in sorted({each.services for each in attempts}):
            here = [each for each in attempts if each.services == services and each.crashes == crashes]
            mine = [pick(each) for each in here if each.tool == ours]
            theirs = [value for each in here if each.tool in yardsticks and (value := pick(each)) is not None]
            if mine and mine[0] is not None and theirs:
                ratios.append(mine[0] / min(theirs))
        return max(ratios)

    machines = [take_apart(each) for each in attempts if each.tool == ours and not each.crashes]

    def calls(attempt: Attempt) -> float:
        return (machine_calls(attempt) if attempt.tool == ours else attempt.calls.total()) / attempt.services

    return [
        DETECTION.verdict(worst(lambda each: each.mean_detection_seconds, crashes=False)),
        FAILED.verdict(worst(lambda each: each.failed_seconds, crashes=True)),
        CALLS.verdict(worst(calls, crashes=False)),
        OVERHEAD.verdict(max(each.overhead_seconds for each in machines)),
        OVERHEAD_COLD.verdict(cold.overhead_seconds),
        DOLLARS.verdict(max(production_dollars(each) for each in (cold, *machines))),
    ]
