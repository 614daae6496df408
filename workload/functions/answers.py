"""Answers of the HTTP API, payload format 2.0: an item, or ``{"error": name, "message": …}``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from functions.errors import Busy, ItemError

RETRY_AFTER_SECONDS = 2

log = logging.getLogger("functions")


def answer(operation: str, act: Callable[[], tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Run one operation and answer with what it returns, or with the error that it raises.

    Anything but an ``ItemError`` is raised again: the API answers 500, and Lambda counts and logs it.

    Parameters
    ----------
    operation
        What the log calls it.
    act
        Returns HTTP status and body.

    Returns
    -------
    dict
        ``statusCode``, ``headers``, ``body``.
    """
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    try:
        status, body = act()
        # Lambda writes the line as JSON, `extra` beside the message (Lambda Developer Guide, "JSON log format").
        log.info(operation, extra={"status": status})
    except ItemError as error:
        status, body = error.STATUS, {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, Busy):
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            body["message"] = "not now; send the same request again in some seconds"
        log.info(operation, extra={"status": status, "error": type(error).__name__, "reason": str(error)})
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}
