"""``stepship infra deploy``: bring the stacks of an environment to what the CDK app says, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stepship.commands.infra_work import Hearing, StackWork
from stepship.durations import duration
from stepship.errors import CommandError, wrong_usage
from stepship.infra.cdk import NO_CHANGES
from stepship.infra.cloudformation import CloudFormation
from stepship.infra.layout import Layout, StackStage, Step, read_layout
from stepship.infra.mending import Allowed, Mender
from stepship.infra.rollout import Outcome, Result, Rollout
from stepship.infra.stuck import Remedy, verdict
from stepship.infra.tools import AppOptions, Tools, holding_of, patience, synthesised, tools_of
from stepship.infra.view import view_of
from stepship.options import INTERRUPTED
from stepship.session import Session


@dataclass(frozen=True)
class InfraWish:
    """What was asked for.

    Attributes
    ----------
    stage
        The one stage; None for all.
    options
        What the CDK app is told.
    recreate, skip
        As in ``Allowed``.
    concurrency
        How many stacks at once.
    """

    stage: str | None = None
    options: AppOptions = field(default_factory=AppOptions)
    recreate: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    concurrency: int = 3


def deploy(session: Session, wish: InfraWish, tools: Tools | None = None) -> int:
    """Deploy; returns 0 when every stack is as it should be, 130 when it was interrupted, else 1.

    Raises
    ------
    CommandError
        Nothing was begun: something is wrong with what was asked, the app cannot be synthesised, a stage is missing
        before this one, or the lock was not to be had.
    """
    tools = tools or tools_of(session)
    found = read_layout(session, wish.options.context)
    stages = found.only(wish.stage)
    allowed = _allowed(found, wish)
    with synthesised(session, tools, wish.options) as cdk:
        _check_earlier(found, stages, tools.cloudformation)
        view = view_of(session.output, session.host.now)
        holding = holding_of(session, found.settings.lock, tools, view.say)
        try:
            holding.acquire()
            mender = Mender(tools.cloudformation, allowed, patience(session, tools))
            work = Deployer(session, tools, cdk, mender)
            rollout = Rollout(work, holding, tools.interrupts, view, wish.concurrency, cdk.abandon, session.host.sleep)
            with tools.interrupts.heard():
                rollout.run(stages)
                holding.free()
        finally:
            view.close()
    return _tell(session, wish, stages, rollout, tools)


class Deployer(StackWork):
    """Frees a stack if it is stuck, and deploys it."""

    def _act(self, step: Step, hear: Hearing) -> Outcome:
        self._mender.mend(step, hear.say)
        if self._tools.interrupts.count:
            return Outcome.NOT_STARTED
        if not self._cdk.deploy(step.stack, hear):
            return Outcome.FAILED
        return Outcome.NO_CHANGE if any(NO_CHANGES in line for line in hear.lines) else Outcome.DEPLOYED


def _allowed(found: Layout, wish: InfraWish) -> Allowed:
    parts = {step.part for step in found.steps}
    for option, given in (("--recreate", wish.recreate), ("--skip", [each.partition("/")[0] for each in wish.skip])):
        if unknown := sorted(set(given) - parts):
            raise wrong_usage(f"{option} {', '.join(unknown)}: the parts are {', '.join(sorted(parts))}")
    if wrong := [each for each in wish.skip if not each.partition("/")[2]]:
        raise wrong_usage(f"--skip {wrong[0]}: write PART/RESOURCE, as in api-service/Service9571FDD8")
    return Allowed(found.settings.is_production, frozenset(wish.recreate), wish.skip)


def _check_earlier(found: Layout, stages: Sequence[StackStage], cloudformation: CloudFormation) -> None:
    """Check that what the stages need of others stands: a stack reads their parameters when it is deployed."""
    inside = {step.part for stage in stages for step in stage.steps}
    needed = {need for stage in stages for step in stage.steps for need in step.needs} - inside
    missing = [step for step in found.steps if step.part in needed and not _stands(step, cloudformation)]
    if missing:
        first = missing[0]
        names = ", ".join(step.part for step in missing)
        raise CommandError(f"{names} must stand before this: deploy the stage {first.stage} first, or all of them")


def _stands(step: Step, cloudformation: CloudFormation) -> bool:
    facts = cloudformation.stack(step.stack)
    return facts is not None and verdict(facts.status, step.part, production=False).remedy != Remedy.DELETE


def _tell(session: Session, wish: InfraWish, stages: Sequence[StackStage], rollout: Rollout, tools: Tools) -> int:
    results, output = rollout.results, session.output
    done = [each for each in results.values() if each.outcome in (Outcome.DEPLOYED, Outcome.NO_CHANGE)]
    total = sum(len(stage.steps) for stage in stages)
    changed = sum(each.outcome == Outcome.DEPLOYED for each in done)
    if rollout.stopped:
        stage = f" --stage {wish.stage}" if wish.stage else ""
        again = f"stepship infra deploy {session.target.options}{stage}"
        text = f"Stopped: {rollout.stopped}; {len(done)} of {total} stacks are done"
        output.say(text)
        output.say(f"Go on with: {again} (what is done is skipped)")
        if session.github:
            session.github.annotate("error", "stepship infra deploy", text)
        code = INTERRUPTED if tools.interrupts.count else 1
    else:
        seconds = max((each.seconds for each in results.values()), default=0.0)
        output.say(f"All {total} stacks are as they should be; {changed} changed; the longest took {duration(seconds)}")
        code = 0
    output.document(infra_document(session, stages, rollout, code))
    return code


def infra_document(session: Session, stages: Sequence[StackStage], rollout: Rollout, code: int) -> dict[str, Any]:
    """Return what became of each stack, for a program."""
    nothing = Result(Outcome.NOT_STARTED)
    return {
        "environment": session.target.environment,
        "stages": [
            {
                "name": stage.name,
                "stacks": [
                    {
                        "part": step.part,
                        "stack": step.stack,
                        "outcome": (result := rollout.results.get(step.part, nothing)).outcome,
                        "seconds": round(result.seconds, 1),
                        "reason": result.reason or None,
                    }
                    for step in stage.steps
                ],
            }
            for stage in stages
        ],
        "stopped": rollout.stopped or None,
        "exitCode": code,
    }
