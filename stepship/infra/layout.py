"""Which stacks an environment has, stage by stage: what ``stacks/stages.py`` says, with the names of the stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import config
from config import ConfigError, EnvironmentConfig
from stacks.names import Names
from stacks.stages import STAGES, Stage, StageError, chosen, parts
from stepship.errors import wrong_usage
from stepship.session import Session

COORDINATOR = "deployment-coordinator"
"""The part with the table of the lock: before it stands there is no lock."""


@dataclass(frozen=True)
class Step:
    """A stack in its place.

    Attributes
    ----------
    part
        As in ``stacks/stages.py``: ``network``.
    stack
        Its name in CloudFormation: ``v3-backend-dev-network``.
    stage
        The stage that it belongs to.
    needs
        Parts that stand before it, of any stage.
    is_on
        Whether the environment has the part. One that was switched off is in no template, and may still stand.
    """

    part: str
    stack: str
    stage: str
    needs: tuple[str, ...] = ()
    is_on: bool = True


@dataclass(frozen=True)
class StackStage:
    """A stage with its stacks."""

    name: str
    purpose: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Layout:
    """All stages of an environment in the order of deployment."""

    settings: EnvironmentConfig
    stages: tuple[StackStage, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All stacks, stage by stage."""
        return tuple(step for stage in self.stages for step in stage.steps)

    def only(self, stage: str | None) -> tuple[StackStage, ...]:
        """Return the one stage that was named, or all of them.

        Raises
        ------
        CommandError
            The environment has no such stage.
        """
        if stage is None:
            return self.stages
        found = tuple(each for each in self.stages if each.name == stage)
        if not found:
            there = ", ".join(each.name for each in self.stages)
            raise wrong_usage(f"--stage {stage}: {self.settings.environment} has no such stage; it has {there}")
        return found


def layout(settings: EnvironmentConfig, stages: Sequence[Stage] | None = None) -> Layout:
    """Lay out an environment.

    Parameters
    ----------
    settings
        The environment.
    stages
        As ``stacks.stages.chosen`` returns them; None for those of the environment.
    """
    names = Names(settings)
    return Layout(
        settings,
        tuple(
            StackStage(
                stage.name,
                stage.purpose,
                tuple(Step(part.name, names.stack(part.name), stage.name, part.earlier) for part in stage.stacks),
            )
            for stage in (chosen(settings) if stages is None else stages)
        ),
    )


def everything(settings: EnvironmentConfig) -> tuple[StackStage, ...]:
    """Return all stages with all parts, those too that the environment has switched off."""
    on = parts(chosen(settings))
    return tuple(
        replace(stage, steps=tuple(replace(step, is_on=step.part in on) for step in stage.steps))
        for stage in layout(settings, STAGES).stages
    )


def read_layout(session: Session, context: Mapping[str, str]) -> Layout:
    """Read the environment's config, and lay it out.

    Parameters
    ----------
    context
        What is handed to the CDK app; its ``config`` is another folder of config files, as in ``cdk_app.py``.

    Raises
    ------
    CommandError
        The config cannot be used, or is of another application than ``--app``.
    """
    folder = Path(session.host.folder, context.get("config", "config"))
    try:
        found = layout(config.load(session.target.environment, folder))
    except (ConfigError, StageError) as error:
        raise wrong_usage(str(error)) from error
    if found.settings.app != session.target.app:
        raise wrong_usage(f"--app {session.target.app}: the stacks of this folder are those of {found.settings.app}")
    return found


def ordered(steps: Sequence[Step]) -> dict[str, set[str]]:
    """Return what each stack of a stage waits for inside it, by part."""
    inside = {step.part for step in steps}
    return {step.part: inside.intersection(step.needs) for step in steps}


def reverse(stages: Sequence[StackStage]) -> tuple[StackStage, ...]:
    """Return the stages as they are destroyed: the last first, and in each what needs another before that.

    Examples
    --------
    >>> a, b = Step("a", "x-a", "one"), Step("b", "x-b", "one", needs=("a",))
    >>> [step.needs for step in reverse([StackStage("one", "", (a, b))])[0].steps]
    [('b',), ()]
    """
    steps = [step for stage in stages for step in stage.steps]
    return tuple(
        StackStage(
            stage.name,
            stage.purpose,
            tuple(
                replace(step, needs=tuple(each.part for each in steps if step.part in each.needs))
                for step in stage.steps
            ),
        )
        for stage in reversed(stages)
    )
