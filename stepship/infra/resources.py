"""Single resources of any type, by the Cloud Control API: CloudFormation's own handlers, without a stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AwsError, StepshipError

POLL_SECONDS = 5.0
WAIT_SECONDS = 1800
"""A database takes the longest to go, some ten minutes."""

MOVING = frozenset({"PENDING", "IN_PROGRESS", "CANCEL_IN_PROGRESS"})


class _Gone(StepshipError):
    """There is no such resource; stays inside this module."""


class Resources(Gateway):
    """Resources by type and identifier."""

    service: ClassVar[str] = "cloudcontrol"

    def delete(self, kind: str, identifier: str, sleep: Callable[[float], None]) -> None:
        """Delete a resource, and wait until it is gone; one that is gone already is fine.

        Parameters
        ----------
        kind, identifier
            As CloudFormation has them: ``AWS::DynamoDB::Table`` and its physical id.
        sleep
            Waits so many seconds.

        Raises
        ------
        AwsError
            It could not be deleted; says why.
        """
        try:
            answer = self.call(
                "delete_resource",
                known={"ResourceNotFoundException": _Gone},
                TypeName=kind,
                Identifier=identifier,
            )
        except _Gone:
            return
        waited = 0.0
        event = answer["ProgressEvent"]
        while event["OperationStatus"] in MOVING:
            if waited > WAIT_SECONDS:
                raise AwsError(f"cloudcontrol:delete_resource: it has taken {WAIT_SECONDS / 60:.0f} minutes")
            sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            event = self.call("get_resource_request_status", RequestToken=event["RequestToken"])["ProgressEvent"]
        if event["OperationStatus"] != "SUCCESS" and event.get("ErrorCode") != "NotFound":
            raise AwsError(f"cloudcontrol:delete_resource: {event.get('StatusMessage') or event['OperationStatus']}")
