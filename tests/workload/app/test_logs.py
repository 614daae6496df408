from __future__ import annotations

import json
import logging
import sys
from typing import Any

from app.logs import JsonFormatter
from tests.workload.app.fakes import CANARY


def formatted(message: str, *arguments: object, **fields: Any) -> str:
    record = logging.LogRecord("app.api", logging.ERROR, __file__, 1, message, arguments, fields.pop("exc_info", None))
    record.__dict__.update(fields)
    return JsonFormatter("api", [CANARY]).format(record)


def test_a_record_is_one_json_object_on_one_line() -> None:
    line = formatted("refreshed %s pools\nof %s", 3, "balancer", messageId="m-1")
    assert "\n" not in line
    assert json.loads(line) == {
        "time": json.loads(line)["time"],
        "level": "ERROR",
        "role": "api",
        "logger": "app.api",
        "message": "refreshed 3 pools\nof balancer",
        "messageId": "m-1",
    }


def exc_info_of(message: str) -> Any:
    try:
        int(message)
    except ValueError:
        return sys.exc_info()


def test_a_traceback_stays_in_its_record() -> None:
    line = formatted("failed", exc_info=exc_info_of("wrong"))
    assert json.loads(line)["traceback"].endswith("'wrong'")


def test_a_key_is_in_no_line_wherever_it_comes_from() -> None:
    line = formatted(f"said {CANARY}", exc_info=exc_info_of(CANARY), header=f"Bearer {CANARY}")
    assert CANARY not in line
    assert line.count("***") >= 3
