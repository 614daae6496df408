"""Who takes part: the catalog parameters that the service stacks publish."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lambdas.release.errors import InvalidRegistration, NoServices
from lambdas.release.policies import SERVICE_NAME
from lambdas.release.wording import shorten

MIGRATION = "migration"
"""The catalog name of the one-off task; no service may have it."""

ECS_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Of services, families and containers (ECS API Reference). An ARN or a revision is refused: answers have names."""

CLUSTER = re.compile(r"([A-Za-z0-9_-]{1,255}|arn:[^\s]{1,2000})")
REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._/-]{0,255}")
"""Of repositories (ECR API Reference), roughly: a registry's host or a tag does not pass."""

NUMBERS = range(-1000, 1001)
"""Wave numbers: small enough for every reader of the JSON that a plan is kept as."""

FIX = "correct the parameter, or deploy the stack that publishes it"


@dataclass(frozen=True)
class Service:
    """One ECS service that takes part in releases.

    Attributes
    ----------
    name
        How people call it: ``api``.
    cluster, service, family, container
        The ECS cluster, service, task definition family, and the container whose image is replaced.
    more_containers
        Other containers of the same task definition that get the same image.
    repository
        The ECR repository of that image.
    wave
        Services with the same number roll out together; numbers go up.
    """

    name: str
    cluster: str
    service: str
    family: str
    container: str
    repository: str
    wave: int = 1
    more_containers: tuple[str, ...] = ()

    @property
    def containers(self) -> tuple[str, ...]:
        """All containers whose image is replaced, ``container`` first."""
        return (self.container, *self.more_containers)


@dataclass(frozen=True)
class MigrationTask:
    """The one-off task that runs before any service moves.

    ``subnets`` and ``security_groups`` may be empty: then the task runs in the network of the first
    service of the plan.
    """

    cluster: str
    family: str
    container: str
    repository: str
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """All that is registered in one environment; services in wave order, then by name."""

    services: tuple[Service, ...]
    migration: MigrationTask | None

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The names, wave by wave in ascending order."""
        numbers = sorted({service.wave for service in self.services})
        return tuple(tuple(s.name for s in self.services if s.wave == number) for number in numbers)

    @property
    def repositories(self) -> tuple[str, ...]:
        """Every repository that a service or the migration names, each once."""
        named = [service.repository for service in self.services]
        if self.migration:
            named.append(self.migration.repository)
        return tuple(dict.fromkeys(named))

    def select(self, names: Sequence[str]) -> Catalog:
        """Keep the services that were asked for; all of them when none was named.

        Raises
        ------
        NoServices
            Nothing is registered, or a name is unknown.
        """
        if not self.services:
            raise NoServices("services: none is registered; deploy a service stack, or list it in the config")
        known = {service.name for service in self.services}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise NoServices(
                f"services: {', '.join(unknown)} not registered; registered are {', '.join(sorted(known))}"
            )
        chosen = tuple(s for s in self.services if not names or s.name in names)
        return Catalog(chosen, self.migration)


def parse_catalog(parameters: Mapping[str, str]) -> Catalog:
    """Read the catalog parameters.

    Parameters
    ----------
    parameters
        Parameter name to JSON value; the last part of the name is the service's name.

    Raises
    ------
    InvalidRegistration
        Names the parameter and the key.
    """
    services: list[Service] = []
    migration: MigrationTask | None = None
    for parameter, value in sorted(parameters.items()):
        name = parameter.rsplit("/", 1)[-1]
        if not SERVICE_NAME.fullmatch(name):
            raise InvalidRegistration(
                f"{parameter}: {shorten(name)!r} is no name of a service: up to 63 of a-z, 0-9 and -, a letter first; "
                "publish it under such a name, and delete this parameter"
            )
        entry = _entry(parameter, value)
        if name == MIGRATION:
            migration = MigrationTask(
                cluster=_text(parameter, entry, "cluster", CLUSTER),
                family=_text(parameter, entry, "family", ECS_NAME),
                container=_text(parameter, entry, "container", ECS_NAME),
                repository=_text(parameter, entry, "repository", REPOSITORY),
                subnets=_texts(parameter, entry, "subnets"),
                security_groups=_texts(parameter, entry, "securityGroups"),
            )
            continue
        wave = entry.get("wave", 1)
        if not isinstance(wave, int) or isinstance(wave, bool) or wave not in NUMBERS:
            raise InvalidRegistration(f"{parameter}: wave must be a whole number from -1000 to 1000; {FIX}")
        services.append(
            Service(
                name=name,
                cluster=_text(parameter, entry, "cluster", CLUSTER),
                service=_text(parameter, entry, "service", ECS_NAME),
                family=_text(parameter, entry, "family", ECS_NAME),
                container=(containers := _containers(parameter, entry))[0],
                repository=_text(parameter, entry, "repository", REPOSITORY),
                wave=wave,
                more_containers=containers[1:],
            )
        )
    _require_apart(services, {name.rsplit("/", 1)[-1]: name for name in parameters})
    return Catalog(tuple(sorted(services, key=lambda s: (s.wave, s.name))), migration)


def _entry(parameter: str, value: str) -> dict[str, object]:
    try:
        entry = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidRegistration(f"{parameter}: not JSON ({error}); {FIX}") from error
    if not isinstance(entry, dict):
        raise InvalidRegistration(f"{parameter}: must be a JSON object; {FIX}")
    return entry


def _text(parameter: str, entry: Mapping[str, object], key: str, pattern: re.Pattern[str]) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRegistration(f"{parameter}: {key} must be a non-empty text; {FIX}")
    if not pattern.fullmatch(value):
        raise InvalidRegistration(f"{parameter}: {key} is {shorten(value)!r}, which is no name of one; {FIX}")
    return value


def _containers(parameter: str, entry: Mapping[str, object]) -> tuple[str, ...]:
    """Read ``container``, ``containers``, or both: then the first is the one that explanations begin with."""
    listed = _texts(parameter, entry, "containers")
    wrong = next((name for name in listed if not ECS_NAME.fullmatch(name)), None)
    if wrong is not None:
        raise InvalidRegistration(f"{parameter}: containers has {shorten(wrong)!r}, which is no name of one; {FIX}")
    if listed and "container" not in entry:
        return tuple(dict.fromkeys(listed))
    return tuple(dict.fromkeys((_text(parameter, entry, "container", ECS_NAME), *listed)))


def _require_apart(services: Sequence[Service], parameters: Mapping[str, str]) -> None:
    """Refuse what would be deployed twice: each rollout would undo what the other one has moved.

    Raises
    ------
    InvalidRegistration
        Two entries are one ECS service, or give one container of one family images of two repositories.
    """
    seen: dict[tuple[str, str], Service] = {}
    images: dict[tuple[str, str], Service] = {}
    for service in services:
        first = seen.setdefault((service.cluster.rpartition("/")[2], service.service), service)
        if first is not service:
            both = json.dumps(list(dict.fromkeys((*first.containers, *service.containers))))
            raise InvalidRegistration(
                f"{parameters[service.name]}: the ECS service {service.service} is registered as {first.name} already; "
                f'give one of them "containers": {both}, and delete the other parameter'
            )
        for container in service.containers:
            other = images.setdefault((service.family, container), service)
            if other.repository != service.repository:
                raise InvalidRegistration(
                    f"{parameters[service.name]}: container {container} of {service.family} has its image from "
                    f"{service.repository}, and {other.name} says that it is from {other.repository}; {FIX}"
                )


def _texts(parameter: str, entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRegistration(f"{parameter}: {key} must be a list of texts; {FIX}")
    return tuple(value)
