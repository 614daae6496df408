"""What all gateways share: one client, made on first use, and one translation of AWS errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from lambdas.release.errors import AccessDenied, AwsError, AwsUnavailable, StepshipError, Throttled

THROTTLING = frozenset(
    {
        # botocore's own list (botocore.retries.standard, ThrottledRetryableChecker).
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
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

KnownErrors = Mapping[str, Callable[[str], StepshipError]]


@cache
def client_of(service: str) -> Any:
    """Return this process's client of a service."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
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

    @property
    def client(self) -> Any:
        """The boto3 client. Made on first use: a step that does not need it does not pay for it."""
        return client_of(self.service)

    def call(self, operation: str, *, known: KnownErrors | None = None, **request: Any) -> dict[str, Any]:
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
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        name = f"{self.service}:{operation}"
        try:
            answer: dict[str, Any] = getattr(self.client, operation)(**request)
        except ClientError as error:
            raise translate(name, error.response, known or {}) from error
        except ParamValidationError as error:
            raise AwsError(f"{name}: {error}") from error  # it was never sent, and would be refused every time
        except BotoCoreError as error:
            raise AwsUnavailable(f"{name}: {error}") from error
        return answer

    def pages(self, operation: str, token: str, **request: Any) -> Iterator[dict[str, Any]]:
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
        return AccessDenied(f"{text}. Grant it in statemachine/permissions.py, or mend the resource's own policy")
    return AwsError(text)


def batches(items: list[str], size: int) -> Iterator[list[str]]:
    """Split into runs of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
