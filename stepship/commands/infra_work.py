"""What ``stepship infra deploy`` and ``stepship infra destroy`` do with one stack, as far as it is the same."""

from __future__ import annotations

from abc import ABC, abstractmethod

from lambdas.release.errors import StepshipError
from stepship.errors import CommandError
from stepship.infra.cdk import Cdk, Say
from stepship.infra.layout import Step
from stepship.infra.mending import Mender
from stepship.infra.rollout import Outcome, Result
from stepship.infra.tools import Tools
from stepship.session import Session

LAST_LINES = 3
"""Of the CDK's words about a stack whose events tell nothing."""


class Hearing:
    """Hears what the CDK says about one stack: passes it on to ``say``, and keeps it in ``lines``."""

    def __init__(self, say: Say) -> None:
        self.say, self.lines = say, list[str]()

    def __call__(self, text: str) -> None:
        """Hear a line."""
        self.lines.append(text)
        self.say(text)


class StackWork(ABC):
    """Works on one stack, and tells how it ended, after how long, and why; a failure is a result too."""

    def __init__(self, session: Session, tools: Tools, cdk: Cdk, mender: Mender) -> None:
        self._now, self._tools, self._cdk, self._mender = session.host.now, tools, cdk, mender

    def __call__(self, step: Step, say: Say) -> Result:
        """Work on the stack; ``say`` is told what happens."""
        began_at, hear, reason = self._now(), Hearing(say), ""
        try:
            outcome = self._act(step, hear)
            if outcome == Outcome.FAILED:
                causes = self._tools.cloudformation.failures(step.stack, began_at)
                reason = "; ".join(causes) or " / ".join(hear.lines[-LAST_LINES:])
        except (CommandError, StepshipError) as error:
            outcome, reason = Outcome.FAILED, str(error)
        return Result(outcome, self._now() - began_at, reason)

    @abstractmethod
    def _act(self, step: Step, hear: Hearing) -> Outcome:
        """Bring the stack to where the CDK can begin, and let the CDK work; ``hear`` is for its lines alone."""
