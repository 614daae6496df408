"""What every handler is wrapped in: parsing, structured logs, and the JSON of its result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol

from aws_lambda_powertools import Logger

from lambdas.aws.gateway import TimeLimit, within
from lambdas.dependencies import Dependencies, dependencies_of_this_function
from lambdas.release.errors import StepshipError
from lambdas.release.history import Report, parse_timestamp
from lambdas.release.lock import LEASE_MARGIN_SECONDS
from lambdas.release.plan import Plan
from lambdas.release.policies import HOLD_SECONDS
from lambdas.release.request import Request
from lambdas.release.results import StepResult, encode_result
from lambdas.release.state import ExecutionState, needed

Json = dict[str, Any]


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
        The results of the steps before this one.
    input
        The raw execution input, for the steps that get it.
    task_token
        For the step that waits for approval.
    remaining_seconds
        How long this function may still run.
    """

    execution: str
    started_at: float
    entered_at: float
    step: str
    state: ExecutionState
    input: Any
    task_token: str | None
    remaining_seconds: float

    @property
    def request(self) -> Request:
        """The validated request."""
        return needed(self.state.request)

    @property
    def plan(self) -> Plan:
        """The plan."""
        return needed(self.state.plan)

    @property
    def token(self) -> int:
        """The fencing token of the lock."""
        return needed(self.state.lock).token

    @property
    def hold_seconds(self) -> float:
        """How long a step that waits may look again: half of the function's time stays for the last look."""
        return min(HOLD_SECONDS, self.remaining_seconds / 2)

    def renew_lease(self, dependencies: Dependencies, journal: str | None = None) -> None:
        """Renew the lease until after this function's end; raises LeaseLost."""
        until = dependencies.clock.now() + self.remaining_seconds + LEASE_MARGIN_SECONDS
        dependencies.releases.renew(self.execution, self.token, until, self.entered_at, journal)


Step = Callable[[Invocation, Dependencies, Logger], StepResult | Plan | Report]


class Handler:
    """A step as Lambda calls it.

    Parameters
    ----------
    step
        The step itself: gathers, decides, acts, and returns its result (``lambdas/release/results.py``).
    """

    def __init__(self, step: Step) -> None:
        self.step = step

    def __call__(self, event: Json, context: LambdaContext) -> Json:
        """Run the step in Lambda."""
        return self.run(event, context, dependencies_of_this_function(), sys.stdout)

    def run(self, event: Json, context: LambdaContext, dependencies: Dependencies, stream: IO[str]) -> Json:
        """Run the step with these dependencies; logs go to ``stream``.

        Returns
        -------
        dict
            What the state machine keeps: the result as JSON.

        Raises
        ------
        StepshipError
            A leaf of the tree in ``lambdas/release/errors.py``, matched by the state machine by its name.
        """
        call = parse_invocation(event, context)
        logger = Logger(service=dependencies.environ.get("POWERTOOLS_SERVICE_NAME"), stream=stream)
        logger.append_keys(
            execution=call.execution,
            step=call.step,
            release=call.state.release_id,
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
        logger.info("step done", result=result.message)
        return encode_result(result, call.step, dependencies.clock.now())


def parse_invocation(event: Json, context: LambdaContext) -> Invocation:
    """Read what the state machine sent; KeyError when it is another version's."""
    execution = event["execution"]
    return Invocation(
        execution=execution["arn"],
        started_at=parse_timestamp(execution["startedAt"]),
        entered_at=parse_timestamp(event["enteredAt"]),
        step=event["step"],
        state=ExecutionState(event["state"]),
        input=execution.get("input"),
        task_token=event.get("taskToken"),
        remaining_seconds=context.get_remaining_time_in_millis() / 1000,
    )


def _name_step(error: Exception, step: str) -> None:
    """Put the state's name before the message: a Catch keeps the error and not where it came from."""
    error.args = (f"{step}: {error}",)
