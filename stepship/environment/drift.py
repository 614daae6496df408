"""Where an environment is not what its parameters and its live release say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lambdas.release.history import Release
from lambdas.release.rollout import ServiceFacts


@dataclass(frozen=True)
class ServiceStatus:
    """One service, from all the places that say something about it.

    Attributes
    ----------
    facts
        What ECS says; None when it does not know the service.
    image
        What the task definition carries that ECS works towards.
    pinned
        What the parameter names; None when there is none.
    """

    name: str
    wave: int
    facts: ServiceFacts | None
    image: str | None
    pinned: str | None

    @property
    def task_definition(self) -> str:
        """``v3-backend-dev-api:3``; empty without facts."""
        return self.facts.task_definition.rpartition("/")[2] if self.facts else ""

    @property
    def rollout(self) -> str:
        """How ECS says that the newest deployment stands."""
        primary = self.facts.primary if self.facts else None
        return (primary.rollout_state if primary else None) or ""


def drift(service: ServiceStatus, live: Release | None, *, deploying: bool) -> Iterator[str]:
    """Say what is not as it should be, one sentence each.

    Parameters
    ----------
    live
        None before the first release.
    deploying
        Whether somebody holds the lock: then images and parameters change one after the other.
    """
    facts = service.facts
    if facts is None:
        yield "ECS does not know it: deploy its stack, or correct its catalog parameter"
        return
    if facts.status != "ACTIVE":
        yield f"it is {facts.status}"
    if live is None:
        yield "nothing was released yet: it runs what its stack has"
        return
    if deploying:
        return
    if service.image != service.pinned:
        yield f"runs {_short(service.image)}, its parameter names {_short(service.pinned)}"
    released = live.images.get(service.name)
    if released is None:
        yield f"has joined since {live.release_id}: deploy to bring it to that image"
    elif released != service.image:
        yield f"not on the live release, which has {_short(released)}"
    if not facts.is_settled:
        yield "a rollout is under way that no deployment has started"
    elif facts.running < facts.desired:
        yield f"{facts.desired - facts.running} of {facts.desired} tasks do not run"


def _short(image: str | None) -> str:
    if not image:
        return "nothing"
    _, at, digest = image.partition("@sha256:")
    return digest[:12] if at else image.rpartition("/")[2]
