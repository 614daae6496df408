"""CloudFormation: what became of a stack, and the calls that free one that is stuck. The CDK does the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AwsError, StepshipError

CANCELLED = ("cancelled", "canceled")
"""In the reason of a resource that failed because another one had."""

UNKNOWN_STACK = "does not exist"
"""In the message of the ValidationError that DescribeStacks gives for a name that no stack has."""


class _Invalid(StepshipError):
    """A ValidationError; stays inside this module."""


@dataclass(frozen=True)
class StackFacts:
    """A stack as DescribeStacks shows it.

    Attributes
    ----------
    reason
        Why it is in this status; may be empty.
    protected
        Whether termination protection is on.
    changed_at
        Unix seconds of its last create or update.
    description
        What its template says that it is.
    id
        Its ARN, by which it is known when it is deleted too.
    """

    status: str
    reason: str = ""
    protected: bool = False
    changed_at: float = 0.0
    description: str = ""
    id: str = ""

    @property
    def is_moving(self) -> bool:
        """Whether CloudFormation is at it. A stack in review waits for a person, not for CloudFormation."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"


@dataclass(frozen=True)
class Resource:
    """A resource as the events of its stack name it."""

    logical_id: str
    kind: str
    physical_id: str

    def __str__(self) -> str:
        """Name it for a person."""
        return f"{self.physical_id} ({self.kind})"


class CloudFormation(Gateway):
    """Stacks by name."""

    service: ClassVar[str] = "cloudformation"

    def stack(self, name: str) -> StackFacts | None:
        """Describe a stack; None when there is none."""
        try:
            answer = self.call("describe_stacks", known={"ValidationError": _Invalid}, StackName=name)
        except _Invalid as error:
            if UNKNOWN_STACK in str(error):
                return None
            raise AwsError(str(error)) from error
        found = answer["Stacks"][0]
        if found["StackStatus"] == "DELETE_COMPLETE":
            return None
        changed = found.get("LastUpdatedTime") or found["CreationTime"]
        return StackFacts(
            status=found["StackStatus"],
            reason=found.get("StackStatusReason") or "",
            protected=bool(found.get("EnableTerminationProtection")),
            changed_at=changed.timestamp(),
            description=found.get("Description") or "",
            id=found.get("StackId") or name,
        )

    def stacks(self, names: Iterable[str]) -> dict[str, StackFacts]:
        """Describe those of the stacks that exist."""
        return {name: facts for name in names if (facts := self.stack(name)) is not None}

    def delete(self, name: str, *, protected: bool = False) -> None:
        """Begin to delete a stack, with the role that it was made with.

        Parameters
        ----------
        protected
            Whether its termination protection is switched off first.
        """
        if protected:
            self.call("update_termination_protection", StackName=name, EnableTerminationProtection=False)
        self.call("delete_stack", StackName=name)

    def continue_rollback(self, name: str, skip: Sequence[str]) -> None:
        """Begin to continue the rollback of an update.

        Parameters
        ----------
        skip
            Logical ids of resources that stay as they are; only one whose rollback failed can be skipped
            (API Reference, ContinueUpdateRollback).
        """
        more: dict[str, Any] = {"ResourcesToSkip": list(skip)} if skip else {}
        self.call("continue_update_rollback", StackName=name, **more)

    def failures(self, name: str, since: float = 0.0) -> list[str]:
        """Return why resources of a stack have failed, the first cause first.

        Parameters
        ----------
        since
            Unix seconds; what is older is of an earlier try.
        """
        try:
            return self._failures(name, since)
        except _Invalid as error:
            if UNKNOWN_STACK in str(error):
                # What went wrong went wrong before the stack was made: the CDK says it.
                return []
            raise AwsError(str(error)) from error

    def _failures(self, name: str, since: float) -> list[str]:
        found: list[str] = []
        known = {"ValidationError": _Invalid}
        for page in self.pages("describe_stack_events", "NextToken", known=known, StackName=name):
            # The newest first.
            for event in page["StackEvents"]:
                if event["Timestamp"].timestamp() < since:
                    return found[::-1]
                reason = event.get("ResourceStatusReason") or ""
                failed = str(event.get("ResourceStatus", "")).endswith("_FAILED")
                if failed and not any(word in reason for word in CANCELLED):
                    found.append(f"{event.get('LogicalResourceId')} ({event.get('ResourceType')}): {reason}")
        return found[::-1]

    def left_behind(self, stack_id: str) -> list[Resource]:
        """Return what the deletion of a stack has left in the account.

        Parameters
        ----------
        stack_id
            The ARN: a stack that is deleted is known by no other name.
        """
        found: dict[str, Resource] = {}
        for page in self.pages("describe_stack_events", "NextToken", StackName=stack_id):
            for event in page["StackEvents"]:
                if event.get("ResourceStatus") == "DELETE_SKIPPED" and event.get("PhysicalResourceId"):
                    name = event["LogicalResourceId"]
                    found.setdefault(name, Resource(name, event["ResourceType"], event["PhysicalResourceId"]))
        return list(found.values())

    def failed_resources(self, name: str) -> list[str]:
        """Return the resources whose rollback failed: logical id and reason."""
        answer = self.call("describe_stack_resources", StackName=name)
        return [
            f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason') or 'no reason given'}"
            for each in answer["StackResources"]
            if each["ResourceStatus"] == "UPDATE_FAILED"
        ]
