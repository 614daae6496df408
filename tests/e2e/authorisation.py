"""The emulator's IAM enforcement, switched on while it runs, and what it maps to another resource than AWS does.

Its own setting, ``AUTH=true``, holds from the start, and would refuse the CDK. Here it is one more key of the
emulator's config endpoint. Each refusal is a line in the emulator's log, which the tests read.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs, iam, secretsmanager

from tests.e2e.emulator import REFUSED, SWITCH
from tests.least_privilege.requests import IamRequest, UnmappedCallError, requests_of

MAPPED = (
    # The emulator takes the cluster for the resource of every call that names one, and knows no ecs:cluster,
    # no ecs:CreateAction, and no role that is passed.
    "ecs.",
    # It knows the parameter of calls with one Name, and none for Names and Path.
    "ssm.",
    # It knows one repositoryName, and none of repositoryNames.
    "ecr.DescribeRepositories",
    # It leaves the path of the role out of the ARN.
    "iam.GetRole",
    # It leaves the stream out of the ARN.
    "logs.GetLogEvents",
    # It knows no events:source.
    "events.PutEvents",
)
"""Calls that ``tests/least_privilege/requests.py`` maps here; all others are authorised as the emulator does it."""

Answer = tuple[int, dict[str, str], bytes]
_asked: ContextVar[list[IamRequest] | None] = ContextVar("asked", default=None)


def add() -> None:
    """Wrap the functions of the emulator that decide."""
    app._handle_admin_config_request = _with_switch(app._handle_admin_config_request)
    iam_actions.extract_resource_arn = _ask_as_aws(iam_actions.extract_resource_arn)
    iam_evaluator.enforce = _tell_refusals(_enforce_all(iam_evaluator.enforce))


class _EmulatedAccount:
    """Looks up in the emulator's own tables what a request's ARNs need; used while it serves the request."""

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"

    def role(self, name: str) -> str:
        found = iam._roles.get(name)
        return str(found["Arn"]) if found else f"arn:aws:iam::{get_account_id()}:role/{name}"

    def secret(self, name: str) -> str:
        _, found = secretsmanager._resolve(name)
        return str(found["ARN"]) if found else name

    def task_definition(self, name: str) -> tuple[str, tuple[str, ...]]:
        found = ecs._task_defs.get(ecs._resolve_td_key(name)) or {}
        roles = (found.get("taskRoleArn"), found.get("executionRoleArn"))
        return found.get("taskDefinitionArn", name), tuple(role for role in roles if role)


def _with_switch(configure: Callable[..., Awaitable[Answer | None]]) -> Callable[..., Awaitable[Answer | None]]:
    """Let the config endpoint set whether IAM is enforced."""

    async def configure_or_switch(path: str, method: str, body: bytes) -> Answer | None:
        settings = json.loads(body) if path == "/_ministack/config" and method == "POST" and body else {}
        if SWITCH not in settings:
            return await configure(path, method, body)
        app.AUTH = bool(settings[SWITCH])
        # A warm function keeps the credentials that it was started with: the account's own, without a role.
        lambda_runtime.reset()
        return 200, {"Content-Type": "application/json"}, json.dumps({"applied": {SWITCH: app.AUTH}}).encode()

    return configure_or_switch


def _ask_as_aws(extract: Callable[..., str]) -> Callable[..., str]:
    """Remember what AWS asks IAM for this request, where the emulator would ask for something else."""

    def extract_and_remember(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
        region: str,
        account: str,
    ) -> str:
        action = iam_actions.extract_iam_action(service, method, path, headers, body, query) or ":"
        call = f"{service}.{action.partition(':')[2]}"
        _asked.set(None)
        if call.startswith(MAPPED):
            params = json.loads(body) if body[:1] == b"{" else {key: _first(each) for key, each in query.items()}
            try:
                _asked.set(requests_of(service, call.partition(".")[2], params, _EmulatedAccount()))
            except (UnmappedCallError, KeyError):
                # No function calls it like that: it is the account itself, which may do everything.
                _asked.set(None)
        return extract(service, method, path, headers, body, query, region, account)

    return extract_and_remember


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _enforce_all(enforce: Callable[..., Any]) -> Callable[..., Any]:
    """Ask for all that was remembered, the first time that the request is checked."""

    def enforce_each(key: str, action: str, service: str, region: str, **given: Any) -> Any:
        asked = _asked.get()
        _asked.set(None)
        if asked is None:
            return enforce(key, action, service, region, **given), IamRequest(action, given.get("resource_arn", "*"))
        for each in asked:
            context = {**(given.get("service_context") or {}), **dict(each.keys)}
            denied = enforce(key, each.action, service, region, resource_arn=each.resource, service_context=context)
            if denied:
                return denied, each
        return None, None

    return enforce_each


def _tell_refusals(enforce: Callable[..., Any]) -> Callable[..., Any]:
    """Write each refusal to the log."""

    def enforce_and_tell(*args: Any, **given: Any) -> Any:
        denied, request = enforce(*args, **given)
        if denied:
            # An unknown key is refused before anybody knows whose it is.
            session = getattr(denied, "principal_arn", "") or getattr(denied, "code", "")
            line = {"session": session, "action": request.action, "resource": request.resource}
            print(f"{REFUSED}{json.dumps(line)}", flush=True)  # noqa: T201 (the log)
        return denied

    return enforce_and_tell
