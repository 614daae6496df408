"""One environment in the simulated AWS: services, registry, state machine, handlers, and EventBridge's part.

What a team's CDK stacks would have created stands here as a few API calls; the state machine is the
committed ``statemachine/deployment.asl.json``, the functions are the handlers of ``lambdas/handlers``, with
the environment variables that the construct would give them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from moto.events.models import EventPattern

import config
from lambdas.aws.releases_table import ReleasesTable
from lambdas.dependencies import Clock, Dependencies
from lambdas.handler import Handler
from lambdas.release.catalog import MIGRATION
from lambdas.release.history import DeploymentRecord
from simulator.ecs.backend import installed, live_ecs
from simulator.ecs.context import EcsContext
from simulator.ecs.ecr import push_image
from simulator.ecs.images import HEALTHY, ImageBehavior, ScanResult
from simulator.ecs.operations import EcsOperations
from simulator.engine.local_lambda import ACCOUNT, REGION, Function
from simulator.engine.machine import SimulatedAws
from simulator.engine.runs import Consistency, Run, StopAt
from simulator.environment.invariant import examine
from simulator.environment.platform import DEFAULT_SERVICES, PLACEHOLDER, Platform, SimulatedService
from simulator.environment.recorded_outcomes import Endings
from simulator.environment.snapshot import Snapshot
from simulator.faults.quotas import Quota
from statemachine.events import Event, EventKind
from statemachine.steps import STEPS, Step, machine_name
from statemachine.triggers import STOPPED_EXECUTION_INPUT, stopped_execution_pattern

DEFINITION_FILE = Path(__file__).parents[2] / "statemachine" / "deployment.asl.json"
RENDERED_FOR = "dev"
"""The environment whose functions the committed definition names."""

MIGRATION_STARTED_BY = "stepship/"
"""``startedBy`` of a migration task is this and the release's id."""

EVENT_SECONDS = 2.0
"""How long EventBridge takes to start its target; AWS says "typically under a second" and promises nothing."""


@dataclass(frozen=True)
class Delivery:
    """How EventBridge delivers that an execution has ended: ``aws.states`` events are best effort.

    Attributes
    ----------
    times
        How often it starts the recovery: 0 when the event is lost.
    after_seconds
        How long it takes.
    says_error
        Whether the event has the members ``error`` and ``cause``.
    """

    times: int = 1
    after_seconds: float = EVENT_SECONDS
    says_error: bool = True


NOT_DELIVERED = Delivery(times=0)


@dataclass
class LogSink:
    """Where the handlers' log lines go."""

    lines: list[str] = field(default_factory=list)

    def write(self, text: str) -> int:
        """Keep a line."""
        self.lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is written is kept."""


LOGS = LogSink()
"""One for the process: powertools keeps a logger's stream for as long as the process lives."""


class SimulatedEnvironment:
    """An environment with its services.

    Parameters
    ----------
    services
        What runs; all of them on the placeholder image until the first release.
    migration
        Whether a migration task is registered.
    settings
        ``config.load("dev")`` when None.
    pace
        Real seconds per virtual second, for a live demonstration.
    seed
        Of everything random.
    recovery
        Whether the EventBridge rule for stopped executions is there; or how it is delivered.
    circuit_breaker
        Whether the services have ECS's own deployment circuit breaker.
    quotas
        Of the AWS APIs, such as :data:`simulator.faults.quotas.QUOTAS`; without, no call is refused.
    beside
        The first environment of the account, which has been entered: this one is another in the same account, with its
        clock, its repository and its quotas.
    consistency
        What Step Functions promises nothing about; see there.
    dependencies
        Makes the gateways of a function: other ones let a test break them.
    """

    def __init__(  # noqa: PLR0913 (what there is to say about a world; all have defaults)
        self,
        *,
        services: Sequence[SimulatedService] = DEFAULT_SERVICES,
        migration: bool = True,
        settings: config.EnvironmentConfig | None = None,
        pace: float = 0.0,
        pace_limit_seconds: float = 2.0,
        seed: int = 0,
        recovery: bool | Delivery = True,
        circuit_breaker: bool = True,
        quotas: Sequence[Quota] = (),
        beside: SimulatedEnvironment | None = None,
        consistency: Consistency | None = None,
        dependencies: Callable[[Mapping[str, str], Clock], Dependencies] = Dependencies,
    ) -> None:
        self.settings = settings or config.load("dev")
        self.identity = self.settings.identity
        self._beside = beside
        self._dependencies = dependencies
        self.aws: SimulatedAws = (
            beside.aws
            if beside
            else SimulatedAws(
                pace=pace, pace_limit_seconds=pace_limit_seconds, seed=seed, quotas=quotas, consistency=consistency
            )
        )
        self.ecs_world: EcsContext = beside.ecs_world if beside else EcsContext(self.aws.clock)
        self.platform = Platform(
            self.aws.client, self.settings, services, migration, circuit_breaker, creates_repository=beside is None
        )
        self.delivery = recovery if isinstance(recovery, Delivery) else Delivery() if recovery else NOT_DELIVERED
        self.machine_arn = ""
        self.recoveries: list[Run] = []
        self.tags: dict[str, str] = {}
        self._first_images: dict[str, str] = {}
        self._pattern: EventPattern | None = None
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Build the world."""
        with ExitStack() as stack:
            if self._beside is None:
                LOGS.lines.clear()
                stack.enter_context(installed(self.ecs_world))
                stack.enter_context(self.aws)
            self.platform.create()
            self._create_functions()
            definition = json.loads(DEFINITION_FILE.read_text())
            self.machine_arn = self.aws.deploy_machine(
                machine_name(self.identity), _adapted(definition, self.settings), functions=self._functions()
            )
            self._pattern = EventPattern(None, stopped_execution_pattern(self.machine_arn))
            self.aws.subscribe(self._play_event_bridge)
            self.endings = Endings(self.identity.table, self.machine_arn, self.images)
            self.aws.watch_effects(self.endings.on_effect)
            self.aws.subscribe(self.endings.on_event)
            self._wait_until_steady()
            self._first_images = self.images()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Forget it."""
        self._exit.close()

    # --- what people and CI do

    def push(
        self,
        tag: str,
        behavior: ImageBehavior = HEALTHY,
        *,
        per_service: Mapping[str, ImageBehavior] | None = None,
        architectures: Sequence[str] = ("arm64",),
        index: bool = False,
        scan: ScanResult | None = None,
        archived: bool = False,
        artifact: str | None = None,
    ) -> str:
        """Push an image and say how it behaves; returns its digest.

        Parameters
        ----------
        per_service
            Behavior for single services, or for ``migration``. A migration does what ``behavior`` says only
            when it is named here: most images that break a service migrate well.
        """
        named = {MIGRATION: HEALTHY, **(per_service or {})}
        digest = push_image(
            self.aws.client("ecr"),
            self.platform.repository,
            tag,
            behavior,
            per_container={self.platform.container(name): how for name, how in named.items()},
            architectures=architectures,
            index=index,
            scan=scan,
            archived="ARCHIVED" if archived else None,
            artifact=artifact,
        )
        self.tags[digest] = tag
        return digest

    def tag_of(self, image: str) -> str:
        """Return the tag that a service's image was pushed with; ``placeholder``, or the image, for others."""
        return "placeholder" if image == PLACEHOLDER else self.tags.get(image.rpartition("@")[2], image)

    def start(self, request: object, name: str, *, at: float | None = None, stop: StopAt | None = None) -> Run:
        """Start an execution; it runs when the driver waits."""
        return self.aws.start(request, name, at=at, machine=self.machine_arn, stop=stop)

    def run(self, request: object, name: str, *, stop: StopAt | None = None) -> Run:
        """Start an execution and wait until everything has ended, recoveries included."""
        run = self.start(request, name, stop=stop)
        self.settle()
        return run

    @property
    def recovers(self) -> bool:
        """Whether EventBridge starts a recovery for a stopped execution."""
        return self.delivery.times > 0

    @recovers.setter
    def recovers(self, recovers: bool) -> None:
        self.delivery = Delivery() if recovers else NOT_DELIVERED

    def settle(self) -> None:
        """Let everything run to its end."""
        self.aws.run_until_idle()

    # --- a person who is asked

    def asks(self, run: Run) -> bool:
        """Whether an execution waits for a person's yes."""
        return not run.ended and run.state == "Wait for approval" and self.table.approval_token(run.arn) is not None

    def approve(self, run: Run) -> None:
        """Say yes."""
        token = self.table.approval_token(run.arn)
        answer = '{"approvedBy": "person:simulator"}'
        self.aws.client("stepfunctions").send_task_success(taskToken=token, output=answer)

    def reject(self, run: Run) -> None:
        """Say no."""
        token = self.table.approval_token(run.arn)
        client = self.aws.client("stepfunctions")
        client.send_task_failure(taskToken=token, error="ApprovalRejected", cause="no")

    # --- what one sees

    @property
    def runs(self) -> list[Run]:
        """The executions of this environment, in the order in which they were asked for."""
        return [run for run in self.aws.runs if run.machine_arn == self.machine_arn]

    def violations(self) -> tuple[str, ...]:
        """Return what is wrong with this environment at rest. See :func:`simulator.environment.invariant.examine`."""
        return examine(self.snapshot(), self.runs).violations

    @property
    def live(self) -> EcsOperations:
        """The services as they are, without an AWS call."""
        return live_ecs(ACCOUNT, REGION)

    def snapshot(self) -> Snapshot:
        """Look at the world."""
        services = {}
        for name, seen in self.live.snapshot(self.platform.cluster).items():
            short = name.removeprefix(f"{self.platform.cluster}-")
            services[short] = {
                "taskDefinition": seen.task_definition.rsplit("/", 1)[-1],
                "image": seen.images[self.platform.container(short)],
                "running": seen.running,
                "desired": seen.desired,
                "rolloutState": seen.rollout_state,
            }
        table = _DriverTable(self.identity.table, self.aws.client("dynamodb"))
        lock = table.read_lock()
        live = table.live()
        return Snapshot(
            services=services,
            parameters=self.parameters(),
            lock=lock.holder.execution if lock.holder else None,
            history=tuple(
                {
                    "execution": record.execution.rsplit(":", 1)[-1],
                    "action": record.action,
                    "outcome": record.outcome,
                    "release": record.release_id,
                    "imageTag": record.image_tag,
                }
                for record in reversed(table.history(1000))
            ),
            live=live.release_id if live else None,
            live_tag=live.image_tag if live else None,
            live_images=dict(live.images) if live else {},
            journal=lock.journal is not None,
            tag_parameter=self.identity.tag_parameter,
            images_path=self.identity.images_path,
            first_images=dict(self._first_images),
            ran_at_end=dict(self.endings.ran),
            running_migrations=tuple(
                who.removeprefix(MIGRATION_STARTED_BY)
                for who in self.live.running_one_off(self.platform.cluster)
                if who.startswith(MIGRATION_STARTED_BY)
            ),
            migrations={
                who.removeprefix(MIGRATION_STARTED_BY): count
                for who, count in self.live.started.items()
                if who.startswith(MIGRATION_STARTED_BY)
            },
        )

    def parameters(self) -> dict[str, str]:
        """Return the tag and image parameters that exist."""
        client = self.aws.client("ssm")
        names = [self.identity.tag_parameter] + [
            self.identity.images_path + name for name in (*(one.name for one in self.platform.services), MIGRATION)
        ]
        found = {}
        for start in range(0, len(names), 10):
            answer = client.get_parameters(Names=names[start : start + 10])
            found.update({p["Name"]: p["Value"] for p in answer["Parameters"]})
        return dict(sorted(found.items()))

    @property
    def table(self) -> ReleasesTable:
        """The releases table, read without being recorded."""
        return _DriverTable(self.identity.table, self.aws.client("dynamodb"))

    def records(self) -> dict[str, DeploymentRecord]:
        """Return the history by the name of the execution, oldest first."""
        return {record.execution.rpartition(":")[2]: record for record in reversed(self.table.history(1000))}

    # --- how it is built

    def _wait_until_steady(self) -> None:
        """Let the first tasks start: the infrastructure was deployed some time ago."""
        pace, self.aws.clock.pace = self.aws.clock.pace, 0.0
        while any(seen.rollout_state != "COMPLETED" for seen in self.live.snapshot(self.platform.cluster).values()):
            self.aws.clock.sleep(30)
        self.aws.clock.pace = pace

    def _create_functions(self) -> None:
        for step in STEPS:
            environment = step.environment(self.identity, self.settings.policies)
            self.aws.functions[step.function_name(self.identity)] = Function(
                handler=_lambda_of(step, self._dependencies(environment, self.aws.clock)),
                timeout_seconds=step.timeout_seconds,
                environment=environment,
            )

    def _functions(self) -> dict[str, str]:
        """Return what the committed definition's functions, which are those of dev, stand for here."""
        rendered = config.load(RENDERED_FOR).identity
        arn = self.aws.function_arn
        return {arn(step.function_name(rendered)): arn(step.function_name(self.identity)) for step in STEPS}

    def images(self) -> dict[str, str]:
        """Return what each service runs now."""
        cluster = self.platform.cluster
        seen = {name.removeprefix(f"{cluster}-"): each for name, each in self.live.snapshot(cluster).items()}
        return {name: each.images[self.platform.container(name)] for name, each in seen.items()}

    def _play_event_bridge(self, event: Event) -> None:
        """Start the recovery as the rule for stopped executions does."""
        if event.kind != EventKind.EXECUTION_ENDED or self._pattern is None:
            return
        left_out = () if self.delivery.says_error else ("error", "cause")
        detail = {key: value for key, value in event.detail.items() if key not in left_out}
        message = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}
        if not self._pattern.matches_event(message):  # type: ignore[arg-type]  # the other members do not matter
            return
        arn, status = str(detail["executionArn"]), str(detail["status"])
        request = json.loads(json.dumps(STOPPED_EXECUTION_INPUT).replace("<arn>", arn).replace("<status>", status))
        for again in range(self.delivery.times):
            name = f"recovery-{len(self.recoveries) + 1}"
            at = self.aws.clock.now() + self.delivery.after_seconds + again
            self.recoveries.append(self.aws.start(request, name, at=at, machine=self.machine_arn))


class _DriverTable(ReleasesTable):
    """The gateway with the driver's client: what the simulator itself reads is neither counted nor hit by faults."""

    def __init__(self, table: str, client: Any) -> None:
        super().__init__(table)
        self._client = client

    @property
    def client(self) -> Any:
        """The driver's client."""
        return self._client


def _lambda_of(step: Step, dependencies: Dependencies) -> Callable[[dict[str, Any], Any], object]:
    module = importlib.import_module(f"lambdas.handlers.{step.handler}")
    handler: Handler = module.handler
    return lambda event, context: handler.run(event, context, dependencies, LOGS)  # type: ignore[arg-type]  # a sink is enough


def _adapted(definition: dict[str, Any], settings: config.EnvironmentConfig) -> dict[str, Any]:
    """Return the committed definition with another environment's timeout; nothing else may differ."""
    return {**definition, "TimeoutSeconds": settings.machine.timeout_seconds}
