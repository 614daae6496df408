"""What every handler is wrapped in: parsing, structured logs, and the stamp on its result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, Protocol

from aws_lambda_powertools import Logger

from lambdas.aws.gateway import TimeLimit, within
from lambdas.dependencies import Dependencies, dependencies_of_this_function
from lambdas.release.codec import decode
from lambdas.release.errors import StepshipError
from lambdas.release.history import parse_timestamp
from lambdas.release.plan import Plan
from lambdas.release.policies import HOLD_SECONDS
from lambdas.release.request import Request

Json = dict[str, Any]

LEASE_MARGIN_SECONDS = 5
"""How much longer than the function the lease lives: clocks differ, and a last call may still be on its way."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used."""

    @property
    def aws_request_id(self) -> str:
        """The id of this invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""


@dataclass(frozen=True)
class Invocation:
    """What the state machine called a step with (``statemachine/definition.py``, ``_payload``).

    Attributes
    ----------
    execution, started_at
        ARN and start of the execution (unix seconds).
    entered_at
        When it entered this state (unix seconds).
    step
        The state's name.
    state
        The execution's state.
    input
        The raw execution input, for the steps that get it.
    task_token
        For the step that a person has to answer.
    remaining_seconds
        How long this function may still run.
    """

    execution: str
    started_at: float
    entered_at: float
    step: str
    state: Any
    input: Any
    task_token: str | None
    remaining_seconds: float

    @cached_property
    def request(self) -> Request:
        """The validated request."""
        return decode(Request, self.state["request"])

    @cached_property
    def plan(self) -> Plan:
        """The plan."""
        return decode(Plan, self.state["plan"])

    @property
    def token(self) -> int:
        """The fencing token of the lock."""
        return int(self.state["lock"]["token"])

    @property
    def hold_seconds(self) -> float:
        """How long a step that waits may look again: half of the function's time stays for the last look."""
        return min(HOLD_SECONDS, self.remaining_seconds / 2)

    def renew_lease(self, dependencies: Dependencies, journal: str | None = None) -> None:
        """Renew the lease until after this function's end; raises LeaseLost."""
        until = dependencies.clock.now() + self.remaining_seconds + LEASE_MARGIN_SECONDS
        dependencies.releases.renew(self.execution, self.token, until, self.entered_at, journal)


Step = Callable[[Invocation, Dependencies, Logger], Json]


class Handler:
    """A step as Lambda calls it.

    Parameters
    ----------
    step
        The step itself: gathers, decides, acts, and returns what the state machine keeps.
    """

    def __init__(self, step: Step) -> None:
        self.step = step

    def __call__(self, event: Json, context: LambdaContext) -> Json:
        """Run the step in Lambda."""
        return self.run(event, context, dependencies_of_this_function(), sys.stdout)

    def run(self, event: Json, context: LambdaContext, dependencies: Dependencies, stream: IO[str]) -> Json:
        """Run the step with this dependencies; logs go to ``stream``.

        Raises
        ------
        StepshipError
            A leaf of the tree in ``lambdas/release/errors.py``, matched by the state machine by its name.
        """
        call = parse_invocation(event, context)
        logger = Logger(service=dependencies.environ.get("POWERTOOLS_SERVICE_NAME"), stream=stream)
        state = call.state if isinstance(call.state, dict) else {}
        logger.append_keys(
            execution=call.execution,
            step=call.step,
            release=(state.get("plan") or {}).get("releaseId"),
            request_id=context.aws_request_id,
        )
        try:
            with within(TimeLimit(lambda: context.get_remaining_time_in_millis() / 1000, dependencies.clock.sleep)):
                result = self.step(call, dependencies, logger)
        except StepshipError as error:
            logger.warning("step refused", error_type=type(error).__name__, reason=str(error))
            _name_step(error, call.step)
            raise
        except Exception as error:
            logger.exception("step broke")
            _name_step(error, call.step)
            raise
        logger.info("step done", status=result.get("status"))
        # A report is the execution's last word and has keys of its own; any other result says where it is from.
        return result if "outcome" in result else {"step": call.step, "at": dependencies.clock.now(), **result}


def parse_invocation(event: Json, context: LambdaContext) -> Invocation:
    """Read what the state machine sent; KeyError when it is another version's."""
    execution = event["execution"]
    return Invocation(
        execution=execution["arn"],
        started_at=parse_timestamp(execution["startedAt"]),
        entered_at=parse_timestamp(event["enteredAt"]),
        step=event["step"],
        state=event["state"],
        input=execution.get("input"),
        task_token=event.get("taskToken"),
        remaining_seconds=context.get_remaining_time_in_millis() / 1000,
    )


def _name_step(error: Exception, step: str) -> None:
    """Put the state's name before the message: a Catch keeps the error and not where it came from."""
    error.args = (f"{step}: {error}",)
