"""What moto's Step Functions API leaves out and a client would notice; part of :mod:`simulator.engine.interpreter`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.exceptions import ExecutionDoesNotExist, InvalidToken, ValidationException
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

from simulator.engine.interpreter import Interpreter
from simulator.engine.runs import REDRIVABLE, Consistency, Run

MAX_INPUT_BYTES = 262_144
"""Of StartExecution's ``input``: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""


_VALID_DEFINITIONS: set[str] = set()


class TaskTimedOut(AWSError):
    """The task of a token has ended, in whatever way: moto's own exception of this name loses its code."""

    TYPE = "TaskTimedOut"
    STATUS = 400


class SimulatedStepFunctions(StepFunctionsParserBackend):
    """moto's backend that interprets state machines, with the checks that AWS makes."""

    # moto finds the URLs that a backend answers by the module of its class.
    __module__ = "moto.stepfunctions.parser.models"

    def start_execution(
        self, state_machine_arn: str, name: Any = None, execution_input: Any = None, trace_header: Any = None
    ) -> Any:
        """Refuse a too large input (ValidationException) and a malformed name (InvalidName), then start."""
        if execution_input is not None and len(execution_input.encode()) > MAX_INPUT_BYTES:
            message = (
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have length less than or equal to {MAX_INPUT_BYTES}"
            )
            raise ValidationException(message)
        if name:
            self._validate_name(name)
        return super().start_execution(state_machine_arn, name, execution_input, trace_header)

    def send_task_success(self, task_token: str, outcome: str) -> Any:
        """Refuse a token that nobody waits for any more, then succeed."""
        self._refuse_closed(task_token)
        return super().send_task_success(task_token, outcome)

    def send_task_failure(self, task_token: str, error: Any = None, cause: Any = None) -> Any:
        """Refuse a token that nobody waits for any more, then fail."""
        self._refuse_closed(task_token)
        return super().send_task_failure(task_token, error, cause)

    def send_task_heartbeat(self, task_token: str) -> Any:
        """Refuse a token that nobody waits for any more, then note the heartbeat."""
        self._refuse_closed(task_token)
        return super().send_task_heartbeat(task_token)

    def _refuse_closed(self, token: str) -> None:
        for execution in self._get_executions():
            env = execution.exec_worker.env
            endpoint = env.callback_pool_manager.get(token) if env else None
            if endpoint is None:
                continue
            # The interpreter sets the event when the task ends, whatever its outcome.
            if execution.status != "RUNNING" or endpoint._notify_event.is_set():  # noqa: SLF001 (moto's own)
                raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
            return
        raise InvalidToken("'Invalid token'")


def _as_seen(answer: dict[str, Any], run: Run, now: float, stale_seconds: float) -> None:
    """Put what is known of redrives into a description, or take out what cannot be seen yet."""
    count, redriven_at = run.redrive_count, run.redriven_at
    if run.redriven_at is not None and now - run.redriven_at < stale_seconds:
        before = run.earlier[-1]
        ended = {"status": before.status, "error": before.error, "cause": before.cause}
        answer.update({key: value for key, value in ended.items() if value is not None})
        answer["stopDate"] = dt.datetime.fromtimestamp(before.ended_at or now, dt.UTC)
        count, redriven_at = before.redrive_count, before.redriven_at
    elif run.ended_at is not None and now - run.ended_at < stale_seconds:
        answer["status"] = "RUNNING"
        for key in ("stopDate", "error", "cause", "output", "outputDetails"):
            answer.pop(key, None)
    answer["redriveCount"] = count
    if redriven_at is not None:
        answer["redriveDate"] = dt.datetime.fromtimestamp(redriven_at, dt.UTC)
    answer["redriveStatus"] = "REDRIVABLE" if answer["status"] in REDRIVABLE else "NOT_REDRIVABLE"


@contextmanager
def installed(interpreter: Interpreter, promised: Consistency) -> Iterator[None]:
    """Hold the seams of the API for the ``with`` block."""
    describe: Callable[[Any], Any] = StepFunctionResponse.describe_execution
    validate: Callable[[str], None] = StepFunctionsParserBackend._validate_definition  # noqa: SLF001 (the seam)

    def validate_once(definition: str) -> None:
        # Parsing takes most of the time that a world takes to begin, and each world brings the same definition.
        if definition not in _VALID_DEFINITIONS:
            validate(definition)
            _VALID_DEFINITIONS.add(definition)

    def parameter(response: Any, name: str) -> Any:
        return response._get_param(name)  # noqa: SLF001 (moto's own way to read the request)

    def stop_execution(response: Any) -> ActionResult:
        execution = response.stepfunction_backend.describe_execution(parameter(response, "executionArn"))
        error, cause = parameter(response, "error"), parameter(response, "cause")
        execution.stop(stop_date=None, error=error, cause=cause)
        return ActionResult({"stopDate": execution.stop_date})

    def send_task_failure(response: Any) -> EmptyResult:
        token, error, cause = (parameter(response, name) for name in ("taskToken", "error", "cause"))
        response.stepfunction_backend.send_task_failure(token, error=error, cause=cause)
        return EmptyResult()

    def describe_execution(response: Any) -> Any:
        execution = response.stepfunction_backend.describe_execution(parameter(response, "executionArn"))
        run, now = interpreter.runs[execution.exec_arn], interpreter.clock.now()
        # Who drives the simulator sees everything at once, as a person does who looks a little later.
        consistency = promised if interpreter.current_run() else Consistency(unknown_seconds=0)
        if run.redrive_count == 0 and now - (run.started_at or now) < consistency.unknown_seconds:
            raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{run.arn}'")
        description = describe(response)
        if execution.stop_date is not None:
            description.result["stopDate"] = execution.stop_date
        _as_seen(description.result, run, now, consistency.stale_seconds)
        return description

    seams: list[tuple[object, str, object]] = [
        (stepfunctions_parser_backends, "backend", SimulatedStepFunctions),
        # CreateStateMachine calls it on this class, whatever the backend's class is.
        (StepFunctionsParserBackend, "_validate_definition", staticmethod(validate_once)),
        (StepFunctionResponse, "stop_execution", stop_execution),
        (StepFunctionResponse, "send_task_failure", send_task_failure),
        (StepFunctionResponse, "describe_execution", describe_execution),
    ]
    with ExitStack() as stack:
        for owner, name, replacement in seams:
            stack.enter_context(patch.object(owner, name, replacement))
        yield
