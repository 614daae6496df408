"""The pages say what the registries have."""

from __future__ import annotations

import re
from pathlib import Path

from tools.acceptance.chapters import planned
from tools.documentation import proof_page

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tools" / "acceptance"


def test_the_tables_are_those_of_the_registries() -> None:
    written = proof_page.PAGE.read_text(encoding="utf-8")

    assert proof_page.page(written) == written, "run `make docs`"


def test_the_estimate_that_the_page_tells_is_the_one_that_is_printed() -> None:
    told = re.search(r"at most (\d+) minutes and some twenty cents", proof_page.PAGE.read_text(encoding="utf-8"))

    assert told is not None
    assert planned().seconds <= int(told[1]) * 60
    assert planned().dollars <= 0.25


def test_the_readme_says_dated_what_has_been_proved_and_how_to_send_a_result() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = proof_page.PAGE.read_text(encoding="utf-8")

    assert re.search(r"On AWS nothing has been proved yet\*\* \(\w+ \d{4}\)", readme)
    assert "docs/how-to/accept.md#what-has-been-proved-and-where" in readme
    assert re.search(r"\| \d{4}-\d\d-\d\d \| AWS \| \*\*nobody yet\*\* \|", page)
    assert (ROOT / ".github" / "ISSUE_TEMPLATE" / "proof.yml").is_file()


def test_every_file_of_the_folder_is_in_its_readme() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert not [
        file.name for file in FOLDER.glob("*.py") if f"`{file.name}`" not in text and file.name != "__init__.py"
    ]
