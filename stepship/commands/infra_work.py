"""What ``stepship infra deploy`` and ``stepship infra destroy`` do with one stack, as far as it is the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lambdas.release.errors import StepshipError
from stepship.errors import CommandError
from stepship.infra.cdk import Cdk, Say
from stepship.infra.layout import Step
from stepship.infra.repair import StackRepair
from stepship.infra.rollout import Outcome, Result
from stepship.infra.tools import Tools
from stepship.infra.view import told
from stepship.session import Session

LAST_LINES = 3
"""Of the CDK's words about a stack whose events tell nothing."""


NOT_READY = "/cdk-bootstrap/"
"""In each of the four lines that the CDK says of an account that it was not prepared for (aws-cdk 2.1148.1)."""


def said(stack: str, lines: Sequence[str]) -> str:
    """Return why the CDK has failed, by its own last words about a stack.

    Examples
    --------
    >>> said("x-net", ["x-net: start: Building x-net Template", "x-net: no role", "x-net: success: Published x"])
    'no role'
    """
    if any(NOT_READY in line for line in lines):
        return "the CDK has not been prepared for this account and region: `node_modules/.bin/cdk bootstrap`, once"
    return " / ".join([short for line in lines if (short := told(stack, line))][-LAST_LINES:])


class Hearing:
    """Hears what the CDK says about one stack: passes it on to ``say``, and keeps it in ``lines``."""

    def __init__(self, say: Say) -> None:
        self.say, self.lines = say, list[str]()

    def __call__(self, text: str) -> None:
        """Hear a line."""
        self.lines.append(text)
        if NOT_READY not in text:
            self.say(text)


class StackWork(ABC):
    """Works on one stack, and tells how it ended, after how long, and why; a failure is a result too."""

    def __init__(self, session: Session, tools: Tools, cdk: Cdk, repair: StackRepair) -> None:
        self._now, self._tools, self._cdk, self._repair = session.host.now, tools, cdk, repair

    def __call__(self, step: Step, say: Say) -> Result:
        """Work on the stack; ``say`` is told what happens."""
        began_at, hear, reason = self._now(), Hearing(say), ""
        try:
            outcome = self._act(step, hear)
            if outcome == Outcome.FAILED:
                causes = self._tools.cloudformation.failures(step.stack, began_at)
                reason = "; ".join(causes) or said(step.stack, hear.lines)
        except (CommandError, StepshipError) as error:
            outcome, reason = Outcome.FAILED, str(error)
        return Result(outcome, self._now() - began_at, reason)

    @abstractmethod
    def _act(self, step: Step, hear: Hearing) -> Outcome:
        """Bring the stack to where the CDK can begin, and let the CDK work; ``hear`` is for its lines alone."""
