"""``stepship infra deploy``: bring the stacks of an environment to what the CDK app says, stage by stage."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from stacks.stages import parts
from stepship.account.check import GUIDE, Finding, Mark
from stepship.commands.infra_work import Hearing, StackWork
from stepship.errors import CommandError, wrong_usage
from stepship.failure import INTERRUPTED
from stepship.infra import CONCURRENCY
from stepship.infra.cdk import NO_CHANGES
from stepship.infra.cloudformation import CloudFormation
from stepship.infra.images import SEEDS, NamedImages
from stepship.infra.layout import Layout, StackStage, Step, read_layout
from stepship.infra.orphans import orphans
from stepship.infra.repair import Allowed, StackRepair
from stepship.infra.rollout import Outcome, Result, Rollout
from stepship.infra.stuck import Remedy, verdict
from stepship.infra.tools import AppOptions, Tools, held_lock_of, patience, synthesised, tools_of
from stepship.infra.view import view_of
from stepship.session import Session
from stepship.views.durations import duration

PIPELINES = ("pipeline", "frontend_pipeline")
"""The config's sections of what fetches ``[pipeline] repository``."""

EXAMPLE_OWNER = "your--organisation"
"""Whose repository the committed config names: GitHub allows no name with two hyphens side by side."""


@dataclass(frozen=True)
class InfraRequest:
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
    concurrency: int = CONCURRENCY

    @property
    def words(self) -> list[str]:
        """The words that ask for the same again; what the environment is, others say."""
        given = [("--stage", self.stage or "")]
        given += [("--context", f"{key}={value}") for key, value in self.options.context.items()]
        given.append(("--assembly", str(self.options.assembly or "")))
        given += [("--recreate", part) for part in self.recreate]
        given += [("--skip", resource) for resource in self.skip]
        given.append(("--concurrency", str(self.concurrency) if self.concurrency != CONCURRENCY else ""))
        return [word for option, value in given if value for word in (option, value)]


def deploy(session: Session, request: InfraRequest, tools: Tools | None = None) -> int:
    """Deploy; returns 0 when every stack is as it should be, 130 when it was interrupted, else 1.

    Raises
    ------
    CommandError
        Nothing was begun: something is wrong with what was asked, the app cannot be synthesised, a stage is missing
        before this one, or the lock was not to be had.
    """
    tools = tools or tools_of(session)
    found = read_layout(session, request.options.context)
    stages = found.only(request.stage)
    allowed = _allowed(found, request)
    _check_repository(session, found, stages, request)
    # Before it synthesises: without credentials nobody waits for the templates.
    _ = session.caller.arn
    _check_earlier(found, stages, tools.cloudformation)
    account = _prepare_account(session, found, stages, tools)
    with synthesised(session, tools, request.options, [step.stack for stage in stages for step in stage.steps]) as cdk:
        view = view_of(session.output, session.host.now)
        lock = held_lock_of(session, found.settings.lock, tools, view.say)
        try:
            lock.acquire()
            repair = StackRepair(tools.cloudformation, allowed, patience(session, tools))
            work = Deployer(session, tools, cdk, repair)
            rollout = Rollout(work, lock, tools.interrupts, view, request.concurrency, cdk.abandon, session.host.sleep)
            with tools.interrupts.heard():
                rollout.run(stages)
                lock.free()
        finally:
            view.close()
    return _tell(session, request, found, rollout, tools, account)


class Deployer(StackWork):
    """Frees a stack if it is stuck, and deploys it."""

    def _act(self, step: Step, hear: Hearing) -> Outcome:
        self._repair.prepare(step, hear.say)
        if self._tools.interrupts.count:
            return Outcome.NOT_STARTED
        if not self._deploy(step.stack, hear):
            return Outcome.FAILED
        return Outcome.NO_CHANGE if any(NO_CHANGES in line for line in hear.lines) else Outcome.DEPLOYED

    def _deploy(self, stack: str, hear: Hearing) -> bool:
        """Deploy a stack; what it protects is protected when it is there, so that a failed creation can be undone.

        A second run after one that ended between the two finds the stack, and switches the protection on.
        """
        if not self._cdk.protects(stack):
            return self._cdk.deploy(stack, hear)
        if self._tools.cloudformation.stack(stack) is None:
            if not self._cdk.deploy(stack, hear, protection=False):
                return False
            hear.say("it is there: switching its deletion protection on")
        return self._cdk.deploy(stack, hear, protection=True)


def _allowed(found: Layout, request: InfraRequest) -> Allowed:
    parts = {step.part for step in found.steps}
    for option, given in (
        ("--recreate", request.recreate),
        ("--skip", [each.partition("/")[0] for each in request.skip]),
    ):
        if unknown := sorted(set(given) - parts):
            raise wrong_usage(f"{option} {', '.join(unknown)}: the parts are {', '.join(sorted(parts))}")
    if wrong := [each for each in request.skip if not each.partition("/")[2]]:
        raise wrong_usage(f"--skip {wrong[0]}: write PART/RESOURCE, as in api-service/Service9571FDD8")
    return Allowed(found.settings.is_production, frozenset(request.recreate), request.skip)


def _check_repository(session: Session, found: Layout, stages: Sequence[StackStage], request: InfraRequest) -> None:
    """Check that a pipeline that would be deployed has a repository to fetch."""
    repository = found.settings.pipeline.repository
    sections = {parts()[step.part].section for stage in stages for step in stage.steps}
    if sections.isdisjoint(PIPELINES) or not repository.startswith(f"{EXAMPLE_OWNER}/"):
        return
    file = Path(request.options.context.get("config", "config"), f"{session.target.environment}.toml")
    on = [section for section in PIPELINES if getattr(found.settings, section).enabled]
    off = " and ".join(f"[{section}] enabled = false" for section in on)
    raise wrong_usage(
        f'{file}: [pipeline] repository is the example "{repository}", from which no pipeline can deploy: give your '
        f"own, or {off}"
    )


def _check_earlier(found: Layout, stages: Sequence[StackStage], cloudformation: CloudFormation) -> None:
    """Check that what the stages need of others stands: a stack reads their parameters when it is deployed."""
    inside = {step.part for stage in stages for step in stage.steps}
    needed = {need for stage in stages for step in stage.steps for need in step.needs} - inside
    missing = [step for step in found.steps if step.part in needed and not _stands(step, cloudformation)]
    if missing:
        first = missing[0]
        names = ", ".join(step.part for step in missing)
        raise CommandError(f"{names} must stand before this: deploy the stage {first.stage} first, or all of them")


def _prepare_account(
    session: Session, found: Layout, stages: Sequence[StackStage], tools: Tools
) -> tuple[Finding, ...]:
    """Look whether the account has what the stacks need that are to be made, and create what it may of that.

    Raises
    ------
    CommandError
        A quota is so low that a stack would fail.
    """
    new = [step.part for stage in stages for step in stage.steps if not _stands(step, tools.cloudformation)]
    if SEEDS in new:
        _check_images(session, NamedImages(found.settings, session.caller.account))
    findings = tools.account.check(found.settings, new, create=True)
    for each in findings:
        session.output.say(str(each))
    if short := [each for each in findings if each.mark == Mark.SHORT]:
        raise CommandError(f"{'; '.join(f'{each.what}: {each.reason}' for each in short)} ({GUIDE})")
    return findings


def _check_images(session: Session, named: NamedImages) -> None:
    """Check that the images are there that an earlier life of the environment has left in its parameters.

    Raises
    ------
    CommandError
        One is gone, and nobody has said that its parameter may go too.
    """
    gone = session.if_allowed(named.gone)
    if not gone:
        return
    session.output.say("These parameters name images that no repository has any more:")
    for name, image in gone.items():
        session.output.say(f"  {name}: {image}")
    if session.host.asks and typer.confirm("Delete them, so that the stacks begin with the placeholder?", err=True):
        named.forget(gone)
        return
    raise CommandError(
        f"a stack would start an image that is gone: push it again, or `aws ssm delete-parameters --names "
        f"{' '.join(gone)}`; the stacks then begin with the placeholder"
    )


def _stands(step: Step, cloudformation: CloudFormation) -> bool:
    facts = cloudformation.stack(step.stack)
    return facts is not None and verdict(facts.status, step.part, production=False).remedy != Remedy.DELETE


def _tell(
    session: Session,
    request: InfraRequest,
    found: Layout,
    rollout: Rollout,
    tools: Tools,
    account: Sequence[Finding],
) -> int:
    results, output, stages = rollout.results, session.output, found.only(request.stage)
    off: tuple[Step, ...] = ()
    done = [each for each in results.values() if each.outcome in (Outcome.DEPLOYED, Outcome.NO_CHANGE)]
    total = sum(len(stage.steps) for stage in stages)
    changed = sum(each.outcome == Outcome.DEPLOYED for each in done)
    if rollout.stopped:
        again = f"stepship infra deploy {shlex.join(session.target.options.split() + request.words)}"
        text = f"Stopped: {rollout.stopped}; {len(done)} of {total} stacks are done"
        output.say(text)
        output.say(f"Go on with: {again} (what is done is skipped)")
        if session.github:
            session.github.annotate("error", "stepship infra deploy", text)
        code = INTERRUPTED if tools.interrupts.count else 1
    else:
        seconds = max((each.seconds for each in results.values()), default=0.0)
        output.say(f"All {total} stacks are as they should be; {changed} changed; the longest took {duration(seconds)}")
        # What was deployed is deployed, whether AWS answers this or not.
        off = session.or_none(lambda: orphans(found, tools.cloudformation)) or ()
        if off:
            output.say(
                f"Switched off, and still standing: {', '.join(step.stack for step in off)}. In this order, "
                "`aws cloudformation delete-stack --stack-name STACK` takes each away, with what it holds"
            )
        code = 0
    document = infra_document(session, stages, rollout, code)
    about = [each.document for each in account]
    output.document({**document, "account": about, "orphans": [step.stack for step in off]})
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
