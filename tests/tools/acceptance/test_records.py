"""Records: replayed through gateways and decisions, and compared with what simulator and emulator answer."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from lambdas.aws.gateway import client_of
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from tools.acceptance.records.contract import ASKED, decide, differences, invalid
from tools.acceptance.records.record import READ, Record, Recorder, plain, redacted, shape, states

FOLDER = Path(__file__).parent / "records"
FILES = sorted(FOLDER.rglob("*.json"))
RECORDS = [Record.read(file) for file in FILES]

READ_WITH_ANOTHER = {"ListServiceDeployments", "DescribeServiceDeployments", "BatchGetImage"}
"""What no gateway reads alone."""


def of(folder: str) -> list[Record]:
    return [Record.read(file) for file in FILES if file.parent.name == folder]


@pytest.mark.parametrize("record", RECORDS, ids=[f"{file.parent.name}-{file.stem}" for file in FILES])
def test_an_answer_is_one_that_botocore_can_give(record: Record) -> None:
    assert invalid(record) == []
    assert record.operation in READ[record.service]


@pytest.mark.parametrize(
    "record",
    [each for each in RECORDS if (each.service, each.operation) in ASKED],
    ids=[
        f"{file.parent.name}-{file.stem}"
        for file, each in zip(FILES, RECORDS, strict=True)
        if (each.service, each.operation) in ASKED
    ],
)
def test_gateways_and_decisions_make_of_it_what_they_made_of_it(record: Record, snapshot: SnapshotAssertion) -> None:
    assert decide(record) == snapshot


def test_every_operation_that_is_recorded_is_also_asked_about() -> None:
    recorded = {(service, operation) for service, operations in READ.items() for operation in operations}

    assert {operation for _, operation in recorded - set(ASKED)} == READ_WITH_ANOTHER
    assert set(ASKED) <= recorded


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Every answer that the handlers got in the simulator: a good deployment, a crash and a failing migration."""
    folder = tmp_path_factory.mktemp("simulated")
    recorder = Recorder("simulator", folder, {})
    client_of.cache_clear()
    with SimulatedEnvironment() as environment:
        for service in READ:
            recorder.listen(service, client_of(service))
        environment.push("v1")
        environment.run({"imageTag": "v1"}, "good")
        environment.push("v2", per_service={"worker": ImageBehavior(outcome="crash", exit_code=1)})
        environment.run({"imageTag": "v2"}, "crash")
    client_of.cache_clear()
    return [Record.read(file) for file in sorted(folder.glob("*.json"))]


def by_operation(records: list[Record]) -> dict[tuple[str, str], list[Record]]:
    found = defaultdict(list)
    for each in records:
        if "Error" not in each.answer:
            found[each.service, each.operation].append(each)
    return found


def test_the_simulator_answers_what_botocore_can_read(simulated: list[Record]) -> None:
    assert [problem for each in simulated for problem in invalid(each)] == []
    assert {each.operation for each in simulated} >= {"DescribeServices", "UpdateService", "DescribeTasks", "RunTask"}


@pytest.mark.parametrize("world", ["simulator", "emulator"])
def test_nothing_that_plays_aws_answers_with_another_type(world: str, simulated: list[Record]) -> None:
    ours, aws = by_operation(simulated if world == "simulator" else of("emulator")), by_operation(of("documented"))

    assert {key: differences(aws[key], ours[key])[1] for key in aws if key in ours} == {
        key: [] for key in aws if key in ours
    }


@pytest.mark.parametrize("world", ["simulator", "emulator"])
def test_what_aws_answers_and_they_do_not_is_known(
    world: str, simulated: list[Record], snapshot: SnapshotAssertion
) -> None:
    ours, aws = by_operation(simulated if world == "simulator" else of("emulator")), by_operation(of("documented"))

    missing = {f"{key[0]}.{key[1]}": differences(aws[key], ours[key])[0] for key in sorted(aws) if key in ours}

    assert missing == snapshot


# The format.


class Client:
    """A client that tells its listeners an answer."""

    def __init__(self) -> None:
        self.meta = self
        self.events = self
        self._listeners: list[Any] = []

    def register(self, event: str, listener: Any) -> None:
        assert event == "after-call"
        self._listeners.append(listener)

    def answer(self, operation: str, parsed: dict[str, Any]) -> None:
        for each in self._listeners:
            each(parsed=parsed, model=type("Model", (), {"name": operation}), http_response=None, context={})


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Client, Path]:
    client = Client()
    recorder = Recorder("AWS, 2026-11-27", tmp_path / "records", {"444455556666": "111122223333"})
    recorder.moment = "a crash, explained"
    return recorder.listen("ecs", client), recorder.folder


def test_an_answer_of_a_shape_or_state_that_was_not_seen_is_kept_once(recorded: tuple[Client, Path]) -> None:
    client, folder = recorded
    for state in ("IN_PROGRESS", "IN_PROGRESS", "FAILED"):
        client.answer("DescribeServices", {"services": [{"deployments": [{"rolloutState": state}]}]})
    client.answer("ListClusters", {"clusterArns": []})

    assert sorted(file.name for file in folder.iterdir()) == [
        "ecs.DescribeServices.a-crash-explained.2.json",
        "ecs.DescribeServices.a-crash-explained.json",
    ]


def test_a_record_says_nothing_of_whose_answer_it_was(recorded: tuple[Client, Path]) -> None:
    client, folder = recorded
    client.answer(
        "DescribeServices",
        {
            "services": [{"serviceArn": "arn:aws:ecs:eu-west-1:444455556666:service/shop"}],
            "ResponseMetadata": {"RequestId": "444455556666"},
        },
    )

    (file,) = folder.iterdir()
    assert "444455556666" not in file.read_text(encoding="utf-8")
    assert "111122223333" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.31.7.200", "10.0.0.1"),
        ("eni-0a1b2c3d4e5f60718 in subnet-0f1e2d3c", "eni-0123456789abcdef0 in subnet-0123456789abcdef0"),
        ("0a:90:09:84:f9:14", "00:00:00:00:00:00"),
        ("AROA1234567890ABCDEF:me", "AROAEXAMPLE:me"),
        ("arn:aws:sts::1:assumed-role/Admin/jane@example.com is", "arn:aws:sts::1:assumed-role/role/session is"),
        ("{'SecretAccessKey': 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'}", "{'SecretAccessKey': 'hidden'}"),
        ('"aws_session_token": "IQoJb3JpZ2luX2VjEXAMPLE=="', '"aws_session_token": "hidden"'),
        ("arn:aws:iam::1:user/jane is", "arn:aws:iam::1:user/user is"),
        ("version 1.4.0, ecs-svc/1234567890123456789", "version 1.4.0, ecs-svc/1234567890123456789"),
    ],
)
def test_what_is_hidden(text: str, expected: str) -> None:
    assert redacted(text, {}) == expected


def test_shape_and_states_of_an_answer() -> None:
    answer = {"services": [{"desiredCount": 1, "rolloutState": "FAILED", "tags": []}, {"enabled": True}]}

    assert shape(plain(answer)) == {
        "services: list",
        "services[]: object",
        "services[].desiredCount: number",
        "services[].rolloutState: text",
        "services[].tags: list",
        "services[].enabled: flag",
    }
    assert states(answer) == {"services[].rolloutState=FAILED"}


def record(**answer: Any) -> Record:
    return Record("AWS", "ecs", "DescribeServices", "", answer)


def test_what_is_missing_as_a_whole_is_told_once_and_another_type_is_told() -> None:
    aws = record(service={"name": "a", "count": 1, "network": {"subnets": ["a"]}})
    other = record(service={"name": "a", "count": "1", "more": 1})

    assert differences([aws], [other]) == (["service.network"], ["service.count: number and not text"])
