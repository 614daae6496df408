"""Every AWS call that a handler makes is recorded here, and here the faults enter.

Two seams of botocore and one of moto, all restored by :meth:`CallRecorder.installed`:

================================== ==============================================================================
seam                               why
================================== ==============================================================================
``BaseClient._make_api_call``      the one place that every API call of every client passes, whenever and however
                                   the client was made; one call here is one record, with all its attempts
``botocore_stubber.__class__``     moto's own ``before-send`` handler. A fault here is below botocore's retries, so
                                   these run for real; calling moto and dropping its answer makes an answer lost
``botocore.endpoint.time``         botocore sleeps between attempts: virtually
``RetryQuota.acquire, release``    each function has a process, and so a retry quota, of its own; here all share their
                                   clients, which may live longer than a world. So each function has a quota per world
================================== ==============================================================================

Only calls from inside a handler are recorded and hit: those in whose thread :data:`current_invocation` is set.
Handlers that make AWS calls from threads of their own are not supported (they hold no baton of the clock).
"""

from __future__ import annotations

import json
import time as real_time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch
from weakref import WeakKeyDictionary, WeakSet
from xml.sax.saxutils import escape

import botocore.endpoint
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.retries.quota import RetryQuota
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.core.models import botocore_stubber, patch_client

from simulator.faults.api_call import ApiCall, CallAction
from simulator.faults.faults import THROTTLING_CODES, CallFault, Faults

if TYPE_CHECKING:
    from botocore.model import ServiceModel

    from simulator.clock import VirtualClock
    from simulator.faults.quotas import Buckets


class Invocation(Protocol):
    """What the recorder needs to know about the Lambda invocation in whose thread it is called."""

    function_name: str
    execution: str
    state: str

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass, not beyond the end of the function."""

    def finish_call(self) -> None:
        """Count a completed call; may end the function."""


current_invocation: ContextVar[Invocation | None] = ContextVar("current_invocation", default=None)
"""The invocation in whose thread the code runs, None outside handlers."""


@contextmanager
def outside_handlers() -> Iterator[None]:
    """What is called inside is not the handler's doing: observers, moto's interpreter."""
    token = current_invocation.set(None)
    try:
        yield
    finally:
        current_invocation.reset(token)


class CallLog(list[ApiCall]):
    """The calls of a world, in order."""

    def of(
        self, service: str | None = None, operation: str | None = None, *, function: str | None = None
    ) -> list[ApiCall]:
        """Return the calls that match; None matches everything."""
        return [
            call
            for call in self
            if service in (None, call.service)
            and operation in (None, call.operation)
            and function in (None, call.function)
        ]


@dataclass
class _Active:
    """The call that is being sent in this thread."""

    call: ApiCall
    invocation: Invocation
    client: BaseClient


_active: ContextVar[_Active | None] = ContextVar("active_call", default=None)


class CallRecorder:
    """Records the calls of handlers and lets faults hit them.

    Parameters
    ----------
    clock
        Time of the calls, and of botocore's sleeps.
    faults
        The faults that may hit.
    buckets
        The quotas that may refuse.
    on_effect
        Called before each attempt that the service carries out, with the record so far.
    on_call
        Called after each call, with the record, before the handler sees the outcome.
    call_seconds
        Virtual time that each attempt takes before it has its effect. Above zero, overlapping executions interleave
        between calls and not only between states, as they do on AWS.
    """

    def __init__(
        self,
        clock: VirtualClock,
        faults: Faults,
        buckets: Buckets,
        on_effect: Callable[[ApiCall], None],
        on_call: Callable[[ApiCall], None],
        *,
        call_seconds: float,
    ) -> None:
        self.calls = CallLog()
        self._clock = clock
        self._faults = faults
        self._buckets = buckets
        self._on_effect = on_effect
        self._on_call = on_call
        self._call_seconds = call_seconds
        self._number = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Hold the seams for the ``with`` block."""
        recorder = self
        send_api_call: Callable[..., Any] = BaseClient._make_api_call  # noqa: SLF001 (the seam)
        covered: WeakSet[BaseClient] = WeakSet()
        retry_quotas: WeakKeyDictionary[RetryQuota, dict[str, RetryQuota]] = WeakKeyDictionary()
        acquire: Callable[..., Any] = RetryQuota.acquire
        release: Callable[..., Any] = RetryQuota.release

        def make_api_call(client: BaseClient, operation_name: str, api_params: Mapping[str, Any]) -> Any:
            if client not in covered:
                # A client older than moto does not know moto's handler, and would talk to AWS.
                patch_client(client)
                covered.add(client)
            invocation = current_invocation.get()
            if invocation is None:
                return send_api_call(client, operation_name, api_params)
            return recorder._record(client, operation_name, api_params, invocation, send_api_call)

        def of_function(shared: RetryQuota) -> RetryQuota:
            caller = current_invocation.get()
            return retry_quotas.setdefault(shared, {}).setdefault(caller.function_name if caller else "", RetryQuota())

        class FaultyStubber(BotocoreStubber):
            def __call__(self, event_name: str, request: AWSPreparedRequest, **kwargs: Any) -> AWSResponse | None:
                def answer() -> AWSResponse | None:
                    return BotocoreStubber.__call__(self, event_name, request, **kwargs)

                active = _active.get()
                if active is None:
                    return answer()
                return recorder._attempt(active, request, answer)

        with ExitStack() as seams:
            seams.enter_context(patch.object(BaseClient, "_make_api_call", make_api_call))
            seams.enter_context(patch.object(RetryQuota, "acquire", lambda quota, n: acquire(of_function(quota), n)))
            seams.enter_context(patch.object(RetryQuota, "release", lambda quota, n: release(of_function(quota), n)))
            seams.enter_context(patch.object(botocore.endpoint, "time", _EndpointTime(self._clock)))
            botocore_stubber.__class__ = FaultyStubber
            try:
                yield
            finally:
                botocore_stubber.__class__ = BotocoreStubber

    def _record(
        self,
        client: BaseClient,
        operation: str,
        params: Mapping[str, Any],
        invocation: Invocation,
        send: Callable[..., Any],
    ) -> Any:
        self._number += 1
        call = ApiCall(
            number=self._number,
            at=self._clock.now(),
            service=client.meta.service_model.service_name,
            operation=operation,
            function=invocation.function_name,
            execution=invocation.execution,
            state=invocation.state,
            params=params,
        )
        self.calls.append(call)
        token = _active.set(_Active(call, invocation, client))
        try:
            return send(client, operation, params)
        except ClientError as error:
            call.error = error.response["Error"]["Code"]
            raise
        except BotoCoreError as error:
            call.error = type(error).__name__
            raise
        except BaseException:  # the function was killed while it waited for the answer
            call.error = "Unanswered"
            raise
        finally:
            _active.reset(token)
            if call.attempts:  # not if botocore refused the parameters
                with outside_handlers():
                    self._on_call(call)
                invocation.finish_call()

    def _attempt(
        self, active: _Active, request: AWSPreparedRequest, answer: Callable[[], AWSResponse | None]
    ) -> AWSResponse | None:
        call = active.call
        call.attempts += 1
        fault = self._faults.for_attempt(call) or self._buckets.for_attempt(call)
        if fault is not None:
            call.faults.append(fault.action)
        if fault is not None and fault.action is CallAction.TIMEOUT:
            active.invocation.pass_time(float(active.client.meta.config.read_timeout))
            raise ReadTimeoutError(endpoint_url=request.url, error="injected")
        active.invocation.pass_time(self._call_seconds)
        if fault is None or fault.action is CallAction.LOST:
            token = _active.set(None)  # what moto calls in turn is not the handler's doing
            try:
                with outside_handlers():
                    self._on_effect(call)
                    response = answer()
            finally:
                _active.reset(token)
            if fault is not None:
                raise ConnectionClosedError(endpoint_url=request.url, request=request, error="injected")
            return response
        return _error_response(active.client.meta.service_model, request.url, fault)


class _EndpointTime:
    """Stands in for the module ``time`` in ``botocore.endpoint``."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def sleep(self, seconds: float) -> None:
        invocation = current_invocation.get()
        if invocation is not None:
            invocation.pass_time(seconds)
        elif self._clock.current() is not None:
            self._clock.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)


def _error_response(service: ServiceModel, url: str, fault: CallFault) -> AWSResponse:
    """Build the answer of a service that fails, in its own protocol."""
    code, message, status = fault.code, fault.message, fault.http_status
    if fault.action is CallAction.THROTTLE:
        code, status = THROTTLING_CODES.get(service.service_name, ("ThrottlingException", 400))
        message = "Rate exceeded"
    protocol = str(service.resolved_protocol)
    headers = {"x-amzn-requestid": "injected"}
    if protocol in ("json", "rest-json"):
        headers["content-type"] = "application/json"
        headers["x-amzn-errortype"] = code
        body = json.dumps({"__type": code, "message": message, "Message": message})
        if "awsQueryCompatible" in service.metadata:
            headers["x-amzn-query-error"] = f"{code};Sender"
    elif protocol == "ec2":
        headers["content-type"] = "text/xml"
        body = f"<Response><Errors>{_xml_error(code, message)}</Errors><RequestID>injected</RequestID></Response>"
    elif protocol in ("query", "rest-xml"):
        headers["content-type"] = "text/xml"
        body = f"<ErrorResponse>{_xml_error(code, message)}<RequestId>injected</RequestId></ErrorResponse>"
    else:
        unknown = f"no faults for the protocol {protocol} of {service.service_name}"
        raise NotImplementedError(unknown)
    raw: Any = MockRawResponse(body)
    return AWSResponse(url, status, headers, raw)


def _xml_error(code: str, message: str) -> str:
    return f"<Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
