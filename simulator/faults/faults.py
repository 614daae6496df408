"""What can go wrong in AWS, as data: which call or function, which time, and how.

A fault is armed by the ``nth`` matching call (or invocation) and then hits ``times`` attempts in a row, counting the
attempts that botocore makes by itself. An example: ``CallFault(service="ecs", action=THROTTLE, times=2)`` on a client
with three attempts makes the first call take three attempts and succeed; with ``times=4`` the first call fails after
three attempts, and the next one needs two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from simulator.faults.api_call import ApiCall, CallAction


class FunctionAction(StrEnum):
    """What happens to a Lambda invocation."""

    KILL = "kill"
    """Killed by its timeout after ``after_calls`` AWS calls, whose effects stay. ``Sandbox.Timedout``."""
    TWICE = "twice"
    """Runs two times with the same event; the second result counts. Lambda promises at least once, not once."""
    AGAIN = "again"
    """Runs once more ``after_seconds`` after it has ended, with the same event, when nobody waits for it any more."""
    SERVICE_ERROR = "service_error"
    """Lambda itself fails before the function runs: ``error``, by default ``Lambda.ServiceException``."""
    RAISE = "raise"
    """The function fails with the error name ``error`` before it does anything."""


@dataclass(frozen=True)
class CallFault:
    """A fault of AWS calls made by handlers. None matches everything.

    Attributes
    ----------
    service
        boto3 name, such as ``dynamodb``.
    operation
        API name, such as ``PutItem``.
    function
        Name of the calling Lambda function.
    nth
        The first matching call that is hit, counted from 1.
    times
        How many attempts in a row are hit, from there on.
    code, message, http_status
        For ``ERROR``.
    """

    action: CallAction
    service: str | None = None
    operation: str | None = None
    function: str | None = None
    nth: int = 1
    times: int = 1
    code: str = "InternalServerError"
    message: str = "injected"
    http_status: int = 500


@dataclass(frozen=True)
class FunctionFault:
    """A fault of Lambda invocations.

    Attributes
    ----------
    function
        Name of the function; None matches all.
    nth
        The first matching invocation that is hit, counted from 1.
    times
        How many matching invocations in a row are hit, from there on.
    after_calls
        For ``KILL``: how many AWS calls it completes first.
    after_seconds
        For ``AGAIN``: virtual seconds.
    error
        For ``RAISE`` and ``SERVICE_ERROR``: the error name.
    """

    action: FunctionAction
    function: str | None = None
    nth: int = 1
    times: int = 1
    after_calls: int = 0
    after_seconds: float = 60.0
    error: str = "Lambda.ServiceException"


_F = TypeVar("_F", CallFault, FunctionFault)


@dataclass
class _Armed(Generic[_F]):
    fault: _F
    seen: int = 0
    hits: int = 0


@dataclass
class Faults:
    """The faults of one simulated world."""

    _calls: list[_Armed[CallFault]] = field(default_factory=list)
    _functions: list[_Armed[FunctionFault]] = field(default_factory=list)

    def add(self, fault: CallFault | FunctionFault) -> None:
        """Arm a fault. Calls and invocations are counted from now on."""
        if isinstance(fault, CallFault):
            self._calls.append(_Armed(fault))
        else:
            self._functions.append(_Armed(fault))

    def clear(self) -> None:
        """Disarm all faults."""
        self._calls.clear()
        self._functions.clear()

    @property
    def pending(self) -> list[CallFault | FunctionFault]:
        """The faults that did not hit as often as they should: a test that expects them asserts that it is empty."""
        armed: list[_Armed[CallFault] | _Armed[FunctionFault]] = [*self._calls, *self._functions]
        return [each.fault for each in armed if each.hits < each.fault.times]

    def for_attempt(self, call: ApiCall) -> CallFault | None:
        """Return the fault that hits this attempt of a call, if any, and count it."""
        hit: CallFault | None = None
        for armed in self._calls:
            fault = armed.fault
            if not _matches(fault, call):
                continue
            if call.attempts == 1:
                armed.seen += 1
            if hit is None and armed.seen >= fault.nth and armed.hits < fault.times:
                armed.hits += 1
                hit = fault
        return hit

    def for_invocation(self, function: str) -> FunctionFault | None:
        """Return the fault that hits this invocation, if any, and count it."""
        hit: FunctionFault | None = None
        for armed in self._functions:
            fault = armed.fault
            if fault.function not in (None, function):
                continue
            armed.seen += 1
            if hit is None and armed.seen >= fault.nth and armed.hits < fault.times:
                armed.hits += 1
                hit = fault
        return hit


def _matches(fault: CallFault, call: ApiCall) -> bool:
    return (
        fault.service in (None, call.service)
        and fault.operation in (None, call.operation)
        and fault.function in (None, call.function)
    )


THROTTLING_CODES = {
    "cloudwatch": ("Throttling", 400),
    "ec2": ("RequestLimitExceeded", 503),
    "elbv2": ("Throttling", 400),
    "iam": ("Throttling", 400),
    "lambda": ("TooManyRequestsException", 429),
    "sns": ("Throttling", 400),
    "sts": ("Throttling", 400),
}
"""Throttling error code and HTTP status of the services that do not use ``ThrottlingException`` and 400, as DynamoDB,
ECR, ECS, EventBridge, Logs, SSM, Secrets Manager and Step Functions do (each service's *Common errors* page)."""
