"""The seams that make moto's Step Functions interpreter run in virtual time, and say what it does.

The interpreter is moto's; nothing of it is copied. These names are replaced while a world is active, and restored:

========================================= ==============================================================================
seam (below ``moto.stepfunctions``)       why
========================================= ==============================================================================
``stepfunctions_parser_backends.backend`` StartExecution checks the size of the input and the name; a task token that
                                          nobody waits for any more answers TaskTimedOut
                                          (:mod:`simulator.engine.stepfunctions`)
``StepFunctionResponse.*``                moto drops error and cause of StopExecution, the cause of SendTaskFailure, and
                                          stopDate of a timed-out execution (:mod:`simulator.engine.stepfunctions`)
``execution.ExecutionWorker``             starts, ends and stops executions as participants of the clock; parses a
                                          definition once
``program.threading``                     ``TimeoutSeconds`` of the execution is a join with timeout: virtual
``execute_state.threading``, ``.Thread``  ``TimeoutSeconds`` of a task is a wait with timeout: virtual
``environment.threading``                 its events wake participants
``callback.Event``                        waiting for a task token: virtual
``WaitFunction._wait_interval``           a Wait state sleeps: virtual
``retrier_decl.time``                     a Retry sleeps: virtual
``timestamp.datetime``                    Wait until a timestamp
``state.datetime``                        ``$$.State.EnteredTime``
``models.datetime``                       start date, ``$$.Execution.StartTime``
``execution.datetime``                    stop date
``states.long_uid``                       task tokens are random: numbered instead
``lambda_eval_utils.boto_client_for``     a new SDK client and a trip through HTTP for each Lambda step, 10 ms: direct
``json_path.parse``, ``result_path.parse``  each look at a path parses it again, 6 ms: parsed once
``copy`` of five modules                  states copy their data many times, a quarter of the time of a deployment, and
                                          each look at a history copies it: a copy for such data, ten times as fast
``ErrorEqualsDecl._eval_body``            ``States.ALL`` matches States.Runtime in moto; on AWS it does not
``Parameters._eval_body``                 moto measures a state's output alone; AWS what ``Parameters`` make, too
``ComparisonVariable._eval_body``         a Choice on a missing path is false in moto; on AWS it is States.Runtime
``StateTaskLambda._from_error``           a path that is missing is not States.Runtime in moto; on AWS it is
logger ``moto.stepfunctions``             every failed state is logged as an error of moto's
``random`` (its own generator)            jitter of Retry and of botocore: seeded, and restored afterwards
========================================= ==============================================================================
"""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import marshal
import pickle
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from jsonpath_ng.ext.parser import parse
from jsonpath_ng.parser import parse as plain_parse
from moto.stepfunctions.parser import models as parser_models
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name import error_equals_decl
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.flow.start_at import StartAt
from moto.stepfunctions.parser.asl.component.common.parargs import Parameters
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.string import string_expression
from moto.stepfunctions.parser.asl.component.program import program
from moto.stepfunctions.parser.asl.component.state import state as state_module
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison_operator_type import (
    ComparisonOperatorType,
)
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison_variable import ComparisonVariable
from moto.stepfunctions.parser.asl.component.state.choice.comparison.variable import NoSuchVariable
from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import timestamp, wait_function
from moto.stepfunctions.parser.asl.eval import environment
from moto.stepfunctions.parser.asl.eval import states as states_module
from moto.stepfunctions.parser.asl.eval.callback import callback
from moto.stepfunctions.parser.asl.eval.event import event_manager
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError
from moto.stepfunctions.parser.backend import execution as execution_module
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from simulator.clock import VirtualClock
from simulator.engine.local_lambda import LambdaService, Publish
from simulator.engine.runs import REDRIVE_SECONDS, RUNNING, Consistency, NotRedrivableError, Run
from simulator.engine.virtual_time import TaskEvent, VirtualEvent, VirtualThread, virtual_datetime
from statemachine.events import EventKind

MAX_CAUSE = 32_768
"""Characters of an execution's cause: what is longer is cut off (Step Functions API Reference, DescribeExecution)."""


class Interpreter:
    """moto's interpreter in one simulated world.

    Parameters
    ----------
    clock, functions
        Of the world.
    publish
        Told of executions and states.
    seed
        Of the jitter.
    consistency
        What Step Functions promises nothing about.

    Attributes
    ----------
    renamed
        Machine ARN to what its definition's function ARNs stand for: definitions of several environments differ in
        nothing else, and parsing each would take 0.7 s.
    """

    def __init__(
        self, clock: VirtualClock, functions: LambdaService, publish: Publish, *, seed: int, consistency: Consistency
    ) -> None:
        self.runs: dict[str, Run] = {}
        self.renamed: dict[str, Mapping[str, str]] = {}
        self.clock = clock
        self._functions = functions
        self._publish = publish
        self._seed = seed
        self._consistency = consistency
        self._executions: dict[str, Any] = {}
        self._tokens = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Hold the seams for the ``with`` block."""
        clock = self.clock
        tasks = SimpleNamespace(
            Event=lambda: TaskEvent(clock), Thread=lambda **options: VirtualThread(clock, **options)
        )
        threads = SimpleNamespace(
            Event=lambda: VirtualEvent(clock),
            Thread=lambda **options: VirtualThread(clock, **options),
            Lock=threading.Lock,
            RLock=threading.RLock,
        )
        dates = SimpleNamespace(datetime=virtual_datetime(clock), timezone=dt.timezone, timedelta=dt.timedelta)
        seams: list[tuple[object, str, object]] = [
            (execution_module, "ExecutionWorker", _worker_class(self)),
            (program, "threading", threads),
            (execute_state, "threading", tasks),
            (execute_state, "Thread", tasks.Thread),
            (environment, "threading", threads),
            (callback, "Event", threads.Event),
            (wait_function.WaitFunction, "_wait_interval", lambda _self, env, wait_seconds: clock.sleep(wait_seconds)),
            (retrier_decl, "time", clock),
            (timestamp, "datetime", dates),
            (state_module, "datetime", dates),
            (execution_module, "datetime", dates),
            (parser_models, "datetime", dates),
            (states_module, "long_uid", self._task_token),
            (lambda_eval_utils, "boto_client_for", lambda **_: _DirectLambda(self, self._functions)),
            (error_equals_decl.ErrorEqualsDecl, "_eval_body", _error_equals),
            (StateTaskLambda, "_from_error", _lambda_error),
            (Parameters, "_eval_body", _parameters),
            (ComparisonVariable, "_eval_body", _comparison),
            (json_path, "parse", _parse_path),
            (result_path, "parse", _parse_result_path),
            *((module, "copy", SimpleNamespace(deepcopy=_copy)) for module in _COPYING),
        ]
        logger = logging.getLogger("moto.stepfunctions")
        level, generator = logger.level, random.getstate()
        with ExitStack() as stack:
            for owner, name, replacement in seams:
                stack.enter_context(patch.object(owner, name, replacement))
            stack.callback(logger.setLevel, level)
            stack.callback(random.setstate, generator)
            logger.setLevel(logging.CRITICAL + 1)
            random.seed(self._seed)
            yield

    @property
    def running(self) -> int:
        """How many executions are RUNNING."""
        return sum(run.status == RUNNING for run in self.runs.values())

    def current_run(self) -> Run | None:
        """Return the execution that the calling thread belongs to."""
        participant = self.clock.current()
        group = participant.group if participant else None
        return group if isinstance(group, Run) else None

    def started(self, execution: Any) -> Run:
        """Take note of an execution that moto begins."""
        run = self.runs.get(execution.exec_arn)
        if run is None:
            run = Run(execution.name, execution.exec_arn, execution.state_machine_arn, execution.execution_input)
            self.runs[run.arn] = run
        self._executions[run.arn] = execution
        run._stop = self.stop  # noqa: SLF001 (a Run knows nothing of the interpreter)
        run._redrive = self.redrive  # noqa: SLF001 (the same)
        run.status, run.started_at = RUNNING, self.clock.now()
        self._publish(EventKind.EXECUTION_STARTED, execution=run.name, status=run.status, detail=run.status_change())
        return run

    def redrive(self, run: Run) -> None:
        """Run an execution that has ended badly again, from the state in which it ended; see :meth:`Run.redrive`."""
        now = self.clock.now()
        if now - (run.ended_at or now) > REDRIVE_SECONDS:
            raise NotRedrivableError(f"{run.name} ended more than 14 days ago")
        execution = self._executions[run.arn]
        past = execution.exec_worker.env
        run.earlier.append(run.as_it_ended())
        run.redrive_count, run.redriven_at, run.status = run.redrive_count + 1, now, RUNNING
        run.ended_at = run.output = run.error = run.cause = None
        execution.exec_status, execution.stop_date = ExecutionStatus.RUNNING, None
        execution.output = execution.error = execution.cause = None
        execution.exec_worker = execution._get_start_execution_worker()  # noqa: SLF001 (what start() makes)
        execution.exec_worker.resume(run, [] if past is None else past.event_manager.events)
        self._publish(EventKind.EXECUTION_STARTED, execution=run.name, status=run.status, detail=run.status_change())

    def equip(self, env: Any, run: Run) -> None:
        """Complete the context object of an execution; a redriven one begins with the input of its state."""
        data: Any = env.states.context_object.context_object_data["Execution"]
        data["StartTime"] = data["StartTime"].isoformat()
        data["RedriveCount"] = run.redrive_count
        if run.redrive_count == 0:
            return
        now = virtual_datetime(self.clock).now(dt.UTC).isoformat()
        data["RedriveTime"] = now
        if self._consistency.redrive_renews_start:
            data["StartTime"] = now
        if run.resumes_at is not None:
            env.states.reset(input_value=json.loads(run.resumes_at[1]))

    def history(self, run: Run) -> list[Any]:
        """Return the events of an execution."""
        events: list[Any] = self._executions[run.arn].exec_worker.env.event_manager.get_event_history()
        return events

    def stop(self, run: Run, error: str | None, cause: str | None, lambda_finishes: bool) -> None:  # noqa: FBT001 (Run.stop names it)
        """Abort a running execution here and now."""
        execution = self._executions[run.arn]
        env = execution.exec_worker.env
        execution.exec_status = ExecutionStatus.ABORTED
        execution.stop_date = self.clock.now_datetime()
        execution.error, execution.cause = error, cause
        if env is not None:
            env.set_stop(stop_date=execution.stop_date, cause=cause, error=error)
            details = {"executionAbortedEventDetails": {"error": error, "cause": cause}}
            env.event_manager.record_end(env, HistoryEventType.ExecutionAborted, details)
        self._abandon(run, lambda_finishes=lambda_finishes)
        self.ended(run)

    def ended(self, run: Run) -> None:
        """Take note of an execution that has its final status in moto."""
        execution = self._executions[run.arn]
        run.status, run.ended_at = str(execution.status), self.clock.now()
        execution.cause = execution.cause and execution.cause[:MAX_CAUSE]
        run.output, run.error, run.cause = execution.output, execution.error, execution.cause
        if run.status == "TIMED_OUT":
            env = execution.exec_worker.env
            env.event_manager.record_end(env, HistoryEventType.ExecutionTimedOut, {"executionTimedOutEventDetails": {}})
            self._abandon(run, lambda_finishes=True)
        self._publish(
            EventKind.EXECUTION_ENDED,
            execution=run.name,
            state=run.state,
            status=run.status,
            error=run.error,
            cause=run.cause,
            detail=run.status_change(),
        )

    def changed(self, run: Run, event_type: str, details: dict[str, Any]) -> None:
        """Take note of an event in an execution's history, and stop the execution if it was to be stopped there."""
        if "stateEnteredEventDetails" in details:
            run.enter(details["stateEnteredEventDetails"]["name"], self.clock.now())
            run.resumes_at = run.state, details["stateEnteredEventDetails"]["input"]
            detail = {"input": details["stateEnteredEventDetails"]["input"]}
            self._publish(EventKind.STATE_ENTERED, execution=run.name, state=run.state, detail=detail)
        elif "stateExitedEventDetails" in details:
            run.exit(self.clock.now())
            detail = {"output": details["stateExitedEventDetails"]["output"]}
            self._publish(EventKind.STATE_EXITED, execution=run.name, state=run.state, detail=detail)
        else:
            return
        stop = run.due_stop("entered" if event_type.endswith("Entered") else "exited")
        if stop is not None:
            run.stop(stop.error, stop.cause)

    def _abandon(self, run: Run, *, lambda_finishes: bool) -> None:
        for participant in self.clock.others(group=run):
            self.clock.cancel(participant, force=not lambda_finishes)

    def _task_token(self) -> str:
        self._tokens += 1
        return f"task-token-{self._tokens:04d}"


def _worker_class(interpreter: Interpreter) -> type[ExecutionWorker]:
    clock = interpreter.clock

    class VirtualExecutionWorker(ExecutionWorker):
        past: Sequence[Any] | None = None
        """The history so far of an execution that is redriven."""

        def start(self) -> None:
            communication: Any = self._execution_communication
            self.run = interpreter.started(communication.execution)
            clock.spawn(self._run_to_end, name=self.run.name, group=self.run)

        def resume(self, run: Run, past: Sequence[Any]) -> None:
            self.run, self.past = run, past
            clock.spawn(self._run_to_end, name=run.name, group=run)

        def stop(self, stop_date: dt.datetime, error: str | None, cause: str | None) -> None:
            del stop_date  # the clock knows
            self.run.stop(error, cause)

        def _run_to_end(self) -> None:
            if self.past is None:
                self._execution_logic()  # type: ignore[no-untyped-call]  # moto does not annotate it
            else:
                self._redrive()
            interpreter.ended(self.run)

        def _redrive(self) -> None:
            env: Any = self._get_evaluation_environment()
            self.env = env
            details = {"executionRedrivenEventDetails": {"redriveCount": self.run.redrive_count}}
            env.event_manager.add_event(
                env.event_history_context, HistoryEventType.ExecutionRedriven, details, update_source_event_id=False
            )
            self._get_evaluation_entrypoint().eval(env)
            self._execution_communication.terminated()

        def _get_evaluation_entrypoint(self) -> Any:
            whole = _parse(self._evaluation_details.state_machine_details.definition)
            if self.past is None or self.run.resumes_at is None:
                return whole
            start = StartAt(self.run.resumes_at[0])
            return program.Program(whole.query_language, start, whole.states, whole.timeout_seconds)

        def _get_evaluation_environment(self) -> Any:
            env = super()._get_evaluation_environment()
            env.event_manager = _ObservedHistory(interpreter, self.run, self.past or ())
            interpreter.equip(env, self.run)
            return env

    return VirtualExecutionWorker


@lru_cache(maxsize=32)
def _parse(definition: str) -> Any:
    """Parse once: the parsed program keeps nothing of an execution, and parsing takes longer than running."""
    return AmazonStateLanguageParser.parse(definition)[0]


MAX_PAYLOAD_BYTES = 262_144
"""Of each input and output: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

_COPYING = (states_module, string_expression, result_path, execute_state, event_manager)
_parse_path = lru_cache(maxsize=512)(parse)
_parse_result_path = lru_cache(maxsize=512)(plain_parse)


def _copy(value: Any) -> Any:
    """Copy JSON data, which is a tree of plain types; a history, which has moments in it, is pickled."""
    try:
        return marshal.loads(marshal.dumps(value))  # noqa: S302 (made here, a moment ago)
    except ValueError:
        return pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))  # noqa: S301 (the same)


class _ObservedHistory(EventManager):
    """The history of one execution; tells the interpreter, and lets a stopped execution go no further."""

    def __init__(self, interpreter: Interpreter, run: Run, past: Sequence[Any] = ()) -> None:
        super().__init__()
        self._interpreter = interpreter
        self._run = run
        self._history_event_list.extend(past)
        for _ in past:
            self._event_id_gen.get()

    @property
    def events(self) -> Sequence[Any]:
        """The events so far."""
        return tuple(self._history_event_list)

    def add_event(
        self,
        context: Any,
        event_type: Any,
        event_details: Any = None,
        timestamp: Any = None,
        update_source_event_id: bool = True,  # noqa: FBT001, FBT002 (moto's signature)
    ) -> int:
        clock = self._interpreter.clock
        clock.checkpoint()
        now = timestamp or clock.now_datetime()
        number: int = super().add_event(context, event_type, event_details, now, update_source_event_id)
        self._interpreter.changed(self._run, event_type.value, event_details or {})
        clock.checkpoint()
        return number

    def record_end(self, env: Any, event_type: Any, details: Any) -> None:
        """Add the last event on behalf of an execution whose own threads are unwound."""
        super().add_event(env.event_history_context, event_type, details, self._interpreter.clock.now_datetime())


class _DirectLambda:
    """The part of the Lambda client that the interpreter uses, without HTTP."""

    def __init__(self, interpreter: Interpreter, functions: LambdaService) -> None:
        self._interpreter = interpreter
        self._functions = functions

    def invoke(self, **parameters: Any) -> dict[str, Any]:
        run = self._interpreter.current_run()
        renamed = self._interpreter.renamed.get(run.machine_arn, {}) if run else {}
        result = self._functions.invoke(
            renamed.get(parameters["FunctionName"], parameters["FunctionName"]),
            parameters.get("Payload") or b"{}",
            execution=run.name if run else "",
            state=run.state if run else "",
        )
        # If the execution was stopped, or the task timed out, nobody waits for this answer.
        self._interpreter.clock.checkpoint()
        response: dict[str, Any] = {
            "StatusCode": 200,
            "ExecutedVersion": "$LATEST",
            "Payload": io.BytesIO(result.payload),
        }
        if result.failed:
            response["FunctionError"] = "Unhandled"
        return response


_UNCATCHABLE = (StatesErrorNameType.StatesRuntime, StatesErrorNameType.StatesStatesDataLimitExceeded)
_moto_error_equals: Callable[[Any, Any], None] = error_equals_decl.ErrorEqualsDecl._eval_body  # noqa: SLF001 (a seam)


def _error_equals(decl: Any, env: Any) -> None:
    """Match as AWS does: ``States.ALL`` catches neither States.Runtime nor States.DataLimitExceeded.

    See https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    error = env.stack[-1]
    terminal = any(error == StatesErrorName(typ=name) for name in _UNCATCHABLE)
    if terminal and decl._STATE_ALL_ERROR in decl.error_names:  # noqa: SLF001 (moto's own constant)
        env.stack.pop()
        env.stack.append(False)
        return
    _moto_error_equals(decl, env)


_moto_parameters: Callable[[Any, Any], None] = Parameters._eval_body  # noqa: SLF001 (a seam)


def _parameters(parameters: Any, env: Any) -> None:
    """Measure what ``Parameters`` make as AWS does: the quota is that of a task's input, not of the state's alone.

    See https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """
    _moto_parameters(parameters, env)
    size = len(json.dumps(env.stack[-1], separators=(",", ":")).encode())
    if size > MAX_PAYLOAD_BYTES:
        said = "returned a result with a size exceeding the maximum number of bytes service limit."
        cause = f"The state/task '{env.next_state_name}' {said}"
        _fail(env, StatesErrorNameType.StatesStatesDataLimitExceeded, cause)


def _comparison(comparison: Any, env: Any) -> None:
    """Judge a path that is not there as AWS does: States.Runtime, but for IsPresent."""
    comparison.variable.eval(env)
    compares = comparison.comparison_function
    if isinstance(env.stack[-1], NoSuchVariable) and compares.operator_type != ComparisonOperatorType.IsPresent:
        path = comparison.variable.string_sampler.literal_value
        message = f"Invalid path '{path}': The choice state's condition path references an invalid value."
        _fail(env, StatesErrorNameType.StatesRuntime, message)
    compares.eval(env)


def _fail(env: Any, name: StatesErrorNameType, cause: str) -> None:
    details: Any = {"taskFailedEventDetails": {"error": name.to_name(), "cause": cause}}
    raise FailureEventException(FailureEvent(env, StatesErrorName(typ=name), HistoryEventType.TaskFailed, details))


_moto_lambda_error: Callable[[Any, Any, Exception], Any] = StateTaskLambda._from_error  # noqa: SLF001 (a seam)


def _lambda_error(state: Any, env: Any, ex: Exception) -> Any:
    """Name a path that is missing in the state's input as AWS does: States.Runtime."""
    if isinstance(ex, NoSuchJsonPathError):
        return execute_state.ExecutionState._from_error(state, env, ex)  # noqa: SLF001 (a seam)
    return _moto_lambda_error(state, env, ex)
