"""What the functions stand on in AWS: table and queue by the environment, one client each, made on first use."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from functions.table import Changes, Table

CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
"""Worked example: two tries of 1 + 2 s against the table and two against the queue end within 12 s and some backoff;
the functions have 15 s (stacks/application/lambda_stack.py), the API in front waits for 30 s."""


@cache
def table() -> Table:
    """Return the table that ``TABLE_NAME`` names."""
    return Table(_client("dynamodb"), os.environ["TABLE_NAME"])


@cache
def changes() -> Changes:
    """Return the queue that ``SEARCH_QUEUE_URL`` names; without it nobody is told of changes."""
    return Changes(_client("sqs"), os.environ.get("SEARCH_QUEUE_URL", ""))


def _client(service: str) -> Any:
    return boto3.client(service, config=CONFIG)
