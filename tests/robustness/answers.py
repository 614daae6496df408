"""AWS answers made from botocore's service models, and AWS answers with something left out.

Almost no member of an answer is ``required`` in a model: whatever a model does not promise may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.model import Shape

from lambdas.aws.gateway import client_of

Path = tuple[str | int, ...]
TOKENS = ("nextToken", "NextToken", "LastEvaluatedKey")
MAX_PAGES = 3
TEXTS = (
    "",
    "x",
    "xx",
    "1.5",
    "{}",
    "[",
    '{"manifests": [5]}',
    "arn:aws:ecs:us-east-1:123456789012:service/c/s",
    "ACTIVE",
)
EMITTER_NAMES = {"stepfunctions": "sfn", "cloudwatch": "cloudwatch", "logs": "cloudwatch-logs", "events": "eventbridge"}
EMITTER_NAMES |= {"secretsmanager": "secrets-manager"}


def made(shape: Shape, random: Random, missing: float, depth: int = 0) -> Any:
    """Make a value of a shape.

    Parameters
    ----------
    missing
        How likely each member that is not required is left out; it also makes lists empty.
    """
    kind = shape.type_name
    if kind == "structure":
        members = {
            name: made(member, random, missing, depth + 1)
            for name, member in shape.members.items()
            if name in shape.required_members or (random.random() >= missing and depth < 7)
        }
        return members | ({"OfANewerVersion": {"a": 1}} if random.random() < 0.2 else {})
    if kind == "list":
        count = 0 if depth >= 7 or random.random() < missing else random.randint(1, 2)
        return [made(shape.member, random, missing, depth + 1) for _ in range(count)]
    if kind == "map":
        return {"key": made(shape.value, random, missing, depth + 1)} if random.random() >= missing else {}
    if kind == "string":
        return random.choice([*shape.enum, "A_NEW_WORD"]) if getattr(shape, "enum", ()) else random.choice(TEXTS)
    simple: dict[str, Any] = {
        "timestamp": datetime(2026, 1, 5, tzinfo=UTC),
        "boolean": random.random() < 0.5,
        "blob": b"x",
        "float": 0.5,
        "double": 0.5,
    }
    return simple.get(kind, random.choice((0, 1, 7)))


@contextmanager
def answering(make: Callable[[Any], dict[str, Any]], *services: str) -> Iterator[None]:
    """Let these services answer what ``make`` returns for the model of an operation; nothing is sent."""
    count: dict[str, int] = {}

    def answer(model: Any, **_: Any) -> Any:
        parsed = make(model)
        count[model.name] = count.get(model.name, 0) + 1
        if count[model.name] >= MAX_PAGES:
            # Real pages end.
            parsed = {key: value for key, value in parsed.items() if key not in TOKENS}
        return AWSResponse("", 200, {}, None), parsed

    emitters = [client_of(service).meta.events for service in services]
    for emitter in emitters:
        emitter.register_first("before-call", answer)
    try:
        yield
    finally:
        for emitter in emitters:
            emitter.unregister("before-call", answer)


@contextmanager
def changed(change: Callable[[Any, dict[str, Any]], None], *services: str) -> Iterator[None]:
    """Let ``change`` see, and change, every answer of these services: the model of the operation, and the answer."""

    def after(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        change(model, parsed)

    emitters = [client_of(service).meta.events for service in services]
    for emitter in emitters:
        emitter.register_last("after-call", after)
    try:
        yield
    finally:
        for emitter in emitters:
            emitter.unregister("after-call", after)


def optional(shape: Shape | None, value: Any, at: Path = ()) -> Iterator[Path]:
    """Return where in an answer a member stands that the model does not require; of a list, in its first item."""
    if shape is None:
        return
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in shape.members.items():
            if name in value:
                if name not in shape.required_members:
                    yield (*at, name)
                yield from optional(member, value[name], (*at, name))
    elif shape.type_name == "list" and isinstance(value, list) and value:
        yield from optional(shape.member, value[0], (*at, 0))


def drop(answer: Any, path: Path) -> None:
    """Remove what stands at the path, of every item of a list; nothing when it is not there."""
    if isinstance(answer, list):
        for item in answer:
            drop(item, path[1:])
    elif isinstance(answer, dict) and path[0] in answer:
        if len(path) == 1:
            del answer[path[0]]
        else:
            drop(answer[path[0]], path[1:])
