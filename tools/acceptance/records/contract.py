"""Asks gateways and decisions about records, and compares the shapes of answers of the same call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from botocore.session import get_session

from lambdas.aws.cloudwatch import Alarms
from lambdas.aws.ecr import ImageRegistry
from lambdas.aws.ecs import ContainerService
from lambdas.aws.executions import Executions
from lambdas.aws.iam import Roles
from lambdas.aws.logs import ContainerLogs
from lambdas.aws.ssm import ParameterStore
from lambdas.release.bake import Watch, judge_health
from lambdas.release.errors import StepshipError
from lambdas.release.image import FoundImage, choose_image
from lambdas.release.rollout import Goal, judge_rollout
from tools.acceptance.records.record import Clients, Json, Record, gateway, plain, replaying, shape

LATE = 4_000_000_000.0
"""Unix seconds after every deadline, and before none: a verdict on a record does not depend on today."""

LIMIT = 2
"""Failed tasks that end a rollout, as config/dev.toml has it."""


@dataclass(frozen=True)
class Key:
    """A service to ask for."""

    name: str
    cluster: str
    service: str


def decide(record: Record) -> Json:
    """Return what the product makes of an answer: its facts, and its verdict where there is one.

    Raises
    ------
    LookupError
        Nothing in the product reads this operation.
    """
    asked = ASKED.get((record.service, record.operation))
    if asked is None:
        raise LookupError(f"nothing reads {record.service} {record.operation}: leave it out of READ, or read it")
    try:
        decided: Json = plain(asked(replaying([record]), record.answer))
    except StepshipError as error:
        return {"error": type(error).__name__}
    return decided


def invalid(record: Record) -> list[str]:
    """Return what of an answer is not in botocore's model of it, or is of another type; an error has no model."""
    if "Error" in record.answer:
        return []
    model = get_session().get_service_model(record.service).operation_model(record.operation).output_shape
    return list(_unlike(record.answer, model, record.operation))


def differences(aws: Iterable[Record], other: Iterable[Record]) -> tuple[list[str], list[str]]:
    """Compare the answers of one operation: AWS's with those of something that plays AWS.

    Returns
    -------
    tuple
        What AWS has and the other has not; and what both have, as something else. What the other has and no record of
        AWS has is no difference: a record need not have everything.
    """
    theirs, ours = _types(aws), _types(other)
    missing = sorted(path for path in theirs if path not in ours and _parent(path) in {*ours, ""})
    unlike = sorted(
        f"{path}: {'/'.join(sorted(theirs[path]))} and not {'/'.join(sorted(ours[path]))}"
        for path in theirs
        if path in ours and not theirs[path] & ours[path]
    )
    return missing, unlike


def _types(records: Iterable[Record]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in records:
        for line in shape(record.answer):
            path, _, kind = line.rpartition(": ")
            found.setdefault(path, set()).add(kind)
    return found


def _parent(path: str) -> str:
    """Return the object or list that a member is in: what is missing as a whole is told once."""
    return path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]


TYPES: Mapping[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
}
"""Of a model, in JSON; everything else is text, dates too."""


def _unlike(value: Any, model: Any, path: str) -> Iterator[str]:
    # botocore decodes policies (botocore.handlers.json_decode_policies), and its model still says text.
    decoded = model.name == "policyDocumentType" and isinstance(value, dict)
    if not decoded and not isinstance(value, TYPES.get(model.type_name, str)):
        yield f"{path} is {type(value).__name__} and not {model.type_name}"
    elif model.type_name == "structure":
        for key, each in value.items():
            if key in model.members:
                yield from _unlike(each, model.members[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is no member"
    elif model.type_name == "list":
        for each in value:
            yield from _unlike(each, model.member, f"{path}[]")


# What is asked, by operation. Names are taken from the answer: the record does not know what it was asked for.


def _services(clients: Clients, answer: Json) -> Json:
    named = [(each["serviceName"], each["clusterArn"]) for each in answer.get("services", ())]
    found = gateway(ContainerService, clients).services(Key(name, cluster, name) for name, cluster in named)
    decided = {}
    for name, facts in found.items():
        goal = Goal(
            target=facts.task_definition,
            previous="",
            replaced_deployment="",
            started_at=0.0,
            deadline=LATE,
            failed_tasks_limit=LIMIT,
            desired=facts.desired,
        )
        watch = Watch(facts.task_definition, LATE, facts.desired, LIMIT)
        decided[name] = {
            "settled": facts.is_settled,
            "rollout": asdict(judge_rollout(facts, goal, LATE - 1)),
            "health": asdict(judge_health(facts, watch)),
        }
    return decided


def _update(clients: Clients, answer: Json) -> Json:
    return {"deployment": gateway(ContainerService, clients).update("cluster", "service", "definition", force=False)}


def _definition(clients: Clients, answer: Json) -> Json:
    found = gateway(ContainerService, clients).task_definition("family:1")
    return {"found": found is not None, "architecture": found.platform.cpu if found else None}


def _register(clients: Clients, answer: Json) -> Json:
    request = {"family": "family", "containerDefinitions": []}
    return {"revision": gateway(ContainerService, clients).register(request)}


def _run_task(clients: Clients, answer: Json) -> Json:
    task, reason = gateway(ContainerService, clients).run_task(
        "cluster", "family:1", started_by="stepship/release", client_token="token", launch={}, network={}
    )
    return {"task": task, "reason": reason}


def _tasks(clients: Clients, answer: Json) -> Json:
    found = gateway(ContainerService, clients).task("cluster", "task")
    return {"status": found[0], "stopped": asdict(found[1])} if found else {}


def _list_tasks(clients: Clients, answer: Json) -> Json:
    return {"task": gateway(ContainerService, clients).find_task("cluster", "stepship/release")}


def _repositories(clients: Clients, answer: Json) -> Json:
    names = tuple(each["repositoryName"] for each in answer.get("repositories", ()))
    return dict(gateway(ImageRegistry, clients).repository_uris(names or ("repository",)))


def _images(clients: Clients, answer: Json) -> Json:
    details = answer.get("imageDetails") or [{}]
    name, tags = details[0].get("repositoryName", "repository"), details[0].get("imageTags") or ["v1"]
    found = gateway(ImageRegistry, clients).find(name, f"registry/{name}", tag=tags[0], digest=None)
    return asdict(choose_image(name, found, tag=tags[0], digest=None))


def _scan(clients: Clients, answer: Json) -> Json:
    digest = answer.get("imageId", {}).get("imageDigest", "sha256:1")
    image = FoundImage("repository", "registry/repository", digest, manifests=(digest,))
    return {"scans": [asdict(each) for each in gateway(ImageRegistry, clients).scans(image)]}


def _alarms(clients: Clients, answer: Json) -> Json:
    names = [each["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for each in answer.get(kind, ())]
    return dict(gateway(Alarms, clients).states(names or ["alarm"]))


def _parameters(clients: Clients, answer: Json) -> Json:
    names = [each["Name"] for each in answer.get("Parameters", ())] + list(answer.get("InvalidParameters", ()))
    return dict(gateway(ParameterStore, clients).get(names or ["/parameter"]))


def _below(clients: Clients, answer: Json) -> Json:
    # A record is one page: the token to the next would be answered by the same.
    page = Record("", "ssm", "GetParametersByPath", "", {k: v for k, v in answer.items() if k != "NextToken"})
    return dict(gateway(ParameterStore, replaying([page])).below("/app/dev/"))


def _role(clients: Clients, answer: Json) -> Json:
    return {"arn": gateway(Roles, clients).arn("role")}


def _log_groups(clients: Clients, answer: Json) -> Json:
    names = [each["logGroupName"] for each in answer.get("logGroups", ())]
    return {"exists": gateway(ContainerLogs, clients).group_exists(names[0] if names else "/group")}


def _log_events(clients: Clients, answer: Json) -> Json:
    return {"lines": list(gateway(ContainerLogs, clients).last_lines("/group", "stream", 5))}


def _execution(clients: Clients, answer: Json) -> Json:
    facts = gateway(Executions, clients).describe(answer.get("executionArn", "arn"))
    return asdict(facts) if facts else {}


ASKED: Mapping[tuple[str, str], Callable[[Clients, Json], Json]] = {
    ("ecs", "DescribeServices"): _services,
    ("ecs", "UpdateService"): _update,
    ("ecs", "DescribeTaskDefinition"): _definition,
    ("ecs", "RegisterTaskDefinition"): _register,
    ("ecs", "RunTask"): _run_task,
    ("ecs", "DescribeTasks"): _tasks,
    ("ecs", "ListTasks"): _list_tasks,
    ("ecr", "DescribeRepositories"): _repositories,
    ("ecr", "DescribeImages"): _images,
    ("ecr", "DescribeImageScanFindings"): _scan,
    ("cloudwatch", "DescribeAlarms"): _alarms,
    ("ssm", "GetParameters"): _parameters,
    ("ssm", "GetParametersByPath"): _below,
    ("iam", "GetRole"): _role,
    ("logs", "DescribeLogGroups"): _log_groups,
    ("logs", "GetLogEvents"): _log_events,
    ("stepfunctions", "DescribeExecution"): _execution,
}
"""Each operation that a gateway reads, alone. Those that only follow on another are replayed with it."""
