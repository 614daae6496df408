"""Checks an account before stacks are created in it: what is there, what was created, what is missing.

What the caller may not look at is skipped with the reason: a role that can deploy and do little else is no mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import partial

from config import EnvironmentConfig
from lambdas.release.errors import StepshipError
from stacks.account import ELASTIC_IPS, Quota, ServiceRole, quotas_of, roles_of
from stepship.account.settings import Addresses, Quotas, Registry, Scanning, ServiceRoles

GUIDE = "docs/how-to/new-account.md"

MAX_REASON = 300
"""Characters of what AWS says."""

CHECKED_BY = "deployment-coordinator"
"""The part whose gate wants images that were scanned."""


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    CREATED = "created"
    MISSING = "missing"
    LOW = "low"
    SHORT = "short"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes
    ----------
    what
        What was looked at.
    reason
        What follows from it; empty when nothing does.
    """

    what: str
    mark: Mark
    reason: str = ""

    @property
    def document(self) -> dict[str, str | None]:
        """What a program reads."""
        return {"what": self.what, "result": self.mark.value, "reason": self.reason or None}

    def __str__(self) -> str:
        """The line that is shown."""
        return f"{self.mark.upper():7} {self.what}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class Account:
    """An account's settings in a region, as AWS tells them."""

    roles: ServiceRoles = field(default_factory=ServiceRoles)
    quotas: Quotas = field(default_factory=Quotas)
    addresses: Addresses = field(default_factory=Addresses)
    registry: Registry = field(default_factory=Registry)

    def check(self, settings: EnvironmentConfig, parts: Collection[str], *, create: bool) -> tuple[Finding, ...]:
        """Look at everything that these parts need.

        Parameters
        ----------
        settings
            The environment.
        parts
            Those whose stacks do not stand yet: what stands has had all that it needs.
        create
            Whether roles that are missing are created.
        """
        return tuple(self._findings(settings, parts, create=create))

    def _findings(self, settings: EnvironmentConfig, parts: Collection[str], *, create: bool) -> Iterator[Finding]:
        for role in roles_of(parts):
            yield _looked(f"service-linked role {role.name}", partial(self._role, role, create=create))
        for quota in quotas_of(settings, parts):
            yield _looked(f"quota {quota.name} ({quota.code})", partial(self._quota, quota))
        if CHECKED_BY in parts:
            yield _looked("ECR image scanning", lambda: scanned(settings, self.registry.scanning()))

    def _role(self, role: ServiceRole, *, create: bool) -> tuple[Mark, str]:
        if self.roles.exists(role.name):
            return Mark.OK, ""
        if not create:
            return Mark.MISSING, "a deploy creates it"
        return (Mark.CREATED if self.roles.create(role.service) else Mark.OK), ""

    def _quota(self, quota: Quota) -> tuple[Mark, str]:
        value = self.quotas.applied(quota.service, quota.code)
        used = self.addresses.count() if quota.code == ELASTIC_IPS else 0
        return enough(quota, value, used)


def enough(quota: Quota, value: float, used: float) -> tuple[Mark, str]:
    """Decide whether a quota is high enough.

    Parameters
    ----------
    quota
        What the environment needs.
    value
        What the account is allowed.
    used
        What others in the account have of it; 0 where nobody counts.

    Examples
    --------
    >>> vcpu = Quota("fargate", "L-3032A538", "Fargate On-Demand vCPU resource count", 4.25, 7.25)
    >>> enough(vcpu, 6.0, 0)
    (<Mark.LOW: 'low'>, 'it is 6, and a code deploy needs 7.25: ask for more in Service Quotas')
    """
    free = value - used
    taken = f", of which {used:g} are in use" if used else ""
    for mark, needed, what in (
        (Mark.SHORT, quota.least, "the stacks need"),
        (Mark.LOW, quota.wanted, "a code deploy needs"),
    ):
        if free < needed:
            return mark, f"it is {value:g}{taken}, and {what} {needed:g}: ask for more in Service Quotas"
    return Mark.OK, ""


def scanned(settings: EnvironmentConfig, scanning: Scanning) -> tuple[Mark, str]:
    """Decide whether the images of an environment are scanned, as far as the registry says it.

    With basic scanning the repository itself says it too (``imageScanningConfiguration``), and the one of the stack
    ``bootstrap`` does; with enhanced scanning the registry's filters alone count (ECR User Guide, "Scan images").
    """
    if scanning.kind != "ENHANCED":
        return Mark.OK, ""
    missing = [
        name for name in settings.image.repositories if not any(_matches(name, each) for each in scanning.filters)
    ]
    if not missing:
        return Mark.OK, ""
    names = ", ".join(missing)
    refused = ", and [image] scan_required refuses what was not" if settings.image.scan_required else ""
    return Mark.LOW, f"scanning is enhanced, and no filter takes {names}: its images are never scanned{refused}"


def _matches(name: str, pattern: str) -> bool:
    """Whether a filter takes a repository; one without a wildcard takes every name that it is in."""
    return fnmatchcase(name, pattern if "*" in pattern else f"*{pattern}*")


def _looked(what: str, look: Callable[[], tuple[Mark, str]]) -> Finding:
    try:
        mark, reason = look()
    except StepshipError as error:
        return Finding(what, Mark.SKIP, " ".join(str(error).split())[:MAX_REASON])
    return Finding(what, mark, reason)
