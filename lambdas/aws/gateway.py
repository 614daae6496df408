"""What all gateways share: one client, made on first use, and one translation of AWS errors."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

from lambdas.release.errors import AccessDenied, AwsError, AwsUnavailable, StepshipError, Throttled

THROTTLING = frozenset(
    {
        # botocore's own list (botocore.retries.standard, ThrottledRetryableChecker), but for LimitExceededException:
        # what these services mean by it is a number of resources, which no waiting changes.
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
        # SSM and DynamoDB say it with names of their own.
        "TooManyUpdates",
        "TransactionConflictException",
    }
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})

SERVER_ERROR = 500
"""HTTP status from which on the service is to blame, and the same call may work later."""

ATTEMPTS = 4
"""Tries within one call (botocore's standard mode); the state machine retries the whole step after that."""

CONNECT_SECONDS, READ_SECONDS = 3, 10
"""A call that hangs has to leave room for a second one before the function's own timeout."""

SECONDS_FOR_A_CALL = 10.0
"""With less time left a function begins no further call: botocore waits up to 1, 2 and 4 s between its tries."""

PAUSE_SECONDS = 10.0
"""The longest pause before a throttled call is made again; half of it on average, so that many callers spread out."""


@dataclass(frozen=True)
class TimeLimit:
    """The time of the function in which calls are made.

    Attributes
    ----------
    seconds_left
        How long it may still run.
    sleep
        Waits so many seconds.
    """

    seconds_left: Callable[[], float]
    sleep: Callable[[float], None]


_time_limit: ContextVar[TimeLimit | None] = ContextVar("time_limit", default=None)

KnownErrors = Mapping[str, Callable[[str], StepshipError]]

SENT_VALUE = re.compile(r", value: .*, (?=type: |valid )", re.DOTALL)
"""Where botocore quotes the argument that it refuses to send: it may be a value of an environment variable."""


class Answer(dict[str, Any]):
    """An object in an AWS answer. Almost no member of one is promised: a missing one is an AwsError with its place.

    Parameters
    ----------
    place
        For the message: ``ecs:describe_services.services[0]``.
    """

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        super().__init__({key: whole(value, f"{place}.{key}") for key, value in values.items()})
        self.place = place

    def __missing__(self, key: str) -> Any:
        """Raise AwsError."""
        raise AwsError(f"{self.place}: the answer has no {key}")


def whole(value: Any, place: str) -> Any:
    """Make every object in an answer an ``Answer``."""
    if isinstance(value, dict):  # botocore makes no other mapping, and asking an abstract class takes ten times as long
        return Answer(value, place)
    if isinstance(value, list):
        return [whole(item, f"{place}[{index}]") for index, item in enumerate(value)]
    return value


@contextmanager
def within(limit: TimeLimit) -> Iterator[None]:
    """Use the function's time, and not more: what is throttled inside waits, and what would be killed does not begin.

    A quota belongs to the account, so how long it is used up is not ours to know. A function that waits keeps what it
    has read and done; one whose time is over says so with Throttled, and its step runs again and goes on.
    """
    token = _time_limit.set(limit)
    try:
        yield
    finally:
        _time_limit.reset(token)


def _patiently(name: str, call: Callable[[], Answer]) -> Answer:
    limit = _time_limit.get()
    if limit is None:
        return call()
    while limit.seconds_left() >= SECONDS_FOR_A_CALL:
        try:
            return call()
        except Throttled:
            pause = random.uniform(0, PAUSE_SECONDS)  # noqa: S311 (spreads callers, keeps no secret)
            if limit.seconds_left() < SECONDS_FOR_A_CALL + pause:
                raise
            limit.sleep(pause)
    raise Throttled(f"{name}: {limit.seconds_left():.0f} s are left, so the rest is for the next run of this step")


@cache
def client_of(service: str, region: str | None = None) -> Any:
    """Return this process's client of a service, in its own region or in another."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        region_name=region,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            user_agent_extra="stepship",
        ),
    )


class Gateway:
    """One AWS service. Subclasses turn its answers into domain types."""

    service: ClassVar[str]
    other_region: str | None = None

    @property
    def client(self) -> Any:
        """The boto3 client. Made on first use: a step that does not need it does not pay for it."""
        return client_of(self.service, self.other_region) if self.other_region else client_of(self.service)

    def in_region(self, region: str) -> Self:
        """Return this gateway for another region than the function's own."""
        other = copy(self)
        other.other_region = region
        return other

    def call(self, operation: str, *, known: KnownErrors | None = None, **request: Any) -> Answer:
        """Make one API call.

        Parameters
        ----------
        operation
            The client's method, such as ``describe_services``.
        known
            AWS error code to the domain error that it means here.
        request
            The call's own arguments.

        Raises
        ------
        StepshipError
            A leaf of the tree in ``lambdas/release/errors.py``; never an error of botocore.
        """
        name = f"{self.service}:{operation}"
        return _patiently(name, lambda: self._call(name, operation, known or {}, request))

    def _call(self, name: str, operation: str, known: KnownErrors, request: Mapping[str, Any]) -> Answer:
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            answer: Mapping[str, Any] = getattr(self.configured_client(name), operation)(**request)
        except ClientError as error:
            raise translate(name, error.response, known) from error
        except ParamValidationError as error:
            # It was never sent, and would be refused every time.
            raise AwsError(f"{name}: {SENT_VALUE.sub(', ', str(error))}") from error
        except BotoCoreError as error:
            raise AwsUnavailable(f"{name}: {error}") from error
        return Answer(answer, name)

    def configured_client(self, call: str) -> Any:
        """Return the client; AwsError when the region or the endpoint is none."""
        try:
            return self.client
        except ValueError as error:
            # botocore's own errors for an endpoint, made of the region, that is none; some are plain ValueErrors.
            raise AwsError(f"{call}: {error}") from error

    def pages(self, operation: str, token: str, **request: Any) -> Iterator[Answer]:
        """Make a paged call; ``token`` is the name of the token in request and answer."""
        following: dict[str, Any] = {}
        while True:
            page = self.call(operation, **request, **following)
            yield page
            if not page.get(token):
                return
            following = {token: page[token]}


def translate(call: str, response: Mapping[str, Any], known: KnownErrors) -> StepshipError:
    """Return the domain error that an AWS error response means.

    Parameters
    ----------
    call
        ``ecs:update_service``, for the message.
    response
        botocore's ``ClientError.response``.
    known
        Error code to domain error, for the codes that mean something here.
    """
    error = response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{call}: {code}: {message}"
    if code in known:
        return known[code](text)
    if code in THROTTLING:
        return Throttled(text)
    if status >= SERVER_ERROR:
        return AwsUnavailable(text)
    if code in DENIED:
        return AccessDenied(f"{text}. Grant it in statemachine/permissions.py, or correct the resource's own policy")
    return AwsError(text)


def batches(items: list[str], size: int) -> Iterator[list[str]]:
    """Split into runs of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
