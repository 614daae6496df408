"""The simulated AWS: moto, local Lambda functions, virtual time, faults and executions, in one context manager.

>>> with SimulatedAws() as aws:                                                 # doctest: +SKIP
...     aws.functions["greet"] = lambda event, context: {"hello": event["name"]}
...     aws.deploy_machine("greeter", {"StartAt": "Greet", "States": {"Greet": {
...         "Type": "Task", "Resource": aws.function_arn("greet"), "End": True}}})
...     run = aws.start({"name": "world"}, "first")
...     aws.run_until_idle()
...     run.output
{'hello': 'world'}

Seams of its own; those of moto's interpreter are in :mod:`simulator.engine.interpreter`, those of botocore in
:mod:`simulator.faults.calls`. All are restored on exit.

================================== ==============================================================================
seam                               why
================================== ==============================================================================
``lambda_simple_backends.backend`` functions run in this process
``ecs_backends.backend``           an ECS that rolls out, if given
``boto3.DEFAULT_SESSION``          a session that lives as long as the process: loading the API models again for each
                                   world takes 0.2 s
environment variables              fake credentials, region; no profile, endpoint or configuration file of the user
``mock_random``                    moto's generated ids: seeded
================================== ==============================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Self
from unittest.mock import patch

import boto3
from botocore.config import Config
from moto import mock_aws
from moto.awslambda_simple.models import lambda_simple_backends
from moto.ecs.models import ecs_backends
from moto.moto_api._internal import mock_random

from simulator.clock import START, HorizonError, VirtualClock, WaitList
from simulator.engine import remembered, stepfunctions
from simulator.engine.interpreter import Interpreter
from simulator.engine.local_lambda import ACCOUNT, REGION, Function, Handler, LambdaService, LocalLambda
from simulator.engine.runs import NOT_STARTED, Consistency, Run, StopAt
from simulator.faults.api_call import ApiCall
from simulator.faults.calls import CallLog, CallRecorder
from simulator.faults.faults import Faults
from simulator.faults.quotas import Buckets, Quota
from statemachine.events import Event, EventKind, Observer

ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/simulated"
WEEK_SECONDS = 7 * 24 * 3600.0

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "simulated",
    "AWS_SECRET_ACCESS_KEY": "simulated",
    "AWS_SESSION_TOKEN": "simulated",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class SimulationTooLongError(RuntimeError):
    """Virtual time passed the limit, and executions still run: most likely a loop that never ends."""


class SimulatedAws:
    """A world: one AWS account in one region, empty at the beginning.

    Only one can be active in a process. While it is, every boto3 client in the process talks to it.

    Parameters
    ----------
    start
        Virtual time at the beginning, unix seconds.
    pace, pace_limit_seconds
        See :class:`~simulator.clock.VirtualClock`; for a live demonstration.
    call_seconds
        Virtual time that each AWS call of a handler takes.
    ecs_backend
        A subclass of moto's ``EC2ContainerServiceBackend``, with ``__module__ = "moto.ecs.models"``.
    seed
        Of everything random: jitter and generated ids.
    quotas
        Of the AWS APIs, such as :data:`simulator.faults.quotas.QUOTAS`; without, no call is refused.
    consistency
        How far DescribeExecution lags behind, and what else Step Functions promises nothing about.
    """

    _active: ClassVar[SimulatedAws | None] = None
    _session: ClassVar[boto3.Session | None] = None
    _clients: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        start: float = START,
        pace: float = 0.0,
        pace_limit_seconds: float = 2.0,
        call_seconds: float = 0.02,
        ecs_backend: type | None = None,
        seed: int = 0,
        quotas: Sequence[Quota] = (),
        consistency: Consistency | None = None,
    ) -> None:
        self.clock = VirtualClock(start, pace=pace, pace_limit_seconds=pace_limit_seconds)
        self.faults = Faults()
        self.buckets = Buckets(self.clock, quotas)
        self.functions: dict[str, Handler | Function] = {}
        self.events: list[Event] = []
        self._observers: list[Observer] = []
        self._witnesses: list[Callable[[ApiCall], None]] = []
        self._seed = seed
        self._ecs_backend = ecs_backend
        self._machine_arn = ""
        self._scheduled = 0
        self._idle = WaitList()
        self._lambda = LambdaService(self.functions, self.clock, self.faults, self._publish)
        self.consistency = consistency or Consistency()
        self._interpreter = Interpreter(
            self.clock, self._lambda, self._publish, seed=seed, consistency=self.consistency
        )
        self._recorder = CallRecorder(
            self.clock,
            self.faults,
            self.buckets,
            self._tell_witnesses,
            self._publish_call,
            call_seconds=call_seconds,
        )
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Start the world, in the calling thread, which drives it."""
        if SimulatedAws._active is not None:
            raise RuntimeError("another simulated world is active in this process")
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, _ENVIRONMENT))
            for name in [name for name in os.environ if name == "AWS_PROFILE" or name.startswith("AWS_ENDPOINT_URL")]:
                del os.environ[name]
            stack.enter_context(patch.object(lambda_simple_backends, "backend", LocalLambda))
            if self._ecs_backend is not None:
                stack.enter_context(patch.object(ecs_backends, "backend", self._ecs_backend))
            stack.enter_context(stepfunctions.installed(self._interpreter, self.consistency))
            stack.enter_context(remembered.installed())
            config: Any = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
            stack.enter_context(mock_aws(config=config))
            stack.enter_context(patch.object(boto3, "DEFAULT_SESSION", self._shared_session()))
            stack.enter_context(patch.object(LocalLambda, "service", self._lambda))
            stack.enter_context(self._recorder.installed())
            stack.enter_context(self._interpreter.installed())
            stack.callback(self._lambda.restore_environment)
            driver = stack.enter_context(self.clock.participate("driver"))
            driver.on_resume = self._lambda.restore_environment
            stack.enter_context(patch.object(SimulatedAws, "_active", self))
            mock_random.seed(self._seed)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """End the world: unwind what still runs, forget all state, restore all seams."""
        self._exit.close()

    # --- what there is

    def client(self, service: str) -> Any:
        """Return a boto3 client of the world. Its calls are the driver's: not recorded, not hit by faults."""
        if service not in self._clients:
            config = Config(retries={"mode": "standard", "total_max_attempts": 1})
            self._clients[service] = self._shared_session().client(service, config=config)
        return self._clients[service]

    @property
    def calls(self) -> CallLog:
        """The AWS calls of all handlers so far."""
        return self._recorder.calls

    @property
    def runs(self) -> list[Run]:
        """All executions, in the order in which they were asked for."""
        return list(self._interpreter.runs.values())

    @staticmethod
    def function_arn(name: str) -> str:
        """Return the ARN of a function, for the ``Resource`` of a Task."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"

    def subscribe(self, observer: Observer) -> None:
        """Call ``observer`` with each event from now on. See :data:`~statemachine.events.Observer`."""
        self._observers.append(observer)

    def watch_effects(self, witness: Callable[[ApiCall], None]) -> None:
        """Call ``witness`` just before each call of a handler takes effect, retries included; it must not wait."""
        self._witnesses.append(witness)

    # --- executions

    def deploy_machine(
        self, name: str, definition: Mapping[str, Any], *, functions: Mapping[str, str] | None = None
    ) -> str:
        """Create the state machine, or update it if it exists, and return its ARN.

        Parameters
        ----------
        definition
            Amazon States Language, JSONPath.
        functions
            Function ARNs in it to those that they stand for, where another environment's are meant.

        Raises
        ------
        NotImplementedError
            If it has a Map or a Parallel state: moto runs their branches in threads outside virtual time.
        """
        for state, body in definition["States"].items():
            if body["Type"] in ("Map", "Parallel"):
                raise NotImplementedError(f"state {state}: the simulator does not run {body['Type']} states")
        client = self.client("stepfunctions")
        text = json.dumps(definition)
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
        if arn in {machine["stateMachineArn"] for machine in client.list_state_machines()["stateMachines"]}:
            client.update_state_machine(stateMachineArn=arn, definition=text)
        else:
            client.create_state_machine(name=name, definition=text, roleArn=ROLE_ARN)
        self._interpreter.renamed[arn] = functions or {}
        self._machine_arn = arn
        return arn

    def start(
        self,
        input: object,
        name: str,
        *,
        at: float | None = None,
        machine: str | None = None,
        stop: StopAt | None = None,
    ) -> Run:
        """Start an execution, which runs when the driver waits.

        Parameters
        ----------
        input
            Anything that JSON can express.
        name
            Of the execution. As on AWS, the same name and input while it runs returns the same execution.
        at
            Virtual time to start it, unix seconds; None starts it now.
        machine
            ARN; None is the one that was deployed last.
        stop
            Stop the execution there.

        Raises
        ------
        botocore.exceptions.ClientError
            As StartExecution does: ``ValidationException`` for an input beyond 262,144 bytes, ``InvalidName``,
            ``ExecutionAlreadyExists``. With ``at``, when it is due, in whatever the driver then waits for.
        """
        machine_arn = machine or self._machine_arn
        text = json.dumps(input)
        arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        known = self._interpreter.runs.get(arn)
        run = known or Run(name, arn, machine_arn, text)
        if stop is not None:
            run.stop_at(stop)
        self._interpreter.runs[arn] = run

        def begin() -> None:
            try:
                self.client("stepfunctions").start_execution(stateMachineArn=machine_arn, name=name, input=text)
            except BaseException:
                if run.status == NOT_STARTED:
                    del self._interpreter.runs[arn]
                raise

        if at is None:
            begin()
        else:
            self._scheduled += 1
            self.clock.call_at(at, lambda: self._begin_scheduled(begin), name=f"start of {name}")
        return run

    def run_until_idle(self, *, limit_seconds: float = WEEK_SECONDS) -> None:
        """Let everything run until all executions have ended, scheduled ones and Lambda functions included.

        Raises
        ------
        simulator.clock.DeadlockError
            If an execution waits for something that will not happen, such as a task token that nobody answers.
        SimulationTooLongError
            If more than ``limit_seconds`` of virtual time pass.
        """
        self.clock.horizon = self.clock.now() + limit_seconds
        try:
            while self._busy():
                self.clock.wait(self._idle, None, "all executions to end")
        except HorizonError as error:
            running = ", ".join(f"{run.name} in {run.state}" for run in self.runs if not run.ended)
            raise SimulationTooLongError(
                f"still running after {limit_seconds:g} s of virtual time: {running}"
            ) from error
        finally:
            self.clock.horizon = None

    def history(self, run: Run) -> list[Any]:
        """Return the events of an execution as GetExecutionHistory does, all of them."""
        return self._interpreter.history(run)

    def wait_for(self, predicate: Callable[[], object]) -> None:
        """Let everything run until ``predicate()`` is true. See :meth:`simulator.clock.VirtualClock.wait_for`."""
        self.clock.wait_for(predicate)

    # --- the machinery

    @classmethod
    def _shared_session(cls) -> boto3.Session:
        if cls._session is None:
            cls._session = boto3.Session(
                aws_access_key_id="simulated",
                aws_secret_access_key="simulated",  # noqa: S106 (not a secret)
                region_name=REGION,
            )
        return cls._session

    def _begin_scheduled(self, begin: Callable[[], None]) -> None:
        self._scheduled -= 1
        begin()

    def _busy(self) -> bool:
        return bool(self._scheduled or self._interpreter.running or self._lambda.running)

    def _publish(self, kind: EventKind, **fields: Any) -> None:
        if self.clock.closing:
            return
        event = Event(self.clock.now(), kind, **fields)
        self.events.append(event)
        for observer in self._observers:
            observer(event)
        if not self._busy():
            self.clock.wake(self._idle)

    def _tell_witnesses(self, call: ApiCall) -> None:
        for witness in self._witnesses:
            witness(call)

    def _publish_call(self, call: ApiCall) -> None:
        self._publish(
            EventKind.AWS_CALL,
            execution=call.execution,
            state=call.state,
            function=call.function,
            error=call.error,
            detail={
                "service": call.service,
                "operation": call.operation,
                "attempts": call.attempts,
                "faults": tuple(call.faults),
            },
        )
