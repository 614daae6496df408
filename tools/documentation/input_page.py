"""The fields of the input of an execution, from ``statemachine/input.schema.json`` and ``statemachine/examples``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import statemachine
from tools.documentation.places import DOCS, filled, table

PAGE = DOCS / "reference" / "input.md"
FOLDER = Path(statemachine.__file__).parent
FIELD = re.compile(r"\b([a-z]+[A-Z]\w*|takeover)\b")
"""The name of a field within a sentence; those that are words of English too are left as they are."""


def fields() -> str:
    """Return the table of the fields."""
    schema = json.loads((FOLDER / "input.schema.json").read_text(encoding="utf-8"))
    rows = [
        (
            f"`{name}`",
            _kind(field),
            _marked(field["description"]),
            _default(field),
            f"`{json.dumps(field['examples'][0])}`",
        )
        for name, field in schema["properties"].items()
    ]
    rules = "\n".join(f"* {_marked(rule['description'])}" for rule in schema["allOf"])
    return f"{table(('field', 'type', 'what it is', 'without it', 'example'), rows)}\n\n{rules}"


def examples() -> str:
    """Return every example with its file's name."""
    files = sorted((FOLDER / "examples").glob("*.json"))
    return "\n\n".join(
        f"{file.stem.replace('-', ' ').capitalize()}:\n\n```json\n{file.read_text(encoding='utf-8').strip()}\n```"
        for file in files
    )


def _marked(text: str) -> str:
    return FIELD.sub(r"`\1`", text)


def _kind(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{each}`" for each in field["enum"])
    if field["type"] == "array":
        return f"list of 1 to {field['maxItems']} names"
    if "maxLength" in field:
        return f"text, at most {field['maxLength']} characters"
    return {"string": "text", "boolean": "`true` or `false`"}[field["type"]]


def _default(field: Mapping[str, Any]) -> str:
    return f"`{json.dumps(field['default']).strip(chr(34))}`" if "default" in field else ""


def page(text: str) -> str:
    """Return the page with its fields and examples."""
    return filled(filled(text, "fields", fields()), "examples", examples())
