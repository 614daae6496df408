"""A goal, and the line that says whether it was met: a test reads these lines in ``docs/explanation/benchmarks.md``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """What a figure should be at most.

    Attributes
    ----------
    name
        What is measured, and on what.
    limit
        The most that it may be.
    unit
        Behind the figure, such as ``" s"``.
    reason
        Why it may be missed; printed when it is.
    """

    name: str
    limit: float
    unit: str
    reason: str
    digits: int = 2

    def verdict(self, value: float) -> str:
        """Return the line of the document: ok, or missed by how much and why."""
        shown = f"{value:.{self.digits}f}{self.unit}, goal at most {self.limit:.{self.digits}f}{self.unit}"
        if value <= self.limit:
            return f"* **{self.name}**: ok: {shown}."
        over = f"{value - self.limit:.{self.digits}f}{self.unit}"
        return f"* **{self.name}**: missed by {over}: {shown}. {self.reason}"
