"""The worlds and the releases that are explored: six kinds of image, four kinds of migration.

A world is the document of a scenario file (docs/reference/simulator.md), so whatever is found can be kept as one. In it
the release ``v1`` is live, and one tag for each kind of release waits to be deployed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lambdas.release.history import Outcome

FIRST = "v1"
"""The release that is live when a schedule begins."""

IMAGES: Mapping[str, Mapping[str, Any]] = {
    "healthy": {"outcome": "healthy"},
    "crash": {"outcome": "crash", "exit_code": 3, "logs": ["KeyError: 'DATABASE_URL'"]},
    "slow": {"outcome": "slow"},
    "unhealthy": {"outcome": "unhealthy"},
    "out-of-memory": {"outcome": "out_of_memory"},
    "cannot-pull": {"outcome": "cannot_pull"},
}
MIGRATIONS: Mapping[str, Mapping[str, Any]] = {
    "ok": {},
    "fails": {"exit_code": 1, "logs": ["relation already exists"]},
    "hangs": {"hang": True},
}
NO_MIGRATION = "none"


@dataclass(frozen=True)
class Ending:
    """How a deployment that nothing disturbs has to end.

    Attributes
    ----------
    outcome
        The name of its end state.
    step
        The state whose verdict ended it; None when nothing failed.
    cause
        The likeliest cause in its explanation; None when nothing failed.
    """

    outcome: str
    step: str | None = None
    cause: str | None = None


ENDINGS: Mapping[str, Ending] = {
    "healthy": Ending(Outcome.DEPLOYED),
    "crash": Ending(Outcome.ROLLED_BACK, "Check rollout", "exit-code"),
    "slow": Ending(Outcome.ROLLED_BACK, "Check rollout", "timeout"),
    "unhealthy": Ending(Outcome.ROLLED_BACK, "Check rollout", "health-check"),
    "out-of-memory": Ending(Outcome.ROLLED_BACK, "Check rollout", "out-of-memory"),
    "cannot-pull": Ending(Outcome.ROLLED_BACK, "Check rollout", "image-pull"),
}
"""By image, written by hand: what the product does is compared with it, and never taken for it."""

MIGRATION_ENDINGS: Mapping[str, Ending] = {
    "fails": Ending(Outcome.ROLLED_BACK, "Run migration", "exit-code"),
    "hangs": Ending(Outcome.ROLLED_BACK, "Run migration", "timeout"),
}
"""By migration: it comes before the image, so its failure is the deployment's, whatever the image."""

BROKEN_SERVICE = "scheduler"
"""Of the last wave: when it breaks, everything else has moved and has to come back."""

REFUSED: Mapping[str, Mapping[str, Any]] = {
    "findings": {"scan": {"status": "COMPLETE", "counts": {"CRITICAL": 1}}},
    "other-platform": {"architectures": ["amd64"]},
}
"""Images that must never run anywhere."""

BROKEN_EVERYWHERE = "crash-everywhere"

CONFIG: Mapping[str, Mapping[str, Any]] = {
    # Long intervals: every state is visited, and none more often than it takes.
    "lock": {"wait_timeout_seconds": 900, "poll_seconds": 30},
    "rollout": {
        "timeout_seconds": 240,
        "poll_seconds": 40,
        "bake_seconds": 15,
        "bake_poll_seconds": 15,
        "rollback_timeout_seconds": 240,
    },
    "migration": {"timeout_seconds": 90, "poll_seconds": 40},
    "circuit_breaker": {"failed_tasks": 2, "alarms": ["v3-backend-dev-api-5xx"]},
    "image": {"max_critical_findings": 0},
}
SERVICES: Mapping[str, Mapping[str, Any]] = {
    "api": {"wave": 1, "desired": 2},
    "worker": {"wave": 1, "desired": 1},
    BROKEN_SERVICE: {"wave": 2, "desired": 1},
}


def tag(image: str, migration: str) -> str:
    """Name the release of an image and a migration: ``crash-ok``."""
    return f"{image}-{migration}"


def ending(image: str, migration: str) -> Ending:
    """Return how the undisturbed deployment of this image with this migration has to end."""
    return MIGRATION_ENDINGS.get(migration, ENDINGS[image])


def cases() -> Iterable[tuple[str, str]]:
    """Yield each pair of image and migration, 24 of them."""
    for image in IMAGES:
        for migration in (NO_MIGRATION, *MIGRATIONS):
            yield image, migration


def tags(*, migrates: bool) -> tuple[str, ...]:
    """Return the tags that a world has besides the first: those with a migration, or those without."""
    of_cases = [tag(image, migration) for image, migration in cases() if (migration != NO_MIGRATION) == migrates]
    return (*of_cases, BROKEN_EVERYWHERE, *REFUSED)


def simulated(*, migrates: bool) -> dict[str, Any]:
    """Return the scenario in which every schedule begins: its one step deploys the first release.

    Parameters
    ----------
    migrates
        Whether a migration is registered.
    """
    return {
        "description": "a schedule of the fault exploration",
        "config": CONFIG,
        "services": SERVICES,
        "migration": migrates,
        "images": {FIRST: {}, **{name: _image(name) for name in tags(migrates=migrates)}},
        "steps": [{"name": "first", "deploy": FIRST}],
    }


def _image(name: str) -> Mapping[str, Any]:
    if name in REFUSED:
        return REFUSED[name]
    if name == BROKEN_EVERYWHERE:
        return {"behavior": IMAGES["crash"]}
    image, _, migration = name.rpartition("-")
    services = {BROKEN_SERVICE: IMAGES[image]}
    if migration != NO_MIGRATION:
        services["migration"] = MIGRATIONS[migration]
    return {"services": services}
