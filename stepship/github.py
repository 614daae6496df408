"""What GitHub Actions reads: annotations in the log, outputs of the step, the summary of the job.

GitHub Docs, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

SUMMARY_BYTES = 1024 * 1024
"""Of a step's summary; GitHub drops a longer one as a whole."""


@dataclass
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
    _token: str = field(default="", init=False, repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str], *, as_json: bool) -> GitHub:
        """Read where GitHub wants it."""
        files = (environ.get(name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
        output, summary = (Path(name) if name else None for name in files)
        return cls(output, summary, sys.stderr if as_json else sys.stdout)

    def annotate(self, level: Literal["error", "warning", "notice"], title: str, text: str) -> None:
        """Show a message on the page of the run; a quotation is interrupted for it."""
        quoted = bool(self._token)
        self._end_quotation()
        self._write(f"::{level} title={_property(title)}::{_data(text)}")
        if quoted:
            self._begin_quotation()

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
        self._begin_quotation()
        try:
            yield
        finally:
            self._end_quotation()

    def _begin_quotation(self) -> None:
        # A token for each: nobody who has read the log can end the next one.
        self._token = secrets.token_hex(16)
        self._write(f"::stop-commands::{self._token}")

    def _end_quotation(self) -> None:
        if self._token:
            self._write(f"::{self._token}::")
        self._token = ""

    def _write(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
