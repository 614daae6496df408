"""What GitHub Actions reads: annotations in the log, outputs of the step, the summary of the job.

GitHub Docs, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import html
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from stepship.durations import duration
from stepship.notes import short_image
from stepship.outcomes import Ending
from stepship.plain_lines import explanation
from stepship.progress import Mark, Row

SUMMARY_BYTES = 1024 * 1024
"""Of a step's summary; GitHub drops a longer one as a whole."""

MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~@<>])")


@dataclass(frozen=True)
class GitHub:
    """The step that this command runs in.

    Attributes
    ----------
    log
        Where workflow commands are written: stderr when stdout has a JSON document.
    """

    output_file: Path | None
    summary_file: Path | None
    log: TextIO

    @classmethod
    def of(cls, environ: Mapping[str, str], *, as_json: bool) -> GitHub:
        """Read where GitHub wants it."""
        files = (environ.get(name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
        output, summary = (Path(name) if name else None for name in files)
        return cls(output, summary, sys.stderr if as_json else sys.stdout)

    def annotate(self, level: Literal["error", "warning", "notice"], title: str, text: str) -> None:
        """Show a message on the page of the run."""
        self._write(f"::{level} title={_property(title)}::{_data(text)}")

    def outputs(self, values: Mapping[str, str]) -> None:
        """Set outputs of the step. A delimiter that nobody can guess keeps a value from setting another output."""
        if self.output_file is None:
            return
        with self.output_file.open("a", encoding="utf-8") as file:
            for name, value in values.items():
                delimiter = f"end-{secrets.token_hex(16)}"
                file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def summarise(self, lines: Iterable[str]) -> None:
        """Add to the summary of the job."""
        if self.summary_file is None:
            return
        text = "\n".join(lines) + "\n"
        with self.summary_file.open("a", encoding="utf-8") as file:
            file.write(text.encode()[:SUMMARY_BYTES].decode(errors="ignore"))

    @contextmanager
    def quoting(self) -> Iterator[None]:
        """Print what others wrote, such as log lines of a container: GitHub obeys no command in it."""
        token = secrets.token_hex(16)
        self._write(f"::stop-commands::{token}")
        try:
            yield
        finally:
            self._write(f"::{token}::")

    def _write(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()


def summary(environment: str, end: Ending, rows: Sequence[Row], plan: Mapping[str, Any], url: str) -> list[str]:
    """Write the summary of a deployment as Markdown.

    Parameters
    ----------
    rows
        The states that it passed.
    plan
        Its plan; empty when it made none, or when the states could not be read.
    url
        Its address in the AWS console.
    """
    facts = {
        "Release": end.report.get("release"),
        "Tag": plan.get("imageTag") or end.description.input.get("imageTag"),
        "Failed at": end.report.get("step"),
        "Error": end.report.get("errorType"),
    }
    return [
        f"### {plain(environment)}: {plain(end.headline)}",
        *([f"**{plain(end.why)}**"] if end.why else []),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {plain(value)} |" for name, value in facts.items() if value),
        f"| Execution | [{plain(end.description.name)}]({url}) |",
        "",
        *_services(plan),
        *_diagram(rows, end),
        *_explanation(end),
    ]


def plain(value: object) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return MARKDOWN.sub(r"\\\1", html.escape(" ".join(str(value).split()), quote=False))


def _services(plan: Mapping[str, Any]) -> list[str]:
    services = plan.get("services") or {}
    if not services or plan.get("nothingToDo"):
        return []
    rows = ["| Service | Wave | Ran | Asked for |", "|---|---|---|---|"]
    for name, each in sorted(services.items()):
        before, after = _image(each.get("previousImage")), _image(each.get("image"))
        rows.append(f"| {plain(name)} | {each['wave']} | {before} | {after} |")
    return [*rows, ""]


def _image(image: str | None) -> str:
    return plain(short_image(image)) if image else "?"


def _diagram(rows: Sequence[Row], end: Ending) -> list[str]:
    """Draw the states that were passed, with how long each took."""
    if not rows:
        return []
    lines = ["```mermaid", "flowchart LR"]
    for number, row in enumerate(rows):
        arrow = f"s{number - 1} --> " if number else ""
        lines.append(f'  {arrow}s{number}["{row.title}<br/>{duration(row.seconds(row.ended_at or row.started_at))}"]')
        if row.mark in (Mark.FAILED, Mark.STOPPED):
            lines.append(f"  style s{number} stroke:#cf222e,stroke-width:3px")
    return [*lines, f'  s{len(rows) - 1} --> ended(["{end.outcome}"])', "```", ""]


def _explanation(end: Ending) -> list[str]:
    if not end.exit_code or not end.why:
        return []
    # Quotes stay; tags of HTML and ends of the block do not.
    text = "\n".join(explanation(end.report))
    return ["#### Why", "", f"<pre>{html.escape(text, quote=False)}</pre>", ""]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
