"""What starts an execution may be anything: it is read, or refused by the name of a field, and nothing is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.events.models import EventPattern

from lambdas.release.errors import InvalidInput, leaves
from lambdas.request_schema import schema, validate
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine import triggers
from tests.lambdas.handlers.flow import Flow, StepError, footprint, writes
from tests.robustness.refusals import attempt
from tests.simulator.quick import few_looks

EXAMPLES = [
    json.loads(file.read_text())
    for file in sorted((Path(__file__).resolve().parents[2] / "statemachine" / "examples").glob("*.json"))
]
OURS = {leaf.__name__ for leaf in leaves()}
FIXED = settings(derandomize=True, max_examples=150)
FEW = settings(derandomize=True, max_examples=60)

# Lone surrogates too: JSON can say them, and UTF-8 cannot.
texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["\ud800", "x" * 100_000, "\x1b[2J"]
)
numbers = st.integers() | st.floats() | st.sampled_from([10**300, -(2**63), 1e308])
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def almost_valid(draw: st.DrawFn) -> Any:
    """An example or a field of the schema with something else in its place."""
    value = dict(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 2))):
        field = draw(st.sampled_from([*schema()["properties"], "imagetag", "", "__proto__"]))
        if draw(st.booleans()) and field in value:
            del value[field]
        else:
            value[field] = draw(anything | st.sampled_from(["v1", True, ["api"], "a" * 257, "", "v1 ", "sha256:0"]))
    return value


def refusal(value: Any) -> str | None:
    """Return why the input is refused."""
    try:
        validate(value, "dev")
    except InvalidInput as error:
        return str(error)
    return None


@FIXED
@given(anything | almost_valid())
def test_an_input_is_read_or_refused_by_the_name_of_a_field(value: Any) -> None:
    message = refusal(value)
    if message is None:
        assert isinstance(value, dict)
        return
    field = message.partition(":")[0]
    assert (
        field == "input"
        or not isinstance(value, dict)
        or field.partition(".")[0]
        in {*schema()["properties"]} | {name if len(name) <= 80 else f"{name[:79]}…" for name in value}
        or message.partition(": unknown field")[1]
    )
    assert len(message) < 1000


@pytest.mark.parametrize("depth", [100, 500, 900, 985])
@pytest.mark.parametrize(
    "around", [lambda v: v, lambda v: {"imageTag": v}, lambda v: {"x": v}, lambda v: {"services": [v]}]
)
def test_an_input_that_is_nested_deep_is_refused(depth: int, around: Any) -> None:
    assert refusal(around(nested(depth)))


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(settings=few_looks(), recovery=False) as simulated:
        simulated.push("v1")
        yield simulated


def test_the_first_step_ends_in_a_state_or_in_an_error_of_ours(simulated: SimulatedEnvironment) -> None:
    # One execution, whose input is exchanged: to look at an input changes nothing.
    flow, calls = Flow(simulated, {"imageTag": "v1"}), simulated.aws.calls

    @FEW
    @given(value=anything | almost_valid())
    def each(value: Any) -> None:
        flow.request = flow.state = json.loads(json.dumps(value))
        start = len(calls)
        _, error = attempt(flow.call, StepError)
        if error is not None:
            assert error.error_type in OURS
            assert error.message.startswith("Verify image: ")
        assert writes(calls[start:]) == []

    each()


SAMPLE = [
    5,
    [],
    {"imageTag": "\ud800"},
    {"releaseId": "\ud800", "action": "rollback"},
    {"reason": "\ud800", "imageTag": "no"},
]


def test_the_whole_machine_rejects_a_bad_input_with_a_record_and_nothing_else(simulated: SimulatedEnvironment) -> None:
    existing = footprint(simulated)
    for value in [*SAMPLE, *({**example, "force": "x"} for example in EXAMPLES)]:
        run = simulated.run(value, f"whole-{len(simulated.aws.runs)}")
        cause = json.loads(run.cause or "")
        assert (run.status, run.error, cause["outcome"]) == ("FAILED", "Rejected", "Rejected"), value
        assert cause["errorType"] in OURS
        assert cause["step"] == "Verify image" or cause["errorType"] in ("ReleaseNotFound", "AwsError")
        assert simulated.records()[run.name].outcome == "Rejected"
    after = footprint(simulated)
    kinds = {key.partition("/")[0] for key in after["items"].keys() - existing["items"].keys()}
    assert kinds <= {"history", "lock"}
    assert after | {"items": {}} == existing | {"items": {}}


# A push, through the rule's pattern and its input transformer.


def transformed(values: dict[str, str], paths: dict[str, str], event: Any) -> str:
    """Return what EventBridge starts the target with.

    A word that is a whole value stands in the template without quotes, and becomes JSON; inside a text the characters
    are put in as they are in JSON. A path that is not there gives an empty text. Source: Amazon EventBridge User Guide,
    "Input transformation".
    """

    def found(word: str) -> Any:
        value = event
        for part in paths[word].removeprefix("$.").split("."):
            value = value.get(part, "") if isinstance(value, dict) else ""
        return value

    def filled(value: str) -> str:
        if re.fullmatch(r"<\w+>", value):
            return json.dumps(found(value[1:-1]))
        return re.sub(r"<(\w+)>", lambda word: json.dumps(found(word[1])).strip('"'), json.dumps(value))

    return "{" + ",".join(f"{json.dumps(key)}:{filled(value)}" for key, value in values.items()) + "}"


tags = (
    texts
    | st.sampled_from(['sha-"', "sha-\\", "sha-\n", "sha-1", "sha-" + "f" * 40, "<digest>", "sha-${x}"])
    | anything
)
words = st.sampled_from(["PUSH", "DELETE", "push", "SUCCESS", "FAILURE", ""]) | anything
pushes = st.fixed_dictionaries(
    {},
    optional={
        "action-type": words,
        "result": words,
        "repository-name": st.just("v3-backend") | texts,
        "image-digest": st.just(f"sha256:{'0' * 64}") | anything,
        "image-tag": tags,
    },
)
good_pushes = pushes.map(
    lambda p: {**p, "action-type": "PUSH", "result": "SUCCESS", "repository-name": "v3-backend"}
) | tags.map(
    lambda tag: {"action-type": "PUSH", "result": "SUCCESS", "repository-name": "v3-backend", "image-tag": tag}
)


@FIXED
@given(detail=pushes | good_pushes)
def test_a_push_starts_nothing_or_an_execution_whose_input_is_read_or_refused_by_name(detail: dict[str, Any]) -> None:
    pattern = EventPattern(None, triggers.pushed_image_pattern(["v3-backend"], ["sha-*"]))
    event: Any = {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": detail}
    if not pattern.matches_event(event):
        return
    assert (detail["action-type"], detail["result"]) == ("PUSH", "SUCCESS")
    value = json.loads(transformed(triggers.PUSHED_IMAGE_INPUT, triggers.PUSHED_IMAGE_PATHS, event))
    assert value["requestedBy"] == "eventbridge:ecr-push"
    message = refusal(value)
    if re.fullmatch(r"sha-[\w.-]{1,124}", str(detail["image-tag"]), re.ASCII) and "image-digest" in detail:
        assert message is None or message.startswith("imageDigest")
    elif message is not None:
        assert message.startswith(("imageTag", "imageDigest"))


@pytest.mark.parametrize(
    ("detail", "starts"), [({"image-tag": "sha-1"}, True), ({}, False), ({"image-tag": "v1"}, False)]
)
def test_a_push_without_a_tag_or_with_another_starts_nothing(detail: dict[str, Any], starts: bool) -> None:
    pattern = EventPattern(None, triggers.pushed_image_pattern(["v3-backend"], ["sha-*"]))
    pushed = {"action-type": "PUSH", "result": "SUCCESS", "repository-name": "v3-backend", **detail}
    event: Any = {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": pushed}
    assert pattern.matches_event(event) == starts


@FEW
@given(name=st.text(max_size=30), status=st.sampled_from(["ABORTED", "TIMED_OUT", "FAILED"]))
def test_a_stopped_execution_starts_a_recovery_that_is_read_or_refused_by_name(name: str, status: str) -> None:
    arn = f"arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:{name}"
    event = {"detail": {"executionArn": arn, "status": status}}
    text = transformed(triggers.STOPPED_EXECUTION_INPUT, triggers.STOPPED_EXECUTION_PATHS, event)
    message = refusal(json.loads(text))
    assert message is None or message.startswith("takeover")
    assert message is not None or json.loads(text)["takeover"] == arn
