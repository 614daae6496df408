"""What goes wrong before, beside and after a deployment, in one line that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdas.release.errors import AccessDenied, AwsUnavailable, StepshipError, Throttled
from stepship.failure import FAILED, WRONG_USAGE

IAM_PREFIXES = {"stepfunctions": "states"}
"""Where boto3 and IAM call a service by different names."""

NO_CREDENTIALS = "no AWS credentials: set AWS_PROFILE, or sign in with `aws login` or `aws configure`"
SIGNED_OUT = "the AWS sign-in is over: sign in again, as with `aws sso login` ({cause})"
ON_THE_WAY = {
    "NoRegionError": "no AWS region: set AWS_REGION, or a profile with a region in AWS_PROFILE",
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), NO_CREDENTIALS),
    **dict.fromkeys(("SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError"), SIGNED_OUT),
    "CredentialRetrievalError": "no AWS credentials: {cause}",
    "ProfileNotFound": "{cause}: correct AWS_PROFILE",
    "EndpointConnectionError": "{cause}: check the network, AWS_REGION and AWS_ENDPOINT_URL",
}
"""What botocore's own errors mean, by class: AWS was not reached, or not asked."""

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
PASSING = frozenset({"ClientError", "ConnectionError", "HTTPClientError", "CredentialRetrievalError"})
"""botocore's errors, and those above them, of what may work the next time; a region that is not set is none."""
REFUSED = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"})


class CommandError(Exception):
    """A command cannot go on; the text says why and what to do.

    Attributes
    ----------
    exit_code
        1, or 2 when it was asked wrongly.
    """

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def wrong_usage(text: str) -> CommandError:
    """Return the error of a command that was asked wrongly."""
    return CommandError(text, WRONG_USAGE)


def may_pass(error: StepshipError) -> bool:
    """Whether the same call may work in a while: AWS was busy, or was not reached."""
    kinds = {kind.__name__ for kind in type(error.__cause__).__mro__}
    return isinstance(error, Throttled) or (isinstance(error, AwsUnavailable) and not kinds.isdisjoint(PASSING))


def aws_error(error: StepshipError) -> CommandError:
    """Say what AWS, or the way to it, refused: for the person who typed the command, not for a function's role.

    Parameters
    ----------
    error
        What a gateway raised; its cause is botocore's own error.
    """
    cause = error.__cause__
    kind = type(cause).__name__
    call, _, text = str(error).partition(": ")
    if kind in ON_THE_WAY:
        return CommandError(ON_THE_WAY[kind].format(cause=cause))
    if isinstance(cause, ValueError) and str(cause).startswith("Invalid endpoint"):
        return CommandError(f"{cause}: correct AWS_REGION and AWS_ENDPOINT_URL")
    response: Mapping[str, Any] = getattr(cause, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    if code in EXPIRED:
        return CommandError("the AWS credentials have expired: renew them")
    if code in REFUSED:
        return CommandError(f"AWS does not accept the credentials ({code}): set others")
    if isinstance(error, AccessDenied):
        said = response.get("Error", {}).get("Message") or text
        return CommandError(f"these credentials lack {iam_action(call)}: {said}")
    return CommandError(str(error))


def iam_action(call: str) -> str:
    """Return ``states:DescribeExecution`` for ``stepfunctions:describe_execution``."""
    service, _, operation = call.partition(":")
    name = "".join(word.capitalize() for word in operation.split("_"))
    return f"{IAM_PREFIXES.get(service, service)}:{name}"
