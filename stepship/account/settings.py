"""Settings of an account and region: service-linked roles, quotas, addresses in use, and how ECR scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import StepshipError

TAKEN = "has been taken in this account"
"""In the InvalidInput that CreateServiceLinkedRole gives for a role that is there."""


class _NoRole(StepshipError):
    """There is no such role; stays inside this module."""


class _Invalid(StepshipError):
    """An InvalidInput; stays inside this module."""


class ServiceRoles(Gateway):
    """Service-linked roles."""

    service: ClassVar[str] = "iam"

    def exists(self, name: str) -> bool:
        """Whether the account has the role."""
        try:
            self.call("get_role", known={"NoSuchEntity": _NoRole}, RoleName=name)
        except _NoRole:
            return False
        return True

    def create(self, service: str) -> bool:
        """Create the role of a service; returns whether it was this call: somebody else may have been faster."""
        try:
            self.call("create_service_linked_role", known={"InvalidInput": _Invalid}, AWSServiceName=service)
        except _Invalid as error:
            if TAKEN in str(error):
                return False
            raise
        return True


class Quotas(Gateway):
    """Service Quotas."""

    service: ClassVar[str] = "service-quotas"

    def applied(self, service: str, code: str) -> float:
        """Return the value that holds in this account and region."""
        answer = self.call("get_service_quota", ServiceCode=service, QuotaCode=code)
        return float(answer["Quota"]["Value"])


class Addresses(Gateway):
    """Elastic IP addresses."""

    service: ClassVar[str] = "ec2"

    def count(self) -> int:
        """Return how many the account has in this region, whoever uses them."""
        return len(self.call("describe_addresses")["Addresses"])


@dataclass(frozen=True)
class Scanning:
    """How ECR scans the images of this account and region.

    Attributes
    ----------
    kind
        ``BASIC`` or ``ENHANCED``.
    filters
        Of repositories whose images are scanned when they are pushed, or for as long as they are there.
    """

    kind: str
    filters: tuple[str, ...] = ()


class Registry(Gateway):
    """The account's registry in ECR."""

    service: ClassVar[str] = "ecr"

    def scanning(self) -> Scanning:
        """Return how images are scanned."""
        found = self.call("get_registry_scanning_configuration")["scanningConfiguration"]
        return Scanning(
            kind=found.get("scanType") or "BASIC",
            filters=tuple(
                each["filter"]
                for rule in found.get("rules") or []
                if rule["scanFrequency"] != "MANUAL"
                for each in rule["repositoryFilters"]
            ),
        )
