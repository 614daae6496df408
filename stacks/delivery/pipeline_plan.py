"""What the pipeline of an environment does, stage by stage, as data: the stack and the guide read it.

``python -m stacks.delivery.pipeline_plan`` writes the guide's table and its number of builds again. No CDK in here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import config
from config import EnvironmentConfig
from stacks.stages import batches, chosen

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "pipelines.md"
PLACE = re.compile(r"(?<=<!-- pipeline: begin -->\n).*?(?=<!-- pipeline: end -->)", re.DOTALL)
BUILDS_PLACE = re.compile(r"(?<=<!-- builds: begin -->).*?(?=<!-- builds: end -->)")

PIPELINES = frozenset({"cicd", "frontend-cicd"})
"""A person deploys these: a pipeline that changed its own definition would end its own run, and could give itself
rights that nobody has approved."""

SCANS = ("scan-dependencies", "scan-code", "scan-iac", "scan-secrets")
"""Names of actions, of projects, and of their files in ``pipelines/``."""


class Failure(StrEnum):
    """What CodePipeline does when an action of a stage has failed; it knows one answer for a stage.

    ``RETRY`` runs the failed actions once more; ``ROLLBACK`` runs the whole stage with what the last good run had.
    """

    NONE = ""
    RETRY = "RETRY"
    ROLLBACK = "ROLLBACK"


FAILURES = {
    # Forward only. A deployer that went back would meet locks and records which its newer self has written, and a
    # database engine does not go back at all; CloudFormation has rolled the failed stack back already.
    "bootstrap": Failure.RETRY,
    "data": Failure.RETRY,
}
"""The deploy stages that are not rolled back."""


@dataclass(frozen=True)
class PipelineStage:
    """A stage.

    Attributes
    ----------
    name
        As the console shows it.
    actions
        Names, in groups: those of one group run at once, the groups one after the other.
    failure
        What is done when one fails.
    deploys
        Whether the actions are stacks.
    """

    name: str
    actions: tuple[tuple[str, ...], ...]
    failure: Failure = Failure.NONE
    deploys: bool = False


SITE_STAGES = (
    PipelineStage("test", (("site-test", "site-lint"),), Failure.RETRY),
    PipelineStage("scan", (("site-scan",),), Failure.RETRY),
    # One stage, so that a page that does not answer as it should is rolled back by copying the last good one.
    PipelineStage("deploy", (("site-deploy",), ("site-invalidate",), ("site-smoke-test",)), Failure.ROLLBACK),
)
"""What the page's pipeline does after the source; production asks before the last."""


def plan(settings: EnvironmentConfig) -> tuple[PipelineStage, ...]:
    """Return the stages of an environment's pipeline in their order.

    Parameters
    ----------
    settings
        The environment; its deploy stages are those of ``stacks/stages.py``, production asks before the first.

    Raises
    ------
    stacks.stages.StageError
        The environment has chosen what cannot be deployed.
    """
    question = [PipelineStage("approve", (("show-changes",), ("approve",)))] if settings.is_production else []
    return (
        PipelineStage("source", (("source",),)),
        PipelineStage("scan", (SCANS,), Failure.RETRY),
        # A template can be scanned once it is there: these are the very templates that are deployed.
        PipelineStage("synth", (("synth",), ("scan-templates",)), Failure.RETRY),
        *question,
        *_deploy_stages(settings),
        # A failed code deploy has rolled back by itself; a second try would only fail again.
        PipelineStage("code", (("deploy-code",),)),
    )


def _deploy_stages(settings: EnvironmentConfig) -> list[PipelineStage]:
    found = []
    for stage in chosen(settings):
        groups = (tuple(part for part in batch if part not in PIPELINES) for batch in batches(stage))
        actions = tuple(group for group in groups if group)
        if actions:
            failure = FAILURES.get(stage.name, Failure.ROLLBACK)
            found.append(PipelineStage(stage.name, actions, failure, deploys=True))
    return found


def widest(stages: Sequence[PipelineStage]) -> tuple[int, str]:
    """Return how many actions one stage starts at once, and which stage.

    Each is a build of the smallest arm64 machine. CodeBuild runs as many at once as the account's quota says and keeps
    five times as many waiting; a start beyond that is refused, and fails its action (CodeBuild User Guide, "Builds in
    AWS CodeBuild"). With a quota of 1, one of seven runs, five wait, and the seventh is refused.
    """
    return max((len(group), stage.name) for stage in stages for group in stage.actions)


def builds_at_once(settings: EnvironmentConfig) -> int:
    """Return how many builds an environment wants to run at once: those of both pipelines at their widest."""
    infrastructure = widest(plan(settings))[0] if settings.pipeline.enabled else 0
    page = widest(SITE_STAGES)[0] if settings.frontend_pipeline.enabled else 0
    return infrastructure + page


def builds() -> str:
    """Return the number of builds for which the guide has the reader ask, and where it comes from."""
    settings = max((config.load(each) for each in config.environments()), key=builds_at_once)
    number, stage = widest(plan(settings))
    page, _ = widest(SITE_STAGES)
    return f"**{builds_at_once(settings)}** for each environment: `{stage}` starts {number}, the page's pipeline {page}"


WORDS = {Failure.NONE: "ends the run", Failure.RETRY: "once more, then ends the run", Failure.ROLLBACK: "rolled back"}


def table(settings: EnvironmentConfig) -> str:
    """Return the stages as a Markdown table."""
    rows = ["| stage | actions | when one fails |", "|---|---|---|"]
    for number, stage in enumerate(plan(settings), 1):
        actions = ", then ".join(", ".join(f"`{action}`" for action in group) for group in stage.actions)
        rows.append(f"| {number} `{stage.name}` | {actions} | {WORDS[stage.failure]} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Write the table of production, which has every stage, and the number of builds into the guide."""
    stages, number = table(config.load("production")), builds()
    text = PLACE.sub(lambda _: stages, GUIDE.read_text(encoding="utf-8"))
    GUIDE.write_text(BUILDS_PLACE.sub(lambda _: number, text), encoding="utf-8")


if __name__ == "__main__":
    main()
