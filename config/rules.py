"""What a value must look like: one rule per key, and the rules between keys.

A rule says what is allowed in words, gives an example to copy, and tests a value that already has the
right type. ``[section] key`` is how a problem names its place.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.application import APPLICATION_RULES
from config.history import history_contradictions, longest_execution_seconds
from config.network import NETWORK_RULES
from config.pipeline import BRANCH
from config.rule import YES_OR_NO, Rule, at_least, day, text, texts
from config.schema import EnvironmentConfig, MigrationTask
from lambdas.release.gates import check_time_zone, check_window

MAX_NAME_LENGTH = 64
LONGEST_STEP = "register-task-definitions"
"""The longest last part of a function's name; Lambda allows 64 characters for the whole name."""

RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180),
    *(365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""CloudWatch Logs API reference, ``PutRetentionPolicy``."""

FARGATE_SIZES: dict[int, tuple[int, int, int]] = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16_384, 1024),
    4096: (8192, 30_720, 1024),
    8192: (16_384, 61_440, 4096),
    16_384: (32_768, 122_880, 8192),
}
"""CPU units to lowest, highest and step of the memory in MiB (ECS Developer Guide, "Task CPU and memory").

256 units know 512, 1024 and 2048 MiB only; 1536, which the step allows too, is refused by ECS.
"""


MAX_ACCEPTED = 30
"""An entry with an id of 40 characters takes 80 bytes, all variables of a function 4 KB at most (Lambda quotas)."""


NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
ECS_NAME = r"[A-Za-z0-9_-]{1,255}"
REPOSITORY = r"(?=.{2,256}$)([a-z0-9]+([._-][a-z0-9]+)*/)*[a-z0-9]+([._-][a-z0-9]+)*"
TAG_VALUE = r"[\w .:/=+@-]{1,256}"
PREFIX = r"[\w+=,.@/-]{2,400}"

ecs_name = text(ECS_NAME, "an ECS name: letters, digits, - and _, at most 255", "v3-backend-dev-api")
repository = text(REPOSITORY, "the name of an ECR repository, without registry and tag", "v3-backend")

LOG_DAYS = Rule(
    f"whole days, one of the values that CloudWatch Logs has: {', '.join(map(str, RETENTION_DAYS))}",
    "30",
    lambda value: value in RETENTION_DAYS,
)
FARGATE_CPU = Rule(
    f"CPU units that Fargate has: {', '.join(map(str, FARGATE_SIZES))}", "256", lambda value: value in FARGATE_SIZES
)
FARGATE_MEMORY = at_least(512, "MiB", 512, at_most=122_880)
WAVE = at_least(0, "a whole number", 1, at_most=99)
TASKS = at_least(1, "a whole number of tasks", 2, at_most=1000)
PERCENT = at_least(10, "a whole number of percent", 60, at_most=95)

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
    "[image] accepted_findings": Rule(
        f"a list of at most {MAX_ACCEPTED} tables with id, until and reason",
        '[{ id = "CVE-2026-12345", until = 2026-12-31, reason = "no fix in Debian; the program never calls it" }]',
    ),
    "[image.accepted_findings] id": text(
        r"(?=.{4,40}$)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9:.]+)+",
        "a finding's name as ECR shows it, at most 40 characters, no pattern",
        "CVE-2026-12345",
    ),
    "[image.accepted_findings] until": day("a day, the last on which it does not count (UTC)", "2026-12-31"),
    "[image.accepted_findings] reason": text(
        r"(?=.*\w)[^\n]{1,200}",
        "a line of text, at most 200 characters",
        "no fix in Debian; the program never calls it",
    ),
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
    "[rollout] poll_seconds": at_least(1, "whole seconds", 1),
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
    "[approval] requester_may_approve": YES_OR_NO,
    "[freeze] time_zone": Rule(
        "a time zone of the IANA database",
        '"Europe/Berlin"',
        lambda value: isinstance(value, str) and check_time_zone(value),
    ),
    "[freeze] windows": Rule(
        "a list of windows: every week, or once from one minute to another",
        '["fri 16:00 - mon 08:00", "2026-12-19 12:00 - 2027-01-04 08:00"]',
        lambda value: isinstance(value, str) and check_window(value) is None,
    ),
    "[machine] timeout_seconds": at_least(1, "whole seconds", 14400),
    "[machine] log_retention_days": LOG_DAYS,
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
    "[migration] cpu": FARGATE_CPU,
    "[migration] memory": FARGATE_MEMORY,
    "[platform] enabled": YES_OR_NO,
    "[github] repository": text(
        r"([A-Za-z0-9-]{1,39}(@\d+)?/[A-Za-z0-9._-]{1,100}(@\d+)?)?",
        "owner/name of a GitHub repository, owner@id/name@id for one with immutable subjects, or empty for none",
        "example-org/v3-backend",
    ),
    "[bootstrap] creates_repository": YES_OR_NO,
    "[bootstrap] creates_oidc_provider": YES_OR_NO,
    "[bootstrap] keep_images": at_least(2, "a whole number of images", 200, at_most=10_000),
    **NETWORK_RULES,
    "[logs] retention_days": LOG_DAYS,
    "[logs] archive_days": at_least(1, "whole days", 365, at_most=3653),
    "[compute] container_insights": text(
        "enhanced|enabled", "enhanced or enabled: the worker scales by it", "enhanced"
    ),
    "[compute] execute_command": YES_OR_NO,
    "[compute] spot": YES_OR_NO,
    "[compute] certificate_arn": text(
        r"(arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36})?",
        "the ARN of an ACM certificate in the stack's region, or empty for a private load balancer without one",
        "",
    ),
    "[compute] deregistration_delay_seconds": at_least(0, "whole seconds", 20, at_most=3600),
    "[compute] stop_timeout_seconds": at_least(15, "whole seconds", 30, at_most=120),
    "[api] cpu": FARGATE_CPU,
    "[api] memory": FARGATE_MEMORY,
    "[api] wave": WAVE,
    "[api] min_tasks": TASKS,
    "[api] max_tasks": TASKS,
    "[api] cpu_percent": PERCENT,
    "[api] memory_percent": PERCENT,
    "[api] requests_per_task": at_least(1, "a whole number of requests a minute", 1000),
    "[worker] cpu": FARGATE_CPU,
    "[worker] memory": FARGATE_MEMORY,
    "[worker] wave": WAVE,
    "[worker] min_tasks": TASKS,
    "[worker] max_tasks": TASKS,
    "[worker] cpu_percent": PERCENT,
    "[worker] memory_percent": PERCENT,
    "[worker] messages_per_task": at_least(1, "a whole number of jobs", 10),
    "[scheduler] cpu": FARGATE_CPU,
    "[scheduler] memory": FARGATE_MEMORY,
    "[scheduler] wave": WAVE,
    "[scheduler] interval_seconds": at_least(10, "whole seconds", 300, at_most=86_400),
    "[search] enabled": YES_OR_NO,
    "[search] image": text(
        r"(docker\.io/)?typesense/typesense:\d+(\.\d+)+(@sha256:[0-9a-f]{64})?",
        "Typesense's official image with its version, and a digest if you like",
        "typesense/typesense:28.0",
    ),
    "[search] cpu": FARGATE_CPU,
    "[search] memory": FARGATE_MEMORY,
    "[aurora] enabled": YES_OR_NO,
    "[aurora] min_acu": at_least(0, "a whole number of Aurora capacity units", 0, at_most=256),
    "[aurora] max_acu": at_least(1, "a whole number of Aurora capacity units", 4, at_most=256),
    "[aurora] readers": at_least(0, "a whole number of instances", 1, at_most=15),
    "[aurora] backup_days": at_least(1, "whole days", 7, at_most=35),
    "[dynamodb] enabled": YES_OR_NO,
    # What a table may have until AWS raises it (DynamoDB Developer Guide, "DynamoDB maximum throughput for on-demand
    # tables").
    "[dynamodb] max_read_units": at_least(1, "a whole number of request units a second", 1000, at_most=40_000),
    "[dynamodb] max_write_units": at_least(1, "a whole number of request units a second", 1000, at_most=40_000),
    "[dynamodb] recovery_days": at_least(1, "whole days", 35, at_most=35),
    **APPLICATION_RULES,
    "[pipeline] enabled": YES_OR_NO,
    "[pipeline] repository": text(
        r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}", "owner/name of a GitHub repository", "example-org/v3-backend"
    ),
    "[pipeline] branch": text(BRANCH, "the name of a branch as git has it, of at most 100 characters", "develop"),
    "[pipeline] connection_arn": text(
        r"(arn:aws[a-z-]*:(codeconnections|codestar-connections):[a-z0-9-]+:\d{12}:connection/[0-9a-f-]{36})?",
        "the ARN of a connection, or empty for one of the pipeline's own",
        "",
    ),
    "[pipeline] keep_artifacts_days": at_least(30, "whole days", 90, at_most=3650),
    "[pipeline] approval_timeout_minutes": at_least(5, "whole minutes", 10_080, at_most=86_400),
    "[pipeline] slack_workspace_id": text(
        r"([0-9A-Z]{1,255})?", "a Slack workspace id such as T07EJQ8KJ, or empty", ""
    ),
    "[pipeline] slack_channel_id": text(r"([A-Za-z0-9]{1,256})?", "a Slack channel id such as C07EZ1ABC, or empty", ""),
    "[frontend_pipeline] enabled": YES_OR_NO,
    "[services.*] kind": text("migration", '"migration"; a service has no kind', "migration"),
    "[services.*] cluster": ecs_name,
    "[services.*] service": ecs_name,
    "[services.*] family": ecs_name,
    "[services.*] container": ecs_name,
    "[services.*] repository": repository,
    "[services.*] wave": WAVE,
    "[services.*] subnets": texts(r"subnet-[0-9a-f]{8,17}", "a list of subnet ids", '["subnet-0123456789abcdef0"]'),
    "[services.*] security_groups": texts(
        r"sg-[0-9a-f]{8,17}", "a list of security group ids", '["sg-0123456789abcdef0"]'
    ),
}
"""The rule of every key; ``*`` stands for the name of a service."""


def contradictions(settings: EnvironmentConfig) -> Iterator[tuple[str, str, str]]:
    """Yield (key, what is wrong, the fix) for values that are good alone and wrong together."""
    room = MAX_NAME_LENGTH - len(LONGEST_STEP) - len("--")
    if (length := len(settings.app) + len(settings.environment)) > room:
        yield "app", f"is too long: app and environment have {length} characters together", f"shorten them to {room}"

    accepted = [each.id.casefold() for each in settings.image.accepted_findings]
    if len(set(accepted)) < len(accepted):
        twice = next(each.id for each in settings.image.accepted_findings if accepted.count(each.id.casefold()) > 1)
        yield "[image] accepted_findings", f"names {twice} twice", "delete one of the entries"
    if len(accepted) > MAX_ACCEPTED:
        yield "[image] accepted_findings", f"has {len(accepted)} entries", f"keep {MAX_ACCEPTED}; delete what ended"

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
    yield from history_contradictions(settings)
    yield from _size_contradictions(settings)
    yield from settings.aurora.contradictions()
    yield from settings.pipeline.contradictions()
    yield from settings.frontend.contradictions()
    if settings.platform.enabled:
        yield from _platform_contradictions(settings)
    yield from _service_contradictions(settings)


PLATFORM_WORKLOADS = ("api", "worker", "scheduler", "migration")


def _platform_contradictions(settings: EnvironmentConfig) -> Iterator[tuple[str, str, str]]:
    """Yield what the deployer may not touch of the platform that stands beside it: its names follow from the app's."""
    prefix, path = f"{settings.app}-{settings.environment}", f"{settings.app}/{settings.environment}/"
    permissions = settings.permissions
    if prefix not in permissions.clusters:
        yield "[permissions] clusters", f'lacks "{prefix}", the cluster of the platform', f'add "{prefix}"'
    for key, value, wanted in (
        ("role_path", permissions.role_path, f"/{path}"),
        ("secret_prefix", permissions.secret_prefix, path),
        ("log_group_prefix", permissions.log_group_prefix, f"/{path}"),
    ):
        if value != wanted:
            yield f"[permissions] {key}", f'is "{value}", and the platform uses "{wanted}"', f'give "{wanted}"'
    for alarm in settings.circuit_breaker.alarms:
        if not alarm.startswith(f"{prefix}-"):
            fix = f"give those of {prefix}, or none"
            yield "[circuit_breaker] alarms", f'names "{alarm}", which is no alarm of this environment', fix
    for name in settings.services:
        if name in PLATFORM_WORKLOADS:
            yield (
                f"[services.{name}]",
                "registers what the platform's own stack registers",
                "delete it, or say [platform] enabled = false",
            )


def _size_contradictions(settings: EnvironmentConfig) -> Iterator[tuple[str, str, str]]:
    for section in ("api", "worker", "scheduler", "migration", "search"):
        task = getattr(settings, section)
        lowest, highest, step = FARGATE_SIZES[task.cpu]
        sizes = [size for size in range(lowest, highest + 1, step) if (task.cpu, size) != (256, 1536)]
        if task.memory not in sizes:
            near = min(sizes, key=lambda size: (abs(size - task.memory), size))
            yield (
                f"[{section}] memory",
                f"is {task.memory}, which Fargate does not have with cpu = {task.cpu} ({lowest} to {highest} MiB)",
                f"give {near}",
            )
    for section, scaled in (("api", settings.api), ("worker", settings.worker)):
        if scaled.min_tasks > scaled.max_tasks:
            fix = f"give {scaled.max_tasks} or less"
            yield f"[{section}] min_tasks", f"is {scaled.min_tasks}, more than max_tasks = {scaled.max_tasks}", fix
    zones = settings.network.availability_zones
    if settings.network.nat_gateways > zones:
        yield "[network] nat_gateways", f"is {settings.network.nat_gateways} for {zones} zones", f"give {zones} or less"


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
