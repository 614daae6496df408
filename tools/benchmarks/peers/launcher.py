"""The emulator of ``tests/e2e`` with a record: who called what, and when a rollout was steady or a task failed.

Runs in the emulator's own environment (``python -m tools.benchmarks.peers.launcher``). It writes a line of JSON for
each fact to the file named in the environment variable ``STEPSHIP_RECORD``; ``record.py`` reads them. All times are
unix seconds of the one machine on which everything runs.

One thing more is made as it is on AWS: a deployment that failed is no longer in DescribeServices once another one has
completed and none of its tasks runs. The emulator keeps it for ever, and every tool that waits for "one deployment"
would wait for ever too.
"""

# mypy: disable-error-code="import-not-found"
# The emulator lives in an environment of its own, which mypy does not see.
# ruff: noqa: SLF001 (what is wrapped has no public name; the version is pinned)

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ministack import app
from ministack.services import ecs, lambda_svc

from tests.e2e import launcher

STEADY_PATH = "/_benchmark/steady"
"""POST seconds here: how long the emulated ECS watches a new task until it counts."""

SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
ACTION = re.compile(rb"(?:^|&)Action=(\w+)")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_record = Path(os.environ["STEPSHIP_RECORD"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 (until its end)


def main() -> None:
    """Wrap what is worth a line, and start."""
    app.app = recorded(app.app)
    ecs._complete_service_deployment = tell_steady(ecs._complete_service_deployment)
    ecs._record_service_task_failure = tell_failure(ecs._record_service_task_failure)
    lambda_svc._execute_function_warm = tell_function(lambda_svc._execute_function_warm)
    launcher.main()


def tell(kind: str, **fact: Any) -> None:
    """Write a line."""
    _record.write(json.dumps({"at": time.time(), "kind": kind, **fact}) + "\n")


def recorded(application: Application) -> Application:
    """Write a line for every AWS call, named as in AWS's own documentation."""

    async def record(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = b""
        if scope["path"] == STEADY_PATH:
            ecs._ECS_DEPLOYMENT_STEADY_DELAY = float((await receive())["body"])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def receive_and_keep() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        arrived = time.time()
        await application(scope, receive_and_keep, send)
        signed = SCOPE.search(headers.get("authorization", ""))
        if signed:
            operation = operation_of(headers, scope["path"], body)
            tell("call", service=signed[1], operation=operation, arrived=arrived, agent=headers.get("user-agent", ""))

    return record


def operation_of(headers: dict[str, str], path: str, body: bytes) -> str:
    """Return the operation of a request in any of AWS's protocols: JSON, CBOR, query; else the path."""
    target = headers.get("x-amz-target")
    if target:
        return target.rsplit(".", 1)[-1]
    if "/operation/" in path:
        return path.rsplit("/", 1)[-1]
    action = ACTION.search(body)
    return action[1].decode() if action else path


def tell_steady(complete: Callable[..., None]) -> Callable[..., None]:
    """Write a line when a service's rollout is steady; forget deployments as AWS does."""

    def complete_and_tell(cluster: str, key: str, expected_deployment_id: str | None = None) -> None:
        before = primary(key)
        was = before and (before["id"], before.get("rolloutState"))
        complete(cluster, key, expected_deployment_id)
        after = primary(key)
        if after and after.get("rolloutState") == "COMPLETED":
            service = ecs._services[key]
            service["deployments"] = [
                each for each in service["deployments"] if each is after or each.get("runningCount", 0)
            ]
            if was != (after["id"], "COMPLETED"):
                tell("steady", service=service["serviceName"], definition=after["taskDefinition"])

    return complete_and_tell


def primary(key: str) -> Message | None:
    """Return what the emulated ECS works towards."""
    service = ecs._services.get(key)
    found: Message | None = ecs._primary_deployment(service) if service else None
    return found


def tell_failure(record: Callable[..., None]) -> Callable[..., None]:
    """Write a line when a service's task has failed."""

    def record_and_tell(task: Message, *arguments: Any, **named: Any) -> None:
        tell("task failed", service=task.get("group", "").removeprefix("service:"))
        record(task, *arguments, **named)

    return record_and_tell


def tell_function(execute: Callable[..., Message]) -> Callable[..., Message]:
    """Write a line for every invocation of a Lambda function, with its seconds."""

    def execute_and_tell(function: Message, *arguments: Any) -> Message:
        begin = time.time()
        try:
            return execute(function, *arguments)
        finally:
            settings = function.get("config", function)
            tell(
                "function",
                name=settings.get("FunctionName", ""),
                memory_mib=settings.get("MemorySize", 0),
                seconds=time.time() - begin,
            )

    return execute_and_tell


if __name__ == "__main__":
    main()
