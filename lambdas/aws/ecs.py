"""Elastic Container Service: services, task definitions, one-off tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from lambdas.aws.gateway import Gateway, batches
from lambdas.release.errors import AwsError, StepshipError, Throttled
from lambdas.release.rollout import Deployment, DeploymentSettings, Event, ServiceDeployment, ServiceFacts
from lambdas.release.stopped_task import StoppedContainer, StoppedTask
from lambdas.release.task_definition import READ_ONLY, TaskDefinition
from lambdas.release.wording import shorten

SERVICES_LIMIT = 10
"""Services per DescribeServices (ECS API Reference)."""

MAX_REASON = 500
"""Characters of what ECS says about tasks that it did not start."""

TASKS_PER_CALL = 100
"""Tasks per DescribeTasks, and per page of ListTasks (ECS API Reference)."""


class _NoTaskDefinition(StepshipError):
    """No such family or revision; stays inside this module."""


class _NotActive(StepshipError):
    """ECS starts no more tasks from this revision; stays inside this module."""


DESCRIBED = "before-parse.ecs.DescribeTaskDefinition"
"""botocore's event with the answer as it came, before it drops what its model does not have."""

LOST = "stepshipLostMembers"
"""Where the answer keeps what the model does not have: no name of AWS's begins like this."""

RACE = "Too many concurrent attempts"
"""How ECS begins to say that somebody registers a revision of the same family right now; another try works."""


class _NoTask(StepshipError):
    """ECS has no such task to stop; stays inside this module."""


class _AlreadyRun(StepshipError):
    """The ``clientToken`` belongs to a task of another request; stays inside this module."""


@dataclass(frozen=True)
class Offer:
    """What ECS made of a task definition: the id of the new PRIMARY deployment, or why it did not take it."""

    deployment: str | None = None
    refusal: str | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the service has a deployment of it now."""
        return self.refusal is None


class ServiceKey(Protocol):
    """What names a service: in the catalog and in ECS."""

    @property
    def name(self) -> str:
        """The catalog name."""

    @property
    def cluster(self) -> str:
        """The ECS cluster."""

    @property
    def service(self) -> str:
        """The ECS service."""


class ContainerService(Gateway):
    """Services and tasks of any cluster in this account."""

    service: ClassVar[str] = "ecs"

    def services(self, wanted: Iterable[ServiceKey]) -> dict[str, ServiceFacts]:
        """Describe services, ten a call.

        Parameters
        ----------
        wanted
            Registered or planned services.

        Returns
        -------
        dict
            Catalog name to facts; a service that ECS does not know is missing.
        """
        by_cluster: dict[str, dict[str, str]] = {}
        for one in wanted:
            by_cluster.setdefault(one.cluster, {})[one.service] = one.name
        found = {}
        for cluster, names in by_cluster.items():
            for batch in batches(list(names), SERVICES_LIMIT):
                answer = self.call("describe_services", cluster=cluster, services=batch)
                for described in answer["services"]:
                    facts = _facts(cluster, described)
                    if facts.name in names:
                        found[names[facts.name]] = facts
        return found

    def task_definition(self, name: str) -> TaskDefinition | None:
        """Describe a revision by ARN, or a family's newest active one by name; None when there is none."""
        # ECS answers ClientException "Unable to describe task definition." for what it does not have.
        known = {"ClientException": _NoTaskDefinition, "InvalidParameterException": _NoTaskDefinition}
        self._keep_what_gets_lost()
        try:
            answer = self.call("describe_task_definition", known=known, taskDefinition=name, include=["TAGS"])
        except _NoTaskDefinition:
            return None
        lost = answer.get(LOST)
        return TaskDefinition(
            answer["taskDefinition"], tuple(answer.get("tags") or ()), None if lost is None else tuple(lost)
        )

    def _keep_what_gets_lost(self) -> None:
        """Compare every answer with the model of this botocore, however new either of them is."""
        meta = self.configured_client("ecs:describe_task_definition").meta
        accepted = meta.service_model.operation_model("RegisterTaskDefinition").input_shape

        def compare(
            operation_model: Any, response_dict: Any, customized_response_dict: dict[str, Any], **_: object
        ) -> None:
            lost = lost_members(response_dict["body"], operation_model.output_shape, accepted)
            customized_response_dict[LOST] = lost

        meta.events.register(DESCRIBED, compare, unique_id=LOST)

    def accepted_fields(self) -> frozenset[str]:
        """The member names of RegisterTaskDefinition's input, from botocore's service model."""
        shape = self.client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
        return frozenset(shape.members)

    def register(self, request: Mapping[str, Any]) -> str:
        """Register a revision; returns its ARN.

        Raises
        ------
        Throttled
            Somebody else registers a revision of the family at the same moment.
        """
        known = {"ClientException": lambda text: Throttled(text) if RACE in text else AwsError(text)}
        answer = self.call("register_task_definition", known=known, **request)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def update(self, cluster: str, service: str, task_definition: str, *, force: bool) -> str | None:
        """Deploy a task definition to a service; returns the id of the new PRIMARY deployment."""
        offer = self.offer(cluster, service, task_definition, force=force)
        if offer.refusal is not None:
            raise AwsError(f"{offer.refusal} ({task_definition.rsplit('/', 1)[-1]})")
        return offer.deployment

    def offer(self, cluster: str, service: str, task_definition: str, *, force: bool) -> Offer:
        """Deploy a task definition to a service, unless it was deregistered or deleted: then nothing is done."""
        try:
            answer = self.call(
                "update_service",
                known={"ClientException": _refusal, "InvalidParameterException": _refusal},
                cluster=cluster,
                service=service,
                taskDefinition=task_definition,
                forceNewDeployment=force,
            )
        except _NotActive as error:
            return Offer(refusal=str(error))
        primary = _facts(cluster, answer["service"]).primary
        return Offer(deployment=primary.id if primary else None)

    def run_task(
        self,
        cluster: str,
        task_definition: str,
        *,
        started_by: str,
        client_token: str,
        launch: Mapping[str, Any],
        network: Mapping[str, Any],
    ) -> tuple[str | None, str]:
        """Start a one-off task.

        ``clientToken`` makes ECS answer with the task of the first call when it gets the call twice
        (ECS API Reference, RunTask).

        Returns
        -------
        tuple
            The task's ARN, or None and what ECS says: reason and detail of each of its ``failures``.
        """
        request: dict[str, Any] = {**launch}
        if network:
            request["networkConfiguration"] = dict(network)
        try:
            answer = self.call(
                "run_task",
                known={"ConflictException": _AlreadyRun},
                cluster=cluster,
                taskDefinition=task_definition,
                count=1,
                startedBy=started_by,
                clientToken=client_token,
                **request,
            )
        except _AlreadyRun as error:
            # It names the task that the token belongs to (ECS API Reference, ConflictException).
            tasks = getattr(error.__cause__, "response", {}).get("resourceIds") or ()
            return (str(tasks[0]), "") if tasks else (None, str(error))
        if answer["tasks"]:
            return str(answer["tasks"][0]["taskArn"]), ""
        failures = "; ".join(_failure(f) for f in answer.get("failures", ()))
        return None, shorten(failures, MAX_REASON) or "ECS gave no reason"

    def running_task(self, cluster: str, started_by: str) -> str | None:
        """Return the ARN of a task that is to run, by who started it; None when there is none.

        ``startedBy`` "must be the only filter" (ECS API Reference, ListTasks); RUNNING is the default beside it.
        """
        answer = self.call("list_tasks", cluster=cluster, startedBy=started_by)
        return str(answer["taskArns"][0]) if answer["taskArns"] else None

    def find_task(self, cluster: str, started_by: str) -> str | None:
        """Return the ARN of a task by who started it, running or stopped; None when ECS shows none.

        ECS may refuse to look for a stopped one by who started it, and does not show a new one at once. Then RunTask
        with the same ``clientToken`` answers with it.
        """
        found = self.running_task(cluster, started_by)
        if found is not None:
            return found
        try:
            answer = self.call("list_tasks", cluster=cluster, startedBy=started_by, desiredStatus="STOPPED")
        except AwsError:
            return None
        return str(answer["taskArns"][0]) if answer["taskArns"] else None

    def task(self, cluster: str, arn: str) -> tuple[str, StoppedTask] | None:
        """Return a task's last status and what is known of its end; None when ECS does not know it (MISSING)."""
        found = self.call("describe_tasks", cluster=cluster, tasks=[arn])["tasks"]
        return (str(found[0].get("lastStatus", "")), _stopped(found[0])) if found else None

    def stop_task(self, cluster: str, arn: str, reason: str) -> None:
        """Ask ECS to stop a task; one that has stopped already, or that is gone, is fine."""
        try:
            self.call(
                "stop_task", known={"InvalidParameterException": _NoTask}, cluster=cluster, task=arn, reason=reason
            )
        except _NoTask:
            return

    def stopped_tasks(self, cluster: str, service: str, task_definition: str) -> tuple[StoppedTask, ...]:
        """Return the service's stopped tasks of one task definition, newest first. ECS keeps them for an hour.

        All pages are read: ListTasks promises no order, so the newest may be on the last.
        """
        wanted = {"cluster": cluster, "serviceName": service, "desiredStatus": "STOPPED"}
        arns = [str(arn) for page in self.pages("list_tasks", "nextToken", **wanted) for arn in page["taskArns"]]
        found = [
            _stopped(task)
            for batch in batches(arns, TASKS_PER_CALL)
            for task in self.call("describe_tasks", cluster=cluster, tasks=batch)["tasks"]
            if task.get("taskDefinitionArn") == task_definition
        ]
        return tuple(sorted(found, key=lambda task: -task.stopped_at))

    def service_deployment(self, cluster: str, service: str, deployment: str) -> ServiceDeployment | None:
        """Return what ECS says about a deployment of its own; None when it does not list it (yet).

        The id of an entry of ``deployments`` and the last segment of the ARN of the service revision that it goes to
        have the same number: ``ecs-svc/123`` and ``service-revision/<cluster>/<service>/123``. The list may lag behind,
        so the newest entry in it may be the one before.
        """
        number = deployment.rsplit("/", 1)[-1]
        listed = self.call("list_service_deployments", cluster=cluster, service=service)["serviceDeployments"]
        arns = [
            str(one["serviceDeploymentArn"])
            for one in listed
            if str(one.get("targetServiceRevisionArn", "")).rsplit("/", 1)[-1] == number
        ]
        if not arns:
            return None
        found = self.call("describe_service_deployments", serviceDeploymentArns=arns[:1])["serviceDeployments"]
        return _service_deployment(found[0]) if found else None


def _refusal(text: str) -> StepshipError:
    """Read what ECS has against an update: "TaskDefinition is inactive", "TaskDefinition not found."."""
    said = text.lower().replace(" ", "")
    is_about_revision = "taskdefinition" in said and any(
        word in said for word in ("inactive", "notfound", "notactive", "delete", "unabletodescribe")
    )
    return _NotActive(text) if is_about_revision else AwsError(text)


def lost_members(body: bytes, answered: Any, accepted: Any) -> list[str]:
    """Return where an answer of DescribeTaskDefinition has what a copy of the revision would not have.

    botocore parses the members of its own model and drops all others, and sends no others either.

    Parameters
    ----------
    body
        The answer as it came, JSON.
    answered, accepted
        botocore's shapes: the output of DescribeTaskDefinition, the input of RegisterTaskDefinition.
    """
    try:
        found = json.loads(body)
    except ValueError:
        return []  # The parser says so in its own words.
    if not isinstance(found, dict):
        return []
    lost = [name for name, value in found.items() if value is not None and name not in answered.members]
    definition = found.get("taskDefinition")
    copied = {k: v for k, v in definition.items() if k not in READ_ONLY} if isinstance(definition, dict) else {}
    lost += _lost(copied, answered.members["taskDefinition"], accepted, "")
    return lost + _lost(found.get("tags"), answered.members["tags"], accepted.members["tags"], "tags")


def _lost(value: Any, answered: Any, accepted: Any, path: str) -> list[str]:
    kind = accepted.type_name if accepted.type_name == answered.type_name else ""
    if kind == "structure" and isinstance(value, dict):
        known = {name for name in value if name in answered.members and name in accepted.members}
        inside = ((name, item, f"{path}.{name}".lstrip(".")) for name, item in value.items() if item is not None)
        return [
            each
            for name, item, place in inside
            for each in (
                _lost(item, answered.members[name], accepted.members[name], place) if name in known else [place]
            )
        ]
    if kind == "list" and isinstance(value, list):
        places = enumerate(value)
        return [each for i, item in places for each in _lost(item, answered.member, accepted.member, f"{path}[{i}]")]
    if kind == "map" and isinstance(value, dict):
        pairs = value.items()
        return [each for k, item in pairs for each in _lost(item, answered.value, accepted.value, f"{path}.{k}")]
    # A scalar that has become an object says more than the model can hold.
    return [path] if isinstance(value, dict | list) else []


def _failure(failure: Mapping[str, Any]) -> str:
    """Return what ECS says about a task that it did not start: ``RESOURCE:MEMORY (detail)``."""
    reason, detail = failure.get("reason") or "ECS gave no reason", failure.get("detail")
    return f"{reason} ({detail})" if detail else str(reason)


def _facts(cluster: str, described: Mapping[str, Any]) -> ServiceFacts:
    """Read a service. What a verdict hangs on has to be there: an unknown count is not a count of none."""
    launch = {
        key: described[key]
        for key in ("launchType", "capacityProviderStrategy", "platformVersion")
        if described.get(key)
    }
    if "capacityProviderStrategy" in launch:
        # RunTask takes either of them; a service may show both.
        launch.pop("launchType", None)
    # A member that an older service, or another controller's, does not have stands for ECS's default.
    controller = (described.get("deploymentController") or {}).get("type") or "ECS"
    configuration = described.get("deploymentConfiguration") or {}
    return ServiceFacts(
        name=described["serviceName"],
        cluster=cluster,
        status=described["status"],
        task_definition=described["taskDefinition"] if controller == "ECS" else described.get("taskDefinition", ""),
        desired=described["desiredCount"],
        running=described["runningCount"],
        pending=described["pendingCount"],
        deployments=tuple(_deployment(d) for d in described.get("deployments", ())),
        events=tuple(
            Event(e["createdAt"].timestamp(), e.get("message", ""))
            for e in described.get("events", ())
            if e.get("createdAt")
        ),
        network=described.get("networkConfiguration") or {},
        launch=launch,
        settings=DeploymentSettings(
            controller=controller,
            strategy=configuration.get("strategy") or "ROLLING",
            is_daemon=described.get("schedulingStrategy") == "DAEMON",
            minimum_healthy_percent=configuration.get("minimumHealthyPercent"),
            maximum_percent=configuration.get("maximumPercent"),
        ),
    )


def _deployment(described: Mapping[str, Any]) -> Deployment:
    return Deployment(
        id=described["id"],
        status=described["status"],
        task_definition=described["taskDefinition"],
        desired=described["desiredCount"],
        pending=described["pendingCount"],
        running=described["runningCount"],
        failed_tasks=described.get("failedTasks", 0),
        rollout_state=described.get("rolloutState"),
        rollout_reason=described.get("rolloutStateReason", ""),
    )


def _service_deployment(described: Mapping[str, Any]) -> ServiceDeployment:
    breaker = described.get("deploymentCircuitBreaker") or {}
    return ServiceDeployment(
        status=str(described.get("status", "")),
        reason=str(described.get("statusReason") or ""),
        failed_tasks=breaker.get("failureCount"),
        threshold=None if breaker.get("status") == "DISABLED" else breaker.get("threshold"),
    )


def _stopped(task: Mapping[str, Any]) -> StoppedTask:
    # One that is about to stop is listed with its stop code, and may be minutes from STOPPED.
    stopped_at, started_at = task.get("stoppedAt") or task.get("stoppingAt"), task.get("startedAt")
    return StoppedTask(
        task=str(task.get("taskArn", "")).rsplit("/", 1)[-1],
        task_definition=task.get("taskDefinitionArn", ""),
        stopped_reason=task.get("stoppedReason") or "",
        stopped_at=stopped_at.timestamp() if stopped_at else 0.0,
        containers=tuple(
            StoppedContainer(c.get("name", ""), c.get("exitCode"), c.get("reason") or "")
            for c in task.get("containers", ())
        ),
        stop_code=task.get("stopCode") or "",
        started_at=started_at.timestamp() if started_at else 0.0,
    )
