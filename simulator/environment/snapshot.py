"""The world at one moment, as the invariant and ``stepship simulate --json`` look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Snapshot:
    """The world at one moment.

    Attributes
    ----------
    services
        Name to ``taskDefinition``, ``image``, ``running``, ``desired`` and ``rolloutState``.
    parameters
        The tag and image parameters that exist.
    lock
        Who holds it; None when it is free.
    history
        One ``{execution, outcome, action, release, imageTag}`` per record, oldest first.
    live, live_tag, live_images
        Id, tag and images (by service, and ``migration``) of the live release; None and empty before the first.
    journal
        Whether the lock carries the plan of a deployment whose writes had begun.
    tag_parameter, images_path
        Name of the tag parameter, and what the names of the image parameters begin with.
    first_images
        What each service ran before the first release.
    ran_at_end
        Execution to service to the image that it ran when the execution's ending was written.
    migrations
        Release to the number of migration tasks that were started for it.
    running_migrations
        The releases whose migration task has not stopped.
    """

    services: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, str]
    lock: str | None
    history: tuple[Mapping[str, Any], ...]
    live: str | None
    live_tag: str | None = None
    live_images: Mapping[str, str] = field(default_factory=dict)
    journal: bool = False
    tag_parameter: str = ""
    images_path: str = ""
    first_images: Mapping[str, str] = field(default_factory=dict)
    ran_at_end: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    migrations: Mapping[str, int] = field(default_factory=dict)
    running_migrations: tuple[str, ...] = ()
