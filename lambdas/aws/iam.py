"""IAM: do the roles of a task definition exist."""

from __future__ import annotations

from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AccessDenied, StepshipError


class _NoRole(StepshipError):
    """There is no such role; stays inside this module."""


class Roles(Gateway):
    """Roles by ARN."""

    service: ClassVar[str] = "iam"

    def exists(self, arn: str) -> bool | None:
        """Whether the role exists; None when this function may not look."""
        try:
            self.call("get_role", known={"NoSuchEntity": _NoRole}, RoleName=arn.rsplit("/", 1)[-1])
        except _NoRole:
            return False
        except AccessDenied:
            return None
        return True
