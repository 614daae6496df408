#!/usr/bin/env python3
"""Start an execution of the state machine and follow it to its end: the steps of deploy-code and rollback-code.

``execution.py start`` starts it, or finds the one that an earlier attempt of the same job has started.
``execution.py follow`` waits for its end, explains it in the job summary, and exits as the outcome says.

Everything comes from the environment (``Settings``); AWS is called by its CLI. Python's own library is all that
this needs: it runs on a GitHub runner before anything is installed.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from report import EXIT_CODES, annotate, ending, give, plain, quoting, say, shorten, summarise, tell

MAX_LOOKS_FAILED = 30
"""So many looks in a row may fail, five minutes at one every ten seconds, until following gives up."""

START_TRIES = 4

TRANSIENT = re.compile(r"\((Throttling\w*|TooManyRequests\w*|ServiceUnavailable\w*|Internal\w*|RequestTimeout\w*)\)")
CODE = re.compile(r"An error occurred \((\w+)\)")


class AwsFailed(Exception):
    """The AWS CLI said no; ``code`` is AWS's own word, empty when AWS was not reached."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = CODE.search(text)
        self.code = found[1] if found else ""
        self.is_transient = not found or bool(TRANSIENT.search(text))


class CannotStart(Exception):
    """Nothing was started; the text says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """What the workflow says, from the environment variables of the same names.

    Attributes
    ----------
    run
        Id and attempt of the workflow's run.
    commit
        The one that the workflow runs on.
    """

    app: str
    action: str
    environment: str
    account: str
    region: str
    run: tuple[str, int]
    commit: str
    poll_seconds: float
    follow_seconds: float
    renew_seconds: float

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment; the three times are only ever set by tests."""
        return cls(
            app=env["APP"],
            action=env["ACTION"],
            environment=env["ENVIRONMENT"],
            account=env["AWS_ACCOUNT_ID"],
            region=env["AWS_REGION"],
            run=(env["GITHUB_RUN_ID"], int(env["GITHUB_RUN_ATTEMPT"])),
            commit=env["GITHUB_SHA"],
            poll_seconds=float(env.get("POLL_SECONDS", "10")),
            # A job ends after 360 minutes: time is left to say that the execution goes on.
            follow_seconds=float(env.get("FOLLOW_SECONDS", str(345 * 60))),
            # The role's sessions last an hour.
            renew_seconds=float(env.get("RENEW_SECONDS", str(50 * 60))),
        )

    @property
    def machine(self) -> str:
        """Name of the state machine."""
        return f"{self.app}-{self.environment}-deploy"

    @property
    def machine_arn(self) -> str:
        """ARN of the state machine."""
        return f"arn:aws:states:{self.region}:{self.account}:stateMachine:{self.machine}"

    def name(self, attempt: int) -> str:
        """Return the execution's name: one for each attempt of a run, so that no step starts two.

        ``gh-production-6f1c5d2e8a9b-19876543210-1`` has half of the 80 characters that there may be.
        """
        what = self.commit[:12] if self.action == "deploy" else self.action
        return f"gh-{self.environment}-{what}-{self.run[0]}-{attempt}"

    def execution_arn(self, attempt: int) -> str:
        """Return the ARN of the execution that an attempt of this run starts."""
        return f"arn:aws:states:{self.region}:{self.account}:execution:{self.machine}:{self.name(attempt)}"

    def url(self, execution: str) -> str:
        """Return the address of an execution in the AWS console."""
        return (
            f"https://{self.region}.console.aws.amazon.com/states/home?region={self.region}"
            f"#/v2/executions/details/{execution}"
        )


@dataclass
class Aws:
    """The AWS CLI, with the credentials of the step or with renewed ones."""

    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "AWS_PAGER": ""})

    def call(self, *arguments: str) -> Any:
        """Run one command and return its answer.

        Raises
        ------
        AwsFailed
            With what the CLI printed.
        """
        done = subprocess.run(
            ["aws", *arguments, "--output", "json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AwsFailed(" ".join((done.stderr or done.stdout or f"exit {done.returncode}").split()))
        return json.loads(done.stdout) if done.stdout.strip() else None

    def renew(self, role: str) -> None:
        """Take the job's role for another hour: a session of it ends sooner than some deployments.

        https://docs.github.com/en/actions/reference/security/oidc tells how a job asks for its token.

        Raises
        ------
        AwsFailed, OSError, KeyError
            GitHub or AWS refuses, does not answer, or the job may not have a token.
        """
        asked = urllib.request.Request(  # noqa: S310 (GitHub gives the address)
            f"{os.environ['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience=sts.amazonaws.com",
            headers={"Authorization": f"bearer {os.environ['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 (the same)
            token = json.load(answer)["value"]
        # By file, because other processes see arguments.
        with tempfile.NamedTemporaryFile("w", dir=os.environ.get("RUNNER_TEMP")) as file:
            file.write(token)
            file.flush()
            session = self.call(
                *("sts", "assume-role-with-web-identity", "--role-arn", role),
                *("--role-session-name", "GitHubActions", "--web-identity-token", f"file://{file.name}"),
            )["Credentials"]
        self.environment.update(
            AWS_ACCESS_KEY_ID=session["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=session["SecretAccessKey"],
            AWS_SESSION_TOKEN=session["SessionToken"],
        )


# Start.


def execution_input(settings: Settings, env: Mapping[str, str]) -> str:
    """Build the input as JSON (statemachine/input.schema.json). The same step gives the same text each time."""
    fields = {
        "action": settings.action,
        "environment": settings.environment,
        "imageTag": env.get("IMAGE_TAG", ""),
        "imageDigest": env.get("IMAGE_DIGEST", ""),
        "releaseId": env.get("RELEASE", "").strip(),
        "requestedBy": shorten(f"github:{env['REQUESTED_BY']}"),
        "reason": shorten(env.get("REASON", "")),
    }
    return json.dumps({name: value for name, value in fields.items() if value}, sort_keys=True)


def start(settings: Settings, aws: Aws, env: Mapping[str, str]) -> str:
    """Start the execution, or attach to the one that runs for this job already; return its ARN.

    A start whose answer was lost is asked again: StartExecution with the same name and input gives the same
    execution while that runs, and ExecutionAlreadyExists when it has ended meanwhile.

    Raises
    ------
    CannotStart
        Says why.
    """
    number, attempt = settings.run
    running = _running(settings, aws, range(attempt - 1, 0, -1))
    if running:
        say(f"An earlier attempt of run {number} started {running}, which still runs: taking it up")
        return running
    for tried in range(1, START_TRIES + 1):
        try:
            answer = aws.call(
                *("stepfunctions", "start-execution", "--state-machine-arn", settings.machine_arn),
                *("--name", settings.name(attempt), "--input", execution_input(settings, env)),
            )
            return str(answer["executionArn"])
        except AwsFailed as error:
            if error.code == "ExecutionAlreadyExists":
                say(f"{settings.name(attempt)} was started before: taking it up")
                return settings.execution_arn(attempt)
            if not error.is_transient or tried == START_TRIES:
                raise CannotStart(_why_not(settings, error)) from error
            with quoting():
                say(f"try {tried} of {START_TRIES}: {error}")
            time.sleep(settings.poll_seconds)
    raise AssertionError("the last try returns or raises")


def _running(settings: Settings, aws: Aws, attempts: range) -> str | None:
    """Find an execution of an earlier attempt that still runs: "Re-run jobs" is how a person follows it again."""
    for attempt in attempts:
        arn = settings.execution_arn(attempt)
        try:
            if aws.call("stepfunctions", "describe-execution", "--execution-arn", arn)["status"] == "RUNNING":
                return arn
        except AwsFailed as error:
            if error.code != "ExecutionDoesNotExist":
                raise CannotStart(_why_not(settings, error)) from error
    return None


def _why_not(settings: Settings, error: AwsFailed) -> str:
    fixes = {
        "StateMachineDoesNotExist": (
            f"There is no state machine {settings.machine} in {settings.account}, {settings.region}: deploy the "
            "infrastructure of this environment first, or correct AWS_ACCOUNT_ID and AWS_REGION."
        ),
        "AccessDeniedException": (
            f"The role {settings.app}-{settings.environment}-github-code may not do this: deploy the infrastructure "
            "of this environment, which makes the role what it should be."
        ),
    }
    return f"{error} {fixes.get(error.code, '')}".strip()


# Follow.


def follow(settings: Settings, aws: Aws, execution: str, role: str) -> Mapping[str, Any]:
    """Wait for the end of the execution and return the last description of it; print each new state on the way."""
    began = renewed = time.monotonic()
    shown, failed = "", 0
    description: Mapping[str, Any] = {"status": "RUNNING"}
    while True:
        now = time.monotonic()
        if now - renewed >= settings.renew_seconds:
            renewed = now
            _renew(aws, role)
        try:
            description = aws.call("stepfunctions", "describe-execution", "--execution-arn", execution)
            failed = 0
        except AwsFailed as error:
            failed += 1
            if error.code.startswith("ExpiredToken"):
                renewed = -math.inf
            if failed >= MAX_LOOKS_FAILED:
                return {"status": "UNKNOWN", "message": str(error)}
            with quoting():
                say(f"no look at the execution: {error}")
        if description["status"] != "RUNNING":
            return description
        state = _state(aws, execution) if not failed else ""
        if state and state != shown:
            shown = state
            say(f"{_clock(now - began)} {state}")
            if state == "Wait for approval":
                annotate("notice", "Waits for approval", f"A person has to say yes: {settings.url(execution)}")
        if now - began >= settings.follow_seconds:
            return description
        time.sleep(settings.poll_seconds)


def _renew(aws: Aws, role: str) -> None:
    try:
        aws.renew(role)
    except (AwsFailed, OSError, KeyError, ValueError) as error:
        # Its text stays out of the log: what is answered to a request for a token is nobody's business.
        say(f"the credentials could not be renewed ({type(error).__name__}); trying with those that there are")


def _state(aws: Aws, execution: str) -> str:
    """Return the state that the execution is in; empty when that is not to be had, since nothing hangs on it."""
    try:
        events = aws.call(
            *("stepfunctions", "get-execution-history", "--execution-arn", execution, "--reverse-order"),
            *("--no-include-execution-data", "--max-items", "20"),
        )["events"]
    except (AwsFailed, KeyError, TypeError):
        return ""
    entered = (event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event)
    return next(entered, "")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def main(arguments: Sequence[str]) -> int:
    """Run one of the two commands and return the exit code."""
    settings, aws = Settings.read(os.environ), Aws()
    if list(arguments) == ["start"]:
        try:
            execution = start(settings, aws, os.environ)
        except CannotStart as error:
            annotate("error", f"{settings.environment}: not started", str(error))
            summarise([f"### {plain(settings.environment)}: not started", plain(error), ""])
            return 1
        url = settings.url(execution)
        give(execution=execution, url=url)
        say(f"{execution}\n{url}")
        return 0
    if list(arguments) == ["follow"]:
        execution = os.environ["EXECUTION"]
        role = f"arn:aws:iam::{settings.account}:role/{settings.app}-{settings.environment}-github-code"
        end = ending(follow(settings, aws, execution, role))
        give(outcome=end.outcome, release=str(end.report.get("release") or ""))
        tell(settings.action, settings.environment, execution, settings.url(execution), end)
        return EXIT_CODES.get(end.outcome, 1)
    say("execution.py start | follow")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
