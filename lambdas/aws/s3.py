"""S3: is a file of environment variables there. It is never read."""

from __future__ import annotations

from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AccessDenied, StepshipError


class _NoObject(StepshipError):
    """There is no such bucket or object; stays inside this module."""


class Objects(Gateway):
    """Objects by ARN."""

    service: ClassVar[str] = "s3"

    def exists(self, arn: str) -> bool | None:
        """Whether ``arn:aws:s3:::bucket/key`` exists; None when this function may not look.

        HeadObject asks for the right to read the object, which is more than a check should have: it is not granted, so
        this is known only where a team has granted it (S3 API Reference, HeadObject).
        """
        bucket, _, key = arn.split(":", 5)[-1].partition("/")
        if not bucket or not key:
            return False
        # An answer to HEAD has no body, so the codes are those of HTTP.
        known = {"404": _NoObject, "NoSuchKey": _NoObject, "NoSuchBucket": _NoObject, "403": AccessDenied}
        try:
            self.call("head_object", known=known, Bucket=bucket, Key=key)
        except _NoObject:
            return False
        except AccessDenied:
            return None
        return True
