"""The ECS operations that the simulator answers itself, in the request and response shapes of the API.

Every operation takes the parsed input of the API call and returns its output. One lock: Step Functions runs
branches in threads, and a live view looks on.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from moto.ecs.exceptions import (
    EcsClientException,
    ECSException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from moto.ecs.models import Cluster, EC2ContainerServiceBackend

from simulator.ecs.context import EcsContext
from simulator.ecs.launches import Launcher
from simulator.ecs.service import ServiceRollout
from simulator.ecs.shapes import (
    LiveService,
    service_deployment_arn,
    service_deployment_brief,
    service_deployment_shape,
    service_shape,
    settings_of,
    task_shape,
)
from simulator.ecs.task_definitions import Json, TaskDefinitions, page
from simulator.ecs.tasks import (
    INTERRUPTIONS,
    OUT_OF_MEMORY_EXIT_CODE,
    SimulatedTask,
    TaskSpec,
    Transition,
    one_off_timeline,
)

MAXIMUM_SERVICES = 10
MAXIMUM_TASKS = 100
"""DescribeServices takes 10 services, DescribeTasks 100 tasks a call, ListTasks returns 100 a page."""

LIST_FILTERS = ("containerInstance", "daemonName", "family", "launchType", "serviceName")
"""Filters of ListTasks that do not go with `startedBy`."""

MAXIMUM_SERVICE_DEPLOYMENTS = 20
"""DescribeServiceDeployments takes 20 a call."""

LISTED_AFTER_SECONDS = 3.0
"""So much later ListServiceDeployments knows a new one: AWS says eventually. Until then the last one is the newest."""

STARTS_A_DEPLOYMENT = ("networkConfiguration", "platformVersion", "loadBalancers", "capacityProviderStrategy")
"""Fields of UpdateService that start a new deployment when they change, besides the task definition."""

KILLED_EXIT_CODE = OUT_OF_MEMORY_EXIT_CODE
"""128 + SIGKILL: a one-off task that is stopped ends like this, so that nobody takes it for a success."""


@dataclass(frozen=True)
class ServiceSnapshot:
    """A service at one moment, for a live view and for checks at rest.

    `images` maps container names to image references of the PRIMARY deployment's task definition; `deployments`
    are (status, task definition ARN, running, desired), PRIMARY first.
    """

    name: str
    task_definition: str
    images: Mapping[str, str]
    desired: int
    running: int
    rollout_state: str
    deployments: tuple[tuple[str, str, int, int], ...]


class _Host:
    """The world as one service sees it: its network configuration goes into the launch."""

    def __init__(self, launcher: Launcher, request: Json) -> None:
        self._launcher, self._request = launcher, request

    def resolve(self, task_definition: str, at: float) -> TaskSpec:
        return self._launcher.resolve(task_definition, self._request.get("networkConfiguration"))

    def record(self, task: SimulatedTask, transition: Transition) -> None:
        self._launcher.record(task, transition)


class EcsOperations:
    """Services, tasks and task definitions of one account and region.

    Attributes
    ----------
    started
        How many one-off tasks were started, by ``startedBy``; ECS itself forgets a stopped task after an hour.
    """

    def __init__(self, backend: EC2ContainerServiceBackend, simulated: EcsContext) -> None:
        self._backend, self._world = backend, simulated
        self.task_definitions = TaskDefinitions(backend, simulated)
        self._launcher = Launcher(backend.account_id, backend.region_name, simulated, self.task_definitions)
        self._services: dict[tuple[str, str], LiveService] = {}
        self._one_off: dict[str, list[SimulatedTask]] = {}
        self._tokens: dict[str, tuple[str, list[SimulatedTask]]] = {}
        self.started: Counter[str] = Counter()
        self._runs = 0
        self._deletes = False
        self._lock = threading.RLock()

    @contextmanager
    def _at(self) -> Iterator[float]:
        """Hold the lock, catch up with the clock and say what time it is."""
        with self._lock:
            now = self._world.now()
            for service in self._services.values():
                service.rollout.advance(now)
                service.rollout.forget_stopped(now - self._world.stopped_task_seconds)
                if service.status == "DRAINING" and not any(not task.is_stopped for task in service.rollout.tasks):
                    service.status = "INACTIVE"
            for tasks in self._one_off.values():
                self._advance_one_off(tasks, now)
            if self._deletes:
                self.task_definitions.forget_deleted(self._used_definitions())
            yield now

    def _advance_one_off(self, tasks: list[SimulatedTask], now: float) -> None:
        for task in tasks:
            while task.next_at is not None and task.next_at <= now:
                self._launcher.record(task, task.step())
        gone = now - self._world.stopped_task_seconds
        tasks[:] = [task for task in tasks if task.stopped_at is None or task.stopped_at >= gone]

    def advance(self) -> None:
        """Catch up with the clock without an AWS call: log lines appear when somebody looks, not before."""
        with self._at():
            pass

    # Services

    def create_service(self, request: Json) -> Json:
        """CreateService."""
        with self._at() as now:
            cluster = self._cluster(request)
            key = cluster.name, request["serviceName"]
            if key in self._services and self._services[key].status != "INACTIVE":
                raise InvalidParameterException("Creation of service was not idempotent.")
            arn = self._active_definition(request.get("taskDefinition"), request.get("networkConfiguration"))
            prefix = cluster.arn.partition(":cluster/")[0]
            rollout = ServiceRollout(
                name=request["serviceName"],
                arn=f"{prefix}:service/{cluster.name}/{request['serviceName']}",
                cluster=cluster.name,
                settings=settings_of(request, self._world.deregistration_delay_seconds),
                host=_Host(self._launcher, request),
            )
            service = LiveService(rollout, cluster.arn, now, request, list(request.get("tags", [])))
            self._services[key] = service
            rollout.update(now, task_definition=arn)
            return {"service": service_shape(service, with_tags=True)}

    def update_service(self, request: Json) -> Json:
        """UpdateService: a new deployment when the task definition changes, or when the call forces one."""
        with self._at() as now:
            service = self._service(request)
            if service.status != "ACTIVE":
                raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
            self._require_own_controller(service, request)
            arn = None
            if reference := request.get("taskDefinition"):
                network = request.get("networkConfiguration", service.request.get("networkConfiguration"))
                arn = self._active_definition(reference, network)
            changed = any(key in request and request[key] != service.request.get(key) for key in STARTS_A_DEPLOYMENT)
            configuration = {
                **service.request.get("deploymentConfiguration", {}),
                **request.get("deploymentConfiguration", {}),
            }
            # In place: the host of the rollout reads the network configuration from the same dictionary.
            kept = {key: value for key, value in request.items() if key not in ("cluster", "service", "taskDefinition")}
            service.request.update(kept, deploymentConfiguration=configuration)
            service.rollout.update(
                now,
                task_definition=arn,
                settings=settings_of(service.request, self._world.deregistration_delay_seconds),
                force=bool(request.get("forceNewDeployment")) or changed,
            )
            return {"service": service_shape(service)}

    def delete_service(self, request: Json) -> Json:
        """DeleteService: DRAINING until the last task has stopped, then INACTIVE."""
        with self._at() as now:
            service = self._service(request)
            if service.rollout.settings.desired_count > 0 and not request.get("force"):
                raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
            service.status = "DRAINING"
            service.request["desiredCount"] = 0
            settings = settings_of(service.request, self._world.deregistration_delay_seconds)
            service.rollout.update(now, settings=settings)
            return {"service": service_shape(service)}

    def describe_services(self, request: Json) -> Json:
        """DescribeServices, 10 services a call."""
        with self._at():
            cluster = self._cluster(request)
            names = request.get("services", [])
            if not names:
                raise InvalidParameterException("Services cannot be empty.")
            if len(names) > MAXIMUM_SERVICES:
                raise InvalidParameterException(f"service names can have at most {MAXIMUM_SERVICES} items.")
            services, failures = [], []
            for name in names:
                service = self._services.get((cluster.name, name.rpartition("/")[2]))
                if service is None:
                    arn = name if name.startswith("arn:") else self._arn("service", cluster, name)
                    failures.append({"arn": arn, "reason": "MISSING"})
                else:
                    services.append(service_shape(service, with_tags="TAGS" in request.get("include", [])))
            return {"services": services, "failures": failures}

    def list_services(self, request: Json) -> Json:
        """ListServices: 10 a page unless the call says otherwise."""
        with self._at():
            cluster = self._cluster(request)
            arns = [
                service.rollout.arn
                for (of_cluster, _), service in sorted(self._services.items())
                if of_cluster == cluster.name and service.status != "INACTIVE"
            ]
            return page("serviceArns", arns, request, default=10)

    def list_service_deployments(self, request: Json) -> Json:
        """ListServiceDeployments: newest first, 20 a page unless the call says otherwise. A rollback has no entry."""
        with self._at() as now:
            service = self._service(request)
            listed = [
                service_deployment_brief(service, each)
                for each in reversed(service.rollout.history)
                if not each.is_rollback and each.created_at + LISTED_AFTER_SECONDS <= now
            ]
            wanted = request.get("status")
            found = [each for each in listed if not wanted or each["status"] in wanted]
            return page("serviceDeployments", found, request, default=20)

    def describe_service_deployments(self, request: Json) -> Json:
        """DescribeServiceDeployments, 20 a call."""
        with self._at():
            arns = request.get("serviceDeploymentArns", [])
            if not arns or len(arns) > MAXIMUM_SERVICE_DEPLOYMENTS:
                raise InvalidParameterException(f"Give 1 to {MAXIMUM_SERVICE_DEPLOYMENTS} service deployment ARNs.")
            known = {
                service_deployment_arn(service, each): (service, each)
                for service in self._services.values()
                for each in service.rollout.history
            }
            return {
                "serviceDeployments": [service_deployment_shape(*known[arn]) for arn in arns if arn in known],
                "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in known],
            }

    # Tasks

    def run_task(self, request: Json) -> Json:
        """RunTask: one-off tasks, idempotent by `clientToken`."""
        with self._at() as now:
            cluster = self._cluster(request)
            token = request.get("clientToken")
            fingerprint = json.dumps(request, sort_keys=True, default=str)
            if token and token in self._tokens:
                return self._same_run(cluster, self._tokens[token], fingerprint)
            definition = self.task_definitions.describe(request["taskDefinition"])
            if definition["status"] != "ACTIVE":
                raise InvalidParameterException("TaskDefinition is inactive")
            self._require_network(definition, request.get("networkConfiguration"))
            if request.get("launchType") and request.get("capacityProviderStrategy"):
                raise InvalidParameterException(
                    "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try "
                    "again."
                )
            spec = self._launcher.resolve(definition["taskDefinitionArn"], request.get("networkConfiguration"))
            if spec.behavior.outcome == "no_capacity":
                reason = (
                    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
                )
                return {"tasks": [], "failures": [{"reason": reason}]}
            tasks = [self._run_one(cluster, request, spec, now) for _ in range(request.get("count", 1))]
            if token:
                self._tokens[token] = fingerprint, tasks
            return {"tasks": [task_shape(task, cluster.arn, with_tags=True) for task in tasks], "failures": []}

    def _run_one(self, cluster: Cluster, request: Json, spec: TaskSpec, now: float) -> SimulatedTask:
        self._runs += 1
        self.started[request.get("startedBy", "")] += 1
        task_id = sha256(f"{cluster.arn}/run/{self._runs}".encode()).hexdigest()[:32]
        family = spec.task_definition_arn.rpartition("/")[2].partition(":")[0]
        task = SimulatedTask(
            id=task_id,
            arn=self._arn("task", cluster, task_id),
            spec=spec,
            created_at=now,
            timeline=deque(one_off_timeline(spec, now)),
            started_by=request.get("startedBy", ""),
            group=request.get("group", f"family:{family}"),
            tags=list(request.get("tags", [])),
            overrides=request.get("overrides", {}),
            launch_type=request.get("launchType", "FARGATE"),
        )
        self._one_off.setdefault(cluster.name, []).append(task)
        return task

    def _same_run(self, cluster: Cluster, earlier: tuple[str, list[SimulatedTask]], fingerprint: str) -> Json:
        first, tasks = earlier
        if first != fingerprint:
            raise ECSException(
                "ConflictException", "The request's clientToken was already used with different parameters."
            )
        return {"tasks": [task_shape(task, cluster.arn, with_tags=True) for task in tasks], "failures": []}

    def describe_tasks(self, request: Json) -> Json:
        """DescribeTasks, 100 tasks a call. Stopped tasks are MISSING after an hour, and those of RunTask at first."""
        with self._at() as now:
            cluster = self._cluster(request)
            references = request.get("tasks", [])
            if not references:
                raise InvalidParameterException("Tasks cannot be empty.")
            if len(references) > MAXIMUM_TASKS:
                raise InvalidParameterException(f"tasks can have at most {MAXIMUM_TASKS} items.")
            by_id = {task.id: task for task in self._tasks_of(cluster.name) if not self._is_unseen(task, now)}
            tasks, failures = [], []
            for reference in references:
                task = by_id.get(reference.rpartition("/")[2])
                if task is None:
                    arn = reference if reference.startswith("arn:") else self._arn("task", cluster, reference)
                    failures.append({"arn": arn, "reason": "MISSING"})
                else:
                    tasks.append(task_shape(task, cluster.arn, with_tags="TAGS" in request.get("include", [])))
            return {"tasks": tasks, "failures": failures}

    def list_tasks(self, request: Json) -> Json:
        """ListTasks: tasks with `desiredStatus` RUNNING unless the call says otherwise; 100 a page.

        `startedBy` "must be the only filter" (API reference). RUNNING, which is the default, is accepted beside it;
        what AWS says to STOPPED is not known, so here it is refused.
        """
        with self._at() as now:
            cluster = self._cluster(request)
            started_by, family = request.get("startedBy"), request.get("family")
            others = [key for key in LIST_FILTERS if request.get(key)]
            if started_by and (others or request.get("desiredStatus", "RUNNING") != "RUNNING"):
                raise InvalidParameterException("When startedBy is specified, it must be the only filter.")
            if request.get("serviceName"):
                self._service({"cluster": cluster.name, "service": request["serviceName"]})
            checks: list[Callable[[SimulatedTask], bool]] = [
                lambda task: task.desired_status == request.get("desiredStatus", "RUNNING")
            ]
            if started_by:
                checks.append(lambda task: task.started_by == started_by)
            if family:
                checks.append(lambda task: f":task-definition/{family}:" in task.spec.task_definition_arn)
            if name := request.get("serviceName", "").rpartition("/")[2]:
                checks.append(lambda task: task.group == f"service:{name}")
            if launch_type := request.get("launchType"):
                checks.append(lambda task: task.launch_type == launch_type)
            seen = (task for task in self._tasks_of(cluster.name) if not self._is_unseen(task, now))
            arns = [task.arn for task in seen if all(check(task) for check in checks)]
            return page("taskArns", arns, request, default=MAXIMUM_TASKS)

    def stop_task(self, request: Json) -> Json:
        """StopTask: a service replaces the task, a one-off task ends with exit code 137."""
        with self._at() as now:
            cluster = self._cluster(request)
            task_id = request["task"].rpartition("/")[2]
            reason = request.get("reason", "Task stopped by user")
            for service in self._services.values():
                for task in service.rollout.tasks:
                    if task.id == task_id and service.cluster_arn == cluster.arn:
                        service.rollout.stop_task(task, now, reason)
                        return {"task": task_shape(task, cluster.arn)}
            for task in self._one_off.get(cluster.name, []):
                if task.id == task_id:
                    task.stop(now, "UserInitiated", reason, exit_code=KILLED_EXIT_CODE)
                    return {"task": task_shape(task, cluster.arn)}
            raise InvalidParameterException("The referenced task was not found.")

    # Task definitions

    def delete_task_definitions(self, request: Json) -> Json:
        """DeleteTaskDefinitions. A service or task that uses the revision keeps it in DELETE_IN_PROGRESS."""
        with self._at():
            self._deletes = True
            return self.task_definitions.delete_task_definitions(request)

    def _used_definitions(self) -> set[str]:
        rollouts = [service.rollout for service in self._services.values()]
        of_services = (each for rollout in rollouts for each in rollout.deployments)
        # What ECS itself would go back to.
        candidates = {
            each.last_completed for each in rollouts if each.settings.breaker.rollback and each.last_completed
        }
        tasks = (task for cluster in self._backend.clusters for task in self._tasks_of(cluster) if not task.is_stopped)
        return (
            candidates
            | {each.task_definition for each in of_services}
            | {task.spec.task_definition_arn for task in tasks}
        )

    # What happens to tasks without an AWS call

    def interrupt(self, cluster: str, service: str, kind: str, tasks: int) -> None:
        """Take tasks of a service away: `spot`, `host`, `maintenance` or `user`, see `INTERRUPTIONS`."""
        with self._at() as now:
            self._services[cluster.rpartition("/")[2], service].rollout.interrupt(now, INTERRUPTIONS[kind], tasks)

    # Looking on

    def snapshot(self, cluster: str) -> dict[str, ServiceSnapshot]:
        """Each service of a cluster at this moment, by name. Not an AWS call: nothing counts or throttles it."""
        with self._at():
            return {
                name: self._snapshot(service)
                for (of_cluster, name), service in sorted(self._services.items())
                if of_cluster == cluster.rpartition("/")[2] and service.status != "INACTIVE"
            }

    def _snapshot(self, service: LiveService) -> ServiceSnapshot:
        shape = service_shape(service)
        arn = service.rollout.primary.task_definition
        definition = self.task_definitions.describe(arn)
        return ServiceSnapshot(
            name=shape["serviceName"],
            task_definition=arn,
            images={each["name"]: each["image"] for each in definition["containerDefinitions"]},
            desired=shape["desiredCount"],
            running=shape["runningCount"],
            rollout_state=service.rollout.primary.rollout_state,
            deployments=tuple(
                (each["status"], each["taskDefinition"], each["runningCount"], each["desiredCount"])
                for each in shape["deployments"]
            ),
        )

    def running_one_off(self, cluster: str) -> dict[str, int]:
        """How many one-off tasks have not stopped, by `startedBy`. Not an AWS call."""
        with self._at():
            tasks = self._one_off.get(cluster.rpartition("/")[2], [])
            return dict(Counter(task.started_by for task in tasks if not task.is_stopped))

    def task_counts(self, cluster: str) -> tuple[int, int, int]:
        """Running tasks, pending tasks and active services of a cluster, as DescribeClusters counts them."""
        with self._at():
            tasks = self._tasks_of(cluster)
            active = [key for key, each in self._services.items() if key[0] == cluster and each.status == "ACTIVE"]
            pending = sum(task.last_status in ("PROVISIONING", "PENDING") for task in tasks)
            return sum(task.last_status == "RUNNING" for task in tasks), pending, len(active)

    def tagged(self, arn: str) -> LiveService | SimulatedTask | None:
        """The service or task with this ARN, None if it is neither."""
        services = {each.rollout.arn: each for each in self._services.values()}
        tasks = {task.arn: task for cluster in self._backend.clusters for task in self._tasks_of(cluster)}
        return services.get(arn) or tasks.get(arn)

    # Finding things

    def _tasks_of(self, cluster: str) -> list[SimulatedTask]:
        of_services: Iterable[LiveService] = (each for key, each in self._services.items() if key[0] == cluster)
        return [task for each in of_services for task in each.rollout.tasks] + self._one_off.get(cluster, [])

    def _is_unseen(self, task: SimulatedTask, now: float) -> bool:
        """Whether ECS does not show a one-off task yet: "eventual consistency" (API reference, RunTask)."""
        return task.group.startswith("family:") and now - task.created_at < self._world.unseen_task_seconds

    def _cluster(self, request: Json) -> Cluster:
        return self._backend._get_cluster(request.get("cluster", "default"))  # noqa: SLF001 (moto's own lookup)

    def _service(self, request: Json) -> LiveService:
        key = self._cluster(request).name, request["service"].rpartition("/")[2]
        if key not in self._services:
            raise ServiceNotFoundException
        return self._services[key]

    @staticmethod
    def _require_own_controller(service: LiveService, request: Json) -> None:
        """Refuse what ECS leaves to the service's own deployment controller."""
        if service.controller == "ECS":
            return
        if "taskDefinition" in request:
            raise InvalidParameterException(
                f"Unable to update task definition on services with a {service.controller} deployment controller."
            )
        if request.get("forceNewDeployment"):
            raise InvalidParameterException(
                f"Cannot force a new deployment on services with a {service.controller} deployment controller."
            )

    def _active_definition(self, reference: str | None, network: Json | None) -> str:
        if not reference:
            raise InvalidParameterException("TaskDefinition can not be blank.")
        definition = self.task_definitions.describe(reference)
        if definition["status"] != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        self._require_network(definition, network)
        return str(definition["taskDefinitionArn"])

    @staticmethod
    def _require_network(definition: Json, network: Json | None) -> None:
        if definition["networkMode"] == "awsvpc" and not network:
            raise InvalidParameterException(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            )
        if definition["networkMode"] != "awsvpc" and network:
            raise InvalidParameterException(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )

    @staticmethod
    def _arn(kind: str, cluster: Cluster, name: str) -> str:
        return f"{cluster.arn.partition(':cluster/')[0]}:{kind}/{cluster.name}/{name}"
