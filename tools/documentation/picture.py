"""The README's picture: the failed deployment of ``stepship demo``, recorded from the view that people see.

The simulator is deterministic and its time is virtual, so the same code gives the same file to the last byte. The
file names no font that has to be loaded: whoever shows it takes the reader's own monospaced one.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from simulator.engine.runs import Run
from simulator.scenario.play import FOLDER, Step, run_scenario
from stepship.views.live_view import LiveView
from tools.documentation.places import DOCS

FILE = DOCS / "images" / "failed-deployment.svg"
DEPLOYMENT = "deploy-v3"
COLUMNS = 104

DARK = [(22, 27, 34), (255, 123, 114), (86, 211, 100), (227, 179, 65)]
DARK += [(121, 192, 255), (210, 168, 255), (86, 212, 221), (201, 209, 217)]
BRIGHT = [(139, 148, 158), (255, 161, 152), (126, 231, 135), (242, 204, 96)]
BRIGHT += [(165, 214, 255), (226, 197, 255), (123, 233, 241), (240, 246, 252)]
THEME = TerminalTheme((22, 27, 34), (214, 221, 229), DARK, BRIGHT)
"""Background, foreground, and the eight colours of a terminal, dark and bright."""

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A deployment whose worker crashes: it is rolled back and explained</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: arial, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own format (``rich._export_format``) without the font that it loads from a server."""


class _Recording(LiveView):
    """The view of a terminal, of which one step of the scenario is recorded."""

    def __init__(self) -> None:
        console = Console(file=io.StringIO(), record=True, width=COLUMNS, highlight=False, markup=False, emoji=False)
        super().__init__(console)
        console.record = False

    def phase(self, steps: Sequence[Step]) -> None:
        self.console.record = any(step.name == DEPLOYMENT for step in steps)
        super().phase(steps)

    def rest(self, runs: Sequence[Run]) -> None:
        super().rest(runs)
        self.console.record = False

    def close(self) -> None:
        """End the line of what was drawn last: a terminal does that by moving the cursor."""
        drawn = self._live is not None
        super().close()
        if drawn:
            self.console.line()


def picture() -> str:
    """Play the demo and return the recorded step as an SVG document."""
    recording = _Recording()
    try:
        run_scenario(FOLDER / "demo.yaml", recording)
    finally:
        recording.close()
    recording.console.record = True
    svg = recording.console.export_svg(
        title="stepship demo", theme=THEME, code_format=FORMAT, unique_id="demo", font_aspect_ratio=0.6
    )
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def main(file: Path = FILE) -> None:
    """Write the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(picture(), encoding="utf-8")
    print(f"wrote {file.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
