"""Contract records: what AWS has answered, kept so that gateways and decisions can be asked about it again.

A record is one answer, without anything that says whose it was. Records are made of AWS's documented examples, of the
emulator and, by whoever has run ``make accept``, of an account; the format is the same (``README.md``).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.awsrequest import AWSResponse

from lambdas.aws.ecs import LOST
from lambdas.aws.gateway import Gateway

Json = dict[str, Any]
Clients = Callable[[str], Any]
G = TypeVar("G", bound=Gateway)

READ: Mapping[str, tuple[str, ...]] = {
    "ecs": (
        "DescribeServices",
        "DescribeTaskDefinition",
        "DescribeTasks",
        "ListTasks",
        "RegisterTaskDefinition",
        "RunTask",
        "UpdateService",
        "ListServiceDeployments",
        "DescribeServiceDeployments",
    ),
    "ecr": ("DescribeRepositories", "DescribeImages", "BatchGetImage", "DescribeImageScanFindings"),
    "cloudwatch": ("DescribeAlarms",),
    "ssm": ("GetParameters", "GetParametersByPath"),
    "iam": ("GetRole",),
    "logs": ("DescribeLogGroups", "GetLogEvents"),
    "stepfunctions": ("DescribeExecution",),
}
"""What the decisions read, by boto3's name of the service."""

HIDDEN: tuple[tuple[str, str], ...] = (
    (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "10.0.0.1"),
    (r"\b((?:eni|subnet|sg|vpc|eni-attach|eipalloc|i|igw|rtb)-)[0-9a-f]{8,17}\b", r"\g<1>0123456789abcdef0"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "00:00:00:00:00:00"),
    (r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b", "AROAEXAMPLE"),
    (r"(?<=assumed-role/)[^\"\s]+", "role/session"),
    (r"(?<=:user/)[^\"\s]+", "user"),
    (r"(?i)((?:secret_?access_?key|session_?token)\W{1,8})[A-Za-z0-9/+=]{16,}", r"\g<1>hidden"),
)
"""What says whose answer it was; the account, the run and what whoever called is called are hidden besides."""

ADDED = ("ResponseMetadata", LOST)
"""What botocore, and a gateway of ours, add to an answer."""

MOMENT = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Record:
    """One answer.

    Attributes
    ----------
    source
        ``emulator``, ``AWS, 2026-12-01``, or the page of AWS that shows it.
    service, operation
        ``ecs`` and ``DescribeServices``.
    moment
        When it was: the chapter that was played.
    answer
        As botocore returns it, dates as ISO 8601; an error as ``{"Error": {"Code": …, "Message": …}}``.
    """

    source: str
    service: str
    operation: str
    moment: str
    answer: Json

    @classmethod
    def read(cls, file: Path) -> Record:
        """Read the file of one."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))

    def write(self, folder: Path) -> Path:
        """Write it under a name that says what it is; returns the file."""
        moment = MOMENT.sub("-", self.moment.lower()).strip("-")
        names = f"{self.service}.{self.operation}.{moment}"
        same = len(list(folder.glob(f"{names}*.json")))
        file = folder / (f"{names}.json" if not same else f"{names}.{same + 1}.json")
        file.write_text(f"{json.dumps(vars(self), indent=2, ensure_ascii=False)}\n", encoding="utf-8")
        return file


class Recorder:
    """Listens to clients, and keeps each answer that is of another shape, or has other states, than those before.

    Parameters
    ----------
    source
        Whose answers these are.
    folder
        Where records are written.
    hidden
        What has to be replaced, beside ``HIDDEN``: text to what stands for it.
    """

    def __init__(self, source: str, folder: Path, hidden: Mapping[str, str]) -> None:
        self.moment = "before the first chapter"
        self.folder = folder
        self._source, self._hidden = source, hidden
        self._seen: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def listen(self, service: str, client: Any) -> Any:
        """Listen to what a client is answered; returns the client."""
        if service in READ:
            client.meta.events.register(
                "after-call", lambda parsed, model, **_: self._keep(service, model.name, parsed)
            )
        return client

    def _keep(self, service: str, operation: str, parsed: Mapping[str, Any]) -> None:
        if operation not in READ[service]:
            return
        answer = plain({key: value for key, value in parsed.items() if key not in ADDED})
        distinct = json.dumps([service, operation, sorted(shape(answer)), sorted(states(answer))])
        if distinct not in self._seen:
            self._seen.add(distinct)
            self.folder.mkdir(parents=True, exist_ok=True)
            hidden = json.loads(redacted(json.dumps(answer, ensure_ascii=False), self._hidden))
            Record(self._source, service, operation, self.moment, hidden).write(self.folder)


def redacted(text: str, hidden: Mapping[str, str]) -> str:
    """Return a text without anything that says whose it was."""
    for value, stands in sorted(hidden.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(value, stands)
    for pattern, stands in HIDDEN:
        text = re.sub(pattern, stands, text)
    return text


def plain(value: Any) -> Any:
    """Return an answer as JSON can say it."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value


def shape(value: Any, path: str = "") -> set[str]:
    """Return the members of an answer with their types, ``services[].desiredCount: number``."""
    if isinstance(value, dict):
        inside = (shape(each, f"{path}.{key}" if path else key) for key, each in value.items())
        return set().union({f"{path}: object"} if path else set(), *inside)
    if isinstance(value, list):
        return set().union({f"{path}: list"}, *(shape(each, f"{path}[]") for each in value))
    kind = "flag" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "text"
    return {f"{path}: {kind}"}


def states(value: Any, path: str = "") -> set[str]:
    """Return the values of what is one of a few words: ``services[].deployments[].rolloutState=FAILED``."""
    if isinstance(value, dict):
        return set().union(*(states(each, f"{path}.{key}" if path else key) for key, each in value.items()))
    if isinstance(value, list):
        return set().union(*(states(each, f"{path}[]") for each in value))
    named = path.rpartition(".")[2].lower().endswith(("status", "state", "code", "stage"))
    return {f"{path}={value}"} if named and isinstance(value, str) else set()


def replaying(records: Iterable[Record]) -> Clients:
    """Return what makes clients that answer from records, the first of each operation, and ask nobody else."""
    answers: dict[tuple[str, str], Json] = {}
    for each in records:
        answers.setdefault((each.service, each.operation), each.answer)

    def make(service: str) -> Any:
        client = boto3.client(service, region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")

        def answer(model: Any, **_: Any) -> tuple[AWSResponse, Json]:
            if (service, model.name) not in answers:
                raise LookupError(f"no record has an answer of {service} {model.name}")
            given = answers[service, model.name]
            status = 400 if "Error" in given else 200
            typed = given if "Error" in given else dated(given, model.output_shape)
            return AWSResponse("https://replayed", status, {}, None), {**typed, "ResponseMetadata": {}}

        client.meta.events.register("before-call", answer)
        return client

    return make


def dated(value: Any, model: Any) -> Any:
    """Return an answer with its dates as botocore would have read them."""
    if model.type_name == "structure":
        return {key: dated(each, model.members[key]) if key in model.members else each for key, each in value.items()}
    if model.type_name == "list":
        return [dated(each, model.member) for each in value]
    if model.type_name == "string" and isinstance(value, dict):
        # A policy: botocore decodes it, of a replayed answer too.
        return json.dumps(value)
    return datetime.fromisoformat(value) if model.type_name == "timestamp" and isinstance(value, str) else value


def gateway(kind: type[G], clients: Clients) -> G:
    """Return a gateway of the product that has one of these clients."""
    client = clients(kind.service)
    made: G = type(kind.__name__, (kind,), {"client": property(lambda _: client)})()
    return made
