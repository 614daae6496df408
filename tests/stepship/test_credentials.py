"""The role of a workflow's job, by its identity token, for as long as the job lasts; no token is ever to be read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lambdas.aws.gateway import client_of
from lambdas.release.errors import AwsUnavailable
from stepship.credentials import renew_for_the_job
from stepship.errors import aws_error, may_pass
from stepship.machine import Caller

ROLE = "arn:aws:iam::123456789012:role/v3-backend-staging-github-code"
TOKEN = "an.identity.token"
BEARER = "bearer-of-the-job"


@dataclass
class GitHubTokens:
    """GitHub's address for identity tokens: what it answers, and who has asked."""

    url: str = ""
    status: int = 200
    answer: Any = field(default_factory=lambda: {"value": TOKEN})
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def tokens() -> Iterator[GitHubTokens]:
    found = GitHubTokens()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, self.headers["Authorization"]))
            self.send_response(found.status)
            if found.status == HTTPStatus.FOUND:
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps(found.answer).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/token?v=1"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Clock:
    """Seconds since moto's own now."""

    passed: float = 0.0

    def now(self) -> float:
        import time

        return time.time() + self.passed


@pytest.fixture
def environ(tokens: GitHubTokens, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    client_of.cache_clear()
    yield {
        "AWS_ROLE_ARN": ROLE,
        "ACTIONS_ID_TOKEN_REQUEST_URL": tokens.url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
    }
    client_of.cache_clear()


def key() -> str:
    """Return the key that calls are signed with."""
    credentials = boto3.DEFAULT_SESSION.get_credentials()
    assert credentials is not None
    return str(credentials.get_frozen_credentials().access_key)


def test_calls_are_signed_with_the_role_of_the_job(environ: dict[str, str], tokens: GitHubTokens) -> None:
    with mock_aws():
        assert renew_for_the_job(environ, Clock().now)
        assert tokens.asked == []
        assert Caller().arn == "arn:aws:sts::123456789012:assumed-role/v3-backend-staging-github-code/GitHubActions"
    assert tokens.asked == [("/token?v=1&audience=sts.amazonaws.com", f"bearer {BEARER}")]


def test_the_role_is_assumed_again_before_its_session_ends(environ: dict[str, str], tokens: GitHubTokens) -> None:
    clock = Clock()
    with mock_aws():
        renew_for_the_job(environ, clock.now)
        first = key()
        clock.passed = 40 * 60
        assert (key(), len(tokens.asked)) == (first, 1)
        clock.passed = 50 * 60
        assert (key() != first, len(tokens.asked)) == (True, 2)


def test_a_renewal_that_fails_is_tried_again_while_the_session_lasts(
    environ: dict[str, str], tokens: GitHubTokens
) -> None:
    clock = Clock()
    with mock_aws():
        renew_for_the_job(environ, clock.now)
        first, tokens.status, clock.passed = key(), 500, 47 * 60
        assert key() == first
        tokens.status = 200
        assert key() != first


def test_the_job_s_own_token_follows_no_redirect(environ: dict[str, str], tokens: GitHubTokens) -> None:
    tokens.status = HTTPStatus.FOUND
    with mock_aws():
        renew_for_the_job(environ, Clock().now)
        with pytest.raises(AwsUnavailable):
            _ = Caller().arn
    assert {path for path, _ in tokens.asked} == {"/token?v=1&audience=sts.amazonaws.com"}


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {"value": TOKEN}),
        (200, {"message": TOKEN}),
        (200, [TOKEN]),
        (200, TOKEN),
        (200, {"value": ""}),
        (200, {"value": None}),
        (200, {"value": {}}),
    ],
)
def test_without_a_token_it_is_said_and_tried_again_and_nothing_of_it_is_told(
    environ: dict[str, str],
    tokens: GitHubTokens,
    status: int,
    answer: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens.status, tokens.answer = status, answer
    with mock_aws():
        renew_for_the_job(environ, Clock().now)
        with pytest.raises(AwsUnavailable) as raised:
            _ = Caller().arn
    told = f"{raised.value} {raised.value.__cause__!r} {aws_error(raised.value)} {capsys.readouterr()}"
    assert ROLE in str(aws_error(raised.value))
    assert may_pass(raised.value)
    assert TOKEN not in told
    assert BEARER not in told


@pytest.mark.parametrize("missing", ["AWS_ROLE_ARN", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
def test_without_a_role_or_an_identity_the_credentials_are_those_of_every_tool(
    environ: dict[str, str], missing: str
) -> None:
    assert not renew_for_the_job({**environ, missing: ""}, Clock().now)
    assert boto3.DEFAULT_SESSION is None


def test_a_token_file_is_the_business_of_botocore(environ: dict[str, str]) -> None:
    assert not renew_for_the_job({**environ, "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token"}, Clock().now)
