"""The five stages in which an environment is deployed, as data: no CDK in here, so that everybody can read them.

The CDK app makes the stacks by it (``cdk_app.py``), the CLI and the pipelines deploy by it, and
``docs/reference/stages.md`` shows it. A stack reads parameters of those that it needs, so they are deployed before it.
Within a stage, what does not need each other is deployed at once (``batches``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from config import EnvironmentConfig

ALWAYS = ""
"""The section of what no section switches off."""


class StageError(ValueError):
    """The stages, or what an environment has chosen of them, cannot be deployed; says all that is wrong."""


@dataclass(frozen=True)
class Part:
    """One stack.

    Attributes
    ----------
    name
        The last part of the stack's name, and ``PART`` of its class: ``network``.
    needs
        Names of the parts that are deployed before it.
    section
        The section of the config whose ``enabled`` says whether an environment has it.
    after
        Names of the parts that are deployed before it too, where an environment has them; it does without.
    """

    name: str
    needs: tuple[str, ...] = ()
    section: str = "platform"
    after: tuple[str, ...] = ()

    @property
    def earlier(self) -> tuple[str, ...]:
        """Names of all parts that are deployed before it."""
        return (*self.needs, *self.after)


@dataclass(frozen=True)
class Stage:
    """Stacks that are deployed in one go.

    Attributes
    ----------
    name
        As ``--stage`` takes it.
    purpose
        What there is after it.
    stacks
        Its parts; their order says nothing, what they need does.
    """

    name: str
    purpose: str
    stacks: tuple[Part, ...]


SERVICE_NEEDS = ("bootstrap", "network", "compute-shared")

STAGES: tuple[Stage, ...] = (
    Stage(
        "bootstrap",
        "What deployments themselves need: the repository, the workflows' roles, the state machine",
        (
            Part("bootstrap"),
            # It needs nobody: a team with a cluster of its own deploys it alone.
            Part("deployment-coordinator", section=ALWAYS),
            # A pipeline runs when it is created, and its builds take the lock: the table of the lock is there by then.
            Part("cicd", section="pipeline", after=("deployment-coordinator",)),
        ),
    ),
    Stage(
        "infrastructure",
        "What workloads run on and are watched by",
        (
            Part("network"),
            Part("compute-shared", needs=("network",)),
            Part("log-forwarder", needs=("compute-shared",)),
            Part("monitoring", needs=("compute-shared",)),
            Part("search-infra", needs=("network",), section="search"),
        ),
    ),
    Stage(
        "data",
        "What the application keeps",
        (
            Part("aurora", needs=("network", "compute-shared"), section="aurora"),
            Part("dynamodb", section="dynamodb"),
            Part("db-migration", needs=("bootstrap", "compute-shared", "aurora"), section="aurora"),
        ),
    ),
    Stage(
        "application",
        "What serves requests and does the work",
        (
            Part("api-service", needs=SERVICE_NEEDS),
            Part("worker-service", needs=SERVICE_NEEDS),
            Part("scheduler-service", needs=SERVICE_NEEDS),
            # It reads nothing of db-migration's, but registers the task definition that is made there: no code deploy
            # may find the one without the other.
            Part("migration", needs=SERVICE_NEEDS, after=("db-migration",)),
            Part("search-service", needs=("network", "compute-shared", "search-infra"), section="search"),
            Part("search-lambda", needs=("network", "search-infra"), section="search"),
            Part("lambda", needs=("dynamodb",), section="functions"),
            Part("api-gateway", needs=("lambda",), section="api_gateway", after=("search-lambda",)),
        ),
    ),
    Stage(
        "frontend",
        "What people see",
        (
            # The page that comes with it is a search form; one of your own that does not search needs no search-lambda.
            Part("frontend", needs=("api-gateway", "search-lambda"), section="frontend"),
            Part("frontend-cicd", needs=("cicd", "frontend"), section="frontend_pipeline"),
        ),
    ),
)
"""The stages in the order in which they are deployed; ``check`` holds for them."""


def parts(stages: Sequence[Stage] = STAGES) -> dict[str, Part]:
    """Return the parts of all stages by name, in the order of the stages."""
    return {part.name: part for stage in stages for part in stage.stacks}


def check(stages: Sequence[Stage] = STAGES) -> None:
    """Check that the stages can be deployed in their order.

    Raises
    ------
    StageError
        A part stands twice, needs one that is unknown or in a later stage, or parts need each other in a circle.
    """
    if problems := list(_problems(stages)):
        raise StageError("stacks/stages.py: " + "; ".join(problems))


def _problems(stages: Sequence[Stage]) -> Iterator[str]:
    place: dict[str, int] = {}
    for number, stage in enumerate(stages):
        for part in stage.stacks:
            if part.name in place:
                yield f"{part.name} stands in {stages[place[part.name]].name} and in {stage.name}: delete one"
            place[part.name] = number
    for number, stage in enumerate(stages):
        for part in stage.stacks:
            for need in part.earlier:
                if need not in place:
                    yield f"{part.name} needs {need}, which is in no stage: add it to one"
                elif place[need] > number:
                    yield f"{part.name} ({stage.name}) needs {need}, of the later stage {stages[place[need]].name}"
    try:
        TopologicalSorter({name: part.earlier for name, part in parts(stages).items()}).prepare()
    except CycleError as error:
        yield "these need each other: " + " → ".join(reversed(error.args[1]))


def chosen(settings: EnvironmentConfig, stages: Sequence[Stage] = STAGES) -> tuple[Stage, ...]:
    """Return the stages with what an environment has of them; one with nothing is left out.

    Without the platform there is the deployment coordinator alone, whatever the other sections say.

    Parameters
    ----------
    settings
        The environment.
    stages
        All stages.

    Raises
    ------
    StageError
        As for ``check``, or a part that is switched on needs one that is switched off.
    """
    check(stages)
    kept = [
        Stage(each.name, each.purpose, tuple(part for part in each.stacks if _is_on(part, settings))) for each in stages
    ]
    everything, there = parts(stages), parts(kept)
    missing = [
        f"{part.name} ([{part.section}]) needs {need}: give [{everything[need].section}] enabled = true, "
        f"or [{part.section}] enabled = false"
        for part in there.values()
        for need in part.needs
        if need not in there
    ]
    if missing:
        raise StageError(f"{settings.environment}: " + "; ".join(missing))
    return tuple(
        replace(stage, stacks=tuple(replace(part, after=tuple(filter(there.get, part.after))) for part in stage.stacks))
        for stage in kept
        if stage.stacks
    )


def _is_on(part: Part, settings: EnvironmentConfig) -> bool:
    if part.section == ALWAYS:
        return True
    return settings.platform.enabled and bool(getattr(settings, part.section).enabled)


def batches(stage: Stage) -> tuple[tuple[str, ...], ...]:
    """Return the names of a stage's parts in the order of deployment; those of one batch can be deployed at once.

    What they need of earlier stages is there already and does not count.

    Examples
    --------
    >>> a, b, c = Part("a"), Part("b", needs=("a", "network")), Part("c")
    >>> batches(Stage("one", "An example", (b, a, c)))
    (('a', 'c'), ('b',))

    Raises
    ------
    graphlib.CycleError
        For a stage that ``check`` has not seen.
    """
    inside = {part.name for part in stage.stacks}
    sorter = TopologicalSorter({part.name: inside.intersection(part.earlier) for part in stage.stacks})
    sorter.prepare()
    found: list[tuple[str, ...]] = []
    while sorter.is_active():
        found.append(tuple(sorted(sorter.get_ready())))
        sorter.done(*found[-1])
    return tuple(found)
