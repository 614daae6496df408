"""A deployment as the summary of a GitHub job: Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lambdas.release.image import short_image
from stepship.executions.outcomes import Ending
from stepship.views.durations import duration
from stepship.views.plain_lines import explanation
from stepship.views.progress import Mark, Row

MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~@<>])")


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
