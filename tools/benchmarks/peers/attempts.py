"""Deploys with every tool, a good image and a crashing one, and takes the figures from the emulator's record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.benchmarks.peers.record import Record
from tools.benchmarks.peers.scene import SERVICES, Scene
from tools.benchmarks.peers.tools import Job, Tool

COUNTS = (1, 3, 10)
"""Services of a deployment."""

BACK_SECONDS = 20
"""How long is waited, after a tool has ended, for services that are still returning."""

LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Attempt:
    """One deployment with one tool.

    Attributes
    ----------
    services
        How many.
    crashes
        Whether one service's container crashed.
    wall_seconds
        From the start of the tool until its last process ended.
    detection_seconds
        From the last service's steady moment until the tool knew; None when something failed.
    mean_detection_seconds
        The mean of what detection can be: a rollout may become steady at any moment between two looks, and one run
        meets one of them. Half the pause between two looks, and what followed on the look that saw it. Worked
        example: a tool that looks every 10 s and ends 0.4 s after the look takes 5.4 s in the mean, whether this run
        met 0.5 s or 10.3 s.
    command_seconds
        The same as detection until its process ended.
    failed_seconds
        From the first crash until the tool said so; None when it never did.
    back_seconds
        From the first crash until every service ran what it had before; None when that did not happen.
    left
        How many services were not back.
    calls
        AWS calls by operation.
    exits
        Exit codes.
    rollout_seconds
        From the first UpdateService until all services were steady: what ECS took.
    """

    tool: str
    services: int
    crashes: bool
    wall_seconds: float
    detection_seconds: float | None
    mean_detection_seconds: float | None
    command_seconds: float | None
    failed_seconds: float | None
    back_seconds: float | None
    left: int
    calls: Counter[str]
    exits: tuple[int, ...]
    rollout_seconds: float | None
    functions: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]


def attempt(scene: Scene, tool: Tool, services: int, *, crashes: bool, good: str) -> Attempt:
    """Deploy once.

    Parameters
    ----------
    services
        How many services.
    crashes
        Whether the container of the last service crashes.
    good
        Digest of the image that runs before.
    """
    names = SERVICES[:services]
    before = scene.reset(names, good, tool.breaker)
    tag, digest = scene.image(crashing=names[-1] if crashes else None)
    begin = time.time()
    done = tool.deploy(Job(scene, names, tag, digest))
    seen = scene.read(begin, done.ended_at)
    is_back = crashes and _await_back(scene, before)
    after = scene.read(begin, time.time())
    steady_at = None if crashes else seen.last_steady_at(names)
    crashed_at = after.first_failure_at() if crashes else None
    returned_at = [f["at"] for f in after.of("steady") if f["definition"] in before.values()]
    updated_at = next((f["at"] for f in seen.of("call") if f["operation"] == "UpdateService"), None)
    return Attempt(
        tool=tool.name,
        services=services,
        crashes=crashes,
        wall_seconds=done.ended_at - begin,
        detection_seconds=_since(steady_at, done.verdict_at or done.ended_at),
        mean_detection_seconds=None if crashes else mean_detection(tool, seen, done.verdict_at or done.ended_at),
        command_seconds=_since(steady_at, done.ended_at),
        failed_seconds=_since(crashed_at, done.failed_at),
        back_seconds=_since(crashed_at, max(returned_at, default=None)) if is_back else None,
        left=0 if is_back or not crashes else _left(scene, before),
        calls=seen.calls(),
        exits=done.exits,
        rollout_seconds=_since(updated_at, steady_at),
        functions=tuple(seen.of("function")),
        events=tuple(done.details.get("events", ())),
    )


def mean_detection(tool: Tool, seen: Record, knew_at: float) -> float:
    """Return the mean of what detection can be, from one run.

    Parameters
    ----------
    knew_at
        When the tool knew that all is steady (unix seconds).
    """
    looks = [f["arrived"] for f in seen.of("call") if f["operation"] == "DescribeServices" and f["arrived"] <= knew_at]
    return tool.look_seconds / 2 + knew_at - float(looks[-1 - tool.looks_after])


def measure(scene: Scene, tools: Sequence[Tool], tell: Any) -> list[Attempt]:
    """Deploy with each tool, for each number of services, one after the other."""
    _, good = scene.image()
    found = []
    for crashes in (False, True):
        for services in COUNTS:
            for tool in tools:
                wanted = tool.fails_too if crashes else tool.deploys
                if not wanted or services not in tool.counts:
                    continue
                made = attempt(scene, tool, services, crashes=crashes, good=good)
                tell(made)
                found.append(made)
    return found


def _since(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin


def _await_back(scene: Scene, before: dict[str, str]) -> bool:
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        if scene.settled(before):
            return True
        if all(each["deployments"][0]["rolloutState"] != "IN_PROGRESS" for each in scene.services(list(before))):
            return scene.settled(before)
        time.sleep(LOOK_SECONDS)
    return False


def _left(scene: Scene, before: dict[str, str]) -> int:
    return sum(each["taskDefinition"] != before[each["serviceName"]] for each in scene.services(list(before)))
