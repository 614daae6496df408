"""The keys of ``config/<environment>.toml``: meaning, allowed values, and what each committed environment has.

What a key means is said by the comment above it, where the files of all environments have the same one. Where they
say what is right for one environment, the docstring of the section says what is true of all.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import config
from config.rule import YEAR_SECONDS
from config.rules import RULES
from config.schema import EnvironmentConfig, MigrationTask, Service
from tools.documentation.places import DOCS, filled, table

PAGE = DOCS / "reference" / "config.md"
FOLDER = Path(config.__file__).parent
ORDER = ("dev", "staging", "production")
MARKUP = re.compile(r"``([^`]+)``")
Comments = dict[tuple[str, str], str]
TITLE = re.compile(r"``\[[^\]]+\]``(?:: )?")


def keys() -> str:
    """Return the part of the page that lists every key, section by section."""
    environments = sorted(config.environments(), key=ORDER.index)
    texts = {name: (FOLDER / f"{name}.toml").read_text(encoding="utf-8") for name in environments}
    values = {name: tomllib.loads(text) for name, text in texts.items()}
    comments = _common([_comments(text) for text in texts.values()])
    headers = ("key", "what it is", "allowed", *environments)
    types = get_type_hints(EnvironmentConfig)
    plain = [each.name for each in fields(EnvironmentConfig) if not is_dataclass(types[each.name])]
    general = _attributes(EnvironmentConfig)
    rows = [
        _row("", name, comments.get(("", name)) or general.get(name, ""), values)
        for name in plain
        if name != "services"
    ]
    parts = [f"## At the top of the file\n\n{table(headers, rows)}"]
    for section in (each.name for each in fields(EnvironmentConfig) if is_dataclass(types[each.name])):
        kind = types[section]
        known = _attributes(kind)
        rows = [
            _row(section, each.name, comments.get((section, each.name)) or known.get(each.name, ""), values)
            for each in fields(kind)
        ]
        parts.append(f"## `[{section}]`\n\n{_about(kind)}\n\n{table(headers, rows)}")
        parts += [_entries(section, name, item) for name, item in _lists_of_tables(kind)]
    for title, kind in (("`[services.<name>]`", Service), ("`[services.migration]`", MigrationTask)):
        rows = [(f"`{each.name}`", _code(RULES[f"[services.*] {each.name}"].what)) for each in fields(kind)]
        parts.append(f"## {title}\n\n{_about(kind)}\n\n{table(('key', 'allowed'), rows)}")
    return "\n\n".join(parts)


def _lists_of_tables(kind: type[Any]) -> list[tuple[str, type[Any]]]:
    """Return the keys of a section that hold lists of tables, and the type of a table."""
    hints = get_type_hints(kind).items()
    items: dict[str, type[Any]] = {name: get_args(hint)[0] for name, hint in hints if get_origin(hint) is tuple}
    return [(name, item) for name, item in items.items() if is_dataclass(item)]


def _entries(section: str, key: str, kind: type[Any]) -> str:
    known = _attributes(kind)
    rows = [
        (f"`{each.name}`", known.get(each.name, ""), RULES[f"[{section}.{key}] {each.name}"].what)
        for each in fields(kind)
    ]
    return f"### Each of `{key}`\n\n{table(('key', 'what it is', 'allowed'), rows)}"


def _row(section: str, key: str, meaning: str, values: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    tables = [document.get(section, {}) if section else document for document in values.values()]
    allowed = RULES[f"[{section}] {key}" if section else key].what
    # The names of the services with a private endpoint are a list of their own, in config/network.py.
    allowed = re.sub(r", of these: .*(?= \()", "", allowed).replace(f" and at most {YEAR_SECONDS}", "")
    return (f"`{key}`", meaning, allowed, *(_toml(each.get(key)) for each in tables))


def _about(kind: type[Any]) -> str:
    """Return the first paragraphs of a section's docstring, without the name of the section."""
    text = inspect.getdoc(kind) or ""
    text = re.split(r"\n\nAttributes\n-+\n", text)[0]
    text = TITLE.sub("", " ".join(text.split()), count=1).strip(". ")
    return _code(f"{text[:1].upper()}{text[1:]}.") if text else "Sizes and limits."


def _attributes(kind: type[Any]) -> dict[str, str]:
    """Return what the docstrings of a class and of those it extends say of their attributes."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        _, _, listed = (inspect.cleandoc(each.__doc__ or "")).partition("\nAttributes\n----------\n")
        for names, text in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?|\n)+)", f"{listed}\n", re.MULTILINE):
            said = _code(" ".join(text.split()))
            found |= {name.strip(): said for name in names.split(",")}
    return found


def _comments(text: str) -> Comments:
    """Return the comment above each key: it is about all keys until the next comment or empty line."""
    found: Comments = {}
    section, comment, fresh = "", "", False
    for line in text.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section, comment, fresh = header[1], "", False
        elif line.startswith("#"):
            comment, fresh = f"{comment} {line[1:].strip()}" if fresh else line[1:].strip(), True
        elif key := re.match(r"(\w+) = ", line):
            found[section, key[1]] = comment
            fresh = False
        elif not line:
            comment, fresh = "", False
    return found


def _common(all_comments: Sequence[Comments]) -> Comments:
    """Return the comments that all files have above the same key."""
    first, *others = all_comments
    return {key: comment for key, comment in first.items() if all(each.get(key) == comment for each in others)}


def _toml(value: Any) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f"`{value}`" if value else "empty"
        case list():
            return "<br>".join(f"`{each}`" for each in value) or "none"
        case None:
            return ""
        case _:
            return f"`{value}`"


def _code(text: str) -> str:
    return MARKUP.sub(r"`\1`", text)


def page(text: str) -> str:
    """Return the page with its keys."""
    return filled(text, "config", keys())
