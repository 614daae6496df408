"""What the functions stand on in AWS: the server by the environment, the key from Secrets Manager."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from search.typesense import CachedKey, Typesense

logging.getLogger().setLevel(logging.INFO)


def connect(*, timeout_seconds: float) -> Typesense:
    """Return a client of the server that ``SEARCH_URL`` names, with the key that ``SEARCH_KEY_ARN`` names."""
    return Typesense(os.environ["SEARCH_URL"], CachedKey(_fetch_key), timeout_seconds=timeout_seconds)


def log(event: str, **facts: Any) -> None:
    """Write one line of JSON; never what somebody has typed, and never the key."""
    logging.getLogger("search").info(json.dumps({"event": event, **facts}))


def _fetch_key() -> str:
    import boto3  # noqa: PLC0415 (it takes most of a cold start, and tests do without)

    answer = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["SEARCH_KEY_ARN"])
    return str(answer["SecretString"])
