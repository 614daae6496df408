"""Stacks of parts that were switched off after they were deployed: the app has them no more, the account still does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from config import EnvironmentConfig
from stepship.infra.cloudformation import CloudFormation, StackFacts
from stepship.infra.layout import Layout, StackStage, Step, everything, ordered, reverse


def whole_environment(found: Layout, cloudformation: CloudFormation) -> tuple[Layout, dict[str, StackFacts]]:
    """Look at all stacks of an environment, those too that are switched off and still stand.

    Parameters
    ----------
    found
        What the config has chosen.

    Returns
    -------
    tuple
        The stages with the orphans in their place, and the facts about those stacks that stand.
    """
    stages = everything(found.settings)
    on = {step.stack for step in found.steps}
    facts = cloudformation.stacks(step.stack for stage in stages for step in stage.steps)
    ours = {name: each for name, each in facts.items() if name in on or is_ours(found.settings, each)}
    standing = (
        replace(stage, steps=tuple(step for step in stage.steps if step.is_on or step.stack in ours))
        for stage in stages
    )
    return Layout(found.settings, tuple(stage for stage in standing if stage.steps)), ours


def orphans(found: Layout, cloudformation: CloudFormation) -> tuple[Step, ...]:
    """Return what is switched off and still stands, in the order in which it can be deleted."""
    off = [
        replace(stage, steps=tuple(step for step in stage.steps if not step.is_on))
        for stage in everything(found.settings)
    ]
    facts = cloudformation.stacks(step.stack for stage in off for step in stage.steps)
    return tuple(step for step in last_first(off) if _stands(found.settings, step, facts))


def last_first(stages: Sequence[StackStage]) -> tuple[Step, ...]:
    """Return the stacks of stages so that each stands before what it needs."""
    steps = {step.part: step for stage in stages for step in stage.steps}
    return tuple(
        steps[part] for stage in reverse(stages) for part in TopologicalSorter(ordered(stage.steps)).static_order()
    )


def is_ours(settings: EnvironmentConfig, facts: StackFacts) -> bool:
    """Whether a stack is of this app, by the end of its description (stacks/environment_stack.py).

    A team that brings its cluster has the platform switched off, and may have a stack of its own that is called
    ``shop-dev-network``: by its name alone nothing is deleted.
    """
    return facts.description.endswith(f" of {settings.app} in {settings.environment}")


def _stands(settings: EnvironmentConfig, step: Step, facts: Mapping[str, StackFacts]) -> bool:
    return step.stack in facts and is_ours(settings, facts[step.stack])
