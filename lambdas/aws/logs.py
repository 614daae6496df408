"""CloudWatch Logs: do the groups exist, and what did a container say last."""

from __future__ import annotations

from typing import ClassVar

from lambdas.aws.gateway import Gateway
from lambdas.release.errors import AccessDenied, StepshipError


class _NoStream(StepshipError):
    """The container never wrote; stays inside this module."""


class ContainerLogs(Gateway):
    """Log groups and streams of containers."""

    service: ClassVar[str] = "logs"

    def group_exists(self, name: str) -> bool | None:
        """Whether a log group exists; None when this function may not look."""
        try:
            answer = self.call("describe_log_groups", logGroupNamePrefix=name)
        except AccessDenied:
            return None
        return any(group["logGroupName"] == name for group in answer["logGroups"])

    def last_lines(self, group: str, stream: str, count: int) -> tuple[str, ...]:
        """Return the last lines of a stream, oldest first; none when it does not exist."""
        try:
            answer = self.call(
                "get_log_events",
                known={"ResourceNotFoundException": _NoStream},
                logGroupName=group,
                logStreamName=stream,
                limit=count,
                startFromHead=False,
            )
        except _NoStream:
            return ()
        return tuple(str(event["message"]).rstrip() for event in answer["events"])
