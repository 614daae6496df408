"""One AWS call of a handler, and what a fault may do to it: what the recorder writes and the faults read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class CallAction(StrEnum):
    """What happens to an AWS call."""

    ERROR = "error"
    """The service answers with ``code``, ``message`` and ``http_status``. Nothing takes effect."""
    THROTTLE = "throttle"
    """The service answers with its own throttling error. Nothing takes effect."""
    TIMEOUT = "timeout"
    """No answer within the client's read timeout, which passes in virtual time. Nothing takes effect."""
    LOST = "lost"
    """It takes effect, and then the connection is closed before the answer arrives."""


@dataclass
class ApiCall:
    """One AWS API call by a handler, with all the attempts that botocore made.

    Attributes
    ----------
    number
        1, 2, 3, … in the order in which the calls were made.
    at
        Virtual time at which the handler made it, unix seconds.
    service, operation
        As boto3 and the API name them: ``dynamodb``, ``PutItem``.
    function, execution, state
        Who made it; ``execution`` and ``state`` are empty if no state machine invoked the function.
    params
        The request parameters as the handler gave them.
    attempts
        How often it was sent.
    error
        Error code, or the class name of botocore's exception; None if it succeeded.
    faults
        The faults that hit it, one per attempt that was hit.
    """

    number: int
    at: float
    service: str
    operation: str
    function: str
    execution: str
    state: str
    params: Mapping[str, Any]
    attempts: int = 0
    error: str | None = None
    faults: list[CallAction] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.function}: {self.service}.{self.operation}"
