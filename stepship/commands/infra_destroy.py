"""``stepship infra destroy``: take an environment away, the last stage first."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from stepship.commands.infra_deploy import infra_document
from stepship.commands.infra_work import Hearing, StackWork
from stepship.errors import CommandError, wrong_usage
from stepship.failure import INTERRUPTED, WRONG_USAGE
from stepship.infra.cloudformation import StackFacts
from stepship.infra.layout import COORDINATOR, Layout, StackStage, Step, read_layout, reverse
from stepship.infra.orphans import whole_environment
from stepship.infra.repair import Allowed, StackRepair
from stepship.infra.retained import retained
from stepship.infra.rollout import Outcome, Rollout
from stepship.infra.tools import AppOptions, Tools, held_lock_of, patience, synthesised, tools_of
from stepship.infra.view import view_of
from stepship.session import Session

RETAINED = 'docs/how-to/rollback.md, "What is kept when a stack goes"'


def destroy(
    session: Session,
    *,
    confirm: str | None,
    yes: bool,
    options: AppOptions,
    concurrency: int,
    tools: Tools | None = None,
) -> int:
    """Destroy the stacks that there are; returns 0 when all are gone.

    Parameters
    ----------
    confirm
        For production: the words that ``words`` returns.
    yes
        For any other environment: do not ask.

    Raises
    ------
    CommandError
        Nothing was begun: it was not confirmed, or stacks are protected.
    """
    tools = tools or tools_of(session)
    found, facts = whole_environment(read_layout(session, options.context), tools.cloudformation)
    if not facts:
        session.output.say(f"{session.target.environment} has no stacks")
        session.output.document({"environment": session.target.environment, "stages": [], "exitCode": 0})
        return 0
    if not _confirmed(session, found, facts, confirm, yes=yes):
        session.output.say("Nothing was destroyed")
        return WRONG_USAGE
    _check_protection(facts)
    there = _there(reverse(found.stages), facts)
    in_app = [step.stack for stage in there for step in stage.steps if step.is_on]
    with synthesised(session, tools, options, in_app) as cdk:
        view = view_of(session.output, session.host.now)
        lock = held_lock_of(session, found.settings.lock, tools, view.say)
        try:
            lock.acquire()
            repair = StackRepair(tools.cloudformation, Allowed(found.settings.is_production), patience(session, tools))
            work = Destroyer(session, tools, cdk, repair)
            rollout = Rollout(work, lock, tools.interrupts, view, concurrency, cdk.abandon, session.host.sleep)
            with tools.interrupts.heard():
                for stage in there:
                    if any(step.part == COORDINATOR for step in stage.steps):
                        # Its table goes, and the lock with it.
                        lock.free()
                    rollout.run([stage])
                lock.free()
        finally:
            view.close()
    code = (INTERRUPTED if tools.interrupts.count else 1) if rollout.stopped else 0
    if rollout.stopped:
        session.output.say(f"Stopped: {rollout.stopped}; run it again to go on")
    else:
        stays = _retained(found, facts)
        session.output.say(f"All {len(facts)} stacks are gone{f'; still there: {stays}, {RETAINED}' if stays else ''}")
    session.output.document(infra_document(session, there, rollout, code))
    return code


def words(app: str, environment: str) -> str:
    """Return what has to be typed to destroy production."""
    return f"destroy {environment} of {app}"


class Destroyer(StackWork):
    """Waits until CloudFormation is not at a stack, and destroys it; what is not in the app, without the CDK."""

    def _act(self, step: Step, hear: Hearing) -> Outcome:
        if not step.is_on:
            return Outcome.DESTROYED if self._repair.delete(step, hear.say) else Outcome.FAILED
        self._repair.settle(step, hear.say)
        return Outcome.DESTROYED if self._cdk.destroy(step.stack, hear) else Outcome.FAILED


def _confirmed(
    session: Session, found: Layout, facts: Mapping[str, StackFacts], confirm: str | None, *, yes: bool
) -> bool:
    target, output = session.target, session.output
    output.say(f"{target.environment} has {len(facts)} stacks: {', '.join(facts)}")
    if off := [step.part for step in found.steps if not step.is_on]:
        output.say(f"Of these the config has switched off: {', '.join(off)}")
    stays = _retained(found, facts)
    output.say(f"What they hold goes{f', but for {stays} ({RETAINED})' if stays else ''}")
    if found.settings.is_production:
        wanted = words(target.app, target.environment)
        if confirm != wanted:
            raise wrong_usage(f'this is production: nothing is destroyed without --confirm "{wanted}"')
        return True
    if yes:
        return True
    if not session.host.asks:
        raise wrong_usage("nobody can be asked here: say --yes")
    return typer.confirm(f"Destroy {target.environment} of {target.app}?", err=True)


def _retained(found: Layout, facts: Mapping[str, StackFacts]) -> str:
    return retained([step.part for step in found.steps if step.stack in facts], production=found.settings.is_production)


def _check_protection(facts: Mapping[str, StackFacts]) -> None:
    protected = [name for name, each in facts.items() if each.protected]
    if protected:
        command = "aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name"
        raise CommandError(
            f"termination protection is on for {', '.join(protected)}: switch it off for each with `{command} STACK`"
        )


def _there(stages: tuple[StackStage, ...], facts: Mapping[str, StackFacts]) -> tuple[StackStage, ...]:
    standing = (
        StackStage(stage.name, stage.purpose, tuple(step for step in stage.steps if step.stack in facts))
        for stage in stages
    )
    return tuple(stage for stage in standing if stage.steps)
