"""A container engine without containers: what the emulator's ECS asks docker for, played by a table of images.

An image says itself how it behaves (``images.py``). What nobody said anything about runs until it is stopped,
except for the command ``migrate``, which ends well.
"""

# mypy: disable-error-code="import-not-found"
# The emulator lives in an environment of its own, which mypy does not see.

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ministack.services import ecr

from tests.e2e.images import Behavior, behavior_of

MOMENT = 0.4
"""Seconds from the start of a container to its own end: the emulator must have seen it run."""

NETWORK = "emulated"


class NoSuchContainerError(Exception):
    """The engine has no container of that name."""


@dataclass
class Container:
    """One container: the part of docker's ``Container`` that the emulator reads."""

    id: str
    address: str
    exit_code: int | None = None
    seconds: float = MOMENT
    lines: tuple[str, ...] = ()
    started_at: float = field(default_factory=time.monotonic)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def status(self) -> str:
        """As docker says it: ``running`` or ``exited``."""
        ended = self.exit_code is not None and time.monotonic() >= self.started_at + self.seconds
        return "exited" if ended or self.stopped.is_set() else "running"

    @property
    def attrs(self) -> dict[str, Any]:
        """What ``docker inspect`` says."""
        return {"NetworkSettings": {"Networks": {NETWORK: {"IPAddress": self.address}}}}

    def reload(self) -> None:
        """Do nothing: every attribute is computed when it is read."""

    def wait(self) -> dict[str, int]:
        """Return how it ended."""
        return {"StatusCode": self.exit_code or 0}

    def logs(self, *, stream: bool = False, **_: Any) -> Iterator[bytes] | bytes:
        """Return what it printed; followed, the lines come at once."""
        printed = [f"{line}\n".encode() for line in self.lines]
        return iter(printed) if stream else b"".join(printed)

    def stop(self, **_: Any) -> None:
        """End it."""
        self.stopped.set()

    def remove(self, **_: Any) -> None:
        """Keep it: a task that is gone is not asked for again."""


class Containers:
    """``client.containers``."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._all: dict[str, Container] = {}

    def run(self, image: str, *, command: list[str] | None = None, **_: Any) -> Container:
        """Start a container."""
        role = command[0] if command else ""
        default = {"exit_code": 0} if role == "migrate" else {}
        behavior = {**default, **_behavior(image).get(role, {})}
        number = next(self._numbers)
        container = Container(
            id=hashlib.sha256(str(number).encode()).hexdigest(),
            address=f"10.20.{number // 250 % 250}.{number % 250 + 4}",
            exit_code=behavior.get("exit_code"),
            seconds=behavior.get("seconds", MOMENT),
            lines=tuple(behavior.get("logs", ())),
        )
        self._all[container.id] = container
        return container

    def get(self, name: str) -> Container:
        """Return a container by its id."""
        try:
            return self._all[name]
        except KeyError:
            raise NoSuchContainerError(name) from None

    def list(self, **_: Any) -> list[Container]:
        """Return all that run."""
        return [container for container in self._all.values() if container.status == "running"]


@dataclass(frozen=True)
class Image:
    """An image in the engine's cache."""

    id: str

    def tag(self, *_: str, **__: str) -> bool:
        """Give it another name, which nothing here needs."""
        return True


class Images:
    """``client.images``. Everything can be pulled: what is not in the registry has been refused before."""

    def get(self, name: str) -> Image:
        """Find an image."""
        return self.get_registry_data(name)

    def pull(self, name: str, **_: Any) -> Image:
        """Pull an image."""
        return self.get_registry_data(name)

    def get_registry_data(self, name: str, **_: Any) -> Image:
        """Return the digest that the registry has for a tag."""
        return Image(f"sha256:{hashlib.sha256(name.encode()).hexdigest()}")


class Engine:
    """The docker client."""

    def __init__(self) -> None:
        self.containers = Containers()
        self.images = Images()


def _behavior(image: str) -> Behavior:
    """Look an image up by its URI; nothing for one that is not in the emulated registry."""
    name, _, digest = image.partition("@")
    repository = name.partition("/")[2]
    found = (each for each in ecr._images.get(repository, []) if each["imageDigest"] == digest)
    return next((behavior_of(each["imageManifest"]) for each in found), {})
