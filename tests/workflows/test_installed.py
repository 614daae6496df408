"""Start and follow as the job runs them: the real command line, from what is checked out, against AWS over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError

from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.workflows.runner import Runner
from tests.workflows.workflow import step

START = step("deploy-code.yml", "deploy", "Start")
FOLLOW = step("deploy-code.yml", "deploy", "Follow")

BEARER, TOKEN, SECRET = "bearer-of-the-job", "an.identity.token", "the-secret-of-the-session"
ASSUMED = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAOFTHEJOB</AccessKeyId>
<SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{SECRET}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
CALLER = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:sts::123456789012:assumed-role/v3-backend-dev-github-code/GitHubActions</Arn>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@dataclass
class Outside:
    """What the job reaches: GitHub's tokens, STS, and the state machine of a simulated environment.

    Attributes
    ----------
    called
        Operation, and the access key that signed it.
    """

    simulated: SimulatedEnvironment
    url: str = ""
    called: list[tuple[str, str]] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)

    def sts(self, form: dict[str, list[str]]) -> str:
        if form["Action"] == ["GetCallerIdentity"]:
            return CALLER
        assert form["WebIdentityToken"] == [TOKEN]
        self.roles += form["RoleArn"]
        return ASSUMED

    def states(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        client = self.simulated.aws.client("stepfunctions")
        answer = getattr(client, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower())(**request)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


@pytest.fixture
def outside(simulated: SimulatedEnvironment) -> Iterator[Outside]:
    found = Outside(simulated)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Authorization"] == f"bearer {BEARER}"
            self.answer(200, json.dumps({"value": TOKEN}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            service, _, operation = self.headers.get("X-Amz-Target", "").partition(".")
            if not service:
                self.answer(200, found.sts(parse_qs(body)))
                return
            key = re.search(r"Credential=(\w+)/", self.headers["Authorization"])
            found.called.append((operation, key[1] if key else ""))
            if service != "AWSStepFunctions":
                self.answer(400, json.dumps({"__type": "AccessDeniedException", "message": "not yours"}))
                return
            try:
                answer = found.states(operation, json.loads(body))
                self.answer(200, json.dumps(answer, default=lambda at: at.timestamp()))
            except ClientError as error:
                said = error.response["Error"]
                self.answer(400, json.dumps({"__type": said["Code"], "message": said["Message"]}))

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_checked_out_starts_and_follows_a_deployment_with_credentials_that_last(
    runner: Runner, outside: Outside
) -> None:
    digest = outside.simulated.push("v1")
    runner.installed = True
    runner.environment = {
        "AWS_ENDPOINT_URL": outside.url,
        "AWS_ACCESS_KEY_ID": "ASIAOFANHOUR",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "x",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{outside.url}/token?v=1",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
    }
    values = {
        "needs.plan.outputs.environment": "dev",
        "needs.plan.outputs.tag": "v1",
        "needs.image.outputs.digest": digest,
        "inputs.reason": "",
        "github.event.head_commit.message": "Cache pools\n\nmore",
        "github.sha": "6f1c",
        "vars.AWS_ACCOUNT_ID": "123456789012",
        "vars.AWS_REGION": "us-east-1",
        "env.APP": "v3-backend",
    }

    started = runner.run(START, values)
    assert started.code == 0, started.log
    values["steps.start.outputs.execution"] = started.outputs["execution"]
    outside.simulated.settle()
    result = runner.run(FOLLOW, values)

    assert result.code == 0, result.log
    assert result.outputs["outcome"] == "Deployed"
    assert outside.simulated.snapshot().live_tag == "v1"
    assert outside.called[:2] == [("ListExecutions", "ASIAOFANHOUR"), ("StartExecution", "ASIAOFANHOUR")]
    assert {key for _, key in outside.called[2:]} == {"ASIAOFTHEJOB"}
    assert outside.roles == ["arn:aws:iam::123456789012:role/v3-backend-dev-github-code"]
    told = started.log + started.summary + result.log + result.summary + str(result.outputs)
    assert not [secret for secret in (BEARER, TOKEN, SECRET) if secret in told]
