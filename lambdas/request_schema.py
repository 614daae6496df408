"""The contract of the execution input, ``statemachine/input.schema.json``: read here, by the first step and the CLI."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from lambdas.release.codec import decode
from lambdas.release.errors import InvalidInput
from lambdas.release.request import Request, check_request
from lambdas.release.wording import shorten

SCHEMA_NAME = "input.schema.json"
SCHEMA_FOLDERS = (Path(__file__).parent, Path(__file__).parents[1] / "statemachine")
"""In the asset the schema lies beside this file; in the repository beside the state machine."""


def validate(value: Any, environment: str) -> Request:
    """Validate an execution input against the contract.

    Raises
    ------
    InvalidInput
        Names the first field that is wrong, and the fix.
    """
    import fastjsonschema

    if not isinstance(value, dict):
        raise InvalidInput(f"input: must be a JSON object, not {_shown(value)}")
    unknown = sorted(set(value) - set(schema()["properties"]))
    if unknown:
        known = ", ".join(schema()["properties"])
        raise InvalidInput(f"{shorten(unknown[0])}: unknown field; known are {known}")
    try:
        _validator()(value)
    except fastjsonschema.JsonSchemaValueException as error:
        field = ".".join(str(part) for part in error.path[1:]) or "input"
        about = schema()["properties"].get(error.path[1] if len(error.path) > 1 else "", {}).get("description", "")
        # fastjsonschema says "data.imageTag must be string": the field is named already.
        broken = shorten(error.message.partition(" ")[2], 160)
        shown = _shown(error.value)
        hint = " It looks like a digest: give it as imageDigest." if shown.startswith('"sha256:') else ""
        raise InvalidInput(f"{field}: {shown} {broken}.{hint} {about}".strip()) from error
    except RecursionError as error:
        raise InvalidInput("input: something is nested too deep; no field has more than a list of texts") from error
    request = decode(Request, value)
    check_request(request, environment)
    return request


def _shown(value: Any) -> str:
    try:
        return shorten(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "something nested too deep"


@cache
def schema() -> dict[str, Any]:
    """Read ``statemachine/input.schema.json``."""
    path = next(folder / SCHEMA_NAME for folder in SCHEMA_FOLDERS if (folder / SCHEMA_NAME).exists())
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@cache
def _validator() -> Any:
    import fastjsonschema

    # Cross-field rules are checked by `check_request`, which says them in words.
    fields = {key: value for key, value in schema().items() if key != "allOf"}
    return fastjsonschema.compile(fields, use_default=False)
