"""Reads what ``launcher.py`` has written down: the emulator's own view of a deployment, the same for every tool."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Fact = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """The facts between two moments, in the order of time."""

    facts: tuple[Fact, ...]

    def of(self, kind: str) -> Iterator[Fact]:
        """Yield the facts of a kind: ``call``, ``steady``, ``task failed``, ``function``."""
        return (fact for fact in self.facts if fact["kind"] == kind)

    def calls(self) -> Counter[str]:
        """Count the AWS calls by operation, as ``ecs:UpdateService``."""
        return Counter(f"{fact['service']}:{fact['operation']}" for fact in self.of("call"))

    def last_steady_at(self, services: Sequence[str], after: float = 0) -> float | None:
        """When the last of these services became steady (unix seconds); None while one is not."""
        found = {fact["service"]: fact["at"] for fact in self.of("steady") if fact["at"] >= after}
        return max(found[name] for name in services) if set(services) <= set(found) else None

    def first_failure_at(self) -> float | None:
        """When the first task failed (unix seconds)."""
        return next((float(fact["at"]) for fact in self.of("task failed")), None)


def read(file: Path, since: float, until: float) -> Record:
    """Read the facts between two moments (unix seconds). A call counts when it arrived."""
    with file.open(encoding="utf-8") as lines:
        facts = [json.loads(line) for line in lines if line.endswith("\n")]
    chosen = [fact for fact in facts if since <= fact.get("arrived", fact["at"]) <= until]
    return Record(tuple(sorted(chosen, key=lambda fact: float(fact["at"]))))
