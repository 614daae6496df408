"""The emulated AWS account as a person works with it: by the AWS CLI, the CDK, ``stepship`` and boto3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from config import EnvironmentConfig
from statemachine.steps import machine_name
from tests.e2e.emulator import ENVIRONMENT, ROOT
from tests.e2e.images import MEDIA_TYPE, Behavior, manifest

ACCOUNT = "111122223333"
"""The emulator takes an access key of twelve digits for the account."""

REGION = "us-east-1"
COMMAND_SECONDS = 240
EXECUTION_SECONDS = 180
POLL_SECONDS = 0.2

T = TypeVar("T")
Json = dict[str, Any]


class Cloud:
    """The account, and the environment in it that the tests deploy to.

    Parameters
    ----------
    url
        Where the emulator answers.
    settings
        The environment.
    """

    def __init__(self, url: str, settings: EnvironmentConfig) -> None:
        self.url = url
        self.settings = settings
        self.machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine_name(settings.identity)}"
        self.repository = settings.image.repositories[0]
        # AWS shows the caller's clients no configuration of this machine, so these are all its settings.
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))},
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_PAGER": "",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # `make synth` and the tests validate the templates.
            "CDK_VALIDATION": "false",
            "JSII_NODE": str(ROOT / ".venv" / "bin" / "node"),
            "PATH": os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]]),
        }
        self.client = cache(self._client)

    # Commands.

    def aws(self, *arguments: str) -> Any:
        """Run the AWS CLI, and return what it says."""
        done = self.run(str(ENVIRONMENT / "bin" / "aws"), *arguments, "--output", "json")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def cdk(self, *arguments: str) -> str:
        """Run the pinned CDK CLI, and return what it prints."""
        done = self.run(str(ROOT / "node_modules" / ".bin" / "cdk"), *arguments, "--no-notices")
        return done.stdout + done.stderr

    def stepship(self, *arguments: str, expect: int = 0) -> Json:
        """Run the product's own command, and return the one document that it prints."""
        document: Json = json.loads(self.run(*self.stepship_command(*arguments), expect=expect).stdout)
        return document

    def stepship_command(self, *arguments: str) -> list[str]:
        """Return the command line of ``stepship`` for this environment."""
        return [str(ROOT / ".venv" / "bin" / "stepship"), *arguments, "--env", self.settings.environment, "--json"]

    def run(self, *command: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; whatever it started ends with it, also when this is interrupted.

        Raises
        ------
        AssertionError
            It ended with another exit code than expected.
        """
        with self.running(*command) as process:
            output, errors = process.communicate(timeout=COMMAND_SECONDS)
        assert process.returncode == expect, f"{' '.join(command)}: exit {process.returncode}\n{output}{errors}"
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command while the block does; whatever it started ends with the block."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="emulated",
            config=Config(retries={"mode": "standard"}, read_timeout=60),
        )

    # Images.

    def push(self, tag: str, behavior: Behavior | None = None) -> str:
        """Push an image with the AWS CLI, as the last step of ``docker push`` does; returns its digest."""
        answer = self.aws(
            *("ecr", "put-image", "--repository-name", self.repository, "--image-tag", tag),
            *("--image-manifest-media-type", MEDIA_TYPE, "--image-manifest", manifest(tag, behavior)),
        )
        return str(answer["image"]["imageId"]["imageDigest"])

    # Executions.

    def start(self, **request: Any) -> str:
        """Start the machine; returns the execution's ARN."""
        answer = self.client("stepfunctions").start_execution(
            stateMachineArn=self.machine, input=json.dumps({"requestedBy": "e2e", **request})
        )
        return str(answer["executionArn"])

    def describe(self, execution: str) -> Json:
        """Describe an execution."""
        answer: Json = self.client("stepfunctions").describe_execution(executionArn=execution)
        return answer

    def executions(self) -> list[Json]:
        """Return all executions of the machine, the newest first."""
        pages = self.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        return [each for page in pages for each in page["executions"]]

    def path(self, execution: str) -> list[str]:
        """Return the names of the states that an execution has entered, in order."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        entered = (event.get("stateEnteredEventDetails") for page in pages for event in page["events"])
        return [details["name"] for details in entered if details]

    def finish(self, execution: str) -> Json:
        """Wait until an execution has ended; returns its description, with the JSON in it read."""
        ended = wait_until(lambda: _ended(self.describe(execution)), f"{execution} ends")
        for key in ("output", "cause"):
            if ended.get(key):
                ended[key] = json.loads(ended[key])
        return ended

    def deploy(self, **request: Any) -> Json:
        """Start the machine, and wait for its end."""
        return self.finish(self.start(**request))

    def await_state(self, execution: str, state: str) -> None:
        """Wait until an execution has entered a state."""
        wait_until(lambda: state in self.path(execution) or None, f"{execution} enters {state}")


def wait_until(look: Callable[[], T | None], what: str) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + EXECUTION_SECONDS
    while time.monotonic() < deadline:
        seen = look()
        if seen is not None:
            return seen
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"not within {EXECUTION_SECONDS} s: {what}")


def _ended(described: Json) -> Json | None:
    return None if described["status"] == "RUNNING" else described
