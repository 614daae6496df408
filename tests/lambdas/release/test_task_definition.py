"""Task definitions here are made from botocore's own service model: every field that AWS has, today and tomorrow."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdas.release.task_definition import (
    READ_ONLY,
    LogGroup,
    LogTarget,
    Platform,
    TaskDefinition,
    copy_of,
    is_revision_of,
    is_twin,
    same_content,
    with_image,
)
from tests.lambdas.release.examples import URI, arn, pinned

MODEL = botocore.session.get_session().get_service_model("ecs")
INPUT = MODEL.operation_model("RegisterTaskDefinition").input_shape
DESCRIBED = MODEL.shape_for("TaskDefinition")
ACCEPTED = frozenset(INPUT.members)
CONTAINER = "v3-backend-api"

READ_ONLY_VALUES = {
    "taskDefinitionArn": arn("api", 7),
    "revision": 7,
    "status": "ACTIVE",
    "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.ecr-auth"}],
    "compatibilities": ["EC2", "FARGATE"],
    "registeredAt": "2026-01-05T09:00:00Z",
    "registeredBy": "arn:aws:sts::123456789012:assumed-role/cdk/cloudformation",
    "deregisteredAt": "2026-01-06T09:00:00Z",
    "deleteRequestedAt": "2026-01-07T09:00:00Z",
}


def values(shape: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the shape: every member may be there or not, required ones always are."""
    if shape.type_name == "structure":
        members = {name: values(member) for name, member in shape.members.items()}
        if shape.is_tagged_union:
            return st.one_of([st.fixed_dictionaries({name: member}) for name, member in members.items()])
        required = set(shape.required_members)
        return st.fixed_dictionaries(
            {name: members[name] for name in members if name in required},
            optional={name: members[name] for name in members if name not in required},
        )
    if shape.type_name == "list":
        return st.lists(values(shape.member), max_size=2)
    if shape.type_name == "map":
        return st.dictionaries(values(shape.key), values(shape.value), max_size=2)
    if shape.type_name == "string":
        return st.sampled_from(shape.enum) if shape.enum else st.text(min_size=1, max_size=4)
    return {"boolean": st.booleans(), "integer": st.integers(1, 65535), "long": st.integers(1, 2**40)}[shape.type_name]


def filled(shape: Any) -> Any:
    """Return a value of the shape with every member there is."""
    if shape.type_name == "structure":
        members = {name: filled(member) for name, member in shape.members.items()}
        return dict([next(iter(members.items()))]) if shape.is_tagged_union else members
    if shape.type_name == "list":
        return [filled(shape.member)]
    if shape.type_name == "map":
        return {"key": filled(shape.value)}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else shape.name
    return {"boolean": True, "integer": 7, "long": 7}[shape.type_name]


def described(request: dict[str, Any]) -> TaskDefinition:
    """Return the DescribeTaskDefinition answer for what was registered: tags stand beside the definition."""
    document = {name: value for name, value in request.items() if name != "tags"} | READ_ONLY_VALUES
    return TaskDefinition(document, tuple(request.get("tags", ())))


@st.composite
def registrations(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a RegisterTaskDefinition request with our container somewhere among sidecars."""
    request: dict[str, Any] = draw(values(INPUT))
    containers = request["containerDefinitions"] or [{}]
    ours = draw(st.integers(0, len(containers) - 1))
    for number, container in enumerate(containers):
        container["name"] = CONTAINER if number == ours else f"sidecar-{number}"
    return {**request, "containerDefinitions": containers}


def check_copy(registration: dict[str, Any]) -> None:
    copy = with_image(described(registration), [CONTAINER], pinned(2), ACCEPTED)
    report = ParamValidator().validate(copy, INPUT)
    assert not report.has_errors(), report.generate_report()
    assert not READ_ONLY & copy.keys()
    tags = registration.get("tags")
    unchanged = {name: value for name, value in registration.items() if name != "containerDefinitions"}
    if tags == []:
        del unchanged["tags"]
    assert {name: value for name, value in copy.items() if name != "containerDefinitions"} == unchanged
    pairs = list(zip(registration["containerDefinitions"], copy["containerDefinitions"], strict=True))
    for before, after in pairs:
        if before["name"] == CONTAINER:
            assert after == {**before, "image": pinned(2)}
        else:
            assert after == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(registrations())
def test_every_field_survives_but_our_image(registration: dict[str, Any]) -> None:
    check_copy(registration)


def test_every_field_that_there_is_survives_at_once() -> None:
    registration = filled(INPUT)
    ours, sidecar = dict(registration["containerDefinitions"][0]), dict(registration["containerDefinitions"][0])
    registration["containerDefinitions"] = [sidecar | {"name": "sidecar"}, ours | {"name": CONTAINER}]
    check_copy(registration)


def test_the_revision_that_was_copied_is_not_changed() -> None:
    registration = filled(INPUT)
    definition = described(registration)
    with_image(definition, [registration["containerDefinitions"][0]["name"]], pinned(2), ACCEPTED)
    assert definition == described(filled(INPUT))


def test_what_is_read_only_is_what_describe_adds() -> None:
    assert set(DESCRIBED.members) - ACCEPTED == READ_ONLY
    assert READ_ONLY_VALUES.keys() == READ_ONLY


def test_every_field_that_may_be_registered_is_described() -> None:
    assert ACCEPTED - set(DESCRIBED.members) == {"tags"}


def test_a_field_that_aws_adds_later_is_left_out_until_botocore_knows_that_it_may_be_registered() -> None:
    definition = TaskDefinition({**READ_ONLY_VALUES, "family": "api", "brandNew": {"a": 1}})
    assert with_image(definition, [CONTAINER], pinned(2), ACCEPTED) == {"family": "api", "containerDefinitions": []}
    assert with_image(definition, [CONTAINER], pinned(2), ACCEPTED | {"brandNew"})["brandNew"] == {"a": 1}


def test_a_null_of_an_emulator_is_not_sent_back() -> None:
    definition = TaskDefinition({"family": "api", "taskRoleArn": None, "containerDefinitions": None})
    assert with_image(definition, [CONTAINER], pinned(2), ACCEPTED) == {"family": "api", "containerDefinitions": []}


SAME = {
    "equal": ({"family": "api", "cpu": "256"}, {"cpu": "256", "family": "api"}, True),
    "tags in another order": (
        {"tags": [{"key": "a", "value": "1"}, {"key": "b"}]},
        {"tags": [{"key": "b"}, {"key": "a", "value": "1"}]},
        True,
    ),
    "no tags and an empty list": ({"family": "api"}, {"family": "api", "tags": []}, True),
    "another tag value": ({"tags": [{"key": "a", "value": "1"}]}, {"tags": [{"key": "a", "value": "2"}]}, False),
    "another image": (
        {"containerDefinitions": [{"name": "api", "image": "a"}]},
        {"containerDefinitions": [{"name": "api", "image": "b"}]},
        False,
    ),
    "another memory": ({"memory": "512"}, {"memory": "1024"}, False),
    "a field more": ({"family": "api"}, {"family": "api", "cpu": "256"}, False),
}


@pytest.mark.parametrize(("left", "right", "expected"), SAME.values(), ids=SAME)
def test_two_requests_make_the_same_revision(left: dict[str, Any], right: dict[str, Any], *, expected: bool) -> None:
    assert same_content(left, right) is expected
    assert same_content(right, left) is expected


AWSLOGS = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/v3-backend/dev/api", "awslogs-stream-prefix": "ecs", "awslogs-region": "us-east-1"},
}


def with_log(log: dict[str, Any] | None) -> TaskDefinition:
    return TaskDefinition({"containerDefinitions": [{"name": CONTAINER, "image": "a", "logConfiguration": log}]})


LOG_TARGETS: dict[str, tuple[dict[str, Any] | None, LogTarget | None]] = {
    "awslogs": (AWSLOGS, LogTarget("/v3-backend/dev/api", "ecs")),
    "awslogs without a prefix": (
        {"logDriver": "awslogs", "options": {"awslogs-group": "g"}},
        LogTarget("g", None),
    ),
    "awslogs without a group": ({"logDriver": "awslogs"}, None),
    "another driver": ({"logDriver": "awsfirelens", "options": {"awslogs-group": "g"}}, None),
    "none": (None, None),
}


@pytest.mark.parametrize(("log", "expected"), LOG_TARGETS.values(), ids=LOG_TARGETS)
def test_logs_can_be_read_where_awslogs_writes_them(log: dict[str, Any] | None, expected: LogTarget | None) -> None:
    assert with_log(log).log_target(CONTAINER) == expected
    assert with_log(log).log_target("another container") is None


LOG_GROUPS: dict[str, tuple[dict[str, Any] | None, tuple[LogGroup, ...]]] = {
    "has to exist": (AWSLOGS, (LogGroup("/v3-backend/dev/api", "us-east-1"),)),
    "in another region": (
        {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "eu-west-1"}},
        (LogGroup("g", "eu-west-1"),),
    ),
    "made by the driver": (
        {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-create-group": "true"}},
        (),
    ),
    "not made by the driver": (
        {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-create-group": "False"}},
        (LogGroup("g"),),
    ),
    "without options": ({"logDriver": "awslogs"}, ()),
    "another driver": ({"logDriver": "splunk", "options": {"awslogs-group": "g"}}, ()),
    "none": (None, ()),
}


@pytest.mark.parametrize(("log", "expected"), LOG_GROUPS.values(), ids=LOG_GROUPS)
def test_a_log_group_has_to_exist_unless_the_driver_makes_it(
    log: dict[str, Any] | None, expected: tuple[LogGroup, ...]
) -> None:
    assert with_log(log).log_groups == expected


PLATFORMS: dict[str, tuple[dict[str, Any], Platform]] = {
    "Fargate's defaults": ({"requiresCompatibilities": ["FARGATE"]}, Platform("X86_64", "LINUX")),
    "Fargate, half of it said": (
        {
            "requiresCompatibilities": ["FARGATE"],
            "runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
        },
        Platform("X86_64", "WINDOWS_SERVER_2022_CORE"),
    ),
    "said on EC2": (
        {"requiresCompatibilities": ["EC2"], "runtimePlatform": {"cpuArchitecture": "ARM64"}},
        Platform("ARM64"),
    ),
    "not said on EC2": ({"requiresCompatibilities": ["EC2"]}, Platform()),
    "not said on managed instances": ({"requiresCompatibilities": ["MANAGED_INSTANCES"]}, Platform()),
    "not said outside of AWS": ({"requiresCompatibilities": ["EXTERNAL"]}, Platform()),
    "not said where it may run on either": ({"requiresCompatibilities": ["EC2", "FARGATE"]}, Platform()),
    "nothing said": ({}, Platform()),
}


@pytest.mark.parametrize(("document", "expected"), PLATFORMS.values(), ids=PLATFORMS)
def test_a_platform_is_what_is_said_or_known_and_never_guessed(document: dict[str, Any], expected: Platform) -> None:
    assert TaskDefinition(document).platform == expected


def test_an_image_is_that_of_all_containers_that_are_asked_for() -> None:
    containers = [{"name": "web", "image": "v2"}, {"name": "worker", "image": "v2"}, {"name": "proxy", "image": "p"}]
    definition = TaskDefinition({"containerDefinitions": [*containers, {"name": "bare"}]})
    assert definition.image("web", "worker") == "v2"
    assert definition.image("web", "proxy") is None
    assert definition.image("web", "gone") is None
    assert definition.image("bare") is None
    changed = with_image(definition, ("web", "worker"), "v3", ACCEPTED)["containerDefinitions"]
    assert [each.get("image") for each in changed] == ["v3", "v3", "p", None]


def test_everything_that_a_start_needs_is_named() -> None:
    log = {"logDriver": "splunk", "secretOptions": [{"name": "token", "valueFrom": "/splunk"}]}
    containers = [
        {
            "name": "a",
            "logConfiguration": log,
            "repositoryCredentials": {"credentialsParameter": "registry"},
            "environmentFiles": [{"value": "arn:aws:s3:::b/k.env", "type": "s3"}, {"type": "s3"}],
        },
        {"name": "b", "secrets": [{"name": "A", "valueFrom": "/db"}], "logConfiguration": log},
    ]
    definition = TaskDefinition({"containerDefinitions": containers})
    assert definition.secret_references == ("/splunk", "/db")
    assert definition.registry_credentials == ("registry",)
    assert definition.environment_files == ("arn:aws:s3:::b/k.env",)


def test_an_empty_definition_needs_nothing() -> None:
    empty = TaskDefinition({"taskDefinitionArn": arn("api", 1)})
    assert empty.arn == arn("api", 1)
    assert empty.is_active
    assert empty.platform == Platform()
    assert (empty.containers, empty.role_arns, empty.secret_references, empty.log_groups) == ((), (), (), ())
    assert empty.image(CONTAINER) is None


def test_a_definition_says_what_its_tasks_need_each_once() -> None:
    containers = [
        {"name": CONTAINER, "image": f"{URI}:v1", "secrets": [{"name": "A", "valueFrom": "/db"}, {"name": "B"}]},
        {
            "name": "sidecar",
            "image": "proxy",
            "secrets": [{"name": "A", "valueFrom": "/db"}],
            "logConfiguration": AWSLOGS,
        },
    ]
    definition = TaskDefinition(
        {
            "status": "INACTIVE",
            "taskRoleArn": "role",
            "executionRoleArn": "role",
            "runtimePlatform": {"cpuArchitecture": "ARM64"},
            "containerDefinitions": containers,
        }
    )
    assert not definition.is_active
    assert definition.platform == Platform("ARM64")
    assert definition.role_arns == ("role",)
    assert definition.secret_references == ("/db",)
    assert [group.name for group in definition.log_groups] == ["/v3-backend/dev/api"]
    assert definition.image(CONTAINER) == f"{URI}:v1"
    assert definition.image("sidecar") == "proxy"


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/v3-backend-dev-api:17", True),
        ("v3-backend-dev-api:17", True),
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/v3-backend-dev-api-placeholder:1", False),
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/other-v3-backend-dev-api:1", False),
    ],
)
def test_a_revision_belongs_to_the_family_that_its_arn_names(revision: str, expected: bool) -> None:
    assert is_revision_of(revision, "v3-backend-dev-api") is expected


def test_the_environment_of_a_container_is_its_plain_variables() -> None:
    containers = [
        {"name": CONTAINER, "environment": [{"name": "MODE", "value": "fast"}, {"name": "EMPTY"}]},
        {"name": "x"},
    ]
    found = TaskDefinition({"containerDefinitions": containers})
    assert found.environment(CONTAINER) == {"MODE": "fast", "EMPTY": ""}
    assert (found.environment("x"), found.environment("unknown")) == ({}, {})


TWINS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "the environment in another order": (
        {"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
        True,
    ),
    "what is empty": ({"mountPoints": [], "dockerLabels": {}, "command": None}, {}, True),
    "another value": ({"environment": [{"name": "A", "value": ""}]}, {"environment": [{"name": "A"}]}, False),
    "no is not nothing": ({"readonlyRootFilesystem": False}, {}, False),
    "words of a command in another order": ({"command": ["a", "b"]}, {"command": ["b", "a"]}, False),
    "files in another order": (
        {"environmentFiles": [{"value": "1"}, {"value": "2"}]},
        {"environmentFiles": [{"value": "2"}, {"value": "1"}]},
        False,
    ),
}


def revision(number: int, container: dict[str, Any], **more: Any) -> TaskDefinition:
    document = {
        "family": "api",
        "taskDefinitionArn": arn("api", number),
        "revision": number,
        "containerDefinitions": [{"name": CONTAINER, "image": pinned(1), **container}],
    }
    lost = more.pop("lost", ())
    return TaskDefinition({**document, **more}, ({"key": "number", "value": str(number)},), lost)


@pytest.mark.parametrize(("left", "right", "same"), TWINS.values(), ids=TWINS)
def test_a_twin_has_the_same_content_whatever_its_number_status_and_tags(
    left: dict[str, Any], right: dict[str, Any], *, same: bool
) -> None:
    inactive = revision(3, left, status="INACTIVE", deregisteredAt="2026-01-06T09:00:00Z")
    assert is_twin(inactive, revision(5, right, status="ACTIVE")) is same
    assert is_twin(inactive, revision(5, {**right, "image": pinned(2)})) is False


def test_where_something_is_lost_nothing_is_a_twin_but_the_revision_itself() -> None:
    newer = revision(3, {}, lost=("newThing",))
    assert not is_twin(newer, revision(5, {}))
    assert not is_twin(revision(5, {}), newer)
    assert is_twin(newer, newer)


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-name", "AWS:x", "Aws:"])
def test_tags_that_aws_has_set_are_not_copied(key: str) -> None:
    mine = {"key": "team", "value": "aws"}
    tagged = TaskDefinition(
        revision(3, {}).document, ({"key": key, "value": "x"}, mine, {"key": "a", "value": "aws:b"})
    )
    assert copy_of(tagged, ACCEPTED)["tags"] == [mine]
    assert with_image(tagged, CONTAINER, pinned(2), ACCEPTED)["tags"] == [mine]
    assert "tags" not in copy_of(TaskDefinition(tagged.document, ({"key": key, "value": "x"},)), ACCEPTED)


def test_a_revision_knows_its_family_and_number() -> None:
    assert (revision(12, {}).family, revision(12, {}).revision) == ("v3-backend-dev-api", 12)
