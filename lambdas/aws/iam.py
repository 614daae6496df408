"""IAM: do the roles of a task definition exist."""

from __future__ import annotations

from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import StepshipError


class _NoRole(StepshipError):
    """There is no such role; stays inside this module."""


class Roles(Gateway):
    """Roles by name."""

    service: ClassVar[str] = "iam"

    def arn(self, name: str) -> str | None:
        """Return the ARN, which has the path, of a role; None when there is no such role.

        Raises
        ------
        AccessDenied
            This function may not look at it.
        """
        try:
            answer = self.call("get_role", known={"NoSuchEntity": _NoRole}, RoleName=name)
        except _NoRole:
            return None
        return str(answer["Role"]["Arn"])
