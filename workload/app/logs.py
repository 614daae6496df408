"""Logs: one JSON object per line on stdout, in which no API key can stand."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, role, logger, message, whatever ``extra`` holds, and the traceback.

    Parameters
    ----------
    role
        Which role of the application speaks.
    secrets
        Texts that are replaced wherever they turn up: an upstream may quote our key in its error.
    """

    def __init__(self, role: str, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._role, self._secrets = role, tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def start_logging(role: str, secrets: Sequence[str] = ()) -> None:
    """Send everything that is logged to stdout; libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(role, secrets))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(logging.INFO)
