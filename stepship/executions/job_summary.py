"""A deployment as the summary of a GitHub job: Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lambdas.release.image import short_image
from stepship.executions.outcomes import RUNNING, Result
from stepship.views.durations import duration
from stepship.views.plain_lines import explanation
from stepship.views.progress import Mark, Row

AGAIN = "Re-run the job to follow it again: it takes up the execution that runs, and starts no second one."

MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~@<>])")


def summary(environment: str, result: Result, rows: Sequence[Row], plan: Mapping[str, Any], url: str) -> list[str]:
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
        "Release": result.report.get("release"),
        "Tag": plan.get("imageTag") or result.description.input.get("imageTag"),
        "Failed at": result.report.get("step"),
        "Error": result.report.get("errorType"),
    }
    return [
        f"### {plain(environment)}: {plain(result.headline)}",
        *([f"**{plain(result.why)}**"] if result.why else []),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {plain(value)} |" for name, value in facts.items() if value),
        f"| Execution | [{plain(result.description.name)}]({url}) |",
        "",
        *_services(plan),
        *_diagram(rows, result),
        *_explanation(result),
        *([f"It goes on in AWS. {AGAIN}", ""] if result.outcome == RUNNING else []),
    ]


def failure_summary(environment: str, command: str, text: str) -> list[str]:
    """Write the summary of a command that could not do what it was asked."""
    return [f"### {plain(environment)}: stepship {command} failed", plain(text), ""]


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


def _diagram(rows: Sequence[Row], result: Result) -> list[str]:
    """Draw the states that were passed, with how long each took."""
    if not rows:
        return []
    lines = ["```mermaid", "flowchart LR"]
    for number, row in enumerate(rows):
        arrow = f"s{number - 1} --> " if number else ""
        lines.append(f'  {arrow}s{number}["{row.title}<br/>{duration(row.seconds(row.ended_at or row.started_at))}"]')
        if row.mark in (Mark.FAILED, Mark.STOPPED):
            lines.append(f"  style s{number} stroke:#cf222e,stroke-width:3px")
    return [*lines, f'  s{len(rows) - 1} --> ended(["{result.outcome}"])', "```", ""]


def _explanation(result: Result) -> list[str]:
    if not result.exit_code or not result.why:
        return []
    # Quotes stay; tags of HTML and ends of the block do not.
    text = "\n".join(explanation(result.report))
    return ["#### Why", "", f"<pre>{html.escape(text, quote=False)}</pre>", ""]
