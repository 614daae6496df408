"""Secrets Manager: is a secret there. Values are never read."""

from __future__ import annotations

from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AccessDenied, StepshipError


class _NoSecret(StepshipError):
    """There is no such secret; stays inside this module."""


class Secrets(Gateway):
    """Secrets by name or ARN."""

    service: ClassVar[str] = "secretsmanager"

    def exists(self, reference: str) -> bool | None:
        """Whether the secret can be used; None when this function may not look.

        A secret that waits for its deletion is still described, and can no longer be read.

        Parameters
        ----------
        reference
            A ``secrets[].valueFrom``: an ARN, with or without ``:json-key:stage:version`` behind it.
        """
        secret = ":".join(reference.split(":")[:7]) if reference.startswith("arn:") else reference
        try:
            found = self.call("describe_secret", known={"ResourceNotFoundException": _NoSecret}, SecretId=secret)
        except _NoSecret:
            return False
        except AccessDenied:
            return None
        return "DeletedDate" not in found
