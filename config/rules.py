"""What a value must look like: one rule per key, and the rules between keys.

A rule says what is allowed in words, gives an example to copy, and tests a value that already has the
right type. ``[section] key`` is how a problem names its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config.schema import EnvironmentConfig, MigrationTask

MAX_NAME_LENGTH = 64
LONGEST_STEP = "register-task-definitions"
"""The longest last part of a function's name; Lambda allows 64 characters for the whole name."""

RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180),
    *(365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""CloudWatch Logs API reference, ``PutRetentionPolicy``."""

YEAR_SECONDS = 365 * 24 * 3600
"""Step Functions quotas: an execution of a standard workflow runs for at most one year."""


@dataclass(frozen=True)
class Rule:
    """What one key allows.

    Attributes
    ----------
    what
        The allowed values in words, such as ``whole seconds, at least 1``.
    example
        A good value as TOML, copied into the fix of a missing key.
    allows
        Tests a value of the right type; for a list, each of its items.
    not_empty
        Whether an empty list is wrong.
    """

    what: str
    example: str
    allows: Callable[[object], bool] = lambda _: True
    not_empty: bool = False


def at_least(minimum: int, unit: str, example: int, *, at_most: int = YEAR_SECONDS) -> Rule:
    """Allow whole numbers from ``minimum`` on."""
    limit = f" and at most {at_most}" if at_most != YEAR_SECONDS else ""
    return Rule(
        f"{unit}, at least {minimum}{limit}",
        str(example),
        lambda value: isinstance(value, int) and minimum <= value <= at_most,
    )


def text(pattern: str, what: str, example: str) -> Rule:
    """Allow text that a regular expression matches as a whole."""
    return Rule(what, f'"{example}"', _matches(pattern))


def texts(pattern: str, what: str, example: str, *, not_empty: bool = True) -> Rule:
    """Allow a list of texts, each matched by a regular expression as a whole."""
    return Rule(what, example, _matches(pattern), not_empty)


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


YES_OR_NO = Rule("true or false", "true")
NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
ECS_NAME = r"[A-Za-z0-9_-]{1,255}"
REPOSITORY = r"(?=.{2,256}$)([a-z0-9]+([._-][a-z0-9]+)*/)*[a-z0-9]+([._-][a-z0-9]+)*"
TAG_VALUE = r"[\w .:/=+@-]{1,256}"
PREFIX = r"[\w+=,.@/-]{2,400}"

ecs_name = text(ECS_NAME, "an ECS name: letters, digits, - and _, at most 255", "v3-backend-dev-api")
repository = text(REPOSITORY, "the name of an ECR repository, without registry and tag", "v3-backend")

RULES: dict[str, Rule] = {
    "app": text(
        rf"(?!aws|ssm){NAME}",
        "lower-case letters, digits and single hyphens, not beginning with aws or ssm",
        "v3-backend",
    ),
    "environment": text(NAME, "lower-case letters, digits and single hyphens", "dev"),
    "owner": text(TAG_VALUE, "a tag value: 1 to 256 letters, digits, spaces and _ . : / = + - @", "platform-team"),
    "cost_center": text(TAG_VALUE, "a tag value: 1 to 256 letters, digits, spaces and _ . : / = + - @", "1234"),
    "[image] repositories": texts(
        REPOSITORY, "a list of ECR repository names, without registry and tag", '["v3-backend"]'
    ),
    "[image] scan_required": YES_OR_NO,
    "[image] max_critical_findings": at_least(0, "a whole number of findings", 0),
    "[image] max_high_findings": at_least(0, "a whole number of findings", 10),
    "[image] scan_wait_seconds": at_least(15, "whole seconds", 300),
    "[ecr_push] enabled": YES_OR_NO,
    "[ecr_push] tag_patterns": texts(
        r"(?!.*\*\*)[A-Za-z0-9_*][A-Za-z0-9._*-]{0,127}",
        "a list of tag patterns, * for any characters, never ** (EventBridge rejects it)",
        '["sha-*"]',
        not_empty=False,
    ),
    "[lock] wait_timeout_seconds": at_least(1, "whole seconds", 1800),
    "[lock] poll_seconds": at_least(1, "whole seconds", 15),
    "[rollout] timeout_seconds": at_least(1, "whole seconds", 900),
    "[rollout] poll_seconds": at_least(1, "whole seconds", 15),
    "[rollout] bake_seconds": at_least(0, "whole seconds", 600),
    "[rollout] bake_poll_seconds": at_least(1, "whole seconds", 30),
    "[rollout] rollback_timeout_seconds": at_least(1, "whole seconds", 900),
    "[circuit_breaker] failed_tasks": at_least(1, "a whole number of tasks", 3),
    "[circuit_breaker] alarms": texts(
        r"[^\x00-\x1f]{1,255}", "a list of names of CloudWatch alarms", '["v3-backend-dev-5xx"]', not_empty=False
    ),
    "[migration] timeout_seconds": at_least(1, "whole seconds", 900),
    "[migration] poll_seconds": at_least(1, "whole seconds", 10),
    "[approval] required": YES_OR_NO,
    "[approval] timeout_seconds": at_least(1, "whole seconds", 3600),
    "[machine] timeout_seconds": at_least(1, "whole seconds", 14400),
    "[machine] log_retention_days": Rule(
        f"whole days, one of the values that CloudWatch Logs has: {', '.join(map(str, RETENTION_DAYS))}",
        "30",
        lambda value: value in RETENTION_DAYS,
    ),
    "[permissions] clusters": texts(ECS_NAME, "a list of ECS cluster names, not ARNs", '["v3-backend-dev"]'),
    "[permissions] role_path": text(
        rf"/{PREFIX}",
        "a role path such as /v3-backend/dev/, or a path and the beginning of the name; not / alone",
        "/v3-backend/dev/",
    ),
    "[permissions] secret_prefix": text(PREFIX, "the beginning of the names of secrets, without *", "v3-backend/dev/"),
    "[permissions] log_group_prefix": text(
        PREFIX, "the beginning of the names of log groups, without *", "/v3-backend/dev/"
    ),
    "[services.*] kind": text("migration", '"migration"; a service has no kind', "migration"),
    "[services.*] cluster": ecs_name,
    "[services.*] service": ecs_name,
    "[services.*] family": ecs_name,
    "[services.*] container": ecs_name,
    "[services.*] repository": repository,
    "[services.*] wave": at_least(0, "a whole number", 1, at_most=99),
    "[services.*] subnets": texts(r"subnet-[0-9a-f]{8,17}", "a list of subnet ids", '["subnet-0123456789abcdef0"]'),
    "[services.*] security_groups": texts(
        r"sg-[0-9a-f]{8,17}", "a list of security group ids", '["sg-0123456789abcdef0"]'
    ),
}
"""The rule of every key; ``*`` stands for the name of a service."""

SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""The same as in ``statemachine/input.schema.json``: a deployment names services by it."""


def longest_execution_seconds(settings: EnvironmentConfig) -> int:
    """Return how long a deployment of one wave takes when every part of it uses up its time.

    Examples
    --------
    Lock 1800 + migration 900 + rollout 900 + bake 600 + way back 900 = 5100, and the approval's time
    where one is required. Each further wave may take another rollout timeout.
    """
    approval = settings.approval.timeout_seconds if settings.approval.required else 0
    return (
        settings.lock.wait_timeout_seconds
        + approval
        + settings.migration.timeout_seconds
        + settings.rollout.timeout_seconds
        + settings.rollout.bake_seconds
        + settings.rollout.rollback_timeout_seconds
    )


def contradictions(settings: EnvironmentConfig) -> Iterator[tuple[str, str, str]]:
    """Yield (key, what is wrong, the fix) for values that are good alone and wrong together."""
    room = MAX_NAME_LENGTH - len(LONGEST_STEP) - len("--")
    if (length := len(settings.app) + len(settings.environment)) > room:
        yield "app", f"is too long: app and environment have {length} characters together", f"shorten them to {room}"

    for key, poll, limit in (
        ("[lock] poll_seconds", settings.lock.poll_seconds, settings.lock.wait_timeout_seconds),
        ("[rollout] poll_seconds", settings.rollout.poll_seconds, settings.rollout.timeout_seconds),
        ("[migration] poll_seconds", settings.migration.poll_seconds, settings.migration.timeout_seconds),
    ):
        if poll > limit:
            yield key, f"is {poll}, more than the timeout of {limit} seconds beside it", f"give {limit} or less"
    bake, bake_poll = settings.rollout.bake_seconds, settings.rollout.bake_poll_seconds
    if bake and bake_poll > bake:
        yield "[rollout] bake_poll_seconds", f"is {bake_poll}, more than bake_seconds = {bake}", f"give {bake} or less"

    longest = longest_execution_seconds(settings)
    if settings.machine.timeout_seconds < longest:
        yield (
            "[machine] timeout_seconds",
            f"is {settings.machine.timeout_seconds}, but one deployment may take {longest} seconds in all its steps",
            f"give {longest} or more (and another rollout timeout per further wave)",
        )
    if settings.ecr_push.enabled and not settings.ecr_push.tag_patterns:
        yield "[ecr_push] tag_patterns", "is empty, so no push would start anything", 'give tag_patterns = ["sha-*"]'
    yield from _service_contradictions(settings)


def _service_contradictions(settings: EnvironmentConfig) -> Iterator[tuple[str, str, str]]:
    for name, service in settings.services.items():
        place = f"[services.{name}]"
        if isinstance(service, MigrationTask) and name != "migration":
            yield f"{place} kind", "makes it the migration", "name the table [services.migration], or delete kind"
        if not isinstance(service, MigrationTask) and name == "migration":
            yield f"{place} kind", "is missing: the name stands for the migration", 'add kind = "migration"'
        if service.repository not in settings.image.repositories:
            yield (
                f"{place} repository",
                f'is "{service.repository}", which the functions may not read',
                "add it to [image] repositories",
            )
        if service.cluster not in settings.permissions.clusters:
            yield (
                f"{place} cluster",
                f'is "{service.cluster}", which the functions may not touch',
                "add it to [permissions] clusters",
            )
