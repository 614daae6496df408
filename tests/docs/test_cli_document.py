"""What ``docs/reference/cli.md`` shows is what the commands print.

To write it again: ``python -m tests.docs.test_cli_document``.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import config
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.executions.outcomes import EXIT_CODES
from tests.stepship.conftest import Desk

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
BLOCK = re.compile(r"(?:<!-- world: (\w+) -->\n)?```console\n(.*?)```\n", re.DOTALL)
CRASH = ImageBehavior(outcome="crash", exit_code=1, logs=("starting worker v3", "KeyError: 'QUEUE_URL'"))


def usual() -> SimulatedEnvironment:
    return SimulatedEnvironment()


def asking() -> SimulatedEnvironment:
    settings = config.load("dev")
    return SimulatedEnvironment(settings=replace(settings, approval=replace(settings.approval, required=True)))


def prepare(simulated: SimulatedEnvironment, kind: str) -> None:
    for tag in ("v1", "v2", "v4", "v5"):
        simulated.push(tag)
    simulated.push("v3", per_service={"worker": CRASH})
    if kind == "usual":
        simulated.run({"imageTag": "v1", "requestedBy": "github:octocat", "reason": "release 40"}, "gh-dev-41")
        return
    simulated.start({"imageTag": "v1", "requestedBy": "github:octocat", "reason": "release 40"}, "gh-dev-41")
    simulated.aws.clock.sleep(90)


def played(text: str) -> Iterator[tuple[str, str]]:
    """Yield each block of the document with what it must be."""
    kind, stack = "", ExitStack()
    with stack:
        for block in BLOCK.finditer(text):
            wanted = block[1] or kind or "usual"
            if wanted != kind:
                stack.close()
                kind = wanted
                simulated = stack.enter_context(usual() if kind == "usual" else asking())
                prepare(simulated, kind)
                desk = Desk(simulated)
            lines = []
            for command in re.findall(r"^\$ (.*)$", block[2], re.MULTILINE):
                typed = desk.type(*shlex.split(command)[1:])
                lines.append(f"$ {command}\n{typed.stdout}{typed.stderr}")
            yield block[2], "".join(lines)


def test_the_document_shows_what_the_commands_print() -> None:
    for shown, printed in played(DOCUMENT.read_text()):
        assert comparable(shown) == comparable(printed)


def comparable(text: str) -> str:
    """Leave out how many checks a plan makes: each alarm of the config is one."""
    return re.sub(r"\d+ of \d+ checks", "all checks", text)


@pytest.mark.parametrize("outcome", EXIT_CODES)
def test_the_document_names_each_outcome_with_its_exit_code(outcome: str) -> None:
    row = next(line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| \d", line) and outcome in line)
    assert row.startswith(f"| {EXIT_CODES[outcome]} |")


if __name__ == "__main__":
    written = DOCUMENT.read_text()
    for before, after in list(played(written)):
        written = written.replace(f"```console\n{before}```", f"```console\n{after}```", 1)
    DOCUMENT.write_text(written)
