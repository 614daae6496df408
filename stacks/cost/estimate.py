"""What an environment costs, computed from its config: no CDK and no AWS in here.

At rest means that nobody sends a request and nothing is deployed. The limits are those of the config, reached in every
second of the month: what it can cost when a loop never ends. ``stacks/cost/table.py`` writes
``docs/reference/cost.md``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config import EnvironmentConfig
from stacks.cost.prices import PRICES
from stacks.delivery.pipeline_plan import plan
from stacks.stages import chosen, parts

HOURS = 730
"""A month, as AWS's own calculator counts it: 365 * 24 / 12."""

SECONDS = HOURS * 3600

STORED_GB = 1.0
"""In each store that is not empty by nature: the reader multiplies by his own."""

IMAGE_GB = 0.05
"""What each image adds to the repository: its own layers, the others are shared."""

LOGGED_GB = 1.0
"""A month, of each log that is written at rest: health checks, and flow logs."""

REQUEST_SECONDS = 0.1
"""Of a function behind the API, for the limits."""

WAVE_MINUTES = 5
"""For so long the new tasks of a wave run beside the old ones in a deploy, and the migration runs."""

ACTION_MINUTES = 3
"""Of an action of the pipeline, in the mean: most stacks have not changed."""

HOLD_SECONDS = 30
"""For so long a function waits for ECS before it goes back to the state machine (docs/explanation/decisions/0012)."""

FUNCTION_GB = 0.25
"""Memory of the deployer's functions."""

POLLS = 5 * SECONDS / 20
"""Lambda asks a queue by five connections of 20 seconds each, also when nothing comes (Lambda Developer Guide, "Using
Lambda with Amazon SQS")."""

CLUSTER_METRICS, FAMILY_METRICS, SERVICE_METRICS = 8, 6, 11
"""Container Insights: metrics of the cluster, of each family of tasks, of each service. From the example for ECS on
CloudWatch's pricing page, from memory."""

ENHANCED_METRICS = 30
"""Assumed, not counted: metrics of each cluster, family, service, task and container, when it is enhanced."""

MACHINE = Path(__file__).parents[2] / "statemachine" / "deployment.asl.json"


@dataclass(frozen=True)
class Line:
    """Something that is paid for.

    Attributes
    ----------
    part
        Whose it is, by its name in ``stacks/stages.py``.
    what
        As the document calls it.
    price
        Its name in ``PRICES``.
    count
        Units a month at rest.
    most
        Units a month at the limits of the config; None where that is the same.
    """

    part: str
    what: str
    price: str
    count: float
    most: float | None = None

    @property
    def dollars(self) -> float:
        """A month at rest."""
        return self.count * PRICES[self.price].dollars

    @property
    def limit_dollars(self) -> float:
        """A month at the limits."""
        return (self.count if self.most is None else self.most) * PRICES[self.price].dollars


FREE = {
    "bootstrap": "the repository is another environment's; roles and the provider cost nothing",
    "db-migration": "a task definition; the task runs in a deploy",
    "lambda": "paid by the request",
    "migration": "a parameter of the standard tier",
}
"""Parts that may have no line, and why."""


def lines(settings: EnvironmentConfig) -> tuple[Line, ...]:
    """Return all that an environment pays for, in the order of the stages.

    Parameters
    ----------
    settings
        The environment; what it has not switched on costs nothing.

    Raises
    ------
    stacks.stages.StageError
        The environment has chosen what cannot be deployed.
    """
    there = list(parts(chosen(settings)))
    found = [*_platform(settings), *_workloads(settings), *_data(settings), *_edge(settings)]
    return tuple(sorted((each for each in found if each.part in there), key=lambda line: there.index(line.part)))


def total(found: tuple[Line, ...]) -> float:
    """Return the dollars of a month at rest."""
    return sum(line.dollars for line in found)


def total_at_limits(found: tuple[Line, ...]) -> float:
    """Return the dollars of a month at the limits of the config."""
    return sum(line.limit_dollars for line in found)


def _platform(settings: EnvironmentConfig) -> list[Line]:
    network, logs = settings.network, settings.logs
    zones = network.availability_zones
    found = [
        Line("deployment-coordinator", "alarm on failures to start", "alarm", 1),
        # Metric math is paid by the metric that it looks at.
        Line("deployment-coordinator", "alarm on executions that nobody recovered from", "alarm", 4),
        *_table("deployment-coordinator", "releases"),
        Line("network", "NAT gateways", "nat", network.nat_gateways * HOURS),
        Line("network", "their addresses", "ipv4", network.nat_gateways * HOURS),
        Line("network", "interface endpoints", "endpoint", len(network.interface_endpoints) * zones * HOURS),
        *_logs("network", "flow logs", logs.retention_days),
        Line("compute-shared", "load balancer", "alb", HOURS),
        Line("compute-shared", "its addresses", "ipv4", zones * HOURS if settings.compute.certificate_arn else 0),
        Line("compute-shared", "its access logs", "s3", STORED_GB),
        Line("compute-shared", "namespace", "zone", 1),
        Line("compute-shared", "secret", "secret", 1),
        *_table("compute-shared", "pools"),
        *_logs("compute-shared", "logs of the services", logs.retention_days),
        _insights(settings),
        Line("log-forwarder", "to the archive", "firehose", LOGGED_GB),
        # What is written each month is kept for so many days.
        Line("log-forwarder", "archive", "s3", LOGGED_GB * logs.archive_days / 30),
        Line("monitoring", "dashboard", "dashboard", 1),
    ]
    if settings.bootstrap.creates_repository:
        found.append(Line("bootstrap", "images", "ecr", settings.bootstrap.keep_images * IMAGE_GB))
    for part in ("cicd", "frontend-cicd"):
        found += [Line(part, "key", "key", 1), Line(part, "artifacts", "s3", STORED_GB)]
    return found


def _insights(settings: EnvironmentConfig) -> Line:
    api, worker = settings.api, settings.worker
    # Beside API and worker: the scheduler, and the search server.
    others = 1 + settings.search.enabled
    services = 2 + others
    part, what = "compute-shared", "Container Insights"
    if settings.compute.container_insights == "enhanced":
        # A service has one family; a task has one container.
        levels = 1 + 2 * services
        least, most = (levels + 2 * (tasks + others) for tasks in (api.min_tasks + worker.min_tasks, _most(settings)))
        return Line(part, what, "enhanced", ENHANCED_METRICS * least, ENHANCED_METRICS * most)
    on = settings.compute.container_insights == "enabled"
    return Line(part, what, "metric", on * (CLUSTER_METRICS + services * (FAMILY_METRICS + SERVICE_METRICS)))


def _most(settings: EnvironmentConfig) -> int:
    return settings.api.max_tasks + settings.worker.max_tasks


def _workloads(settings: EnvironmentConfig) -> list[Line]:
    api, worker, scheduler, search = settings.api, settings.worker, settings.scheduler, settings.search
    found = []
    for part, task, least, most in (
        ("api-service", api, api.min_tasks, api.max_tasks),
        ("worker-service", worker, worker.min_tasks, worker.max_tasks),
        ("scheduler-service", scheduler, 1, 1),
        ("search-service", search, 1, 1),
    ):
        found += _tasks(settings, part, task, least * HOURS, most * HOURS)
    return [
        *found,
        Line("api-service", "alarms", "alarm", 2),
        # Target tracking makes two for each of three targets; the worker's third target is made of two metrics.
        Line("api-service", "alarms of autoscaling", "alarm", 3 * 2),
        Line("worker-service", "alarms", "alarm", 2),
        Line("worker-service", "alarms of autoscaling", "alarm", 2 * 2 + 2 * 2),
        Line("search-service", "alarm", "alarm", 1),
    ]


class _Sized(Protocol):
    """What the sections of the services have alike: Fargate's CPU units, 1024 to a vCPU, and MiB."""

    @property
    def cpu(self) -> int: ...

    @property
    def memory(self) -> int: ...


def _tasks(settings: EnvironmentConfig, part: str, task: _Sized, hours: float, most: float) -> list[Line]:
    """Return the lines of a service's tasks.

    Worked example: three tasks of 1024 CPU units and 2048 MiB are 3 * 1 * 730 = 2190 vCPU-hours of $0.03238 and
    3 * 2 * 730 = 4380 GB-hours of $0.00356: $86.51.
    """
    vcpu, gb, kind = task.cpu / 1024, task.memory / 1024, "spot-" if settings.compute.spot else ""
    return [
        Line(part, "tasks, vCPU", f"{kind}vcpu", vcpu * hours, vcpu * most),
        Line(part, "tasks, memory", f"{kind}gb", gb * hours, gb * most),
    ]


def _data(settings: EnvironmentConfig) -> list[Line]:
    aurora, dynamodb = settings.aurora, settings.dynamodb
    instances = 1 + aurora.readers
    return [
        Line("search-infra", "data", "efs", STORED_GB),
        Line("search-infra", "its backups", "efs-backup", STORED_GB),
        Line("search-infra", "key of the server", "secret", 1),
        Line("aurora", "capacity", "acu", instances * aurora.min_acu * HOURS, instances * aurora.max_acu * HOURS),
        Line("aurora", "data", "aurora-gb", STORED_GB),
        Line("aurora", "backups", "aurora-backup", STORED_GB if aurora.backup_days > 1 else 0),
        Line("aurora", "the master user's secret", "secret", 1),
        *_table("dynamodb", "data"),
        Line("dynamodb", "reads", "read", 0, dynamodb.max_read_units * SECONDS),
        Line("dynamodb", "writes", "write", 0, dynamodb.max_write_units * SECONDS),
    ]


def _edge(settings: EnvironmentConfig) -> list[Line]:
    requests = settings.api_gateway.rate_per_second * SECONDS if settings.api_gateway.enabled else 0
    gb_seconds = requests * REQUEST_SECONDS * settings.functions.memory / 1024
    return [
        Line("search-lambda", "polls of the empty queue", "sqs", POLLS),
        Line("search-lambda", "alarm", "alarm", 1),
        Line("lambda", "requests", "invocation", 0, requests),
        Line("lambda", "time", "lambda-gb", 0, gb_seconds),
        Line("api-gateway", "requests", "http-api", 0, requests),
        Line("api-gateway", "alarm", "alarm", 1),
        Line("frontend", "files and their versions", "s3", STORED_GB),
        Line("frontend", "access logs", "s3", STORED_GB),
    ]


def _table(part: str, name: str) -> list[Line]:
    return [Line(part, f"table {name}", "dynamodb-gb", STORED_GB), Line(part, "its recovery", "pitr", STORED_GB)]


def _logs(part: str, name: str, days: int) -> list[Line]:
    return [
        Line(part, f"{name}, taken in", "log-gb", LOGGED_GB),
        Line(part, f"{name}, kept", "log-kept", LOGGED_GB * days / 30),
    ]


@dataclass(frozen=True)
class Deploy:
    """Dollars of one deploy of code, and of one run of the pipeline.

    Attributes
    ----------
    machine
        State machine and functions when each wave takes all the time that it may: the most that it can be.
    tasks
        Tasks that run beside the old ones, and the migration.
    pipeline
        A run of the pipeline without code.
    """

    machine: float
    tasks: float
    pipeline: float


def deploy(settings: EnvironmentConfig) -> Deploy:
    """Return what deploys cost in an environment.

    The machine: each state once for each wave; and for each look of a wait, which comes every 30 seconds and a poll,
    and of the bake, three transitions. Its functions wait all that time.
    """
    rollout, api, worker, scheduler = settings.rollout, settings.api, settings.worker, settings.scheduler
    tasks: list[tuple[_Sized, int]] = [(api, api.min_tasks), (worker, worker.min_tasks), (scheduler, 1)]
    waves = len({api.wave, worker.wave, scheduler.wave})
    looks_of_bake = rollout.bake_seconds / rollout.bake_poll_seconds
    looks = waves * rollout.timeout_seconds / (HOLD_SECONDS + rollout.poll_seconds) + looks_of_bake
    transitions = waves * states() + 3 * looks
    seconds = waves * (rollout.timeout_seconds + states()) + looks_of_bake
    hours = WAVE_MINUTES / 60
    beside = [
        line
        for task, count in (*tasks, (settings.migration, 1))
        for line in _tasks(settings, "", task, count * hours, count * hours)
    ]
    return Deploy(
        transitions * PRICES["transition"].dollars + seconds * FUNCTION_GB * PRICES["lambda-gb"].dollars,
        sum(line.dollars for line in beside),
        actions(settings) * ACTION_MINUTES * (PRICES["action"].dollars + PRICES["build"].dollars),
    )


def states() -> int:
    """Return how many states the state machine has, all branches and the rollback counted."""
    found = 0
    waiting = [json.loads(MACHINE.read_text(encoding="utf-8"))]
    while waiting:
        machine = waiting.pop()
        for state in machine["States"].values():
            found += 1
            waiting += state.get("Branches", [])
            waiting += [state[key] for key in ("Iterator", "ItemProcessor") if key in state]
    return found


def actions(settings: EnvironmentConfig) -> int:
    """Return how many actions of the pipeline are paid for; a person's answer is free."""
    if not settings.pipeline.enabled:
        return 0
    return sum(len(group) for stage in plan(settings) for group in stage.actions) - settings.is_production
