"""The table of ``docs/reference/stages.md``: ``python -m stacks.stages_table`` writes it again."""

from __future__ import annotations

import re
from pathlib import Path

from stacks.stages import STAGES, batches

GUIDE = Path(__file__).parents[1] / "docs" / "reference" / "stages.md"
PLACE = re.compile(r"(?<=<!-- stages: begin -->\n).*?(?=<!-- stages: end -->)", re.DOTALL)


def table() -> str:
    """Return the stages as a Markdown table; of their stacks, those between two commas deploy at once."""
    rows = ["| stage | what there is after it | stacks |", "|---|---|---|"]
    for number, stage in enumerate(STAGES, 1):
        stacks = ", then ".join(", ".join(f"`{part}`" for part in batch) for batch in batches(stage))
        rows.append(f"| {number} `{stage.name}` | {stage.purpose} | {stacks or 'none yet'} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Write the table into the guide."""
    GUIDE.write_text(PLACE.sub(table(), GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
