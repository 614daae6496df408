"""What a state has done, in a few words: read from what it added to the execution's state."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lambdas.release.approval import rejection_message

Json = Mapping[str, Any]


def note(state: str, output: Json) -> str:
    """Say in a few words what a state did.

    Parameters
    ----------
    state
        Its name.
    output
        The execution's state when it was left.
    """
    reader = _READERS.get(state)
    try:
        return reader(output) if reader else ""
    except (KeyError, TypeError, AttributeError, IndexError):
        return ""  # it failed, and its Catch kept an error instead


def failed(state: str, output: Json) -> bool:
    """Whether a state's own verdict is that the deployment failed."""
    key, bad = _VERDICTS.get(state, ("", ""))
    return bool(key) and (output.get(key) or {}).get("status") == bad


def error_note(error: str | None, cause: str | None) -> str:
    """Say why a function failed, the exception's class and its message, or who said no to an approval."""
    try:
        message = str(json.loads(cause or "")["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return f"{error}: {rejection_message(cause or '')}"
    return f"{error}: {message.partition(': ')[2] or message}"


def short_image(image: str) -> str:
    """Return ``v3-backend@sha256:77636f9e2688``."""
    name, at, digest = image.partition("@sha256:")
    return f"{name.rpartition('/')[2]}@sha256:{digest[:12]}" if at else image.rpartition("/")[2]


def _verify_image(output: Json) -> str:
    image = output.get("image")
    if not image:
        return "nothing to look up: a way back"
    return f"{image['tag']} is {', '.join(short_image(each) for each in image['pinned'].values())}"


def _acquire_lock(output: Json) -> str:
    lock = output["lock"]
    if lock["status"] == "held":
        return f"token {lock['token']}" + (", with the journal of the stopped execution" if lock["inherited"] else "")
    return _names(str(lock["reason"]))


def _plan(output: Json) -> str:
    plan = output["plan"]
    if plan["nothingToDo"]:
        return "everything already is as asked"
    waves = ", then ".join(" and ".join(wave) for wave in plan["waves"] if wave)
    return f"{plan['action']}: {waves}"


def _update_image_tag(output: Json) -> str:
    count = len(output["tag"].get("parameters", ()))
    return f"{output['plan']['imageTag'] or 'no tag'}; {count} parameters"


def _register(output: Json) -> str:
    count = output["registered"]["registered"]
    return f"{count} new revisions" if count != 1 else "1 new revision"


def _migration(output: Json) -> str:
    migration = output["migration"]
    return str(migration.get("reason") or migration["status"])


def _deploy_wave(output: Json) -> str:
    return ", ".join(output["wave"]["services"]) or "nothing to move"


def _check_rollout(output: Json) -> str:
    services = output["rollout"]["services"]
    broken = {name: each for name, each in services.items() if each["status"] not in ("steady", "inProgress")}
    if not broken and all(each["status"] == "steady" for each in services.values()):
        return f"{_and(services)} steady"
    return "; ".join(f"{name}: {each['reason']}" for name, each in (broken or services).items())


def _check_health(output: Json) -> str:
    health = output["health"]
    return str(health.get("reason") or health["status"])


def _roll_back(output: Json) -> str:
    services = output["rollback"]["services"]
    return f"puts back {_and(services)}" if services else "no service has moved"


def _check_rollback(output: Json) -> str:
    restored = output["restored"]
    services = ", ".join(f"{name} {each['running']}/{each['desired']}" for name, each in restored["services"].items())
    return "all services are steady on what they ran before" if restored["status"] == "steady" else services


def _complete(output: Json) -> str:
    release = output["report"]["release"]
    return f"{release} is live" if release else "the release before is live again"


def _release_lock(output: Json) -> str:
    return _names(str(output["report"]["message"] or ""))


def _record_failure(output: Json) -> str:
    return f"on record as {output['report']['outcome']}"


def _and(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else str(last)


def _names(text: str) -> str:
    """Leave the name of each execution that a sentence gives by its ARN."""
    return " ".join(word.rpartition(":")[2] if word.startswith("arn:") else word for word in text.split(" "))


_READERS: dict[str, Callable[[Json], str]] = {
    "Verify image": _verify_image,
    "Acquire lock": _acquire_lock,
    "Plan": _plan,
    "Update image tag": _update_image_tag,
    "Register task definitions": _register,
    "Run migration": _migration,
    "Deploy wave": _deploy_wave,
    "Check rollout": _check_rollout,
    "Check health": _check_health,
    "Complete": _complete,
    "Roll back": _roll_back,
    "Check rollback": _check_rollback,
    "Record failure": _record_failure,
    "Record outcome": _release_lock,
}

_VERDICTS = {
    "Run migration": ("migration", "failed"),
    "Check rollout": ("rollout", "failed"),
    "Check health": ("health", "unhealthy"),
}
