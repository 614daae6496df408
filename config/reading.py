"""From TOML tables to the types of the schema: every problem is collected, none stops the reading."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Any, get_args, get_origin, get_type_hints

from config.rule import Rule
from config.rules import RULES, contradictions
from config.schema import EnvironmentConfig, MigrationTask, Service
from lambdas.release.policies import SERVICE_NAME

SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
UNITS = {
    "milliseconds": "ms", "millis": "ms", "ms": "ms",
    "seconds": "s", "second": "s", "secs": "s", "sec": "s", "s": "s",
    "minutes": "m", "minute": "m", "mins": "m", "min": "m", "m": "m",
    "hours": "h", "hour": "h", "hrs": "h", "h": "h",
    "days": "d", "day": "d", "d": "d",
}  # fmt: skip
DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
MAX_SHOWN = 60
ENTRY = " entry "
"""Before the number of a table in a list, counted from 1."""
TYPE_NAMES = {int: "a whole number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes
    ----------
    file
        The file as the reader can open it.
    key
        ``[rollout] bake_seconds``, or ``app`` outside the sections.
    wrong, fix
        What is wrong, and what to write instead.
    """

    file: str
    key: str
    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key} {self.wrong}; {self.fix}"


class Reader:
    """Reads one file's tables and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def environment(self, document: Mapping[str, Any]) -> EnvironmentConfig | None:
        """Return the settings, or None when ``problems`` says why there are none."""
        values = self._table("", EnvironmentConfig, document, skip={"services"})
        values["services"] = self._services(document.get("services", {}))
        if self.problems:
            return None
        settings = EnvironmentConfig(**values)
        for key, wrong, fix in contradictions(settings):
            self._problem(key, wrong, fix)
        return settings

    def _services(self, tables: Any) -> dict[str, Service | MigrationTask]:
        if not isinstance(tables, dict):
            self._problem("services", "is not a table", "write one [services.<name>] table per service")
            return {}
        read: dict[str, Service | MigrationTask] = {}
        for name, table in tables.items():
            place = f"services.{name}"
            if not SERVICE_NAME.fullmatch(name):
                self._problem(f"[{place}]", "has a bad name", "use lower-case letters, digits and hyphens, 63 at most")
            if not isinstance(table, dict):
                self._problem(f"[{place}]", "is not a table", f"write [{place}] on a line of its own")
                continue
            kind: type[Service | MigrationTask] = MigrationTask if "kind" in table else Service
            before = len(self.problems)
            values = self._table(place, kind, table)
            if len(self.problems) == before:
                read[name] = kind(**values)
        return read

    def _table(
        self, section: str, kind: type[Any], table: Mapping[str, Any], *, skip: frozenset[str] | set[str] = frozenset()
    ) -> dict[str, Any]:
        """Read one table; the keys of ``EnvironmentConfig`` that are sections are tables again."""
        hints = get_type_hints(kind)
        known = {each.name: each for each in fields(kind)}
        # `timeout_minutes` beside no `timeout_seconds` is one problem, not an unknown and a missing key.
        meant = {key: self._unknown(section, key, table, known) for key in table if key not in known}
        values: dict[str, Any] = {}
        for name, each in known.items():
            if name in skip or (name in meant.values() and name not in table):
                continue
            if is_dataclass(hints[name]):
                values[name] = self._section(name, hints[name], table)
            elif name in table:
                values[name] = self._value(section, name, hints[name], table[name])
            elif _is_required(each):
                self._missing(section, name)
        return values

    def _section(self, name: str, kind: Any, document: Mapping[str, Any]) -> Any:
        table = document.get(name, {})
        if not isinstance(table, dict):
            self._problem(name, "is not a table", f"write [{name}] on a line of its own, and its keys below")
            return None
        before = len(self.problems)
        values = self._table(name, kind, table)
        return kind(**values) if len(self.problems) == before else None

    def _value(self, section: str, name: str, kind: Any, value: Any) -> Any:
        key, rule = _place(section, name), _rule(section, name)
        if get_origin(kind) is tuple:
            item = get_args(kind)[0]
            return self._tables(section, name, item, value) if is_dataclass(item) else self._list(key, rule, value)
        if rule.is_day:
            return self._day(key, rule, value)
        if type(value) is not kind:
            self._problem(key, f"is {_shown(value)}, not {TYPE_NAMES[kind]}", _typed_fix(name, rule, value))
        elif not rule.allows(value):
            self._problem(key, f"is {_shown(value)}", f"give {rule.what}, such as {name} = {rule.example}")
        return value

    def _list(self, key: str, rule: Rule, value: Any) -> tuple[str, ...]:
        fix = f"give {rule.what}, such as {rule.example}"
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._problem(key, f"is {_shown(value)}, not a list of texts", fix)
            return ()
        if rule.not_empty and not value:
            self._problem(key, "is empty", fix)
        if len(set(value)) < len(value):
            self._problem(key, "names something twice", "delete the second one")
        for item in value:
            if not rule.allows(item):
                self._problem(key, f"holds {_shown(item)}", fix)
        return tuple(value)

    def _day(self, key: str, rule: Rule, value: Any) -> str:
        """Return a day as ISO 8601 writes it."""
        try:
            found = date.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if isinstance(found, date) and not isinstance(found, datetime):
            return found.isoformat()
        self._problem(key, f"is {_shown(value)}", f"give {rule.what}, such as {rule.example}")
        return ""

    def _tables(self, section: str, name: str, kind: Any, value: Any) -> tuple[Any, ...]:
        """Read a list of tables, such as ``accepted_findings = [{ id = "CVE-2026-12345", … }]``."""
        key, rule = _place(section, name), _rule(section, name)
        fix = f"give {rule.what}, such as {name} = {rule.example}"
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._problem(key, f"is {_shown(value)}, not a list of tables", fix)
            return ()
        read = []
        for number, item in enumerate(value, start=1):
            before = len(self.problems)
            values = self._table(f"{section}.{name}{ENTRY}{number}", kind, item)
            if len(self.problems) == before:
                read.append(kind(**values))
        return tuple(read)

    def _missing(self, section: str, name: str) -> None:
        rule = _rule(section, name)
        self._problem(_place(section, name), "is missing", f"add {name} = {rule.example} ({rule.what})")

    def _unknown(self, section: str, key: str, table: Mapping[str, Any], known: Mapping[str, object]) -> str | None:
        """Report an unknown key; return the known key that was meant, if one can be told."""
        place = _place(section, key) if not isinstance(table[key], dict) or section else f"[{key}]"
        stem, _, unit = key.rpartition("_")
        by_unit = next((name for name in known if name in (f"{stem}_seconds", f"{key}_seconds")), None)
        if by_unit and by_unit not in table and (unit in UNITS or by_unit == f"{key}_seconds"):
            seconds = _seconds(table[key], UNITS.get(unit, "s"))
            given = f" = {seconds}" if seconds is not None else ""
            self._problem(place, "has the wrong unit", f"give whole seconds: {by_unit}{given}")
            return by_unit
        close = difflib.get_close_matches(key, known, n=1)
        fix = f"did you mean {close[0]}?" if close else f"delete it, or use one of: {', '.join(known)}"
        self._problem(place, "is unknown", fix)
        return close[0] if close and close[0] not in table else None

    def _problem(self, key: str, wrong: str, fix: str) -> None:
        self.problems.append(Problem(self.file, key, wrong, fix))


def _typed_fix(name: str, rule: Rule, value: Any) -> str:
    """Turn ``"5m"``, ``5.0`` or ``"300"`` into the line to write; otherwise say what is allowed."""
    if name.endswith("_seconds") and not isinstance(value, bool):
        seconds = _seconds(value, "s")
        if seconds is not None and rule.allows(seconds):
            return f"give whole seconds: {name} = {seconds}"
    return f"give {rule.what}, such as {name} = {rule.example}"


def _seconds(value: Any, unit: str) -> int | None:
    """Return the whole seconds of ``5`` with unit ``m``, or of ``"5m"``; None when it is no duration.

    Examples
    --------
    >>> _seconds(5, "m"), _seconds("90 sec", "m"), _seconds(1.5, "h"), _seconds("soon", "s")
    (300, 90, 5400, None)
    """
    if isinstance(value, str):
        match = DURATION.fullmatch(value)
        if match and match[2].lower() in UNITS:
            return round(float(match[1]) * SECONDS[UNITS[match[2].lower()]])
        return int(value) * int(SECONDS[unit]) if value.isdecimal() else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * SECONDS[unit])


def _is_required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _place(section: str, key: str) -> str:
    return f"[{section}] {key}" if section else key


def _rule(section: str, key: str) -> Rule:
    return RULES[_place("services.*" if section.startswith("services.") else section.partition(ENTRY)[0], key)]


def _shown(value: Any) -> str:
    """Return the value as TOML writes it, cut to a readable length."""
    if isinstance(value, bool):
        return str(value).lower()
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"
