"""Whose account it is, under which names a run works there, and what is refused before anything is made."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.cloud import Place

ENVIRONMENT = "dev"
"""The committed config that a run works with, changed in a few values (``settings.py``)."""

TAG = "stepship-accept"
"""Key of the tag on everything that a run makes; its value is the run's id."""

APP = "accept-"
"""Beginning of every name of a run; the rest is the run's id."""

RUN_ID = re.compile(r"[a-f][0-9a-f]{5}")

COMMAND_SECONDS, EXECUTION_SECONDS, POLL_SECONDS = 1200, 900, 3.0
"""AWS is slower than the emulator, and GetExecutionHistory is answered five times a second (Step Functions quotas)."""

Clients = Callable[[str], Any]


class RefusedError(Exception):
    """It does not begin: one sentence that says what is wrong and what to do."""


@dataclass(frozen=True)
class Account:
    """An account of AWS in one region, or of an emulator when it has an endpoint."""

    number: str
    region: str
    endpoint: str | None = None

    def place(self, app: str) -> Place:
        """Return it as the chapters of ``tests/e2e`` want to have it."""
        if self.endpoint:
            return Place(self.number, self.region, variables={"STEPSHIP_APP": app})
        return Place(
            self.number,
            self.region,
            emulated=False,
            variables={"STEPSHIP_APP": app},
            command_seconds=COMMAND_SECONDS,
            execution_seconds=EXECUTION_SECONDS,
            poll_seconds=POLL_SECONDS,
        )


@dataclass(frozen=True)
class Run:
    """One proof: everything that it makes carries its id in name and tag.

    Attributes
    ----------
    id
        Six characters, a letter first: a name may begin with it.
    """

    id: str

    @classmethod
    def new(cls) -> Run:
        """Return a run that nobody has had: one id of a million."""
        return cls(secrets.choice("abcdef") + secrets.token_hex(3)[:5])

    @property
    def app(self) -> str:
        """Beginning of all names: ``accept-a1b2c3``."""
        return f"{APP}{self.id}"

    @property
    def prefix(self) -> str:
        """Name of the cluster, and beginning of the names of services and stacks: ``accept-a1b2c3-dev``."""
        return f"{self.app}-{ENVIRONMENT}"

    @property
    def qualifier(self) -> str:
        """Of a CDK bootstrap of its own: whoever has bootstrapped the account before keeps theirs."""
        return f"acc{self.id}"

    @property
    def tags(self) -> list[dict[str, str]]:
        """As most services want them."""
        return [{"Key": TAG, "Value": self.id}]

    @property
    def small_tags(self) -> list[dict[str, str]]:
        """As ECS and Step Functions want them."""
        return [{"key": TAG, "value": self.id}]


def chosen(account: str, region: str, endpoint: str | None) -> Account:
    """Check what was typed.

    Raises
    ------
    RefusedError
        Account or region is missing or is none, or the endpoint is not on this machine.
    """
    how = "make accept ACCOUNT=111122223333 REGION=eu-west-1"
    if not re.fullmatch(r"\d{12}", account):
        raise RefusedError(
            f"ACCOUNT {account!r} is no account: give its twelve digits, and its alone: {how}"
            if account
            else f"which account? It is never guessed from credentials: {how}"
        )
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        raise RefusedError(f"REGION {region!r} is no region: {how}" if region else f"which region? {how}")
    if endpoint and not re.fullmatch(r"http://127\.0\.0\.1:\d{1,5}/?", endpoint):
        raise RefusedError(f"ACCEPT_ENDPOINT {endpoint!r} is no emulator on this machine: http://127.0.0.1:4566")
    return Account(account, region, endpoint.rstrip("/") if endpoint else None)


def named(run: str) -> Run:
    """Return the run of this id, or a new one when none is given.

    Raises
    ------
    RefusedError
        It is no id.
    """
    if not run:
        return Run.new()
    if not RUN_ID.fullmatch(run):
        raise RefusedError(f"RUN {run!r} is no id of a run: six of 0-9 and a-f, a letter first, such as a1b2c3")
    return Run(run)


def check_credentials(account: Account, clients: Clients) -> str:
    """Make sure that whoever calls belongs to this account; returns the caller's ARN.

    Raises
    ------
    RefusedError
        There are no credentials, they are refused, or they are of another account.
    """
    try:
        caller = clients("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(
            f"no credentials for {account.number} that AWS takes ({error}): set AWS_PROFILE, or `aws sso login`"
        ) from error
    if caller["Account"] != account.number:
        raise RefusedError(
            f"the credentials are of account {caller['Account']}, and ACCOUNT is {account.number}: nothing was made"
        )
    return str(caller["Arn"])


def check_names(run: Run, clients: Clients) -> None:
    """Make sure that nothing has the names of this run already.

    Raises
    ------
    RefusedError
        Names what is there.
    """
    there = [
        f"stack {each['StackName']}"
        for page in clients("cloudformation").get_paginator("describe_stacks").paginate()
        for each in page["Stacks"]
        if each["StackName"].startswith(run.app) and each["StackStatus"] != "DELETE_COMPLETE"
    ]
    try:
        clients("ecr").describe_repositories(repositoryNames=[run.app])
        there.append(f"repository {run.app}")
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryNotFoundException":
            raise
    found = clients("ecs").describe_clusters(clusters=[run.prefix])["clusters"]
    there += [f"cluster {each['clusterName']}" for each in found if each.get("status") != "INACTIVE"]
    if there:
        raise RefusedError(
            f"run {run.id} has been here: {', '.join(there)}. `make accept-janitor` finds it and destroys it; "
            "leave out RUN for a new one"
        )
