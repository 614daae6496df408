"""Stacks on their way, on a terminal and in a log."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from stepship.host import Host
from stepship.infra.cdk import CdkCli
from stepship.infra.layout import StackStage, Step
from stepship.infra.rollout import Outcome, Result
from stepship.infra.view import LiveView, PlainView, told, view_of
from stepship.output import Output

NETWORK = Step("network", "x-network", "infrastructure")
STAGE = StackStage("infrastructure", "What workloads run on", (NETWORK,))
EVENT = "x-network |  3/18 | 12:36:28 PM | CREATE_COMPLETE      | AWS::EC2::VPC | Vpc (Vpc8378EB38) "


@pytest.mark.parametrize(
    ("line", "short"),
    [
        (EVENT, "3/18 CREATE_COMPLETE AWS::EC2::VPC Vpc (Vpc8378EB38)"),
        ("x-network: creating CloudFormation changeset...", "creating CloudFormation changeset..."),
        ("x-network: start: Building x-network Template", ""),
        ("✨  Deployment time: 0.29s", ""),
        (" ✅  x-network (no changes)", ""),
        ("Stack ARN:", ""),
        ("arn:aws:cloudformation:us-east-1:111122223333:stack/x-network/1", ""),
        ("x-network.Vpc = vpc-1", "x-network.Vpc = vpc-1"),
    ],
)
def test_a_line_of_the_cdk_says_what_matters(line: str, short: str) -> None:
    assert told("x-network", line) == short


def test_a_log_gets_a_line_for_each_change() -> None:
    lines: list[str] = []
    now = [100.0]
    view = PlainView(lines.append, lambda: now[0])
    view.stage(STAGE)
    view.begun(NETWORK)
    now[0] += 65
    view.line(NETWORK, EVENT.replace("COMPLETE", "IN_PROGRESS"))
    view.line(NETWORK, EVENT)
    view.line(NETWORK, "✨  Synthesis time: 0.03s")
    view.say("The rollback back waits: giving way to it")
    view.tick()
    view.ended(NETWORK, Result(Outcome.FAILED, 65, "Vpc (AWS::EC2::VPC): no"))
    view.ended(NETWORK, Result(Outcome.NO_CHANGE, 1))
    view.close()
    assert lines == [
        "infrastructure: What workloads run on",
        "  00:00 network ..",
        "  01:05 network | 3/18 CREATE_COMPLETE AWS::EC2::VPC Vpc (Vpc8378EB38)",
        "  01:05 The rollback back waits: giving way to it",
        "  01:05 network FAILED (1 min 5 s): Vpc (AWS::EC2::VPC): no",
        "  01:05 network no change (1 s)",
    ]


def test_a_terminal_shows_what_runs_with_its_last_event_and_then_how_it_ended() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    now = [100.0]
    view = LiveView(console, lambda: now[0])
    view.stage(STAGE)
    view.begun(NETWORK)
    now[0] += 5
    view.line(NETWORK, EVENT)
    view.line(NETWORK, "✨  Synthesis time: 0.03s")
    view.tick()
    assert isinstance(console.file, io.StringIO)
    assert ".. network  5 s  3/18 CREATE_COMPLETE AWS::EC2::VPC" in console.file.getvalue()
    view.ended(NETWORK, Result(Outcome.FAILED, 5, "Vpc (AWS::EC2::VPC): no"))
    view.say("Ctrl-C: no further stack begins")
    before = len(console.file.getvalue())
    view.tick()
    view.close()
    assert ".. network" not in console.file.getvalue()[before:]
    for words in ("infrastructure  What workloads run on", "FAILED", "Vpc (AWS::EC2::VPC): no", "Ctrl-C: no further"):
        assert words in console.file.getvalue()


def test_the_view_fits_where_the_words_go() -> None:
    now = Host().now
    assert isinstance(view_of(Output(Host(), as_json=False), now), PlainView)
    live = view_of(Output(Host(watched=True, width=80), as_json=False), now)
    assert isinstance(live, LiveView)
    live.close()


PROGRAM = """#!/bin/sh
echo "$@"
printf '\\033[32mgreen\\033[0m\\n'
echo "to stderr" >&2
case "$*" in
*bad*) exit 1;;
*long*) exec sleep 60;;
# As `cdk synth`, which lets a shell run the app; no pipe holds that much, so somebody reads when Ctrl-C is pressed.
*app-runs*) sleep 60 & echo $! > app; head -c 1000000 /dev/zero; kill -INT $PPID; wait;;
esac
"""


@pytest.fixture
def cli(tmp_path: Path) -> CdkCli:
    """The CLI with a program of the test's own in the place of the CDK's."""
    program = tmp_path / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tmp_path / "cdk.json").write_text("{}")
    made = CdkCli(tmp_path, tmp_path / "assembly", {"PATH": "/usr/bin:/bin"})
    made.check()
    return made


def test_the_cdk_deploys_one_stack_from_the_assembly(cli: CdkCli, tmp_path: Path) -> None:
    said: list[str] = []
    assert cli.deploy("x-network", said.append)
    words = f"--require-approval never --progress events --app {tmp_path}/assembly --no-notices --no-color --ci"
    assert sorted(said) == sorted([f"deploy x-network --exclusively {words}", "green", "to stderr"])
    assert not cli.deploy("x-bad", said.append)
    assert cli.destroy("x-network", said.append)


def test_the_cdk_synthesises_with_the_context_and_tells_why_it_cannot(cli: CdkCli, tmp_path: Path) -> None:
    cli.synthesise({"environment": "dev", "imageTag": "v1"})
    assert cli.diff(["x-network"]).startswith(f"diff x-network --exclusively --app {tmp_path}/assembly")
    with pytest.raises(
        Exception, match=r"cdk synth failed, nothing was changed: synth --quiet --context environment=bad"
    ):
        cli.synthesise({"environment": "bad"})


@pytest.fixture
def heard() -> Iterator[None]:
    """Let Ctrl-C be heard, which a shell switches off for what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_while_it_synthesises_leaves_nothing_that_runs(cli: CdkCli, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cli.synthesise({"environment": "app-runs"})
    state = ["ps", "-o", "stat=", "-p", (tmp_path / "app").read_text().strip()]
    give_up_at = time.monotonic() + 60
    # It has been told; what nobody has waited for is a zombie.
    while subprocess.run(state, capture_output=True, text=True, check=False).stdout.strip()[:1] not in ("", "Z"):
        assert time.monotonic() < give_up_at, "the app still runs"


def test_abandoning_ends_the_programs(cli: CdkCli) -> None:
    assert not cli.deploy("x-long", lambda text: cli.abandon() if text == "to stderr" else None)
