"""Credentials of a workflow's job that last as long as the command: its role is assumed again before a session ends.

A session of a role lasts an hour, and a deployment may take longer. A job of GitHub Actions that may have an identity
token gets a new one whenever it asks (GitHub Docs, "OpenID Connect reference"). botocore exchanges it at STS for a
session, and does so again a quarter of an hour before that ends. No token is written anywhere, nor is an answer to one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

ROLE = "AWS_ROLE_ARN"
TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 (the name of a variable)
REQUEST_URL, REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

METHOD = "github-actions"
"""What botocore calls this way to credentials."""

AUDIENCE = "sts.amazonaws.com"
SESSION_NAME = "GitHubActions"
"""As `aws-actions/configure-aws-credentials` calls its sessions: CloudTrail shows one caller for both."""

TOKEN_SECONDS = 30
"""How long GitHub may take to answer."""

NO_TOKEN = (OSError, ValueError, TypeError, KeyError, RecursionError)
"""What is raised where GitHub refuses a token, is not reached, or answers something else."""


def renew_for_the_job(environ: Mapping[str, str], now: Callable[[], float]) -> bool:
    """Let every client of this process use the role of ``AWS_ROLE_ARN`` by the identity of the job.

    Parameters
    ----------
    environ
        The environment variables. With ``AWS_WEB_IDENTITY_TOKEN_FILE`` it is botocore that takes the role.
    now
        Returns unix seconds.

    Returns
    -------
    bool
        False when no role is named, or the job may not have a token: then credentials are those of every AWS tool.
    """
    if not all(environ.get(name) for name in (ROLE, REQUEST_URL, REQUEST_TOKEN)) or environ.get(TOKEN_FILE):
        return False
    import boto3  # noqa: PLC0415 (slow, and few commands come here)

    boto3.setup_default_session(botocore_session=_session(environ, now))
    return True


@dataclass(frozen=True)
class _Provider:
    """What botocore asks of a provider of credentials."""

    credentials: Any
    METHOD: str = METHOD

    def load(self) -> Any:
        return self.credentials


def _session(environ: Mapping[str, str], now: Callable[[], float]) -> Any:
    from botocore.credentials import (  # noqa: PLC0415 (slow, and few commands come here)
        AssumeRoleWithWebIdentityCredentialFetcher,
        DeferredRefreshableCredentials,
    )
    from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError  # noqa: PLC0415
    from botocore.session import get_session  # noqa: PLC0415

    session = get_session()

    def fetch() -> Any:
        # One fetcher for each session: it would keep the credentials by a clock of its own.
        fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
            client_creator=session.create_client,
            web_identity_token_loader=lambda: identity_token(environ),
            role_arn=environ[ROLE],
            extra_args={"RoleSessionName": SESSION_NAME},
        )
        try:
            return fetcher.fetch_credentials()
        except (BotoCoreError, ClientError, *NO_TOKEN) as error:
            # Its text may have the token in it, and the chain of errors too.
            response: Mapping[str, Any] = getattr(error, "response", {})
            why = response.get("Error", {}).get("Code") or type(error).__name__
            raise CredentialRetrievalError(provider=METHOD, error_msg=f"{environ[ROLE]} was not given: {why}") from None

    credentials = DeferredRefreshableCredentials(
        refresh_using=fetch, method=METHOD, time_fetcher=lambda: datetime.fromtimestamp(now(), UTC)
    )
    # Before the variables that an earlier step has set: those end with their hour.
    session.get_component("credential_provider").insert_before("env", _Provider(credentials))
    return session


def identity_token(environ: Mapping[str, str]) -> str:
    """Ask GitHub for a token that says which job this is."""
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 (slow, and few commands come here)
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415 (the same)

    url, headers = f"{environ[REQUEST_URL]}&audience={AUDIENCE}", {"Authorization": f"bearer {environ[REQUEST_TOKEN]}"}
    # botocore's own session follows no redirect: the header is for GitHub alone.
    answer = URLLib3Session(timeout=TOKEN_SECONDS).send(AWSRequest("GET", url, headers=headers).prepare())
    token = json.loads(answer.content)["value"] if answer.status_code == HTTPStatus.OK else None
    if not isinstance(token, str) or not token:
        raise TypeError("the answer has no token")
    return token
