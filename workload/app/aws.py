"""AWS clients as this application uses them, and the one error of theirs that it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


class AwsFailed(Exception):
    """An AWS service failed after all tries of its client; the message names the call."""


def client_of(service: str, region: str, *, read_seconds: int = 5) -> Any:
    """Return a client: 3 tries of ``read_seconds`` at most, so that a call ends before the loop counts as hanging."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=3, read_timeout=read_seconds)
    return boto3.client(service, region_name=region, config=config)


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raise AwsFailed for every error of botocore."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise AwsFailed(str(error)) from error
