"""How an execution ended, as GitHub shows it: the log, annotations, outputs, the summary of the job."""

from __future__ import annotations

import html
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXIT_CODES = {
    "Deployed": 0,
    "NothingToDo": 0,
    "Planned": 0,
    "Rejected": 2,
    "RolledBack": 3,
    "RollbackFailed": 4,
    "Superseded": 5,
}
"""The contract of all that starts deployments; any other end is 1."""

HEADLINES = {
    "Deployed": "Deployed",
    "NothingToDo": "Nothing to do: everything already was as asked",
    "Planned": "Planned: nothing was written",
    "Superseded": "Superseded: a newer request came first, so this one changed nothing",
    "Rejected": "Rejected: nothing was changed",
    "RolledBack": "Failed and rolled back: everything runs what ran before",
    "RollbackFailed": "ROLLBACK FAILED: services may be on different releases, a person has to look",
    "Stopped": "Stopped before its end",
    "Failed": "Failed",
    "Running": "Still running",
}

ROLLBACK_HEADLINES = {
    "Deployed": "Rolled back",
    "RolledBack": "The rollback failed; everything runs what ran before it",
}

MAX_TEXT = 256
"""Characters that ``requestedBy`` and ``reason`` may have (statemachine/input.schema.json)."""


# What GitHub reads: the log, annotations, outputs, the summary.


def say(text: str) -> None:
    """Print a line that is ours."""
    print(text, flush=True)  # noqa: T201 (printing is what a step does)


@contextmanager
def quoting() -> Iterator[None]:
    """Print what others wrote: GitHub obeys no command in it."""
    token = secrets.token_hex(16)
    say(f"::stop-commands::{token}")
    try:
        yield
    finally:
        say(f"::{token}::")


def annotate(level: str, title: str, text: str) -> None:
    """Show a message on the page of the run; ``level`` is ``error``, ``warning`` or ``notice``."""
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    title = title.replace("%", "%25").replace("\r", " ").replace("\n", " ").replace(":", "%3A").replace(",", "%2C")
    say(f"::{level} title={title}::{data}")


def give(**outputs: str) -> None:
    """Set outputs of the step; each on one line, because GitHub reads it line by line."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={' '.join(value.split())}\n" for name, value in outputs.items())


def summarise(lines: Sequence[str]) -> None:
    """Add to the summary of the job."""
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def plain(value: object) -> str:
    """Return text that Markdown shows as it is, on one line."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]#|~@])", r"\\\1", text)


def shorten(text: str) -> str:
    """Return the first line, cut to what the input may hold."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(character if character.isprintable() else " " for character in line)
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"


# Tell.


@dataclass(frozen=True)
class Ending:
    """How it ended: ``report`` is what the state machine says, as in ``Report`` of lambdas/release/history.py."""

    outcome: str
    report: Mapping[str, Any]

    @property
    def explanation(self) -> Mapping[str, Any]:
        """The answer to "why", with all its parts optional."""
        return self.report.get("explanation") or {}

    @property
    def why(self) -> str:
        """One sentence."""
        return str(self.explanation.get("summary") or self.report.get("message") or "")


def ending(description: Mapping[str, Any]) -> Ending:
    """Read the end of an execution: the output of a Succeed state, the Cause of a Fail state, or neither."""
    status = description["status"]
    recovery = (
        "What it had moved is put back by a recovery, which starts by itself: see the newest executions of the machine."
    )
    if status == "RUNNING":
        return Ending("Running", {"message": "Following ended here; the execution goes on by itself."})
    if status == "UNKNOWN":
        lost = f"It could not be looked at for too long ({description['message']}); the execution goes on by itself."
        return Ending("Running", {"message": lost})
    if status in ("ABORTED", "TIMED_OUT"):
        how = "Somebody stopped it" if status == "ABORTED" else "It took longer than it may"
        return Ending("Stopped", {"message": f"{how}. {recovery}"})
    said = str(description.get("output" if status == "SUCCEEDED" else "cause") or "")
    try:
        report = json.loads(said)
    except ValueError:
        report = None
    if isinstance(report, dict) and report.get("outcome") in EXIT_CODES:
        return Ending(str(report["outcome"]), report)
    # The machine's end states always report. What does not is the service's own word: States.Runtime, say.
    told = f"{description.get('error') or status}: {said or 'no more was said'}"
    return Ending("Failed", {"message": told if status == "SUCCEEDED" else f"{told}. {recovery}"})


def tell(action: str, environment: str, execution: str, url: str, end: Ending) -> None:
    """Write the log, the annotation and the summary."""
    headlines = HEADLINES | (ROLLBACK_HEADLINES if action == "rollback" else {})
    headline = headlines[end.outcome]
    say(headline)
    lines = _lines(end)
    if lines:
        with quoting():
            for line in lines:
                say(f"  {line}")
    if EXIT_CODES.get(end.outcome, 1):
        level = "warning" if end.outcome == "Superseded" else "error"
        annotate(level, f"{environment}: {headline}", "\n".join([*lines, url]))
    rows = {
        "Release": end.report.get("release"),
        "Failed at": end.report.get("step"),
        "Error": end.report.get("errorType"),
    }
    summarise(
        [
            f"### {plain(environment)}: {headline}",
            *([f"**{plain(end.why)}**"] if end.why else []),
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {plain(value)} |" for name, value in rows.items() if value),
            f"| Execution | [{plain(execution.rsplit(':', 1)[-1])}]({url}) |",
            "",
            *_details(end.explanation),
            *(
                ["It is not stopped by the end of this job. Re-run the job to follow it again.", ""]
                if end.outcome == "Running"
                else []
            ),
        ]
    )


def _lines(end: Ending) -> list[str]:
    """Return the explanation for the log and the annotation, the most telling first."""
    parts = end.explanation
    message = str(end.report.get("message") or "")
    lines = [end.why] if end.why else []
    if message and message != end.why:
        lines.append(message)
    for cause in parts.get("causes") or ():
        lines.append(f"{cause['subject']}: {cause['cause']}, seen {cause['seen']} times")
        lines.extend(f"  {text}" for text in cause.get("evidence") or ())
        lines.append(f"  -> {cause['hint']}")
    lines.extend(f"| {line}" for line in parts.get("logLines") or ())
    lines.extend(f"not known: {text}" for text in parts.get("missing") or ())
    lines.extend(str(text) for text in parts.get("done") or ())
    return [" ".join(line.split("\n")) for line in lines]


def _details(parts: Mapping[str, Any]) -> list[str]:
    """Return the explanation for the summary."""
    lines: list[str] = []
    causes = parts.get("causes") or ()
    if causes:
        lines += ["#### Likely causes", ""]
        for number, cause in enumerate(causes, 1):
            name = plain(f"{cause['subject']}: {cause['cause']}")
            lines.append(f"{number}. **{name}**, seen {cause['seen']} times")
            lines += [f"   - {plain(text)}" for text in cause.get("evidence") or ()]
            lines.append(f"   - {plain(cause['hint'])}")
        lines.append("")
    if parts.get("logLines"):
        text = html.escape("\n".join(parts["logLines"]), quote=False)
        lines += ["#### Its last log lines", "", f"<pre>{text}</pre>", ""]
    for title, key in (("What could not be read", "missing"), ("What was done about it", "done")):
        if parts.get(key):
            lines += [f"#### {title}", "", *(f"- {plain(text)}" for text in parts[key]), ""]
    return lines
