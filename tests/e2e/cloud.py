"""The AWS account as a person works with it: by the AWS CLI, the CDK, ``stepship`` and boto3.

It is the emulated one unless another ``Place`` is given: ``make accept`` tells the same chapters in an account of AWS.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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

ATTEMPTS = 4

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Which account and region, and how patient one has to be there.

    Attributes
    ----------
    emulated
        Whether an emulator plays it, which takes its number for the access key. Otherwise credentials are found as
        boto3 and the AWS CLI find them.
    variables
        What else the commands have to know, such as ``STEPSHIP_APP``.
    execution_seconds, poll_seconds
        How long to wait for the end of a deployment, and how often to look: the reads of AWS are limited by the second.
    """

    account: str = ACCOUNT
    region: str = REGION
    emulated: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    command_seconds: float = COMMAND_SECONDS
    execution_seconds: float = EXECUTION_SECONDS
    poll_seconds: float = POLL_SECONDS


class Cloud:
    """The account, and the environment in it that the tests deploy to.

    Parameters
    ----------
    url
        Where the emulator answers; None for AWS itself.
    settings
        The environment.
    place
        Whose account it is.
    """

    def __init__(self, url: str | None, settings: EnvironmentConfig, place: Place | None = None) -> None:
        self.url = url
        self.settings = settings
        self.place = place or Place()
        self.account, self.region = self.place.account, self.place.region
        self.machine = f"arn:aws:states:{self.region}:{self.account}:stateMachine:{machine_name(settings.identity)}"
        self.repository = settings.image.repositories[0]
        self.environment = {
            **(self._credentials_of_emulator() if self.place.emulated else os.environ),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_PAGER": "",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # `make synth` and the tests validate the templates.
            "CDK_VALIDATION": "false",
            "JSII_NODE": str(ROOT / ".venv" / "bin" / "node"),
            "PATH": os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]]),
            **({"AWS_ENDPOINT_URL": url} if url else {}),
            **self.place.variables,
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
            output, errors = process.communicate(timeout=self.place.command_seconds)
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

    def _credentials_of_emulator(self) -> dict[str, str]:
        """Show the caller's clients no configuration of this machine: these are all their settings."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))},
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def _client(self, service: str) -> Any:
        emulated = {"aws_access_key_id": self.account, "aws_secret_access_key": "emulated"}
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self.region,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                read_timeout=60,
                # TestState goes to a host of another name, which an emulator has not.
                inject_host_prefix=not self.place.emulated,
            ),
            **(emulated if self.place.emulated else {}),
        )

    # Images.

    def uri(self, digest: str) -> str:
        """Return an image of the repository as a task definition names it."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository}@{digest}"

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
        ended = self.wait_until(lambda: _ended(self.describe(execution)), f"{execution} ends")
        for key in ("output", "cause"):
            if ended.get(key):
                ended[key] = json.loads(ended[key])
        return ended

    def deploy(self, **request: Any) -> Json:
        """Start the machine, and wait for its end."""
        return self.finish(self.start(**request))

    def await_state(self, execution: str, state: str) -> None:
        """Wait until an execution has entered a state."""
        self.wait_until(lambda: state in self.path(execution) or None, f"{execution} enters {state}")

    def wait_until(self, look: Callable[[], T | None], what: str) -> T:
        """Look again and again until there is something to see, as often and as long as it is fit for this place."""
        return wait_until(look, what, self.place.execution_seconds, self.place.poll_seconds)


def wait_until(
    look: Callable[[], T | None],
    what: str,
    seconds: float = EXECUTION_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = look()
        if seen is not None:
            return seen
        time.sleep(poll_seconds)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def _ended(described: Json) -> Json | None:
    return None if described["status"] == "RUNNING" else described
