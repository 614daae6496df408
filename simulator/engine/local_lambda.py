"""Lambda functions that are Python functions in this process, invoked as AWS would invoke them.

What is kept of Lambda: the event and the result travel as JSON, the error type is the exception's own class name, the
function ends at its timeout (virtual time passes in AWS calls and in botocore's retries), each function has its own
environment variables, and an invocation goes on when the execution that made it is stopped.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from moto.awslambda_simple.models import LambdaSimpleBackend

from simulator.clock import Cancelled, VirtualClock
from simulator.faults.calls import current_invocation, outside_handlers
from simulator.faults.faults import Faults, FunctionAction, FunctionFault
from statemachine.events import EventKind

ACCOUNT = "123456789012"
REGION = "us-east-1"

Publish = Callable[..., None]
"""``publish(kind, **fields)`` with the fields of an :class:`~statemachine.events.Event`; adds the time."""


class FunctionEnded(BaseException):  # control flow: a handler's `except Exception` must not survive it
    """The function was killed; unwinds its handler."""


class LambdaContext:
    """The second argument of a handler.

    See https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(self, name: str, function: Function, request_id: str, deadline: float, clock: VirtualClock) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        self.memory_limit_in_mb = function.memory_mb
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = "simulated"
        self._deadline = deadline
        self._clock = clock

    def get_remaining_time_in_millis(self) -> int:
        """Return the virtual milliseconds until the function's timeout."""
        return max(0, round((self._deadline - self._clock.now()) * 1000))


Handler = Callable[[dict[str, Any], Any], object]
"""A Lambda handler: ``handler(event, context)``. The context is a :class:`LambdaContext`."""


@dataclass(frozen=True)
class Function:
    """A Lambda function: its handler and the settings that a handler can notice.

    Attributes
    ----------
    handler
        The Python function.
    timeout_seconds
        It is killed when that much virtual time has passed. (Computing takes no virtual time; AWS calls do.)
    memory_mb
        Only shown to the handler.
    environment
        Set in ``os.environ`` while the handler runs.
    """

    handler: Handler
    timeout_seconds: float = 30.0
    memory_mb: int = 256
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What Lambda answers: a JSON payload, and whether it describes an error."""

    payload: bytes
    failed: bool


class _Invocation:
    """One run of one handler, and the end of it."""

    def __init__(self, name: str, execution: str, state: str, deadline: float, clock: VirtualClock) -> None:
        self.function_name = name
        self.execution = execution
        self.state = state
        self.kill_after_calls: int | None = None
        self._completed_calls = 0
        self._deadline = deadline
        self._clock = clock
        self._ended = False

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass; the function ends at its deadline."""
        if self._ended:  # a `finally` in the handler goes on after the kill; on AWS it would not
            raise FunctionEnded
        left = self._deadline - self._clock.now()
        if seconds > 0:
            self._clock.sleep(min(seconds, left))
        if seconds >= left:
            self._ended = True
            raise FunctionEnded

    def finish_call(self) -> None:
        """Count a completed call; the function may end with it."""
        self._completed_calls += 1
        self.end_if_due()

    def end_if_due(self) -> None:
        """End the function, at its timeout, if it was to be killed after that many calls."""
        if self.kill_after_calls is not None and self._completed_calls >= self.kill_after_calls:
            self.pass_time(max(0.0, self._deadline - self._clock.now()))


class LambdaService:
    """Runs functions by name.

    Parameters
    ----------
    functions
        The registry; may change while the world runs.
    clock, faults
        Of the world.
    publish
        Told of each invocation.
    """

    def __init__(
        self, functions: MutableMapping[str, Handler | Function], clock: VirtualClock, faults: Faults, publish: Publish
    ) -> None:
        self.functions = functions
        self.running = 0
        self._clock = clock
        self._faults = faults
        self._publish = publish
        self._requests = 0
        self._environment = _Environment()

    def invoke(self, name_or_arn: str, payload: bytes, *, execution: str = "", state: str = "") -> Result:
        """Run a function to its end and return what Lambda would answer.

        Parameters
        ----------
        name_or_arn
            Name or ARN, qualified or not.
        payload
            The event as JSON.
        execution, state
            Who invokes it, for the record.
        """
        name = _function_name(name_or_arn)
        registered = self.functions.get(name)
        event = json.loads(payload or b"{}")
        if registered is None:
            return _failure("Lambda.ResourceNotFoundException", f"Function not found: {name_or_arn}")
        function = registered if isinstance(registered, Function) else Function(registered)
        fault = self._faults.for_invocation(name)
        caller = {"function": name, "execution": execution, "state": state}
        self._tell(EventKind.LAMBDA_INVOKED, **caller, detail={"payload": event})
        self.running += 1
        try:
            runs = 2 if fault is not None and fault.action is FunctionAction.TWICE else 1
            for _ in range(runs):
                result = self._run(name, function, payload, fault, execution, state)
        except Cancelled:
            self.running -= 1
            self._tell(EventKind.LAMBDA_FAILED, **caller, error="Cancelled", cause="cut off with its execution")
            raise
        else:
            self.running -= 1
        if fault is not None and fault.action is FunctionAction.AGAIN:
            self._invoke_again(name, payload, fault.after_seconds, execution, state)
        answer = json.loads(result.payload)
        if result.failed:
            error, cause = answer["errorType"], answer["errorMessage"]
            self._tell(EventKind.LAMBDA_FAILED, **caller, error=error, cause=cause, detail={"payload": answer})
        else:
            self._tell(EventKind.LAMBDA_RETURNED, **caller, detail={"payload": answer})
        return result

    def invoke_later(self, name: str, payload: bytes) -> None:
        """Run a function as the invocation type ``Event`` does; nobody learns the result."""

        def run() -> None:
            self.running -= 1
            self.invoke(name, payload)

        self.running += 1  # it is under way, though it has not begun
        self._clock.spawn(run, name=f"event for {name}")

    def _invoke_again(self, name: str, payload: bytes, after_seconds: float, execution: str, state: str) -> None:
        def run() -> None:
            self.running -= 1
            self.invoke(name, payload, execution=execution, state=state)

        self.running += 1  # as above
        self._clock.call_at(self._clock.now() + after_seconds, run, name=f"{name} again")

    def restore_environment(self) -> None:
        """Set the environment variables back to what they were before the first invocation."""
        self._environment.apply({})

    def _tell(self, kind: EventKind, **details: object) -> None:
        with outside_handlers():
            self._publish(kind, **details)

    def _run(
        self, name: str, function: Function, payload: bytes, fault: FunctionFault | None, execution: str, state: str
    ) -> Result:
        if fault is not None and fault.action in (FunctionAction.SERVICE_ERROR, FunctionAction.RAISE):
            return _failure(fault.error, "injected")
        self._requests += 1
        request_id = f"00000000-0000-4000-8000-{self._requests:012d}"
        deadline = self._clock.now() + function.timeout_seconds
        context = LambdaContext(name, function, request_id, deadline, self._clock)
        invocation = _Invocation(name, execution, state, deadline, self._clock)
        if fault is not None and fault.action is FunctionAction.KILL:
            invocation.kill_after_calls = fault.after_calls
        variables = {
            **function.environment,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        }
        with self._process_of(invocation, variables):
            try:
                invocation.end_if_due()
                return Result(_marshal(function.handler(json.loads(payload or b"{}"), context)), failed=False)
            except FunctionEnded:
                return _failure("Sandbox.Timedout", _timed_out(request_id, function.timeout_seconds))
            except Cancelled:
                raise
            except SystemExit as error:
                message = f"RequestId: {request_id} Error: Runtime exited with error: exit status {error.code}"
                return _failure("Runtime.ExitError", message)
            except Exception as error:  # noqa: BLE001 (the runtime reports whatever a handler raises)
                stack = [line.rstrip("\n") for line in traceback.format_tb(error.__traceback__)[1:]]
                return _failure(type(error).__name__, str(error), stack)

    @contextmanager
    def _process_of(self, invocation: _Invocation, variables: Mapping[str, str]) -> Iterator[None]:
        """Let the current thread be the function's process: its environment, and going on when others are stopped."""
        participant = self._clock.current()
        token = current_invocation.set(invocation)
        before = self._environment.applied
        self._environment.apply(variables)
        resumed = None
        if participant is not None:
            participant.shield += 1
            resumed = participant.on_resume
            participant.on_resume = lambda: self._environment.apply(variables)
        try:
            yield
        finally:
            if participant is not None:
                participant.shield = max(0, participant.shield - 1)
                participant.on_resume = resumed
            self._environment.apply(before if resumed is not None else {})
            current_invocation.reset(token)


class _Environment:
    """Environment variables of the function that has the baton, in the one ``os.environ`` of the process."""

    def __init__(self) -> None:
        self.applied: Mapping[str, str] = {}
        self._before: dict[str, str | None] = {}

    def apply(self, variables: Mapping[str, str]) -> None:
        if variables is self.applied:
            return
        for name in self.applied:
            original = self._before[name]
            if original is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = original
        for name, value in variables.items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value
        self.applied = variables


class LocalLambda(LambdaSimpleBackend):
    """moto's Lambda backend, for functions that handlers and tests invoke through the AWS API.

    moto makes the instances itself; :class:`~simulator.engine.machine.SimulatedAws` sets :attr:`service` while it is
    active.
    """

    # moto finds the URLs that a backend answers by the module of its class.
    __module__ = "moto.awslambda_simple.models"

    service: ClassVar[LambdaService | None] = None

    def invoke(
        self, function_name: str, qualifier: str | None, body: Any, headers: Any, response_headers: Any
    ) -> bytes:
        """Answer the API operation Invoke."""
        del qualifier
        if self.service is None:
            raise RuntimeError("no simulated world is active")
        payload = body.encode() if isinstance(body, str) else (body or b"")
        if headers.get("X-Amz-Invocation-Type") == "Event":
            self.service.invoke_later(function_name, payload)
            return b""
        result = self.service.invoke(function_name, payload)
        if result.failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return result.payload


def _function_name(name_or_arn: str) -> str:
    """Return the bare name: ``arn:aws:lambda:region:account:function:NAME[:QUALIFIER]`` or ``NAME[:QUALIFIER]``."""
    parts = name_or_arn.split(":")
    return parts[6] if name_or_arn.startswith("arn:") else parts[0]


def _timed_out(request_id: str, seconds: float) -> str:
    return f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"


def _failure(error_type: str, message: str, stack: list[str] | None = None) -> Result:
    """Build the payload that Lambda's Python runtime answers for an exception."""
    payload: dict[str, object] = {"errorMessage": message, "errorType": error_type}
    if stack is not None:
        payload["stackTrace"] = stack
    return Result(json.dumps(payload).encode(), failed=True)


def _marshal(value: object) -> bytes:
    """Serialise a result as Lambda's Python runtime does: JSON, with Decimal as a number."""

    def decimal(unknown: object) -> object:
        if isinstance(unknown, Decimal):
            return int(unknown) if unknown == unknown.to_integral_value() else float(unknown)
        raise TypeError(f"Object of type {type(unknown).__name__} is not JSON serializable")

    try:
        return json.dumps(value, default=decimal).encode()
    except (TypeError, ValueError) as error:
        raise _MarshalError(str(error)) from error


class _MarshalError(Exception):
    """Named below as Lambda names it."""


_MarshalError.__name__ = "Runtime.MarshalError"
