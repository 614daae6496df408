"""What a run has found, as it is printed and as it is written to be sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from tools.acceptance.estimate import GOAL_DOLLARS, GOAL_MINUTES, Estimate
from tools.acceptance.records.record import redacted
from tools.acceptance.world.account import Account, Run
from tools.acceptance.world.janitor import Left


class Verdict(StrEnum):
    """How a chapter ended."""

    OK = "ok"
    FAILED = "FAILED"
    SKIPPED = "skipped"
    OTHERWISE = "otherwise"
    """A fact is not as it is taken to be: no failure, and something to change."""
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Result:
    """How one chapter ended.

    Attributes
    ----------
    budget
        Seconds that it was given on AWS.
    detail
        Why it was skipped, what was seen, or how it failed.
    """

    chapter: str
    verdict: Verdict
    seconds: float
    budget: int
    detail: str = ""

    def line(self) -> str:
        """Return it as it is printed when it is over."""
        took = f"{self.seconds:5.0f} s" if self.verdict not in (Verdict.SKIPPED, Verdict.NOT_REACHED) else "       "
        late = f" (budget {self.budget} s)" if self.seconds > self.budget else ""
        why = f": {self.detail}" if self.detail and self.verdict != Verdict.FAILED else ""
        return f"{took}  {self.chapter}: {self.verdict}{late}{why}"


@dataclass(frozen=True)
class Report:
    """A run that is over."""

    account: Account
    run: Run
    results: tuple[Result, ...]
    measured: Estimate
    left: tuple[Left, ...]

    @property
    def good(self) -> bool:
        """Whether everything that was played held, and nothing is left."""
        bad = (Verdict.FAILED, Verdict.NOT_REACHED)
        return not self.left and not any(each.verdict in bad for each in self.results)

    def lines(self) -> Iterable[str]:
        """Yield what is printed at the end."""
        where = self.account.endpoint or f"AWS, {self.account.region}"
        goal = f"the goal is {GOAL_MINUTES} minutes, ${GOAL_DOLLARS:.2f}"
        yield f"run {self.run.id} on {where}: {self.measured}; {goal}"
        for verdict in Verdict:
            named = [each.chapter for each in self.results if each.verdict == verdict]
            if named:
                yield f"{verdict} ({len(named)}): {', '.join(named)}"
        if self.left:
            yield "left behind: destroy it by hand, or with `make accept-janitor`:"
            yield from (f"  {each}" for each in self.left)
        else:
            yield "nothing is left behind"

    def write(self, folder: Path) -> Path:
        """Write it without what says whose account it was, to be sent; returns the file."""
        file = folder / "report.json"
        document = {
            "on": "emulator" if self.account.endpoint else "AWS",
            "date": datetime.now(UTC).date().isoformat(),
            "region": self.account.region,
            "run": self.run.id,
            "minutes": round(self.measured.seconds / 60, 1),
            "dollars": round(self.measured.dollars, 2),
            "chapters": [asdict(each) for each in self.results],
            "left": [asdict(each) for each in self.left],
        }
        text = redacted(json.dumps(document, indent=2, ensure_ascii=False), {self.account.number: "111122223333"})
        file.write_text(f"{text}\n", encoding="utf-8")
        return file
