"""The stacks of dev in the emulated account: from which config, and how the CDK deploys them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import config
from stacks.stages import ALWAYS, STAGES
from tests.e2e.cloud import Cloud

ENVIRONMENT = "dev"

Changes = dict[tuple[str, str], str]

OPTIONAL = {part.section for stage in STAGES for part in stage.stacks} - {ALWAYS, "platform"}
"""The config's sections of parts that an environment can do without."""


@dataclass(frozen=True)
class LeftOut:
    """Why a part is not deployed to the emulator.

    Attributes
    ----------
    types
        Resource types of it that the emulator has not, nor the service behind them.
    why
        Why they are not played for it, as README.md says it.
    """

    types: tuple[str, ...]
    why: str


LEFT_OUT: dict[str, LeftOut] = {
    "pipeline": LeftOut(
        (
            "AWS::CodePipeline::Pipeline",
            "AWS::CodeConnections::Connection",
            "AWS::CodeStarNotifications::NotificationRule",
        ),
        "The emulator has no CodePipeline, no connections to GitHub and no notification rules, and its CodeBuild wants "
        "docker. A pipeline that is only remembered proves nothing; what its actions run, `python -m "
        "pipelines.deploy_stack`, is run by `test_infra.py`.",
    ),
    "frontend_pipeline": LeftOut(
        ("AWS::CodePipeline::Pipeline", "AWS::CodeStarNotifications::NotificationRule"),
        "The same, and it needs the connection of `cicd`.",
    ),
}
"""Sections of the config that ``test_infra.py`` switches off too; all others it deploys."""

QUICK: Changes = {("rollout", "bake_seconds"): "2", ("rollout", "bake_poll_seconds"): "2"}
"""The one time in dev.toml that is measured by the functions' own clock, which the emulator cannot speed up."""

NOW: Changes = {
    **QUICK,
    # The story is about deployments; test_infra.py deploys the other parts.
    **{(section, "enabled"): "false" for section in sorted(OPTIONAL)},
}
"""What the story is told with."""

WHOLE: Changes = {**QUICK, **{(section, "enabled"): "false" for section in LEFT_OUT}}
"""With every part that the emulator can have."""

LATER: Changes = {**NOW, ("api", "memory"): "1024", ("approval", "required"): "true"}
"""Infrastructure that changes after code was deployed, and a rule that did not hold before."""


def config_folder(folder: Path, changes: Changes) -> Path:
    """Copy the committed config and change it; returns the folder."""
    shutil.copytree(config.FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = folder / f"{ENVIRONMENT}.toml"
    text = file.read_text(encoding="utf-8")
    for (section, key), value in changes.items():
        pattern = rf"(?m)(^\[{section}\]\n(?:(?!\[).*\n)*?{key} = )(?:\[[^\]]*\]|.*)$"
        text, count = re.subn(pattern, rf"\g<1>{value}", text)
        assert count == 1, f"{file.name} has no [{section}] {key}"
    file.write_text(text, encoding="utf-8")
    return folder


def synthesise(cloud: Cloud, config_folder: Path, output: Path) -> None:
    """Write the templates of the environment, once."""
    context = ("--context", f"environment={cloud.settings.environment}", "--context", f"config={config_folder}")
    cloud.cdk("synth", "--quiet", *context, "--output", str(output))


def deploy_stacks(cloud: Cloud, app: Path, *stacks: str) -> str:
    """Deploy stacks that were synthesised before; returns what the CDK prints."""
    options = ("--require-approval", "never", "--concurrency", "2", "--progress", "events")
    return cloud.cdk("deploy", *stacks, "--app", str(app), *options)
