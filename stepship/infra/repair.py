"""Brings a stack into a state in which the CDK can deploy it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lambdas.release.errors import StepshipError
from stepship.errors import CommandError
from stepship.infra.cdk import Say
from stepship.infra.cloudformation import CloudFormation, StackFacts
from stepship.infra.layout import Step
from stepship.infra.resources import Resources
from stepship.infra.stuck import HALF_MADE, Remedy, verdict

POLL_SECONDS = 5.0
"""Between two polls of a stack; the CDK CLI polls as often while it deploys one."""

WAIT_SECONDS = 3 * 3600
"""A stack that CloudFormation is at for longer is somebody's problem: the longest documented wait of a resource is
the three hours of an ECS service that does not get steady (Troubleshooting CloudFormation, "did not stabilize")."""


NAMELESS = frozenset({"AWS::S3::Bucket", "AWS::KMS::Key"})
"""Types that have no name of ours: what is left of them is in nobody's way."""


@dataclass(frozen=True)
class Allowed:
    """What the person who runs it allows.

    Attributes
    ----------
    recreate
        Parts that may be deleted and made anew in production.
    skip
        ``part/LogicalId`` of resources that a rollback may leave as they are.
    """

    production: bool
    recreate: frozenset[str] = frozenset()
    skip: tuple[str, ...] = ()

    def skipped(self, part: str) -> list[str]:
        """Return the logical ids for one stack."""
        return [each.partition("/")[2] for each in self.skip if each.partition("/")[0] == part]


class StackRepair:
    """Frees stuck stacks.

    Parameters
    ----------
    cloudformation
        The gateway.
    allowed
        What may be done without asking.
    sleep
        Waits so many seconds.
    resources
        Deletes what a deletion has left; None for AWS's own.
    """

    def __init__(
        self,
        cloudformation: CloudFormation,
        allowed: Allowed,
        sleep: Callable[[float], None],
        resources: Resources | None = None,
    ) -> None:
        self._cloudformation = cloudformation
        self._resources = resources or Resources()
        self._allowed = allowed
        self._sleep = sleep

    def prepare(self, step: Step, say: Say) -> None:
        """Return once the stack can be deployed.

        Raises
        ------
        CommandError
            Action is needed; says which.
        """
        done: set[Remedy] = set()
        while True:
            facts = self.settle(step, say)
            recreate = step.part in self._allowed.recreate
            found = verdict(
                facts.status if facts else None, step.part, production=self._allowed.production, recreate=recreate
            )
            if facts is None or found.remedy == Remedy.NONE:
                return
            if found.remedy == Remedy.ACTION_NEEDED:
                raise CommandError(found.reason)
            if found.remedy in done:
                raise CommandError(self._stuck(step, facts))
            done.add(found.remedy)
            if found.remedy == Remedy.DELETE:
                say(f"{found.reason}; deleting it")
                self._cloudformation.delete(step.stack, protected=facts.protected)
                if facts.status in HALF_MADE and self.settle(step, say) is None:
                    self._clear(facts, say)
            else:
                skip = self._allowed.skipped(step.part)
                without = f", without {' and '.join(skip)}" if skip else ""
                say(f"{found.reason}; continuing the rollback{without}")
                self._cloudformation.continue_rollback(step.stack, skip)

    def _clear(self, facts: StackFacts, say: Say) -> None:
        """Delete what the deletion of a stack that was never wholly made has left: its name is the next one's.

        ``RetainExceptOnCreate`` keeps it from this deletion, as it would keep it from that of a whole stack.
        """
        left = [each for each in self._cloudformation.left_behind(facts.id) if each.kind not in NAMELESS]
        kept = []
        for each in left:
            say(f"its deletion has left {each}; deleting it")
            try:
                self._resources.delete(each.kind, each.physical_id, self._sleep)
            except StepshipError as error:
                kept.append(f"{each}: {error}")
        if kept:
            raise CommandError(
                f"what it was half made of still has the names of the next one: {_listed(kept)}. Look whether anybody "
                "needs it, delete it, and run this again"
            )

    def settle(self, step: Step, say: Say) -> StackFacts | None:
        """Wait until CloudFormation is not at the stack any more; returns what it is then, None for no stack."""
        said, waited = "", 0.0
        while True:
            facts = self._cloudformation.stack(step.stack)
            if facts is None or not facts.is_moving:
                return facts
            if waited > WAIT_SECONDS:
                raise CommandError(
                    f"CloudFormation has been at it for {WAIT_SECONDS / 3600:.0f} hours ({facts.status})"
                )
            if facts.status != said:
                said = facts.status
                say(f"CloudFormation is at it ({facts.status}); waiting")
            self._sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    def delete(self, step: Step, say: Say) -> bool:
        """Delete a stack that is in no template; returns whether it is gone."""
        if self.settle(step, say) is not None:
            say("it is switched off: CloudFormation deletes it as it stands")
            self._cloudformation.delete(step.stack)
        return self.settle(step, say) is None

    def _stuck(self, step: Step, facts: StackFacts) -> str:
        if facts.status != "UPDATE_ROLLBACK_FAILED":
            return f"it is still {facts.status}: {_listed(self._cloudformation.failures(step.stack)) or facts.reason}"
        failed = self._cloudformation.failed_resources(step.stack)
        options = " ".join(f"--skip {step.part}/{each.partition(':')[0]}" for each in failed) or "--skip PART/RESOURCE"
        return (
            f"its rollback failed again: {_listed(failed) or facts.reason}. Repair the resources and run it again; or "
            f"leave them as they are, which is not as the template says, with {options}"
        )


def _listed(texts: Sequence[str]) -> str:
    return "; ".join(texts)
